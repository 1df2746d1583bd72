"""What votes say so far: a picture of the draws as they arrive, and no certificate.

A certificate is about a number of draws that was fixed beforehand. Who looks at each of many
counts and stops at one that pleases has chosen it, and the bound for one count no longer holds.
The interval shown here shares alpha among all looks at a network's votes: by the union bound it
holds at all of them together, whenever one stops. It is wider than the bound of the certificate.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from rszoo.certificates.kinds.dual import ROUTER
from rszoo.explorer.watched import Votes
from rszoo.smoothing.interface import Classifier
from rszoo.smoothing.noise import Stream
from rszoo.theory.bounds import clopper_pearson_interval
from rszoo.theory.radii import certified_radius, largest_radius
from rszoo.theory.rounding import as_interval, as_share, as_stated, floor_digits

__all__ = ["RADIUS_DIGITS", "Standing", "bar", "bars", "sigma_text"]

#: Decimals of a radius, as `rszoo certify` prints them.
RADIUS_DIGITS = 4

_SELECTING = (Stream.SELECTION, Stream.ROUTER_SELECTION)
_MOST_BARS = 10


class Standing:
    """From the votes of a classifier's networks to what a page shows of them.

    Attributes:
        counts: the last votes of each network in the draws that its bound rests on, by name.
    """

    def __init__(
        self, classifier: Classifier, class_names: Sequence[str], *, n: int, alpha: float
    ) -> None:
        """Begin without votes.

        Args:
            classifier: whose networks vote.
            class_names: one per class.
            n: draws of each network at most.
            alpha: probability that the interval of a network fails at any of its looks.
        """
        self._n, self._alpha = n, alpha
        self.counts: dict[str, list[int]] = {}
        self._candidates: dict[str, int] = {}
        self._sigmas = {name: one.applied_sigma for name, (one, _) in classifier.voters.items()}
        experts = [name for name in classifier.voters if name != ROUTER]
        self._names = {name: list(class_names) for name in experts} | {ROUTER: experts}

    def values(self, votes: Votes) -> dict[str, Any]:
        """Return what is shown of votes, as JSON values.

        Guarantee:
            With probability at least 1 - alpha over a network's draws for estimation: its
            `interval` holds the probability of its candidate at every look. The candidate is
            chosen on other draws.
        """
        names = self._names[votes.voter]
        shown = {
            "voter": votes.voter,
            "selects": votes.stream in _SELECTING,
            "draws": votes.draws,
            "bars": bars(votes.counts, names),
        }
        if votes.stream in _SELECTING:
            self._candidates[votes.voter] = votes.counts.index(max(votes.counts))
            return shown
        self.counts[votes.voter] = votes.counts
        candidate = self._candidates[votes.voter]
        low, high = clopper_pearson_interval(
            votes.counts[candidate], votes.draws, self._alpha / votes.looks
        )
        radius = certified_radius(low, self._sigmas[votes.voter])
        return shown | {
            "candidate": names[candidate],
            "interval": [low, high],
            "interval_text": as_interval((low, high)),
            "radius": radius,
            "most": largest_radius(self._n, self._alpha, self._sigmas[votes.voter]),
            "radius_text": floor_digits(radius, RADIUS_DIGITS),
        }


def bars(counts: Sequence[int], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the classes with their votes, as JSON values: all, or the most frequent of many."""
    chosen = list(range(len(counts)))
    if len(chosen) > _MOST_BARS:
        chosen = sorted(chosen, key=lambda c: -counts[c])[:_MOST_BARS]
    return [bar(counts, c, names) for c in chosen]


def bar(counts: Sequence[int], c: int, names: Sequence[str]) -> dict[str, Any]:
    """Return one class with its votes, as JSON values."""
    share = counts[c] / max(1, sum(counts))
    return {"name": names[c], "votes": counts[c], "share": share, "text": as_share(share)}


def sigma_text(sigma: float) -> str:
    """Return a noise level as short as the float32 that noise is scaled with has it.

    >>> sigma_text(0.11999999731779099), sigma_text(0.5)
    ('0.12', '0.5')
    """
    return as_stated(float(str(np.float32(sigma))))
