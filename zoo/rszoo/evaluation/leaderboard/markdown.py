"""The leaderboard as Markdown, one table per group."""

import re
from collections.abc import Iterator, Sequence

from rszoo.evaluation.leaderboard.attacked import HEADS, AttackedGroup, cells
from rszoo.evaluation.leaderboard.attacked import heading as attacked_heading
from rszoo.evaluation.leaderboard.board import Group
from rszoo.evaluation.leaderboard.columns import (
    MEANINGS,
    Cell,
    columns,
    description,
    heading,
    marks,
    protocol,
)
from rszoo.evaluation.under_attack import MEANING

__all__ = ["as_markdown"]

# A colon, and a dot after www, so that no name becomes a link.
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#!|~&$@:]|(?<=www)\.)")


def as_markdown(groups: Sequence[Group], attacked: Sequence[AttackedGroup] = ()) -> str:
    """Return the groups as Markdown; names are escaped, so that they stay text.

    Args:
        groups: of certificates.
        attacked: tables of attacks, which stand below.
    """
    parts = ["# Leaderboard"]
    for group in groups:
        parts.append(f"## {_escaped(heading(group))}")
        parts.append(f"{protocol(group)}.")
        parts.append("\n".join(_table(group)))
        parts.extend(_escaped(note) for note in marks(group)[1])
    if groups:
        parts.append("\n".join(f"- {meaning}" for meaning in MEANINGS))
    for group in attacked:
        parts.append(f"## {_escaped(attacked_heading(group))}")
        parts.append("\n".join(_attacked(group)))
    if attacked:
        parts.append(f"- {MEANING}")
    return "\n\n".join(parts) + "\n"


def _attacked(group: AttackedGroup) -> Iterator[str]:
    yield _line("model", *HEADS)
    yield _line("---", "---", *("---:" for _ in HEADS[1:-1]), "---")
    for row in group.rows:
        kind = "published: " if row.paper else ""
        yield _line(_escaped(kind + row.model), *(_escaped(_cell(cell)) for cell in cells(row)))


def _table(group: Group) -> Iterator[str]:
    shown = columns(group)
    yield _line("model", "method", *(column.head for column in shown))
    yield _line("---", "---", *("---:" for _ in shown))
    for i, (row, mark) in enumerate(zip(group.rows, marks(group)[0], strict=True)):
        kind = "published: " if row.entry.paper else ""
        yield _line(
            _escaped(" ".join([kind + row.entry.model, mark]).rstrip()),
            _escaped(", ".join(description(row.entry)) or "-"),
            *(_cell(column.cells[i]) for column in shown),
        )


def _cell(cell: Cell) -> str:
    return f"{cell.text} ({cell.below})" if cell.below else cell.text


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", text)
