"""What `rszoo certify` certifies, and what the log of it is called."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from rszoo_cli.usage import check_redirect

if TYPE_CHECKING:
    from rszoo.evaluation.inputs import InputSet
    from rszoo.evaluation.job import LogFile
    from rszoo.hub.bundle import Bundle

__all__ = ["log_named", "log_to", "of_data_set", "own", "shard_named"]


def own(paths: Sequence[Path], bundle: "Bundle", *, limit: int | None, resize: bool) -> "InputSet":
    """Return the user's own inputs, read for a bundle, at most `limit` of them."""
    from rszoo.data import read_images
    from rszoo.evaluation.inputs import InputSet

    named = read_images(paths, shape=bundle.config.input_shape, resize=resize)
    return InputSet.of_own(named[:limit])


def of_data_set(
    bundle: "Bundle", dataset: str | None, shard: tuple[int, int] | None, **options: Any
) -> "InputSet":
    """Return test images of a data set, or one shard of them; options as in `inputs_for`."""
    from rszoo.hub.inputs import inputs_for

    images = inputs_for(bundle, dataset, **options)
    return images if shard is None else images.shard(*shard)


def shard_named(shard: str | None) -> tuple[int, int] | None:
    """Return number and count of a shard such as "2/8"; None for all inputs."""
    if shard is None:
        return None
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard, flags=re.ASCII)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise typer.BadParameter(f"expected --shard I/N with 1 <= I <= N, got {shard!r}")
    return number, count


def log_named(bundle: "Bundle", search: str | None, shard: tuple[int, int] | None) -> Path:
    """Return the log of a data set's images, where none is named.

    Args:
        bundle: what is certified.
        search: how its noise is searched, or None.
        shard: number and count, or None.
    """
    part = "" if shard is None else f".{shard[0]}-of-{shard[1]}"
    name = bundle.config.name + (f"-{search}" if search else "") + part
    return Path("certificates") / f"{name}.tsv"


def log_to(path: Path, *, resume: bool, restart: bool) -> "LogFile":
    """Return the log that is to be written, once nothing else is put into its files."""
    from rszoo.evaluation.job import LogFile
    from rszoo.evaluation.protocol import protocol_path

    check_redirect(path, protocol_path(path))
    return LogFile(path=path, resume=resume, restart=restart)
