"""The leaderboard on the terminal: who is in a group, then its columns, a screenful at a time."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from rszoo_cli.console import out, print_listing

if TYPE_CHECKING:
    from rszoo.evaluation.leaderboard.attacked import AttackedGroup
    from rszoo.evaluation.leaderboard.board import Group
    from rszoo.evaluation.leaderboard.columns import Column

__all__ = ["print_attacked", "print_groups"]

_PADDING = 2


def print_groups(groups: Sequence["Group"]) -> None:
    """Print every group with its notes, and what the columns mean."""
    from rszoo.evaluation.leaderboard.columns import MEANINGS, columns, heading, marks, protocol

    for group in groups:
        out.print(Text.assemble((heading(group), "bold"), ": ", protocol(group)), soft_wrap=True)
        out.print()
        given, notes = marks(group)
        print_listing(_names(group, given))
        out.print()
        for table in _tables(_labels(group, given), columns(group), out.width):
            out.print(table)
            out.print()
        for note in notes:
            out.print(Text(note, style="yellow"))
        if notes:
            out.print()
    for meaning in MEANINGS if groups else ():
        out.print(Text(meaning, style="dim"))


def print_attacked(groups: Sequence["AttackedGroup"]) -> None:
    """Print tables of attacks, and what their numbers mean; nothing without one."""
    from rszoo.evaluation.leaderboard.attacked import heading
    from rszoo.evaluation.under_attack import MEANING

    for group in groups:
        out.print()
        out.print(Text(heading(group), style="bold"), soft_wrap=True)
        out.print()
        print_listing(_attacked_names(group))
        out.print()
        out.print(_attacked_numbers(group))
    if groups:
        out.print()
        out.print(Text(MEANING, style="dim"))


def _attacked_names(group: "AttackedGroup") -> Table:
    """Return who the rows of a table of attacks are, by their letters, and how each was made."""
    from rszoo.evaluation.leaderboard.attacked import cells
    from rszoo.evaluation.leaderboard.columns import letters

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    for i, row in enumerate(group.rows):
        model = Text.assemble(
            f"{letters(i)}  {row.model}", (" published" if row.paper else "", "cyan")
        )
        known = (row.method, cells(row)[0].below, row.how)
        table.add_row(model, Text(", ".join(one for one in known if one)))
    return table


def _attacked_numbers(group: "AttackedGroup") -> Table:
    from rszoo.evaluation.leaderboard.attacked import HEADS, cells
    from rszoo.evaluation.leaderboard.columns import letters

    table = _empty(len(letters(len(group.rows))))
    for head in HEADS[1:-1]:
        table.add_column(head, justify="right", no_wrap=True)
    for i, row in enumerate(group.rows):
        table.add_row(letters(i), *(Text(one.text) for one in cells(row)[1:-1]))
    return table


def _names(group: "Group", given: Sequence[str]) -> Table:
    """Return who the rows of a group are, by their labels."""
    from rszoo.evaluation.leaderboard.columns import description, labels

    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    named = labels(group)
    longest = max(map(len, named))
    for label, row, mark in zip(named, group.rows, given, strict=True):
        model = (
            f"{label.rjust(longest)}  {row.entry.model}",
            (f" {mark}" if mark else "", "yellow"),
        )
        table.add_row(Text.assemble(*model), Text(", ".join(description(row.entry))))
    return table


def _labels(group: "Group", given: Sequence[str]) -> list[Text]:
    """Return what stands before a row: label, method and marks, and whether it is published."""
    from rszoo.evaluation.leaderboard.columns import labels

    return [
        Text.assemble(
            f"{label} {row.entry.method or row.entry.model}",
            (f" {mark}" if mark else "", "yellow"),
            ("\npublished" if row.entry.paper else "", "cyan"),
        )
        for label, row, mark in zip(labels(group), group.rows, given, strict=True)
    ]


def _tables(labels: Sequence[Text], columns: Sequence["Column"], width: int) -> Iterator[Table]:
    """Yield tables of the columns, as many in each as fit beside the labels."""
    longest = max(len(line) for label in labels for line in label.plain.splitlines())
    taken = min(longest, width // 3)
    rest = list(columns)
    while rest:
        room, table = width - taken - _PADDING, _empty(taken)
        part = []
        while rest and (not part or room >= _width(rest[0])):
            part.append(rest.pop(0))
            room -= _width(part[-1])
            table.add_column(part[-1].head, justify="right", no_wrap=True)
        for i, label in enumerate(labels):
            cells = [column.cells[i] for column in part]
            table.add_row(
                label,
                *(Text.assemble(cell.text, "\n", (cell.below, "dim")) for cell in cells),
            )
        yield table


def _empty(label_width: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("", overflow="fold", width=label_width)
    return table


def _width(column: "Column") -> int:
    texts = [column.head, *(text for cell in column.cells for text in (cell.text, cell.below))]
    return max(map(len, texts)) + _PADDING
