"""Numbers that sum up a certification log.

Over all N rows of a log, abstentions and wrong predictions included:

    ACR                       (1/N) * sum of radius_i * correct_i
    certified accuracy at r   (1/N) * #{i : correct_i and radius_i >= r}

as in Cohen et al. (2019), https://github.com/locuslab/smoothing, code/analyze.py, and
Zhai et al. (2020), https://arxiv.org/abs/2001.02378. The ACR grows with n and alpha without any
change of the model: quote both with it, and compare only logs of the same inputs.
"""

import hashlib
import json
import math
from collections.abc import Hashable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rszoo.certificates.base import ABSTAIN
from rszoo.certificates.kind import ONE_SIDED
from rszoo.errors import DataError
from rszoo.evaluation.collapse import why_collapsed
from rszoo.evaluation.coverage import Coverage, coverage
from rszoo.evaluation.log import NO_LABEL, LogTable
from rszoo.theory.bounds import clopper_pearson_interval
from rszoo.theory.paired import compared
from rszoo.theory.rounding import as_radius

__all__ = [
    "Difference",
    "Summary",
    "default_radii",
    "differences",
    "inputs_digest",
    "paired_difference",
    "protocol_digest",
    "summary",
]

_CONFIDENCE = 0.95
_STEP = 0.25
_FARTHEST = 100.0  # pixel units
_WHICH = ("size", "step", "count")  # of a protocol's inputs


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The metrics of a model, computed from its log.

    Attributes:
        name: the log.
        images: number of rows.
        coverage: which of the inputs that the log is about these are.
        sigma, n, alpha: of the certificates; None where the log does not say, or where they are
            not the same in all rows.
        acr: average certified radius, pixel units.
        acr_se: its standard error over the images; None for a single image.
        clean: certified accuracy at radius 0: right and not abstained; None where not asked for.
        abstained: share of abstentions.
        draws: estimation draws per image, on average; at given radii of all parts together, else
            of the one that makes them all. None where the log does not say.
        undecided: share of images that took all n draws, of any part, and left something
            undecided; None for logs that were not to stop early.
        radii: where the certified accuracy is given.
        certified_accuracy: share at each radius, in [0, 1]; None where the log was not asked,
            as it was certified at other given radii.
        intervals: exact binomial interval of each at 95 % confidence, for the images being a
            random sample; None with it.
        bound: what the certificates bound, see `rszoo.certificates.bound`; numbers of different
            bounds never stand in one table.
        nominal: whether all this is about nominal radii, which are no certificates.
        collapsed: why the model says nothing of robustness, see `rszoo.evaluation.collapse`; None
            where it does.
    """

    name: str
    images: int
    coverage: Coverage
    sigma: float | None
    n: int | None
    alpha: float | None
    acr: float
    acr_se: float | None
    clean: float | None
    abstained: float
    draws: float | None
    undecided: float | None
    radii: tuple[float, ...]
    certified_accuracy: tuple[float | None, ...]
    intervals: tuple[tuple[float, float] | None, ...]
    bound: str = ONE_SIDED
    nominal: bool = False
    collapsed: str | None = None

    def as_data(self) -> dict[str, Any]:
        """Return all of it for JSON; under `curve` the shares by radius, which DVC compares."""
        pairs = zip(self.radii, self.certified_accuracy, strict=True)
        return {**asdict(self), "curve": {as_radius(radius): share for radius, share in pairs}}

    def by_radius(self) -> dict[float, float]:
        """Return the certified accuracy by radius, as far as the log was asked."""
        pairs = zip(self.radii, self.certified_accuracy, strict=True)
        return {radius: share for radius, share in pairs if share is not None}


def summary(log: LogTable, radii: Sequence[float] | None = None) -> Summary:
    """Return the metrics of a log.

    Args:
        log: at least one row.
        radii: where to give the certified accuracy, each >= 0, pixel units; see `default_radii`.

    Raises:
        DataError: the log has no rows, or no true labels.
        ValueError: a radius is negative or not finite.
    """
    _check_labelled(log)
    radii = default_radii(log) if radii is None else tuple(float(r) for r in radii)
    if not all(0.0 <= r < math.inf for r in radii):
        raise ValueError(f"expected finite radii >= 0, got {radii=}")
    images = len(log)
    gained = log.radius * log.correct
    counts = [
        int((log.correct & (log.radius >= r)).sum()) if log.asked(r) else None for r in radii
    ]
    spent = log.parts_spent
    return Summary(
        name=log.name,
        images=images,
        coverage=coverage(log),
        sigma=_common(log.sigma) if log.kind.one_sigma else None,
        n=_common(log.n),
        alpha=_common(log.alpha),
        acr=float(gained.mean()),
        acr_se=float(gained.std(ddof=1)) / math.sqrt(images) if images > 1 else None,
        clean=float(log.correct.mean()) if log.asked(0.0) else None,
        abstained=float((log.predict == ABSTAIN).mean()),
        draws=None if spent is None else sum(map(sum, spent)) / images,
        undecided=_undecided(log, spent),
        radii=radii,
        certified_accuracy=tuple(None if count is None else count / images for count in counts),
        intervals=tuple(
            None if count is None else clopper_pearson_interval(count, images, 1.0 - _CONFIDENCE)
            for count in counts
        ),
        bound=log.bound,
        nominal=not log.kind.certifies,
        collapsed=None if log.kind.of_sets else why_collapsed(log),
    )


def _undecided(log: LogTable, spent: Sequence[Sequence[int]] | None) -> float | None:
    if log.tested is None or log.n is None or spent is None:
        return None
    return float((np.array([max(parts) for parts in spent]) == log.n).mean())


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The paired differences of two models on the same inputs.

    Attributes:
        first, second: names of the logs.
        acr: ACR of the second minus that of the first, pixel units.
        low, high: its interval at 95 % confidence, from the differences image by image, for the
            images being a random sample; None where too few of them differ.
        images: how many.
        up, down: of how many the second log gains more, and less, than the first.
        p_value: of the sign test that an image that differs is as likely to be one as the other.
    """

    first: str
    second: str
    acr: float
    low: float | None
    high: float | None
    images: int
    up: int
    down: int
    p_value: float


def paired_difference(first: LogTable, second: LogTable) -> Difference | None:
    """Return the difference of two logs' ACR; None where their rows do not compare models.

    Pairing removes what the images themselves contribute to the spread, so that the interval is
    narrower than those of the two ACR suggest. `rszoo.theory.paired` says how it is made, and how
    often it holds. Logs with `differences` are not compared: they would differ for one model.
    """
    if len(first) < 2 or differences([first, second]):
        return None
    _check_labelled(first)
    gained = [
        (log.radius * log.correct)[np.argsort(log.idx, kind="stable")] for log in (first, second)
    ]
    found = compared(gained[1] - gained[0], confidence=_CONFIDENCE)
    return Difference(
        first=first.name,
        second=second.name,
        acr=found.mean,
        low=found.low,
        high=found.high,
        images=len(first),
        up=found.up,
        down=found.down,
        p_value=found.p_value,
    )


def default_radii(log: LogTable) -> tuple[float, ...]:
    """Return the given radii, or 0, 0.25, 0.5, ... up to the largest right answer's.

    None is above 100: what a log claims may be any number.
    """
    if log.given is not None:
        return log.given
    largest = min(float((log.radius * log.correct).max(initial=0.0)), _FARTHEST)
    return tuple(_STEP * i for i in range(math.floor(largest / _STEP) + 1))


def differences(logs: Sequence[LogTable]) -> list[str]:
    """Return in which of inputs, n, alpha, radii and bound logs differ.

    Rows of such logs do not compare models.

    A log that does not say its n or alpha differs from one that does.
    """
    sources = {json.dumps(_source(log)) for log in logs if log.protocol is not None}
    found = {
        name: len({protocol[name] for protocol in map(_protocol, logs)}) > 1
        for name in ("inputs", "n", "alpha", "radii")
    }
    found["inputs"] |= len(sources) > 1
    found["bound"] = len({log.bound for log in logs}) > 1
    return [name for name, differ in found.items() if differ]


def inputs_digest(log: LogTable) -> str:
    """Return a SHA-256 that is the same for logs of the same inputs, in whatever order."""
    text = json.dumps([_source(log), _protocol(log)["inputs"]], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def protocol_digest(log: LogTable) -> str:
    """Return a SHA-256 that is the same for logs without `differences`, if both have protocols."""
    values = [_source(log), *map(repr, _protocol(log).values())]
    if log.bound != ONE_SIDED:  # those of before had no other
        values.append(log.bound)
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _source(log: LogTable) -> dict[str, Any] | None:
    """Return where the inputs of a log come from; None where its protocol says nothing.

    Which of them it lists, the rows say, and logs of before say it nowhere else.
    """
    inputs = log.protocol.values().get("inputs") if log.protocol else None
    return inputs and {key: value for key, value in inputs.items() if key not in _WHICH}


def _protocol(log: LogTable) -> dict[str, Hashable]:
    """Return what must be the same for logs to compare models, but for the inputs' source."""
    return {
        "inputs": tuple(sorted(zip(log.idx.tolist(), log.label.tolist(), strict=True))),
        "n": _common(log.n),
        "alpha": _common(log.alpha),
        "radii": log.tested,
    }


def _common(column: NDArray[Any] | None) -> Any:  # noqa: ANN401
    """Return the one value of a column; None without the column, or when its rows differ."""
    values = set() if column is None else set(column.tolist())
    return values.pop() if len(values) == 1 else None


def _check_labelled(log: LogTable) -> None:
    if len(log) == 0:
        raise DataError(
            f"{log.path}: expected at least one row, got none; certify something first"
        )
    if (log.label == NO_LABEL).all():
        raise DataError(
            f"{log.path}: expected rows with true labels, got only inputs of your own (label "
            f"{NO_LABEL}): without the true class, accuracy and ACR are not defined"
        )
