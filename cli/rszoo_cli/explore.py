"""`rszoo explore`: a local page on which a certificate is watched as it comes about."""

from typing import Annotated

import typer

from rszoo_cli.options import DataRoot, Device, Model, Precision, TestData
from rszoo_cli.panels import budget, where

__all__ = ["explore"]


def explore(
    model: Model,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in a browser.")] = False,
    seed: Annotated[
        int | None,
        budget(min=0, max=2**63 - 1, help="Seed of all noise.", show_default="random"),
    ] = None,
    dataset: TestData = None,
    data_root: DataRoot = None,
    port: Annotated[
        int, where(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 0,
    host: Annotated[
        str, where(help="Address to listen on; who reaches another may use the model.")
    ] = "127.0.0.1",
    device: Device = None,
    precision: Precision = "auto",
) -> None:
    """Show on a local page how a certificate comes about, and try to break it.

    Choose, drop or draw an image: the votes arrive, the interval tightens, the radius grows. Then
    move the image, at random or along an attack, and compare what is answered there. Radii are
    those of `rszoo certify` under the same seed. Ctrl-C stops it.

    Example:

        rszoo explore --model builtin/digits-cat_rs-0.50 --open
    """
    from rszoo.explorer.serve import serve
    from rszoo.explorer.session import Session
    from rszoo.hub.catalog import find
    from rszoo.smoothing.execution import Execution
    from rszoo_cli.console import err
    from rszoo_cli.usage import seed_named, warn_if_open

    warn_if_open(host, "images and answers")
    with err.status(f"open {model}"):
        session = Session(
            find(model),
            seed=seed_named(seed, before=None, shard=None),
            execution=Execution(device=device, precision=precision),
            dataset=dataset,
            root=data_root,
        )

    def ready(url: str) -> None:
        _print_start(url, session.seed)
        if open_browser:
            import webbrowser

            webbrowser.open(url)

    try:
        serve(session, host=host, port=port, ready=ready)
    except KeyboardInterrupt:
        err.print("stopped")


def _print_start(url: str, seed: int) -> None:
    """Say where the page is, and under which seed."""
    import sys

    typer.echo(f"page   {url}")
    typer.echo(f"seed   {seed}")
    typer.echo("Ctrl-C stops it")
    sys.stdout.flush()
