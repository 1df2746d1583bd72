"""Where `rszoo certify` computes: `--engine` and `--address`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import typer

__all__ = ["check_engine", "on_ray"]


def check_engine(engine: str, address: str | None, *, compile: bool, early: bool) -> None:
    """Refuse what an engine cannot do."""
    if engine not in ("local", "ray"):
        raise typer.BadParameter(f"expected --engine local or ray, got {engine!r}")
    if engine == "local" and address is not None:
        raise typer.BadParameter("expected --engine ray with --address, got local")
    if engine == "ray" and (compile or early):
        raise typer.BadParameter("--engine ray goes without --compile, --radii and --adaptive")


@contextmanager
def on_ray(local: object, *, address: str | None) -> Iterator[Callable[..., Any]]:
    """Give the function that certifies on a cluster, in the place of the local one."""
    from rszoo.evaluation.on_ray import certify_inputs_on_ray, cluster

    with cluster(address) as workers:
        yield partial(certify_inputs_on_ray, workers=workers)
