"""One file per architecture; the file's name is the network's name."""
