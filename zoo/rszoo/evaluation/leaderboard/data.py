"""The leaderboard as JSON values."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rszoo.evaluation.leaderboard.board import Group, Row

__all__ = ["as_data"]


def as_data(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """Return the groups as JSON values; shares are in [0, 1], radii in full."""
    return [
        {
            "dataset": group.dataset,
            "sigma": group.sigma,
            "bound": group.bound,
            "given_radii": group.given and list(group.given),
            "images": group.images,
            "n": group.n,
            "alpha": group.alpha,
            "radii": list(group.radii),
            "entries": [_entry(row) for row in group.rows],
        }
        for group in groups
    ]


def _entry(row: Row) -> dict[str, Any]:
    entry, one = row.entry, row.entry.summary
    return {
        "place": row.place,
        "model": entry.model,
        "published": entry.paper,
        "method": entry.method,
        "profile": entry.profile,
        "network": entry.network,
        "acr": one.acr,
        "acr_se": one.acr_se,
        "acr_is_a_lower_bound": one.undecided is not None,
        "n": one.n,
        "alpha": one.alpha,
        "images": one.images,
        "clean": one.clean,
        "abstained": one.abstained,
        "certified_accuracy": list(row.accuracies),
        "intervals": list(row.intervals),
        "p": None if entry.p is None else asdict(entry.p),
        "without_p": entry.without_p,
        "draws": one.draws,
        "training_seconds": entry.seconds,
        "hardware": entry.hardware,
        "collapsed": one.collapsed,
        "notes": list(row.notes),
    }
