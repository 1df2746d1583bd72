"""`rszoo certify --per-input-sigma`: a noise level for each input, and what makes it sound."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rszoo.errors import RszooError
from rszoo_cli.console import err
from rszoo_cli.panels import advanced

if TYPE_CHECKING:
    from rszoo.hub.bundle import Bundle
    from rszoo.smoothing.memory import Memory

__all__ = [
    "MemoryFile",
    "PerInputSigma",
    "memory_file",
    "opened_memory",
    "print_nominal",
    "searched",
]

PerInputSigma = Annotated[
    str | None,
    advanced(
        metavar="dual|memory|nominal",
        help="Noise that fits each input (Insta-RS), made sound by the router of a dual model, by "
        "a memory of the answers so far, or not at all: nominal radii are no certificates.",
        show_default="as the model is",
    ),
]
MemoryFile = Annotated[
    Path | None,
    advanced(
        "--memory",
        metavar="FILE",
        help="Of --per-input-sigma memory: the answers so far; continued if it is there.",
        show_default="beside the log",
    ),
]


def searched(
    choice: str | None,
    memory: Path | None,
    bundle: "Bundle",
    *,
    alone: bool,
    attach: bool,
    plain: bool,
) -> str | None:
    """Return how the noise is searched: "memory", "nominal", or None where it is not.

    Args:
        choice, memory: of the options; what does not go together with them is refused.
        bundle: what is certified.
        alone: whether one process does all on one device.
        attach: whether the log is to go into the bundle.
        plain: whether all draws are made, for the published bound.

    Raises:
        RszooError: a router is to choose it, and the bundle has none.
    """
    from rszoo.hub.kinds import kind_of

    _check(choice, memory, alone=alone, attach=attach, plain=plain)
    kind = kind_of(bundle)
    if choice == "dual" and not kind.fits_noise:
        one = "CLASSIFIER" if kind.smoothed is None else bundle.id
        raise RszooError(
            f"{bundle.id}: expected a dual model, whose router fits the noise to the input, got "
            f"{bundle.config.summary}; make one of a classifier with: rszoo compose dual --expert "
            f"{one} --sigma 0.25 --sigma 0.5 --sigma 1 --train-router --out DIR"
        )
    return None if choice == "dual" else choice  # a dual model's certificates are such anyway


def memory_file(choice: str | None, file: Path | None, log_file: Path | None) -> Path | None:
    """Return where the answers are remembered, if they are: the file named, or beside the log."""
    if choice != "memory" or file is not None:
        return file
    if log_file is None:
        raise typer.BadParameter("expected --memory FILE (or --out) for inputs of your own")
    return log_file.with_name(f"{log_file.name.removesuffix('.tsv')}.memory")


@contextmanager
def opened_memory(file: Path | None) -> "Iterator[Memory | None]":
    """Give the memory in a file, if there is to be one."""
    if file is None:
        yield None
        return
    from rszoo.smoothing.memory import Memory

    with Memory.open(file) as memory:
        err.print(f"memory: {file}, {len(memory)} answers", highlight=False, soft_wrap=True)
        yield memory


def print_nominal() -> None:
    """Say what the radii are that were just printed."""
    err.print("nominal radius, not a certificate", style="yellow", soft_wrap=True)


def _check(
    choice: str | None, memory: Path | None, *, alone: bool, attach: bool, plain: bool
) -> None:
    """Refuse what does not go together with a noise level for each input."""
    if choice not in (None, "dual", "memory", "nominal"):
        raise typer.BadParameter(
            f"expected --per-input-sigma dual, memory or nominal, got {choice!r}"
        )
    if memory is not None and choice != "memory":
        raise typer.BadParameter("expected --per-input-sigma memory with --memory")
    if choice in (None, "dual"):
        return
    if not plain:
        raise typer.BadParameter(
            "--radii, --adaptive, --runner-up, --choose-bound, --n-max and --top-k need one noise "
            "level; leave out --per-input-sigma"
        )
    if attach:
        raise typer.BadParameter(
            f"--attach is for certificates of the bundle alone, not for --per-input-sigma {choice}"
        )
    if choice == "memory" and not alone:
        raise typer.BadParameter(
            "with a memory each answer depends on those before: one process on one device, "
            "no --engine ray and no --shard"
        )
