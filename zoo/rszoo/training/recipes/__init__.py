"""Recipes: from YAML files to the values of one training run, checked and frozen."""
