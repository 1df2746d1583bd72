"""The mathematics of certificates: numbers in, numbers out (numpy and scipy only, no torch)."""
