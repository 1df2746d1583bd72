"""Image files to pixels, with PIL: torchvision's decoders need operators that may be missing."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rszoo.errors import DataError

EXTENSIONS = frozenset(
    (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
)

_GREY = ("1", "L", "LA")


def files_below(folder: Path, extensions: frozenset[str] = EXTENSIONS) -> list[Path]:
    """Return the files below `folder` with one of the extensions, sorted, without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in extensions and not path.name.startswith(".")
    )


def open_image(path: str | Path) -> Image.Image:
    """Return the decoded image, in mode "L" if it is grey, else "RGB"; transparency is dropped.

    Raises:
        DataError: the file is no image, is damaged, or has more than 8 bits per channel.
    """
    try:
        with Image.open(path) as image:
            if image.mode[0] not in "IF":
                return image.convert("L" if image.mode in _GREY else "RGB")
            mode = image.mode
    except Exception as error:  # on damaged files PIL's decoders raise almost anything
        raise DataError(
            f"{path}: cannot be read as an image ({error}); replace or remove the file"
        ) from error
    raise DataError(
        f"{path}: expected 8 bits per channel, got an image of mode {mode!r}; convert it to 8 bits"
    )


def pixels_of(image: Image.Image) -> Tensor:
    """Return the pixels of a grey or RGB image: uint8 [C, H, W]."""
    array = np.array(image)
    return torch.from_numpy(array.reshape(image.height, image.width, -1)).permute(2, 0, 1)
