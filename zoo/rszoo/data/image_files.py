"""The image files of a data set, and how each becomes pixels of one size."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field

from PIL import Image
from torch import Tensor

from rszoo.data import augment as augmentation
from rszoo.data.decode import content_of, decoded, pixels_of
from rszoo.errors import DataError

__all__ = ["Files"]

_FLIP = Image.Transpose.FLIP_LEFT_RIGHT


@dataclass(frozen=True, kw_only=True)
class Files:
    """The image files of a set and how to view them.

    Attributes:
        paths: one file per image.
        shape: channels, height, width that every image is read as.
        shorter_side: scale the shorter side to this many pixels and cut out the centre; None
            expects every file to have the size of `shape` already.
    """

    paths: Sequence[str] = field(repr=False)
    shape: tuple[int, int, int]
    shorter_side: int | None = None

    def read(self, index: int) -> Tensor:
        """Return one image as it is tested: uint8 [C, H, W]."""
        return self.pixels(index, content_of(self.paths[index]))

    def pixels(self, index: int, content: bytes) -> Tensor:
        """Return one image as it is tested, uint8 [C, H, W], from the bytes of its file."""
        image = self._picture(index, content)
        _, height, width = self.shape
        if self.shorter_side is not None:
            image = _centre(_scaled(image, self.shorter_side), height, width)
        elif (image.height, image.width) != (height, width):
            raise DataError(
                f"{self.paths[index]}: expected {height}x{width} pixels (height x width) like "
                f"{self.paths[0]}, got {image.height}x{image.width}; "
                "bring all images of the folder to one size"
            )
        return pixels_of(image)

    def read_resized_crop(self, index: int, choices: Tensor) -> Tensor:
        """Return a random box of one image, scaled and perhaps flipped: uint8 [C, H, W]."""
        image = self._picture(index, content_of(self.paths[index]))
        drawn = augmentation.random_boxes(choices[None], image.height, image.width)
        top, left, rows, columns, flip = (int(value) for value in drawn)
        _, height, width = self.shape
        box = (left, top, left + columns, top + rows)
        image = image.crop(box).resize((width, height), Image.Resampling.BILINEAR)
        return pixels_of(image.transpose(_FLIP) if flip else image)

    def _picture(self, index: int, content: bytes) -> Image.Image:
        image = decoded(io.BytesIO(content), self.paths[index])
        if self.shape[0] == 3:
            return image.convert("RGB")
        if image.mode != "L":
            raise DataError(
                f"{self.paths[index]}: expected a grey image like {self.paths[0]}, "
                "got a colour image; convert the images of the folder to one kind"
            )
        return image


def _scaled(image: Image.Image, shorter_side: int) -> Image.Image:
    width, height = image.size
    if width <= height:
        size = (shorter_side, int(shorter_side * height / width))
    else:
        size = (int(shorter_side * width / height), shorter_side)
    return image.resize(size, Image.Resampling.BILINEAR)


def _centre(image: Image.Image, height: int, width: int) -> Image.Image:
    left, top = round((image.width - width) / 2), round((image.height - height) / 2)
    return image.crop((left, top, left + width, top + height))
