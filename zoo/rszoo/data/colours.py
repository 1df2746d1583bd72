"""Colours of a picture that a viewer shows otherwise than its numbers are read.

What is certified are the numbers in the file, taken for sRGB, as in every data set that networks
are trained on. A viewer also applies what the file says of its colours; where that changes them,
a line says so. Nothing is converted: the digest of a data set, and the logs of its images, are of
the numbers.
"""

import io
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms, features

__all__ = ["READABLE", "unapplied"]

#: The modes, as PIL calls them, whose numbers are those of grey or of red, green and blue, or
#: become them by a formula.
READABLE = frozenset("1 L LA La P PA RGB RGBA RGBa RGBX CMYK YCbCr".split())

_REMEDY = "convert it to sRGB to certify what is seen"

# How far numbers may be from those of sRGB, of 255: in the dark, those of gamma 2.2 are by 9.
_ALIKE = 10
_SRGB_GAMMA = 1 / 2.2
_LARGEST_PROFILE = 1 << 22  # bytes
_LONGEST = 60  # characters of a profile's name


def unapplied(image: Image.Image) -> str | None:
    """Return what a viewer applies to the colours of a picture, in words; None for nothing.

    Args:
        image: as it was opened, in one of the modes `READABLE`.
    """
    if image.mode == "CMYK":
        return f"in CMYK, read by the plain formula, not as inks look; {_REMEDY}"
    profile = image.info.get("icc_profile")
    grey = image.mode in ("1", "L", "LA", "La")
    if isinstance(profile, bytes) and (name := _other(profile, grey=grey)):
        return f"its colour profile, {name}, is not applied; {_REMEDY}"
    gamma = image.info.get("gamma")
    if profile is None and "srgb" not in image.info and isinstance(gamma, float):
        if gamma > 0 and abs(gamma - _SRGB_GAMMA) > 0.02:
            return f"its gamma, {gamma:g}, is not applied; {_REMEDY}"
    return None


@lru_cache(maxsize=64)
def _other(profile: bytes, *, grey: bool) -> str | None:
    """Return the name of a profile that makes other colours than sRGB; None for one like it.

    One that cannot be read, or is of another kind of picture, viewers leave alone as well.
    """
    if len(profile) > _LARGEST_PROFILE:
        return f"of {len(profile):,} bytes"
    if not features.check("littlecms2"):
        return "which cannot be read here"
    numbers = _grid(grey)
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        seen = ImageCms.profileToProfile(
            numbers,
            given,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
        name = ImageCms.getProfileDescription(given).strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
    assert seen is not None  # it was not made in place
    difference = np.array(seen).astype(int) - np.array(numbers.convert("RGB"))
    return repr(name[:_LONGEST]) if np.abs(difference).max() > _ALIKE else None


def _grid(grey: bool) -> Image.Image:
    """Return a picture with colours from all over, or with all greys."""
    if grey:
        return Image.fromarray(np.arange(256, dtype=np.uint8)[None])
    steps = np.arange(0, 256, 51, dtype=np.uint8)
    return Image.fromarray(np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3))
