"""The curve of certified accuracy against radius, as papers on randomized smoothing show it."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator, PercentFormatter

from rszoo._files import write_bytes_atomically
from rszoo.errors import RszooError
from rszoo.evaluation._steps import cliff, points, steps
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.look import COLOURS, looks, method_of
from rszoo.evaluation.metrics import summary
from rszoo.theory.rounding import as_acr, as_stated

__all__ = ["curve", "picture"]

_MOST = 8
# Of noise levels, from the smallest; the two of a kind differ much in lightness.
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))
_MARKERS = "os^D"  # in their place where given radii were certified

_CLIFF: dict[str, Any] = {"linestyle": "", "marker": 9, "color": "0.35", "clip_on": False}


def curve(logs: Sequence[LogTable], path: str | Path) -> None:
    """Draw certified accuracy against radius, one exact step curve per log, as a PNG.

    A log at given radii has a marker at each of them, and nothing between or beyond.

    Args:
        logs: 1 to 8 logs with true labels.
        path: the picture, ending in .png; written as a whole or not at all.

    Raises:
        RszooError: too many logs for one picture, another ending, or the file cannot be written.
        DataError: a log has no rows or no true labels.
    """
    path = Path(path)
    if not 1 <= len(logs) <= _MOST:
        raise RszooError(f"expected 1 to {_MOST} logs in one picture, got {len(logs)}; plot fewer")
    if path.suffix.lower() != ".png":
        raise RszooError(f"expected a picture's name ending in .png, got {str(path)!r}")
    write_bytes_atomically(path, picture(logs))


def picture(logs: Sequence[LogTable]) -> bytes:
    """Return the picture that `curve` writes, of 1 to 8 logs with true labels.

    Raises:
        DataError: a log has no rows or no true labels.
    """
    labels = [_label(log) for log in logs]
    drawn = io.BytesIO()
    _figure(logs, labels).savefig(drawn, format="png", dpi=200)
    return drawn.getvalue()


def _accuracy(log: LogTable) -> str:
    """Return what is drawn; all logs of a picture have it in common."""
    if log.kind.of_sets:
        return f"certified {log.bound} accuracy"
    return "certified accuracy" if log.kind.certifies else "nominal accuracy"


def _figure(logs: Sequence[LogTable], labels: Sequence[str]) -> Figure:
    many = len(logs) > 3
    figure = Figure(figsize=(5.6, 5.0 if many else 4.1), layout="constrained")
    axes = figure.add_subplot()
    drawn = looks([(method_of(log) or log.name, _sigma(log)) for log in logs])
    for log, label, look in zip(logs, labels, drawn, strict=True):
        corners, style = _drawn(log, look.dashes)
        colour = COLOURS[look.colour][0]
        axes.plot(*corners, color=colour, clip_on=False, label=label, **style)
    ends = [end for log in logs if (end := cliff(log)) is not None]
    if ends:
        axes.plot(*zip(*ends, strict=True), **_CLIFF, label=_end_text(logs))
    axes.set_xlabel("$L_2$ radius (pixels in [0, 1])")
    axes.set_ylabel(_accuracy(logs[0]))
    axes.set_xlim(left=0.0)
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_locator(MultipleLocator(0.2))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_title(_conditions(logs), fontsize="small", color="0.35")
    style = {"frameon": False, "fontsize": "small", "handlelength": 3.2}
    if many:
        figure.legend(loc="outside lower center", ncols=2, **style)
    else:
        axes.legend(loc="best", **style)
    return figure


def _drawn(log: LogTable, dashes: int) -> tuple[tuple[Any, Any], dict[str, Any]]:
    """Return the corners of a log's curve and their style; of given radii, points."""
    if log.given is not None:
        return points(log), {"linestyle": "", "marker": _MARKERS[dashes % len(_MARKERS)]}
    line = _DASHES[dashes % len(_DASHES)]
    return steps(log), {"drawstyle": "steps-pre", "linestyle": line, "linewidth": 1.6}


def _sigma(log: LogTable) -> float | None:
    return log.protocol.sigma if log.protocol else None


def _end_text(logs: Sequence[LogTable]) -> str:
    made = {summary(log, ()).n for log in logs if cliff(log) is not None}
    n = made.pop() if len(made) == 1 else None
    return "more draws could certify more" if n is None else f"n = {n:,} cannot certify more"


def _conditions(logs: Sequence[LogTable]) -> str:
    """Return under what the curves were certified, where it is the same for all."""
    found = [summary(log, ()) for log in logs]
    stated = [
        {"" if one.n is None else f"n = {one.n:,}" for one in found},
        {"" if one.alpha is None else f"alpha = {as_stated(one.alpha)}" for one in found},
        {f"{one.images:,} images" for one in found},
    ]
    names = ("n", "alpha", "images")
    return ", ".join(
        text
        for values, name in zip(stated, names, strict=True)
        if (text := values.pop() if len(values) == 1 else f"{name}: several")
    )


def _label(log: LogTable) -> str:
    """Return a log's legend; matplotlib would take a dollar for mathematics and hide a "_..."."""
    name = log.name.replace("$", r"\$")
    hidden = " " if name.startswith("_") else ""
    return f"{hidden}{name} (ACR {as_acr(summary(log, ()).acr)})"
