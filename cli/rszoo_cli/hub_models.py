"""`rszoo push`, `rszoo pull` and `rszoo ls --hub`: models to a hub, and from it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rszoo_cli.console import err, out, print_listing
from rszoo_cli.options import Json
from rszoo_cli.panels import advanced

if TYPE_CHECKING:
    from rich.table import Table

    from rszoo.hub.listing import Listed

__all__ = ["list_hub", "pull", "push"]


def push(
    model: Annotated[str, typer.Argument(metavar="BUNDLE", help="Path of a bundle.")],
    to: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Where on the hub.")],
    tag: Annotated[str | None, typer.Option(help="Name of this version, such as v1.")] = None,
    private: Annotated[bool, typer.Option("--private", help="If it is new: not public.")] = False,
    license: Annotated[
        str | None, typer.Option(help="Licence for the card: mit, apache-2.0, cc-by-4.0, ...")
    ] = None,
    with_parts: Annotated[
        bool, typer.Option("--with-parts", help="Push the own bundles that it is made of, too.")
    ] = False,
    uncertified: Annotated[
        bool, advanced("--uncertified", help="Even without certificates.")
    ] = False,
    replace: Annotated[
        bool,
        advanced("--replace", help="Even over another model, or one with more certificates."),
    ] = False,
    space: Annotated[
        bool, advanced("--space", help="With a Space beside it, an app that certifies pictures.")
    ] = False,
    sign: Annotated[
        Path | None, advanced(metavar="KEY.pem", help="Sign it with this private key.")
    ] = None,
    json: Json = False,
) -> None:
    """Publish a bundle with a card made from it; an unchanged one makes no commit.

    The hub is huggingface.co, or the one at HF_ENDPOINT. HF_TOKEN, or `hf auth login`, lets you
    write.

    Example:

        rszoo push runs/mnist-cat_rs-0.50 org/mnist-cat_rs-0.50 --tag v1
    """
    from rszoo.hub.catalog import find
    from rszoo.hub.ids import HubId
    from rszoo.hub.push import push as publish
    from rszoo.hub.push_parts import push_with_parts
    from rszoo.hub.space import check_for_space, push_space

    options = {"private": private, "license": license, "uncertified": uncertified}
    options |= {"replace": replace, "sign": sign}
    with err.status(f"push {model}"):
        bundle, place = find(model), HubId.parse(to)
        if space:
            check_for_space(bundle)
        if with_parts:
            *parts, done = push_with_parts(bundle, place, tag=tag, **options)
        else:
            parts, done = [], publish(bundle, place, tag=tag, **options)
        beside = push_space(bundle, done.id, private=private) if space else None
    for part in parts:
        err.print(f"part: {part.id}", markup=False, highlight=False, soft_wrap=True)
    if json:
        values = {"id": str(done.id), "url": done.url, "changed": done.changed}
        out.print_json(data=values | ({"space": beside.url} if beside else {}))
        return
    out.print(str(done.id), markup=False, highlight=False, soft_wrap=True)
    for one in (done, beside):
        if one is not None:
            said = "pushed" if one.changed else "nothing has changed"
            err.print(f"{said}: {one.url}", markup=False, highlight=False, soft_wrap=True)


def pull(
    model: Annotated[
        str, typer.Argument(metavar="ORG/NAME[@REVISION]", help="A model on the hub.")
    ],
    json: Json = False,
) -> None:
    """Fetch a model from a hub into the cache, and check it against its manifest.

    Other commands do so by themselves: `rszoo certify --model org/name`. Prints the id with the
    commit, which stays valid whatever is pushed later, and the folder.

    Example:

        rszoo pull org/mnist-cat_rs-0.50@v1
    """
    from rszoo.hub.ids import HubId
    from rszoo.hub.parts import fetch_parts
    from rszoo.hub.pull import pull as fetch

    bundle = fetch(HubId.parse(model))
    fetch_parts(bundle)
    if json:
        out.print_json(data={"id": bundle.id, "path": str(bundle.path)})
        return
    out.print(bundle.id, markup=False, highlight=False, soft_wrap=True)
    err.print(f"checked, in {bundle.path}", markup=False, highlight=False, soft_wrap=True)


def list_hub(chosen: dict[str, Any], *, json: bool) -> None:
    """Print the models on the hub that match, with the numbers that their cards state."""
    from dataclasses import asdict

    from rszoo.certificates.bound import bound_order
    from rszoo.hub.listing import listed
    from rszoo.hub.remote import endpoint
    from rszoo.hub.stated import NOT_CHECKED
    from rszoo_cli.report_tables import print_bound

    found = listed(**chosen)
    if json:
        out.print_json(data=[asdict(one) for one in found])
    elif not found:
        out.print(f"no such models of rszoo on {endpoint()}")
    else:
        bounds = sorted({one.bound for one in found}, key=bound_order)
        for bound in bounds:
            print_bound(bound, alone=bounds == [bound])
            print_listing(_table([one for one in found if one.bound == bound]))
        out.print(
            f"\nThe numbers of each are {NOT_CHECKED}. rszoo leaderboard --hub computes them from "
            "the certificates."
        )


def _table(found: "Sequence[Listed]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from rszoo.theory.rounding import as_acr, as_radius, as_share, as_stated

    radii = sorted({radius for one in found for radius in one.certified_accuracy})[:9:2]
    table = Table(box=None, pad_edge=False)
    table.add_column("id")
    for heading in ("data", "method"):
        table.add_column(heading)
    for heading in ("sigma", "n", "ACR", *(as_radius(radius) for radius in radii)):
        table.add_column(heading, justify="right")
    for one in found:
        shares = [one.certified_accuracy.get(radius) for radius in radii]
        table.add_row(
            Text(one.id),
            Text(one.dataset or "-"),
            one.method or "-",
            "-" if one.sigma is None else as_stated(one.sigma),
            "-" if one.n is None else f"{one.n:,}",
            "-" if one.acr is None else as_acr(one.acr),
            *("-" if share is None else as_share(share) for share in shares),
        )
    return table
