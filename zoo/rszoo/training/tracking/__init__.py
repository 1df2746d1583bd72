"""Everything that is told to MLflow, or read from it: runs, models, the registry."""
