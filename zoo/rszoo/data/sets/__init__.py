"""Data sets known by name. One file per set; the file's name is the set's name.

Each file defines `SET`, a `KnownSet`. torchvision reads the set's files, into memory, unless the
file has a function of its own,

    load(name, split, *, root, download) -> ImageSet

which takes what `rszoo.data.load` takes, checked, with the set's name and the data root. Whatever
needs torch is imported inside of it, so that what is known of a set can be asked for quickly.
"""
