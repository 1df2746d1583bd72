"""Model bundles: a folder that holds a model together with its evidence."""
