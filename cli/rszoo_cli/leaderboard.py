"""`rszoo leaderboard`: certified models side by side, on the terminal, as Markdown, JSON, HTML."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from rszoo.errors import RszooError
from rszoo_cli.console import err, out
from rszoo_cli.options import Json
from rszoo_cli.panels import data, output
from rszoo_cli.usage import check_not_read

if TYPE_CHECKING:
    from rszoo.evaluation.leaderboard.attacked import AttackedEntry, AttackedGroup
    from rszoo.evaluation.leaderboard.board import Group
    from rszoo.evaluation.leaderboard.entry import Entry
    from rszoo.training.entries import Found

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
    hub: Annotated[bool, data("--hub", help="The models on the hub.")] = False,
    author: Annotated[str | None, data(help="With --hub: whose.")] = None,
    search: Annotated[str | None, data(help="With --hub: part of the name.")] = None,
    html: Annotated[
        Path | None, output(metavar="FILE.html", help="Write a page of its own.")
    ] = None,
    markdown: Annotated[bool, output("--markdown", help="Print Markdown.")] = False,
    json: Json = False,
    dataset: Annotated[str | None, data(help="This data set only.")] = None,
    sigma: Annotated[float | None, data(help="This noise level only.")] = None,
    method: Annotated[str | None, data(help="This method only.")] = None,
) -> None:
    """Compare certified models: accuracy, ACR, abstentions, distribution of p, costs.

    One table per data set, noise level, bound and list of given radii; what else differs from
    the rest of its table is marked.
    Published results stand below, where there are any. Attacks that are attached to a bundle
    (rszoo attack --attach) have tables of their own at the end: upper bounds, without places.
    Of models on the hub the logs are fetched and checked, not the weights.

    Example:

        rszoo leaderboard runs --hub --dataset mnist --html leaderboard.html
    """
    if markdown and json:
        raise typer.BadParameter("expected one of --markdown and --json, got both")
    if html is not None:
        check_not_read(html, *(paths or ()))
    if not hub and (author or search):
        raise typer.BadParameter("--author, --search: expected --hub as well")
    found = _collected(_found(paths, hub=hub, author=author, search=search))
    groups, attacked = _tables(*found, dataset=dataset, sigma=sigma, method=method)
    if not groups and not attacked:
        raise RszooError(
            "expected a certified model, got none of that data set, sigma and method; "
            "rszoo certify --model ID --attach makes one"
        )
    if html is not None:
        from rszoo._files import write_bytes_atomically
        from rszoo.evaluation.leaderboard.page import as_page

        write_bytes_atomically(html, as_page(groups, attacked).encode())
    if json:
        from rszoo.evaluation.leaderboard.attacked import as_attacked_data
        from rszoo.evaluation.leaderboard.data import as_data

        out.print_json(data=[*as_data(groups), *as_attacked_data(attacked)])
    elif markdown:
        from rszoo.evaluation.leaderboard.markdown import as_markdown

        typer.echo(as_markdown(groups, attacked), nl=False)
    else:
        from rszoo_cli.leaderboard_tables import print_attacked, print_groups

        print_groups(groups)
        print_attacked(attacked)
    if html is not None:
        (err if json or markdown else out).print(Text(f"wrote {html}"), soft_wrap=True)


def _found(paths: list[str] | None, *, hub: bool, **chosen: str | None) -> Iterator["Found"]:
    """Yield what is named, and what is on the hub; without either, what there is here."""
    from rszoo.training.entries import entries_at, hub_entries, usual_entries

    if paths:
        yield from entries_at(paths)
    elif not hub:
        yield from usual_entries(_RUNS)
    if hub:
        with err.status("asks the hub") as status:
            for number, (name, found) in enumerate(hub_entries(**chosen), start=1):
                status.update(Text(f"{number} models of the hub, the last one {name}"))
                yield name, found


def _collected(all_found: Iterable["Found"]) -> "tuple[list[Entry], list[AttackedEntry]]":
    """Return the entries, and apart those of attacks; print what is wrong with the others."""
    from rszoo.evaluation.leaderboard.attacked import AttackedEntry

    entries: list[Entry] = []
    attacked: list[AttackedEntry] = []
    for name, found in all_found:
        if isinstance(found, RszooError):
            err.print(f"{name}: {found}", style="red", markup=False, soft_wrap=True)
        elif isinstance(found, AttackedEntry):
            attacked.append(found)
        else:
            entries.append(found)
    return entries, attacked


def _tables(
    entries: "list[Entry]",
    attacked: "list[AttackedEntry]",
    *,
    dataset: str | None,
    sigma: float | None,
    method: str | None,
) -> "tuple[list[Group], list[AttackedGroup]]":
    """Return the groups of certificates, and apart the tables of attacks, as they are chosen."""
    from rszoo.evaluation.leaderboard.attacked import grouped_attacks, selected_attacks
    from rszoo.evaluation.leaderboard.board import grouped, selected
    from rszoo.evaluation.leaderboard.published import published_entries
    from rszoo.evaluation.leaderboard.robustbench import published_attacks

    chosen = selected(entries, dataset=dataset, sigma=sigma, method=method)
    groups = grouped(chosen, selected(published_entries(), method=method))
    some = selected_attacks(attacked, dataset=dataset, sigma=sigma, method=method)
    reported = [one for one in published_attacks() if method in (None, one[1].method)]
    return groups, grouped_attacks(some, reported, dataset=dataset)
