"""What certificates bound, and from how many draws, in words: of different words, no table.

"one-sided"      the published bound: of the class, against all others together
"runner-up"      of the class, and of each other one
"chosen"         the better of both, by the draws that select the class
"one-sided, up to 100,000 draws"    with more draws where all of the n agree
"top-3"          that the answer is one of three classes, which is no bound of a single one
"""

import re

from rszoo.certificates.kind import BOUNDS, ONE_SIDED

__all__ = ["bound_order", "bound_text", "known_bound", "most_draws"]

_TEXT = re.compile(rf"({'|'.join(BOUNDS)})(?:, up to ([0-9][0-9,]{{0,20}}) draws)?")


def bound_text(bound: str, n_max: int | None = None, top_k: int | None = None) -> str:
    """Return what is bounded, in words.

    Args:
        bound: one of `rszoo.certificates.kind.BOUNDS`.
        n_max: the most draws, where these may be more than n.
        top_k: classes of a set, where that is certified.

    >>> bound_text("one-sided", 100_000)
    'one-sided, up to 100,000 draws'
    """
    if top_k is not None:
        return f"top-{top_k}"
    return bound if n_max is None else f"{bound}, up to {n_max:,} draws"


def bound_order(text: str) -> tuple[int, str]:
    """Return what the words are sorted by: the published bound first."""
    found = _TEXT.fullmatch(text)
    return BOUNDS.index(found[1]) if found else len(BOUNDS), text


def known_bound(text: object) -> str:
    """Return the words that a card of anybody's states; the published bound where it has none."""
    return text if isinstance(text, str) and _TEXT.fullmatch(text) else ONE_SIDED


def most_draws(text: str, n: float | None) -> float | None:
    """Return the most draws that a certificate may rest on.

    Args:
        text: what is bounded, in words.
        n: draws, where no more are made.

    >>> most_draws("one-sided, up to 100,000 draws", 10_000), most_draws("chosen", 10_000)
    (100000, 10000)
    """
    found = _TEXT.fullmatch(text)
    return int(found[2].replace(",", "")) if found and found[2] else n
