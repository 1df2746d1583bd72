"""Models from other software, and models for other software."""
