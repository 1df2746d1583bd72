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

__all__ = ["log_named", "log_to", "shard_named", "to_certify"]


def to_certify(
    paths: Sequence[Path] | None,
    bundle: "Bundle",
    dataset: str | None,
    shard: tuple[int, int] | None,
    limit: int | None,
    *,
    resize: bool,
    **options: Any,
) -> "InputSet":
    """Return the user's own inputs, or else test images of a data set.

    Args:
        paths: of the user's own inputs.
        bundle: what is certified.
        dataset, options: see `rszoo.hub.inputs.inputs_for`.
        shard: number and count of a part of a data set, or None.
        limit: how many at most.
        resize: scale own images to the model's size.
    """
    if paths:
        return _own(paths, bundle, limit=limit, resize=resize)
    return _of_data_set(bundle, dataset, shard, limit=limit, **options)


def _own(
    paths: Sequence[Path], bundle: "Bundle", *, limit: int | None, resize: bool
) -> "InputSet":
    from rszoo.data import read_images
    from rszoo.evaluation.inputs import InputSet

    named = read_images(paths, shape=bundle.config.input_shape, resize=resize)
    return InputSet.of_own(named[:limit])


def _of_data_set(
    bundle: "Bundle", dataset: str | None, shard: tuple[int, int] | None, **options: Any
) -> "InputSet":
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
