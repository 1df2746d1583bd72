"""`rszoo leaderboard`: certified models side by side, on the terminal, as Markdown, JSON, HTML."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from rszoo.errors import RszooError
from rszoo_cli.console import err, out
from rszoo_cli.options import Json

if TYPE_CHECKING:
    from rszoo.evaluation.leaderboard.entry import Entry

__all__ = ["leaderboard"]

_RUNS = Path("runs")

_Paths = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH|ID]...",
        help="Bundles, folders of bundles or logs, logs.",
        show_default="the bundles that come with rszoo, and those in runs",
    ),
]


def leaderboard(
    paths: _Paths = None,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="Write a page of its own.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    json: Json = False,
    dataset: Annotated[str | None, typer.Option(help="This data set only.")] = None,
    sigma: Annotated[float | None, typer.Option(help="This noise level only.")] = None,
    method: Annotated[str | None, typer.Option(help="This method only.")] = None,
) -> None:
    """Compare certified models: certified accuracy, ACR, abstentions, distribution of p, draws.

    One table per data set and noise level; what was certified otherwise than the rest of its
    table is marked.
    Published results stand below, where there are any.

    Example:

        rszoo leaderboard runs --dataset mnist --html leaderboard.html
    """
    from rszoo.evaluation.leaderboard.board import grouped, selected
    from rszoo.evaluation.leaderboard.published import published_entries

    if markdown and json:
        raise typer.BadParameter("expected one of --markdown and --json, got both")
    entries = selected(_collected(paths), dataset=dataset, sigma=sigma, method=method)
    if not entries:
        raise RszooError(
            "expected a certified model, got none of that data set, sigma and method; "
            "rszoo certify --model ID --attach makes one"
        )
    groups = grouped(entries, selected(published_entries(), method=method))
    if html is not None:
        from rszoo._files import write_bytes_atomically
        from rszoo.evaluation.leaderboard.page import as_page

        write_bytes_atomically(html, as_page(groups).encode())
    if json:
        from rszoo.evaluation.leaderboard.data import as_data

        out.print_json(data=as_data(groups))
    elif markdown:
        from rszoo.evaluation.leaderboard.markdown import as_markdown

        typer.echo(as_markdown(groups), nl=False)
    else:
        from rszoo_cli.leaderboard_tables import print_groups

        print_groups(groups)
    if html is not None:
        (err if json or markdown else out).print(Text(f"wrote {html}"), soft_wrap=True)


def _collected(paths: list[str] | None) -> Iterable["Entry"]:
    """Yield the entries, and print what is wrong with the others."""
    from rszoo.hub.entries import entries_at, usual_entries

    for name, found in entries_at(paths) if paths else usual_entries(_RUNS):
        if isinstance(found, RszooError):
            err.print(f"{name}: {found}", style="red", markup=False, soft_wrap=True)
        else:
            yield found
