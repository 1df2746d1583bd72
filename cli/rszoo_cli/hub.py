"""`rszoo hub`: a Hugging Face hub of your own."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.help import Command, Group

__all__ = ["app"]

app = typer.Typer(cls=Group, no_args_is_help=True, help="A Hugging Face hub of your own.")


@app.command(cls=Command)
def gc(root: Annotated[Path, typer.Option(help="Folder of the hub.")] = Path("hub")) -> None:
    """Remove the files that no model of a hub has any more, while the hub is stopped.

    These are files of deleted models, and uploads that no commit took. What any commit of a model
    or data set has stays, also when no branch or tag leads to it.

    Example:

        rszoo hub gc --root hub
    """
    from rszoo.errors import RszooError
    from rszoo.hub_server.store import open_store
    from rszoo.hub_server.tables import size_text

    if not (root / "repos").is_dir():  # never the blobs of something else
        raise RszooError(
            f"expected the folder of a hub, with a folder repos, got {str(root)!r}; name another "
            "--root"
        )
    with open_store(root) as store:
        count, size = store.remove_unused()
    typer.echo(f"removed {count} file{'' if count == 1 else 's'}, {size_text(size)}")


@app.command(cls=Command)
def serve(
    root: Annotated[Path, typer.Option(help="Folder of the hub; made if need be.")] = Path("hub"),
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8765,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Others than 127.0.0.1 are not encrypted.")
    ] = "127.0.0.1",
    token: Annotated[
        str | None,
        typer.Option(
            envvar="RSZOO_HUB_TOKEN", help="Token that may write.", show_default="a new one"
        ),
    ] = None,
    read_token: Annotated[
        str | None,
        typer.Option(
            envvar="RSZOO_HUB_READ_TOKEN",
            help="Token that may read private and gated models, no more.",
            show_default="none",
        ),
    ] = None,
) -> None:
    """Run a hub for models and their certificates, for offline teams and tests.

    `huggingface_hub`, `hf` and rszoo use it with HF_ENDPOINT; a browser shows its models. Public
    models can be read by everyone who reaches the address. Ctrl-C stops it.

    Example:

        rszoo hub serve --root hub
    """
    from rszoo.hub_server.access import Access
    from rszoo.hub_server.serve import new_token
    from rszoo.hub_server.serve import serve as run
    from rszoo_cli.console import err
    from rszoo_cli.usage import warn_if_open

    access = Access(token=token or new_token(), read_token=read_token or None)
    warn_if_open(host, "tokens and models")

    def ready(url: str) -> None:
        _print_start(url, root, None if token else access.token)

    try:
        run(root, host=host, port=port, access=access, ready=ready)
    except KeyboardInterrupt:
        err.print("stopped")


def _print_start(url: str, root: Path, token: str | None) -> None:
    """Say where the hub is and what its users set; a token that was given is not repeated."""
    import sys

    typer.echo(f"hub    {url}")
    typer.echo(f"root   {root.resolve()}")
    typer.echo(f"token  {token or 'the one given'}\n")
    typer.echo(f"export HF_ENDPOINT={url}")
    typer.echo(f"export HF_TOKEN={token or '...'}")
    typer.echo("export HF_HUB_DISABLE_XET=1  # to upload with hf: there is no Xet here")
    sys.stdout.flush()
