"""Certified accuracy against radius as inline SVG, its colours those of the page's style sheet.

A model at hand is a line, the exact steps of its log. Published numbers, and what was certified at
given radii, are known at some radii only: they are rings. What was trained by the same method has
the same colour, in every picture. A wedge marks where a curve ends because its draws cannot
certify more.
"""

from collections.abc import Iterable, Iterator
from html import escape
from itertools import pairwise

from rszoo.evaluation._steps import cliff, points, steps
from rszoo.evaluation.leaderboard.board import Group
from rszoo.evaluation.leaderboard.columns import heading
from rszoo.evaluation.leaderboard.entry import Entry
from rszoo.evaluation.log import LogTable
from rszoo.evaluation.look import looks
from rszoo.theory.rounding import as_radius

__all__ = ["chart", "is_line", "styles"]

_DASHES = ("", "7 3", "2 2.5", "8 3 2 3")

# The drawing area within a view of 420 x 300.
_LEFT, _RIGHT, _TOP, _BOTTOM = 46.0, 410.0, 10.0, 252.0


def styles(group: Group) -> list[tuple[str, str]]:
    """Return colour, a key of `rszoo.evaluation.look.COLOURS`, and dashes of each row."""
    entries = [row.entry for row in group.rows]
    found = looks([(one.method or one.model, one.summary.sigma) for one in entries])
    return [(look.colour, _DASHES[look.dashes % len(_DASHES)]) for look in found]


def chart(group: Group, ids: list[str]) -> str:
    """Return the chart of a group; `ids` name the rows for the page's filter."""
    end = _end(group)
    parts = [*_axes(end)]
    rows = list(zip(group.rows, ids, styles(group), strict=True))
    for row, identity, (colour, dashes) in reversed(rows):  # the best on top
        drawn = _drawn(row.entry, end, dashes)
        parts.append(f'<g class="{colour}" data-row="{escape(identity)}">{drawn}</g>')
    title = escape(f"Certified accuracy against radius: {heading(group)}")
    return f'<svg viewBox="0 0 420 300" role="img" aria-label="{title}">{"".join(parts)}</svg>'


def is_line(entry: Entry) -> bool:
    """Return whether an entry has a curve, not only points."""
    return entry.log is not None and entry.log.given is None


def _end(group: Group) -> float:
    """Return where the axis of radii ends: a little beyond the last certified or given one."""
    last = max(
        float((row.entry.log.radius * row.entry.log.correct).max(initial=0.0))
        for row in group.rows
        if row.entry.log is not None
    )
    return max(last, *(group.given or ()), 0.01) * 1.04


def _axes(end: float) -> Iterator[str]:
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        yield f'<line class="grid" x1="{_LEFT}" x2="{_RIGHT}" y1="{y}" y2="{y}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10 * tenth}</text>'
    step = next(s for s in (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100) if end / s <= 8)
    for i in range(int(end / step) + 1):
        x = _x(i * step, end)
        yield f'<line class="tick" x1="{x}" x2="{x}" y1="{_BOTTOM}" y2="{_BOTTOM + 4}"/>'
        label = as_radius(round(i * step, 2))
        yield f'<text x="{x}" y="{_BOTTOM + 18}" text-anchor="middle">{label}</text>'
    yield f'<line class="tick" x1="{_LEFT}" x2="{_RIGHT}" y1="{_BOTTOM}" y2="{_BOTTOM}"/>'
    middle, across = (_LEFT + _RIGHT) / 2, (_TOP + _BOTTOM) / 2
    yield f'<text x="{middle}" y="292" text-anchor="middle">L2 radius (pixels in [0, 1])</text>'
    yield (
        f'<text transform="translate(13 {across}) rotate(-90)" text-anchor="middle">'
        "certified accuracy %</text>"
    )


def _drawn(entry: Entry, end: float, dashes: str) -> str:
    if entry.log is None:
        return _rings(entry.summary.by_radius().items(), end)
    if entry.log.given is not None:
        return _rings(zip(*points(entry.log), strict=True), end)
    return _line(entry.log, end, dashes)


def _line(log: LogTable, end: float, dashes: str) -> str:
    radii, shares = steps(log)
    corners = [(_x(r, end), _y(share)) for r, share in zip(radii, shares, strict=True)]
    path = f"M{corners[0][0]} {corners[0][1]}"
    for (x, y), (later, lower) in pairwise(corners):
        path += (f"V{lower}" if lower != y else "") + (f"H{later}" if later != x else "")
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<path d="{path}"{dashed}/>{_wedge(log, end)}'


def _wedge(log: LogTable, end: float) -> str:
    found = cliff(log)
    if found is None:
        return ""
    x, y = _x(found[0], end), _y(found[1])
    return f'<path class="end" d="M{x} {y - 4:.1f}l7 4l-7 4z"/>'


def _rings(known: Iterable[tuple[float, float]], end: float) -> str:
    return "".join(
        f'<circle cx="{_x(radius, end)}" cy="{_y(share)}" r="3"/>'
        for radius, share in known
        if radius <= end
    )


def _x(radius: float, end: float) -> float:
    """Return a place on the axis of radii, to a quarter of a pixel, rounded down."""
    return _LEFT + int(4 * (_RIGHT - _LEFT) * radius / end) / 4


def _y(share: float) -> float:
    return round(_BOTTOM - (_BOTTOM - _TOP) * share, 1)
