"""Noise on the lattice of 8-bit pixels: a certificate for the numbers a computer really adds.

In float32, x + e is rounded, and the rounding depends on x. A network could read x from it, and
answer otherwise at every other point while its certificate says it does not (Voracek and Hein,
2022, https://arxiv.org/abs/2205.14087). Here pixels are whole multiples of 1/255, and so is the
noise: the Gaussian, rounded. With k = 255 x, s = 255 sigma and real Gaussian u,

    round(k + s u) = k + round(s u)    for whole k,

so that the network, seen as a function of whole numbers, is smoothed exactly: it is the classifier
v -> f(round(v) / 255) under Gaussian noise, to which the theorem applies as it stands, at every
image whose pixels are multiples of 1/255.
"""

import torch
from torch import Tensor

from rszoo.errors import DataError

__all__ = ["LEVELS", "SCHEME_SUFFIX", "add_on_lattice", "check_on_lattice", "misplaced_share"]

#: The distance between pixel values is 1 / LEVELS.
LEVELS = 255

#: What is added to the name of the noise scheme in a log.
SCHEME_SUFFIX = f"-lattice-{LEVELS}"

# float32 keeps a multiple of 1/255 in [0, 1] to 6e-8.
_ROUNDING = 1e-6


def check_on_lattice(x: Tensor) -> None:
    """Refuse an image that 8 bits per pixel cannot hold.

    Raises:
        DataError: a pixel is no multiple of 1/255.
    """
    off = (x - (x * LEVELS).round() / LEVELS).abs().max()
    if not bool(off <= _ROUNDING):
        raise DataError(
            f"expected pixels that are multiples of 1/{LEVELS}, got one that is {off:g} away from "
            "the nearest; sound certificates are for 8-bit images"
        )


def add_on_lattice(x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """Return noisy copies of an image on the lattice, float32 `[N, *x.shape]`.

    Guarantee:
        The result is a function of whole numbers k + z alone, k those of the image, z independent
        of it and distributed as round(255 sigma u), u standard normal, as far as the scheme's
        float64 numbers are standard normal: but for `misplaced_share` of the images, and for the
        scheme's shortfall (the files of `rszoo.smoothing.schemes`). By the sum of both, the
        probability of a class may be below its lower bound.

    Args:
        x: an image that `check_on_lattice` lets pass.
        noise: standard normal, float64, `[N, *x.shape]`; overwritten.
        sigma: standard deviation of the noise, in pixel units.
    """
    whole = (x * LEVELS).round()
    return noise.mul_(LEVELS * sigma).round_().to(torch.float32).add_(whole).div_(LEVELS)


def misplaced_share(numbers: int, sigma: float) -> float:
    """Return how many noisy images at most another point of the lattice should have been.

    255 sigma u is rounded to whole numbers; the error of u decides otherwise where a boundary lies
    between it and the exact u, which is as probable as its mean size, times 255 sigma. That size
    is about 2^-50: 5.5 2^-54 as the norm of two numbers comes from multiples of 2^-53, 5 2^-54 as
    their angle does, and 5 2^-54 by the arithmetic after that. That is of torch's generator; by
    counter it is below 2^-52.

    Args:
        numbers: of an image, channels x height x width.
        sigma: standard deviation of the noise, in pixel units.

    >>> f"{misplaced_share(3 * 32 * 32, 0.5):.1e}", f"{misplaced_share(3 * 224 * 224, 0.5):.1e}"
    ('3.5e-10', '1.7e-08')
    """
    return numbers * LEVELS * sigma * 2.0**-50
