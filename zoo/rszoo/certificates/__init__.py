"""Certificates and their kinds: what the votes of a log claim. Free of torch."""
