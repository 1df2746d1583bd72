"""What is asked for is checked before any noise is drawn."""

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from rszoo.errors import DataError
from rszoo.smoothing.lattice import check_on_lattice

__all__ = ["check_classes", "check_draws", "check_sigma", "checked"]

# Beyond it images are in other units. Up to it they are warned of: a perturbed image may be there.
_LARGEST = 2.0


def checked(x: Tensor, *, input_shape: tuple[int, ...] | None, sound: bool) -> Tensor:
    """Return an input, or a batch of inputs, as float32.

    Args:
        x: float input(s), pixels in [0, 1].
        input_shape: shape of one input, or None when any shape is accepted.
        sound: whether pixels have to be multiples of 1/255.

    Raises:
        DataError: x has the wrong type or shape, is not finite, or is off the lattice; or its
            pixels go beyond 2, and so are no pixels in [0, 1], if it is one of images.

    Warns:
        UserWarning: with `input_shape`, for pixels outside [0, 1].
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise DataError(
            f"expected a float tensor with pixels in [0, 1], got {kind}; divide bytes by 255 first"
        )
    shape = tuple(x.shape)
    if input_shape and input_shape not in (shape, shape[1:]):
        raise DataError(f"expected input of shape {input_shape} or a batch of such, got {shape}")
    if not input_shape and x.ndim not in (1, 2, 3, 4):
        raise DataError(f"expected an input [C, H, W] or a batch of such, got {shape}")
    if not bool(torch.isfinite(x).all()):
        raise DataError("expected finite pixels, got NaN or infinity")
    if (input_shape or x.ndim > 2) and x.numel() and bool(x.max() > _LARGEST):
        raise DataError(
            f"expected pixels in [0, 1], got values up to {x.max():g}, as of pixels in [0, 255]; "
            "divide them by 255, since radius and noise level are in units of [0, 1]"
        )
    if input_shape and bool(((x < 0.0) | (x > 1.0)).any()):
        warnings.warn(
            f"expected pixels in [0, 1], got {x.min():g} to {x.max():g}: the radius is in "
            "their units, and the network may not know such images",
            stacklevel=4,
        )
    if sound:
        check_on_lattice(x)
    return x.detach().to(torch.float32)


def check_draws(*, n: int, alpha: float, n0: int = 1) -> None:
    """Refuse numbers of draws and an alpha out of range.

    Raises:
        ValueError: one is.
    """
    if not (isinstance(n0, int) and isinstance(n, int) and n0 >= 1 and n >= 1):
        raise ValueError(f"expected integers n0 >= 1 and n >= 1, got {n0=}, {n=}")
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"expected 0 < alpha < 1, got {alpha=}")


def check_sigma(sigma: float) -> None:
    """Refuse a standard deviation that is no positive number of float32.

    Raises:
        ValueError: it is none.
    """
    if not (sigma > 0.0 and 0.0 < _in_float32(sigma) < float("inf")):
        raise ValueError(f"expected a positive sigma that float32 can hold, got {sigma=}")


def check_classes(count: int, names: Sequence[str] | None) -> None:
    """Refuse fewer than two classes, and names of another number of classes.

    Raises:
        ValueError: there are.
    """
    if count < 2:
        raise ValueError(f"expected num_classes >= 2, got num_classes={count}")
    if names is not None and len(names) != count:
        raise ValueError(f"expected {count} class_names, got {len(names)}")


def _in_float32(value: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64).to(torch.float32))
