"""The sections of a resolved recipe, each checked by itself.

A section that names other models is a file of its own, which says everything about it.
"""
