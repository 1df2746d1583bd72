"""The leaderboard as one HTML file: no other files, no network, readable without its script.

Names come from other people's bundles and logs. Every text is escaped, and the page's own policy
forbids every script but the one that it brings, by its hash.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path
from string import Template

import rszoo
from rszoo.evaluation._steps import cliff
from rszoo.evaluation.leaderboard.attacked import AttackedGroup
from rszoo.evaluation.leaderboard.attacked_page import attacked_section
from rszoo.evaluation.leaderboard.board import Group, Row
from rszoo.evaluation.leaderboard.chart import chart, is_line, styles
from rszoo.evaluation.leaderboard.columns import (
    MEANINGS,
    Cell,
    columns,
    description,
    heading,
    marks,
    noise,
    protocol,
)
from rszoo.evaluation.look import COLOURS

__all__ = ["as_page"]


def as_page(groups: Sequence[Group], attacked: Sequence[AttackedGroup] = ()) -> str:
    """Return the page of the groups.

    Args:
        groups: of certificates.
        attacked: tables of attacks, which stand below.
    """
    script = _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    methods = {row.entry.method for group in groups for row in group.rows}
    methods |= {row.method for group in attacked for row in group.rows}
    sections = [_section(i, group) for i, group in enumerate(groups)]
    sections += [attacked_section(i, group) for i, group in enumerate(attacked)]
    return Template(_asset("page.html")).substitute(
        policy=f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'",
        style=_asset("page.css") + _colours(),
        script=script,
        datasets=_options(
            [*map(_dataset, groups), *(group.attacked.about.name or "" for group in attacked)]
        ),
        sigmas=_options(noise(group) for group in groups),
        methods=_options(sorted(method for method in methods if method)),
        groups="\n".join(sections),
        meanings="".join(f"<li>{escape(meaning)}</li>" for meaning in MEANINGS),
        version=escape(rszoo.__version__),
    )


def _colours() -> str:
    light = "".join(f".{name} {{ color: {one}; }}\n" for name, (one, _) in COLOURS.items())
    dark = "".join(f"  .{name} {{ color: {one}; }}\n" for name, (_, one) in COLOURS.items())
    return f"{light}@media (prefers-color-scheme: dark) {{\n{dark}}}\n"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _options(values: Iterable[str]) -> str:
    return "".join(f"<option>{escape(value)}</option>" for value in dict.fromkeys(values))


def _dataset(group: Group) -> str:
    return group.dataset or "not stated"


def _section(number: int, group: Group) -> str:
    ids = [f"g{number}r{i}" for i in range(len(group.rows))]
    dataset, sigma = escape(_dataset(group)), escape(noise(group))
    notes = "".join(f"<li>{escape(note)}</li>" for note in marks(group)[1])
    return (
        f'<section data-dataset="{dataset}" data-sigma="{sigma}">\n'
        f"<h2>{escape(heading(group))}</h2>\n"
        f'<p class="protocol">{escape(protocol(group))}'
        f"{'; marked where an entry differs' if notes else ''}</p>\n"
        f"<figure>{chart(group, ids)}\n<ul>{''.join(_legend(group, ids))}</ul></figure>\n"
        '<p class="hint" hidden>more columns to the right: scroll the table &#8594;</p>\n'
        f'<div class="scroll" tabindex="0"><table>\n{_head(group)}\n<tbody>\n'
        + "\n".join(_rows(group, ids))
        + f'\n</tbody></table></div>\n<ul class="notes">{notes}</ul>\n</section>'
    )


def _legend(group: Group, ids: Sequence[str]) -> Iterator[str]:
    for row, identity, (colour, dashes) in zip(group.rows, ids, styles(group), strict=True):
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        drawn = (
            f'<path d="M0 6H28"{dashed}/>'
            if is_line(row.entry)
            else '<circle cx="14" cy="6" r="3"/>'
        )
        name = row.entry.model
        if row.entry.paper:
            name = f"{row.entry.method or 'unknown'}, published"
        yield (
            f'<li data-row="{identity}"><svg class="key" viewBox="0 0 28 12" aria-hidden="true">'
            f'<g class="{colour}">{drawn}</g></svg><span>{escape(name)}</span></li>'
        )
    if any(row.entry.log is not None and cliff(row.entry.log) for row in group.rows):
        yield (
            '<li><svg class="key" viewBox="0 0 28 12" aria-hidden="true"><path class="end" '
            'd="M11 2l7 4l-7 4z"/></svg><span>the draws can certify no more</span></li>'
        )


def _head(group: Group) -> str:
    heads = ["model", "method", *(column.head for column in columns(group))]
    cells = (f'<th scope="col"><button type="button">{escape(h)}</button></th>' for h in heads)
    return f"<thead><tr>{''.join(cells)}</tr></thead>"


def _rows(group: Group, ids: Sequence[str]) -> Iterator[str]:
    shown = columns(group)
    for i, (row, mark) in enumerate(zip(group.rows, marks(group)[0], strict=True)):
        kind = ' class="published"' if row.entry.paper else ""
        cells = "".join(_cell(column.cells[i]) for column in shown)
        yield (
            f'<tr data-row="{ids[i]}" data-part="{_part(row)}" '
            f'data-method="{escape(row.entry.method or "")}"{kind}>'
            f"{_name(row, mark)}{_method(row)}{cells}</tr>"
        )


def _part(row: Row) -> int:
    """Return where a row stays however the table is sorted: places, others, published numbers."""
    if row.place is not None:
        return 0
    return 1 if row.entry.paper is None else 2


def _name(row: Row, mark: str) -> str:
    marked = f' <b class="mark" title="{escape("; ".join(row.notes))}">{mark}</b>' if mark else ""
    kind = '<span class="tag">published</span> ' if row.entry.paper else ""
    return f'<th scope="row">{kind}{escape(row.entry.model)}{marked}</th>'


def _method(row: Row) -> str:
    known = [part for part in description(row.entry) if part != row.entry.method]
    return f"<td>{escape(row.entry.method or '-')}{_small(', '.join(known))}</td>"


def _cell(cell: Cell) -> str:
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f'<td class="number"{value}>{escape(cell.text)}{_small(cell.below)}</td>'


def _small(text: str) -> str:
    return f"<small>{escape(text)}</small>" if text else ""
