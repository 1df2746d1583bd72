"""Models under attack on the leaderboard's page: a section per table, and no picture."""

from html import escape

from rszoo.evaluation.leaderboard.attacked import HEADS, AttackedGroup, AttackedRow, cells, heading
from rszoo.evaluation.leaderboard.columns import Cell
from rszoo.evaluation.under_attack import MEANING

__all__ = ["attacked_section"]


def attacked_section(number: int, group: AttackedGroup) -> str:
    """Return the section of a table; every text in it is escaped.

    Args:
        number: of the table on its page.
        group: the table.
    """
    heads = "".join(
        f'<th scope="col"><button type="button">{escape(head)}</button></th>'
        for head in ("model", *HEADS)
    )
    rows = "\n".join(_row(f"a{number}r{i}", row) for i, row in enumerate(group.rows))
    return (
        f'<section data-dataset="{escape(group.attacked.about.name or "")}" data-sigma="">\n'
        f"<h2>{escape(heading(group))}</h2>\n"
        f'<p class="protocol">{escape(MEANING)}</p>\n'
        '<p class="hint" hidden>more columns to the right: scroll the table &#8594;</p>\n'
        f'<div class="scroll" tabindex="0"><table>\n<thead><tr>{heads}</tr></thead>\n'
        f"<tbody>\n{rows}\n</tbody></table></div>\n</section>"
    )


def _row(identity: str, row: AttackedRow) -> str:
    kind = ' class="published"' if row.paper else ""
    tag = '<span class="tag">published</span> ' if row.paper else ""
    method, *numbers, how = cells(row)
    return (
        f'<tr data-row="{identity}" data-part="{2 if row.paper else 0}" '
        f'data-method="{escape(row.method or "")}"{kind}>'
        f'<th scope="row">{tag}{escape(row.model)}</th><td>{_text(method)}</td>'
        f"{''.join(map(_number, numbers))}<td>{_text(how)}</td></tr>"
    )


def _number(cell: Cell) -> str:
    value = "" if cell.value is None else f' data-value="{cell.value!r}"'
    return f'<td class="number"{value}>{_text(cell)}</td>'


def _text(cell: Cell) -> str:
    below = f"<small>{escape(cell.below)}</small>" if cell.below else ""
    return f"{escape(cell.text)}{below}"
