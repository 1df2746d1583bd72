"""What `rszoo certify` certifies: test images of a data set, or inputs of the user's own."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rszoo.evaluation.certify import Input
    from rszoo.hub.bundle import Bundle

__all__ = ["own", "shard_of", "test_images"]


def own(
    paths: Sequence[Path], *, shape: tuple[int, int, int], limit: int | None, resize: bool
) -> tuple[list["Input"], dict[str, str]]:
    """Return the user's own inputs, and what a log's protocol says of them."""
    from rszoo.data import read_images
    from rszoo.evaluation.certify import own_inputs

    named = read_images(paths, shape=shape, resize=resize)[:limit]
    digest = hashlib.sha256()
    for name, image in named:
        digest.update(name.encode(errors="surrogateescape") + image.numpy().tobytes())
    return own_inputs(named), {"own": str(len(named)), "digest": digest.hexdigest()}


def test_images(
    bundle: "Bundle",
    dataset: str | None,
    *,
    skip: int | None,
    limit: int | None,
    root: Path | None,
    download: bool,
) -> tuple[list["Input"], dict[str, str]]:
    """Return test images of `dataset` (None: the model's own), and what the protocol says.

    Raises:
        DataError: the data set is not there, or is not one that the model can classify.
    """
    from rszoo.data import load, names
    from rszoo.errors import DataError
    from rszoo.evaluation.certify import evaluation_inputs

    config = bundle.config
    try:
        images = load(dataset or config.dataset, "test", root=root, download=download)
    except DataError as error:
        if dataset or config.dataset in names():
            raise
        raise DataError(f"{error}, or say with --dataset where the data set lies now") from error
    fits = (config.input_shape, config.class_names)
    if (images.shape, images.class_names) != fits:
        raise DataError(
            f"{images.name}: expected images of shape {_shape(config.input_shape)} and the "
            f"model's {len(config.class_names)} classes, got {_shape(images.shape)} and "
            f"{images.num_classes} classes; take another --dataset"
        )
    todo = evaluation_inputs(images, skip=skip, limit=limit)
    return todo, {"name": images.name, "split": images.split, "digest": images.digest}


def shard_of(shard: str | None) -> tuple[slice, str]:
    """Return the inputs of a shard such as "2/8", and how its log's name ends."""
    if shard is None:
        return slice(None), ""
    match = re.fullmatch(r"(\d{1,9})/(\d{1,9})", shard, flags=re.ASCII)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise typer.BadParameter(f"expected --shard I/N with 1 <= I <= N, got {shard!r}")
    return slice(number - 1, None, count), f".{number}-of-{count}"


def _shape(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))
