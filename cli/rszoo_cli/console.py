"""The two streams of the command line: results go to `out`, everything else to `err`.

Much of what is printed others wrote: names of classes, of bundles, of files. Nothing of it is
taken for markup, and no character of it acts on the terminal or turns what follows round.
"""

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

from rich.console import Console, ConsoleOptions, RenderableType
from rich.control import Control
from rich.segment import Segment

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

__all__ = ["err", "harmless", "out", "print_listing", "print_note"]

_WIDEST = 10_000  # columns of a table that a program reads


def harmless(text: str) -> str:
    r"""Return a text with an escape, as JSON has it, for each character that is not to be seen.

    These are control characters, C1 ones among them, and those that set a direction.

    >>> harmless("a\x1b[2Jb\n")
    'a\\u001b[2Jb\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be", errors="surrogatepass").hex()
    return "".join(f"\\u{units[i : i + 4]}" for i in range(0, len(units), 4))


class _Stream(Console):
    """A console that prints texts as texts; the movements of progress bars are no texts."""

    _waiting: "Live | None" = None

    def wait(self, text: str) -> None:
        """Show a text on a terminal until there is something else to show."""
        if not self.is_terminal:
            return
        from rich.live import Live
        from rich.spinner import Spinner

        waiting = Live(Spinner("dots", text), console=self, transient=True)
        waiting.start(refresh=True)
        self._waiting = waiting  # from now on: it was no other text that began to show it

    def end_wait(self) -> None:
        """Take away what `wait` shows."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            waiting.stop()

    def print(self, *objects: Any, **options: Any) -> None:
        if not all(isinstance(one, Control) for one in objects):  # or it is a movement
            err.end_wait()
        super().print(*objects, **options)

    def set_live(self, live: "Live") -> Any:  # noqa: ANN401
        err.end_wait()
        return super().set_live(live)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(harmless(segment.text), segment.style)

    def on_broken_pipe(self) -> NoReturn:
        """End quietly, and well: a reader that has seen enough, as `head`, is no failure."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to come
        raise SystemExit(0)


out = _Stream(markup=False, emoji=False)
err = _Stream(stderr=True, markup=False, emoji=False)


def print_note(text: str, *, style: str = "", to: "_Stream | None" = None) -> None:
    """Print a sentence: folded between words on a terminal, on one line for another program.

    Args:
        text: what nobody's markup is in.
        style: of all of it.
        to: the stream; None: `out`.
    """
    from rich.text import Text

    stream = out if to is None else to
    stream.print(Text(text, style=style), soft_wrap=not stream.is_terminal)


def print_listing(table: "Table", *, spare: Sequence[str] = ()) -> None:
    """Print a table with a thing in every row; neither its first column nor a number is broken.

    On a terminal the other texts are folded where they have to be. For another program, such as
    grep, every row is one line.

    Args:
        table: with its columns' headings as text.
        spare: headings of columns that a narrow terminal does without, the first one first.
    """
    from rich.measure import Measurement

    table.columns[0].no_wrap = True
    for column in table.columns[1:]:
        column.no_wrap, column.overflow = column.justify == "right", "fold"
    options = out.options.update(max_width=_WIDEST)
    if out.is_terminal:
        for heading in spare:
            if Measurement.get(out, options, table).maximum > out.width:
                kept = [one for one in table.columns if one.header != heading]
                # rich knows no other way to take a column out again.
                table.columns = [replace(one, _index=i) for i, one in enumerate(kept)]
        out.print(table)
        return
    width = max(out.width, Measurement.get(out, options, table).maximum)
    _Stream(file=out.file, width=width, markup=False, emoji=False).print(table)
