"""From a recipe to a tracked run and a model bundle."""
