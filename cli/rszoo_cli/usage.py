"""Which options of `rszoo certify` do not go together, and which ask in vain."""

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from rszoo_cli.console import err

if TYPE_CHECKING:
    from rszoo.evaluation.engine import Engine

__all__ = [
    "check_inputs",
    "check_log",
    "check_not_read",
    "check_redirect",
    "engine_named",
    "seed_named",
    "warn_if_in_vain",
    "warn_if_open",
]

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def check_inputs(own: object, of_a_data_set: object, *, shard: str | None, attach: bool) -> None:
    """Refuse what does not go together with the user's own inputs, or with a shard.

    Args:
        own: the user's own inputs; none of them is falsy.
        of_a_data_set: options that are for inputs of a data set; none of them is falsy.
        shard, attach: of the options.
    """
    if own and of_a_data_set:
        raise typer.BadParameter("--attach, --skip and --dataset are not for inputs of your own")
    if shard and (own or attach):
        raise typer.BadParameter("--shard is neither for inputs of your own nor for --attach")


def check_log(
    own: object, log_file: Path | None, *, resume: bool, attach: bool, overwrite: bool
) -> None:
    """Refuse options that say of a log what cannot be."""
    if overwrite and not (attach or resume):
        raise typer.BadParameter("expected --attach or --resume with --overwrite, got neither")
    if own and resume and log_file is None:
        raise typer.BadParameter("expected --out with --resume, got none")


def check_redirect(*written: Path) -> None:
    """Refuse an output that the shell puts into a file which the command is to write."""
    try:
        here = os.fstat(sys.stdout.fileno())
    except (OSError, ValueError):  # it is no file at all
        return
    for path in written:
        if path.exists() and os.path.samestat(here, path.stat()):
            raise typer.BadParameter(
                f"expected an output elsewhere, got one redirected to {str(path)!r}, which is "
                "written too; redirect it to another file (the protocol of a.tsv is a.json)"
            )


def check_not_read(written: Path, *read: str | Path) -> None:
    """Refuse to write over what the command is given to read."""
    if any(Path(path).exists() and written.exists() and written.samefile(path) for path in read):
        raise typer.BadParameter(
            f"expected a file to write, got {str(written)!r}, which is read; name another one"
        )


def engine_named(name: str, address: str | None, device: str | None) -> "Engine":
    """Return the engine of `--engine`, `--address` and `--device`; refuse what it cannot do."""
    from rszoo.evaluation.engine import Engine

    devices = tuple(device.split(",")) if device else (None,)
    try:
        return Engine(name=name, address=address, devices=devices)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def seed_named(seed: int | None, *, before: int | None, shard: object) -> int:
    """Return the seed of `--seed`, else that of before, else a random one.

    Args:
        seed: of the option.
        before: of the log or the memory that is continued.
        shard: of the option; the shards of a log have one seed, so that it has to be given.
    """
    from rszoo.smoothing.noise import random_seed

    if seed is not None:
        return seed
    if before is not None:
        return before
    if shard:
        raise typer.BadParameter(
            "expected --seed with --shard, the same for all shards, or they cannot be merged; "
            f"such as one drawn just now: --seed {random_seed()}"
        )
    return random_seed()


def warn_if_in_vain(n: int, alpha: float) -> None:
    """Warn when even unanimous draws certify nothing."""
    from rszoo.theory.radii import largest_radius

    if largest_radius(n, alpha, sigma=1.0) == 0.0:
        needed = math.floor(-math.log2(alpha)) + 1
        err.print(
            f"warning: {n} draws certify nothing at alpha {alpha:g}: at least {needed} are needed",
            style="yellow",
            soft_wrap=True,
        )


def warn_if_open(host: str, what: str) -> None:
    """Warn when a server can be reached from other machines, to which nothing is encrypted."""
    if host not in _LOOPBACK:
        err.print(
            f"warning: {what} travel unencrypted to and from {host}",
            style="yellow",
            soft_wrap=True,
        )
