"""`rszoo push` and `rszoo pull`: models to a hub, and from it."""

from typing import Annotated

import typer

from rszoo_cli.console import err, out
from rszoo_cli.options import Json

__all__ = ["pull", "push"]


def push(
    model: Annotated[str, typer.Argument(metavar="BUNDLE", help="Path of a bundle.")],
    to: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Where on the hub.")],
    tag: Annotated[str | None, typer.Option(help="Name of this version, such as v1.")] = None,
    private: Annotated[bool, typer.Option("--private", help="If it is new: not public.")] = False,
    license: Annotated[
        str | None, typer.Option(help="Licence for the card: mit, apache-2.0, cc-by-4.0, ...")
    ] = None,
    uncertified: Annotated[
        bool, typer.Option("--uncertified", help="Even without certificates.")
    ] = False,
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

    with err.status(f"push {model}"):
        done = publish(
            find(model),
            HubId.parse(to),
            tag=tag,
            private=private,
            license=license,
            uncertified=uncertified,
        )
    if json:
        out.print_json(data={"id": str(done.id), "url": done.url, "changed": done.changed})
        return
    out.print(str(done.id), markup=False, highlight=False, soft_wrap=True)
    said = "pushed" if done.changed else "nothing has changed"
    err.print(f"{said}: {done.url}", markup=False, highlight=False, soft_wrap=True)


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
    from rszoo.hub.pull import pull as fetch

    bundle = fetch(HubId.parse(model))
    if json:
        out.print_json(data={"id": bundle.id, "path": str(bundle.path)})
        return
    out.print(bundle.id, markup=False, highlight=False, soft_wrap=True)
    err.print(f"checked, in {bundle.path}", markup=False, highlight=False, soft_wrap=True)
