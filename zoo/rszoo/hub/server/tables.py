"""Certified numbers as HTML tables; on a narrow screen every row becomes a block."""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import rszoo
from rszoo.hub.server.card import tags
from rszoo.hub.server.certified import Certified, certified

__all__ = ["Row", "model_rows", "numbers_table", "size_text"]

_STEP = 0.25  # between the usual radii
_LARGEST = 3.0


@dataclass(frozen=True)
class Row:
    """A line of the table; `certified` is None for a model without numbers."""

    repo_id: str
    method: str
    certified: Certified | None


def model_rows(repo_id: str, metadata: dict[str, Any]) -> list[Row]:
    """Return the lines of a model, one per data set and noise level."""
    own = [tag.replace("-", "_") for tag in tags(metadata)]
    method = next((tag for tag in own if tag in _methods()), "-")
    return [Row(repo_id, method, one) for one in certified(metadata) or [None]]


def numbers_table(rows: list[Row], *, by_model: bool) -> str:
    """Return the table of some lines.

    Args:
        by_model: begin each line with the model, best average radius of a data set first.
    """
    if by_model:
        rows = sorted(rows, key=_rank)
    radii = sorted(
        {r for row in rows if row.certified for r in row.certified.accuracy if _usual(r)}
    )
    if not by_model:  # one model: all that it says
        radii = sorted({r for row in rows if row.certified for r in row.certified.accuracy})
    heads = ["data set", "method", "sigma", "n", "alpha", "ACR", *(f"r = {r:g}" for r in radii)]
    cells = "".join(
        f'<th scope="col"{_right(position)}>{head}</th>' for position, head in enumerate(heads)
    )
    first = '<th scope="col">model</th>' if by_model else ""
    lines = "".join(_line(row, heads, radii, by_model) for row in rows)
    norms = sorted({row.certified.norm for row in rows if row.certified})
    note = (
        f'<p class="faint">Certified accuracy in % at radius r ({escape(", ".join(norms))}), and '
        "the average certified radius (ACR), rounded down.</p>"
    )
    return (
        f'<div class="wide"><table class="numbers"><thead><tr>{first}{cells}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>{note if norms else ''}"
    )


def size_text(size: int) -> str:
    """Return a size for people.

    >>> size_text(0), size_text(1500), size_text(2_340_000)
    ('0 B', '1.5 kB', '2.3 MB')
    """
    value, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def _line(row: Row, heads: list[str], radii: list[float], by_model: bool) -> str:
    one = row.certified
    if one is None:
        values = ["-", row.method] + ["-"] * (len(heads) - 2)
    else:
        values = [
            one.dataset,
            row.method,
            _general(one.sigma),
            "-" if one.n is None else f"{one.n:,.0f}",
            _general(one.alpha),
            "-" if one.acr is None else _down(Decimal(repr(one.acr)), 3),
            *(_percent(one.accuracy.get(radius)) for radius in radii),
        ]
    cells = "".join(
        f'<td data-label="{head}"{_right(position, value)}>{escape(value)}</td>'
        for position, (head, value) in enumerate(zip(heads, values, strict=True))
    )
    link = f'<th scope="row"><a href="/{escape(row.repo_id)}">{escape(row.repo_id)}</a></th>'
    return f"<tr>{link if by_model else ''}{cells}</tr>"


def _rank(row: Row) -> tuple[bool, str, float, str]:
    one = row.certified
    if one is None:
        return True, "", 0.0, row.repo_id
    return False, one.dataset, -(one.acr or 0.0), row.repo_id


def _right(position: int, value: str = "") -> str:
    names = (["right"] if position >= 2 else []) + (["none"] if value == "-" else [])
    return f' class="{" ".join(names)}"' if names else ""


def _usual(radius: float) -> bool:
    return radius <= _LARGEST and radius % _STEP == 0


def _general(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"


def _percent(share: float | None) -> str:
    return "-" if share is None else _down(Decimal(repr(share)) * 100, 1)


def _down(value: Decimal, digits: int) -> str:
    return f"{value.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_FLOOR):f}"


@cache
def _methods() -> set[str]:
    """Return the names of the training methods, without loading them."""
    folder = Path(rszoo.__file__).parent / "methods"
    return {path.stem for path in folder.glob("[!_]*.py")}
