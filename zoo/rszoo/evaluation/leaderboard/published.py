"""The published numbers of `published.yaml`, as entries."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from rszoo._yaml import parse_yaml
from rszoo.evaluation.coverage import Coverage
from rszoo.evaluation.leaderboard.entry import Entry
from rszoo.evaluation.metrics import Summary

__all__ = ["published_entries", "share_of"]

_STEP = 0.25


def published_entries() -> list[Entry]:
    """Return all published results that come with rszoo."""
    text = Path(__file__).with_name("published.yaml").read_text(encoding="utf-8")
    content: Any = parse_yaml(text)
    return [
        _entry(
            method, numbers, run=table["run"], source=content["sources"][table["run"]["source"]]
        )
        for table in content["tables"]
        for method, numbers in table["rows"].items()
    ]


def _entry(
    method: str, numbers: Sequence[float], *, run: dict[str, Any], source: dict[str, str]
) -> Entry:
    acr, abstained, *accuracies = numbers
    certified = tuple(map(share_of, accuracies))
    return Entry(
        model=source["repository"],
        dataset=run["dataset"],
        checked=False,
        method=method,
        network=run["network"],
        profile=None,
        summary=Summary(
            name=source["repository"],
            images=run["images"],
            coverage=Coverage(listed=run["images"], count=run["images"], stated=True, missing=()),
            sigma=float(run["sigma"]),
            n=run["n"],
            alpha=run["alpha"],
            acr=acr,
            acr_se=None,
            clean=certified[0],
            abstained=share_of(abstained),
            draws=float(run["n"]),
            undecided=None,
            radii=tuple(_STEP * i for i in range(len(certified))),
            certified_accuracy=certified,
            intervals=(),
        ),
        without_p="the released log holds no counts",
        paper=source["paper"],
    )


def share_of(percent: float) -> float:
    """Return the float next to a share published in per cent: 65.6 / 100 is a little less."""
    return float(Decimal(repr(percent)) / 100)
