"""One file per library of architectures; the file's name is what stands before the colon.

Each defines `LIBRARY`, a `rszoo.networks.library.Library`. Names and options may come from
bundles, which are other people's: what reaches the library is checked here before, and is enough
to build a network without weights, without a file and without the internet.
"""
