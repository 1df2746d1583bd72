"""The images that certificates are asked for, and the pictures of them that a page shows.

An upload passes the checks of `rszoo certify IMAGE`: they are the same functions. What is shown is
rounded to bytes and cut off at black and white; what is certified is not.
"""

import hashlib
import io
import threading
import warnings
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rszoo.data.decode import decoded
from rszoo.data.inputs import read_images
from rszoo.errors import RszooError
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.scheme import Scheme

__all__ = ["Kept", "Pictures", "as_array_file", "as_png", "noisy_png", "read_upload"]

_MOST_KEPT = 64
_COPIES = 8  # of the noisy picture


@dataclass(frozen=True, kw_only=True, eq=False)
class Kept:
    """An image that the page may ask about.

    Attributes:
        id: of its pixels, in hex.
        image: float32 `[C, H, W]`.
        name: for people.
        label: its true class, or None.
        notes: what was said of it as it was read.
    """

    id: str
    image: Tensor
    name: str
    label: int | None = None
    notes: tuple[str, ...] = ()


class Pictures:
    """The last images, by id; older ones are forgotten."""

    def __init__(self) -> None:
        """Begin without any image."""
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._lock = threading.Lock()

    def keep(
        self,
        image: Tensor,
        *,
        name: str,
        label: int | None = None,
        notes: tuple[str, ...] = (),
    ) -> Kept:
        """Return an image that is known by its id from now on; the arguments are of `Kept`."""
        pixels = image.detach().to("cpu", torch.float32).contiguous()
        id = hashlib.sha256(pixels.numpy().tobytes()).hexdigest()[:32]
        kept = Kept(id=id, image=pixels, name=name, label=label, notes=notes)
        with self._lock:
            self._kept[id] = kept
            self._kept.move_to_end(id)
            while len(self._kept) > _MOST_KEPT:
                self._kept.popitem(last=False)
        return kept

    def __getitem__(self, id: str) -> Kept:
        """Return the image with an id.

        Raises:
            RszooError: it is unknown, or forgotten.
        """
        with self._lock:
            if id not in self._kept:
                raise RszooError(f"no image {id!r} here any more; choose it again")
            self._kept.move_to_end(id)
            return self._kept[id]


def read_upload(
    body: bytes, name: str, shape: tuple[int, int, int]
) -> tuple[Tensor, tuple[str, ...]]:
    """Return the image in an uploaded file, scaled to the model's size, and what to say of it.

    Only one thread may do this: what Python's warnings say is collected.

    Args:
        body: of the file, as `rszoo certify` takes picture files.
        name: of the file, in errors.
        shape: channels, height and width of the model.

    Raises:
        DataError: it is refused, as by `rszoo certify --resize`.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        picture = decoded(io.BytesIO(body), name)
        ((given, image),) = read_images([picture], shape=shape, resize=True)
    notes = [str(one.message).removeprefix(f"{given}: ") for one in caught]
    height, width = shape[1:]
    if picture.size != (width, height) and not any("scaled from" in note for note in notes):
        notes.append(f"scaled from {picture.width} x {picture.height} to {width} x {height}")
    return image, tuple(notes)


def as_png(image: Tensor) -> bytes:
    """Return the picture of an image `[C, H, W]` that a page shows."""
    return _png(_shown(image))


def as_array_file(image: Tensor) -> bytes:
    """Return the file (.npy) of which `rszoo certify` reads exactly this image."""
    stream = io.BytesIO()
    np.save(stream, image.numpy())
    return stream.getvalue()


def noisy_png(
    image: Tensor, *, sigma: float, seed: int, scheme: Scheme, device: torch.device
) -> bytes:
    """Return a picture of an image under noise: the first draws that a bound rests on, in a row.

    Args:
        image: `[C, H, W]`.
        sigma, seed: of the noise.
        scheme: by which it is drawn.
        device: whose noise it is.
    """
    noise = scheme.chunk(
        image.shape, seed=scheme.seed_of(image, seed), chunk=Stream.ESTIMATION, device=device
    )
    copies = [_shown(image + sigma * one) for one in noise[:_COPIES].cpu()]
    width, height = copies[0].size
    gap = max(1, width // 8)
    row = Image.new("RGBA", (_COPIES * (width + gap) - gap, height))
    for place, copy in enumerate(copies):
        row.paste(copy, (place * (width + gap), 0))
    return _png(row)


def _shown(image: Tensor) -> Image.Image:
    """Return an image as a picture: of two channels, or of many, the first one."""
    pixels = (image.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return Image.fromarray(np.ascontiguousarray(pixels if len(image) == 3 else pixels[:, :, 0]))


def _png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
