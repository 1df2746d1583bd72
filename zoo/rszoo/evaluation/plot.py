"""The curve of certified accuracy against radius, as papers on randomized smoothing show it."""

import io
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator

from rszoo._files import write_bytes_atomically
from rszoo.errors import RszooError
from rszoo.evaluation._steps import steps
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.metrics import summary
from rszoo.theory.rounding import as_acr

__all__ = ["curve", "picture"]

# The palette of Okabe and Ito (2008), https://jfly.uni-koeln.de/color/, which readers with any
# kind of colour blindness can tell apart; a grey stands for its yellow, too pale for lines.
_COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#7F7F7F",
)
# Dashes as well, for print in grey; the two of a kind differ much in lightness.
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1)), (0, (6, 1.5, 1.5, 1.5)))


def curve(logs: Sequence[LogTable], path: str | Path) -> None:
    """Draw certified accuracy against radius, one exact step curve per log, as a PNG.

    Args:
        logs: 1 to 8 logs with true labels.
        path: the picture, ending in .png; written as a whole or not at all.

    Raises:
        RszooError: too many logs for one picture, another ending, or the file cannot be written.
        DataError: a log has no rows or no true labels.
    """
    path = Path(path)
    if not 1 <= len(logs) <= len(_COLOURS):
        raise RszooError(
            f"expected 1 to {len(_COLOURS)} logs in one picture, got {len(logs)}; plot fewer"
        )
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
    figure = Figure(figsize=(5.6, 4.6 if many else 3.8), layout="constrained")
    axes = figure.add_subplot()
    for i, log in enumerate(logs):
        axes.plot(
            *steps(log),
            drawstyle="steps-pre",
            color=_COLOURS[i],
            linestyle=_DASHES[i % len(_DASHES)],
            linewidth=1.6,
            clip_on=False,
            label=labels[i],
        )
    axes.set_xlabel("$L_2$ radius (pixels in [0, 1])")
    axes.set_ylabel(_accuracy(logs[0]))
    axes.set_xlim(left=0.0)
    axes.set_ylim(0.0, 1.0)
    axes.yaxis.set_major_locator(MultipleLocator(0.2))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="0.9", linewidth=0.6)
    axes.set_axisbelow(True)
    style = {"frameon": False, "fontsize": "small", "handlelength": 3.2}
    if many:
        figure.legend(loc="outside lower center", ncols=2, **style)
    else:
        axes.legend(loc="best", **style)
    return figure


def _label(log: LogTable) -> str:
    """Return a log's legend; matplotlib would take a dollar for mathematics and hide a "_..."."""
    name = log.name.replace("$", r"\$")
    hidden = " " if name.startswith("_") else ""
    return f"{hidden}{name} (ACR {as_acr(summary(log, ()).acr)})"
