"""Every random choice of a training has a seed of its own, derived from the run's."""

import hashlib

__all__ = ["derived_seed"]


def derived_seed(*parts: int | str) -> int:
    """Return 63 bits that depend on all parts: the run's seed, the epoch, the purpose, ..."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "little") >> 1
