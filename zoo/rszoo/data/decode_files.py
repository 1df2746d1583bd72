"""All images of a data set decoded from their files, by all cores."""

import hashlib
import math
import multiprocessing
import os
import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from threading import Thread

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from rszoo._cores import cores
from rszoo.data.decode import content_of
from rszoo.data.image_files import Files
from rszoo.errors import DataError

__all__ = ["Decoded", "decode_files", "digests_of"]

# Pixels that a process decodes before it asks for more, in bytes.
_PART_BYTES = 2**19


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """Images, decoded from their files.

    Attributes:
        pixels: uint8 [N, C, H, W].
        said: what a viewer shows otherwise than it is read, by place of the image; see
            `rszoo.data.decode.open_image`.
        digests: sha256 of the bytes that each image was decoded from.
    """

    pixels: np.ndarray = field(repr=False)
    said: Sequence[tuple[int, str]]
    digests: Sequence[bytes] = field(repr=False)


def decode_files(files: Files) -> Decoded:
    """Return all images of the files.

    Raises:
        DataError: what `Files.read` raises of the first that it cannot read.
    """
    count = len(files.paths)
    size = max(1, _PART_BYTES // math.prod(files.shape))
    places = [range(start, min(start + size, count)) for start in range(0, count, size)]
    pixels = np.empty((count, *files.shape), np.uint8)
    said: list[tuple[int, str]] = []
    digests: list[bytes] = []
    for place, part in zip(places, _parts(files, places), strict=True):
        if isinstance(part, DataError):
            raise part
        pixels[place.start : place.stop] = part.pixels
        said += part.said
        digests += part.digests
    return Decoded(pixels=pixels, said=said, digests=digests)


def digests_of(files: Files) -> list[bytes]:
    """Return the sha256 of the bytes of each file.

    Raises:
        DataError: a file cannot be read, is none, or is too large.
    """
    return [hashlib.sha256(content_of(path)).digest() for path in files.paths]


def _parts(files: Files, places: Sequence[range]) -> "Iterable[Decoded | DataError]":
    """Return the images at some places, in their order."""
    # Threads would take turns: most of the work on a small picture is Python's. Processes that are
    # no forks would import the user's script, and a daemon may not have any.
    forks = sys.platform == "linux" and not multiprocessing.current_process().daemon
    workers = min(cores(), len(places)) if forks else 1
    return DataLoader(
        _Reader(files),
        batch_size=None,
        sampler=places,
        collate_fn=lambda part: part,  # no tensors: /dev/shm is small in containers
        num_workers=workers if workers > 1 else 0,
        multiprocessing_context="fork" if workers > 1 else None,
        # Without one of its own, the loader would draw from the global generator.
        generator=torch.Generator(),
        worker_init_fn=_end_with_parent,
    )


def _end_with_parent(worker: int) -> None:
    """Have a worker end when its parent is killed, though nobody takes what it has to give."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()


class _Reader(Dataset["Decoded | DataError"]):
    """Images by places; runs in the worker processes."""

    def __init__(self, files: Files) -> None:
        self.files = files

    def __getitem__(self, places: range) -> Decoded | DataError:
        try:
            return self._decoded(places)
        except DataError as error:
            # Raised here, it would reach the user wrapped in the text of a worker's traceback.
            return error

    def _decoded(self, places: range) -> Decoded:
        pixels: list[np.ndarray] = []
        said: list[tuple[int, str]] = []
        digests: list[bytes] = []
        for index in places:
            content = content_of(self.files.paths[index])
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                pixels.append(self.files.pixels(index, content).numpy())
            named = f"{self.files.paths[index]}: "
            odd = [str(one.message) for one in caught if issubclass(one.category, UserWarning)]
            said += [(index, text.removeprefix(named)) for text in odd]
            digests.append(hashlib.sha256(content).digest())
        return Decoded(pixels=np.stack(pixels), said=said, digests=digests)
