"""Certified numbers as HTML tables; on a narrow screen every row becomes a block."""

from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

import rszoo
from rszoo.certificates.bound import bound_order
from rszoo.certificates.kind import ONE_SIDED
from rszoo.hub_server.card import tags
from rszoo.hub_server.certified import Certified, certified
from rszoo.hub_server.evidence import Evidence
from rszoo.theory.rounding import as_acr, as_radius, as_share, as_stated

__all__ = ["Row", "model_rows", "numbers_table", "size_text"]

_STEP = 0.25  # between the usual radii
_LARGEST = 3.0
_MOST_RADII = 16
_HEADS = ("data set", "method", "sigma", "images", "n", "alpha", "ACR")


@dataclass(frozen=True)
class Row:
    """A line of the table; `certified` is None for a model without numbers."""

    repo_id: str
    method: str
    certified: Certified | None


def model_rows(repo_id: str, metadata: dict[str, Any], evidence: Evidence) -> list[Row]:
    """Return the lines of a model, one per data set and noise level.

    Its certificates give them; without any they are what its card states.
    """
    if evidence.certified is not None:
        return [Row(repo_id, evidence.method or "-", evidence.certified)]
    tagged = [tag.replace("-", "_") for tag in tags(metadata)]
    method = next((tag for tag in tagged if tag in _methods()), "-")
    return [Row(repo_id, method, one) for one in certified(metadata) or [None]]


def numbers_table(rows: list[Row], *, by_model: bool) -> str:
    """Return some lines as tables, one for each bound that certificates have.

    Args:
        rows: at least one; those without numbers stand in the first table.
        by_model: many models, each at the usual radii, those of a data set by their names; else
            one model, with all that is known of it as far as a table can hold it.
    """
    bounds = sorted({_bound(row) for row in rows}, key=bound_order)
    return "".join(
        (f"<h3>{escape(bound)} bound</h3>" if bounds != [ONE_SIDED] else "")
        + _table([row for row in rows if _bound(row) == bound], by_model=by_model)
        for bound in bounds
    )


def _bound(row: Row) -> str:
    return ONE_SIDED if row.certified is None else row.certified.bound


def _table(rows: list[Row], *, by_model: bool) -> str:
    if by_model:
        rows = sorted(rows, key=_order)
    said = {radius for row in rows if row.certified for radius in row.certified.accuracy}
    only_usual = by_model or len(said) > _MOST_RADII
    radii = sorted(radius for radius in said if not only_usual or _usual(radius))
    lines = "".join(_line(row, radii, by_model) for row in rows)
    norms = sorted({row.certified.norm for row in rows if row.certified})
    note = (
        f'<p class="faint">r is the {escape(", ".join(norms))} radius, ACR the average certified '
        "radius, which grows with n and alpha; accuracy and ACR are rounded down.</p>"
    )
    return (
        f'<div class="wide"><table class="numbers">{_head(radii, by_model)}'
        f"<tbody>{lines}</tbody></table></div>{note if norms else ''}"
    )


def _head(radii: list[float], by_model: bool) -> str:
    before = (["model"] if by_model else []) + list(_HEADS)
    cells = "".join(f'<th scope="col"{_right(head)}>{head}</th>' for head in before)
    cells += "".join(f'<th scope="col" class="right">{as_radius(radius)}</th>' for radius in radii)
    over = ""
    if radii:
        what = f'<th colspan="{len(radii)}" class="over">certified accuracy in % at r</th>'
        over = f'<tr><td colspan="{len(before)}"></td>{what}</tr>'
    return f"<thead>{over}<tr>{cells}</tr></thead>"


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


def _line(row: Row, radii: list[float], by_model: bool) -> str:
    values = {"method": row.method}
    if (one := row.certified) is not None:
        values |= {
            "data set": one.dataset,
            "sigma": _general(one.sigma),
            "images": one.images,
            "n": "-" if one.n is None else f"{int(one.n):,}",
            "alpha": _general(one.alpha),
            "ACR": _acr(one),
        }
        values |= {_at(radius): _percent(one.accuracy.get(radius)) for radius in radii}
    labels = [*_HEADS, *map(_at, radii)]
    cells = "".join(_cell(label, values.get(label, "-")) for label in labels)
    link = f'<th scope="row"><a href="/{escape(row.repo_id)}">{escape(row.repo_id)}</a></th>'
    return f"<tr>{link if by_model else ''}{cells}</tr>"


def _acr(one: Certified) -> str:
    text = "-" if one.acr is None else as_acr(one.acr)
    return f"{text} collapsed" if one.collapsed else text


def _cell(label: str, value: str) -> str:
    return f'<td data-label="{label}"{_right(label, value)}>{escape(value)}</td>'


def _order(row: Row) -> tuple[int, str, bool, str]:
    """Return what lines are sorted by; no number is, as n, alpha and images differ."""
    one = row.certified
    if one is None:
        return 2, "", False, row.repo_id
    last = one.checked and (one.collapsed or not one.complete)
    return 0 if one.checked else 1, one.dataset.lower(), last, row.repo_id


def _right(label: str, value: str = "") -> str:
    names = ["none"] if value == "-" else []
    if label not in ("model", "data set", "method"):
        names.append("right")
    return f' class="{" ".join(names)}"' if names else ""


def _usual(radius: float) -> bool:
    return radius <= _LARGEST and radius % _STEP == 0


def _at(radius: float) -> str:
    return f"r = {as_radius(radius)}"


def _general(value: float | None) -> str:
    return "-" if value is None else as_stated(value)


def _percent(share: float | None) -> str:
    return "-" if share is None else as_share(share)


@cache
def _methods() -> set[str]:
    """Return the names of the training methods, without loading them."""
    folder = Path(rszoo.__file__).parent / "methods"
    return {path.stem for path in folder.glob("[!_]*.py")}
