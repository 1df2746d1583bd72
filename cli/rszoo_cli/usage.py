"""Which options of `rszoo certify` do not go together, and which ask in vain."""

import math
from typing import TYPE_CHECKING

import typer

from rszoo_cli.console import err

if TYPE_CHECKING:
    from rszoo.evaluation.engine import Engine

__all__ = ["check_usage", "engine_named", "warn_if_in_vain"]


def check_usage(
    own_inputs: bool,
    *,
    of_a_data_set: bool,
    shard: str | None,
    attach: bool,
    overwrite: bool,
    resume: bool,
    resume_without_log: bool,
) -> None:
    """Refuse options that do not go together."""
    if own_inputs and of_a_data_set:
        raise typer.BadParameter("--attach, --skip and --dataset are not for inputs of your own")
    if shard and (own_inputs or attach):
        raise typer.BadParameter("--shard is neither for inputs of your own nor for --attach")
    if overwrite and not (attach or resume):
        raise typer.BadParameter("expected --attach or --resume with --overwrite, got neither")
    if own_inputs and resume_without_log:
        raise typer.BadParameter("expected --out with --resume, got none")


def engine_named(name: str, address: str | None, device: str | None) -> "Engine":
    """Return the engine of `--engine`, `--address` and `--device`; refuse what it cannot do."""
    from rszoo.evaluation.engine import Engine

    devices = tuple(device.split(",")) if device else (None,)
    try:
        return Engine(name=name, address=address, devices=devices)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


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
