"""What the smoothed classifier refuses, before any network runs."""

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rszoo.errors import DataError, RszooError
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget

SHAPE = (1, 2, 3)


class Recorder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(x)
        return x.flatten(1)


def smoothed(network: nn.Module, **changed: Any) -> SmoothedClassifier:
    options: dict[str, Any] = {
        "sigma": 0.5,
        "num_classes": 6,
        "device": "cpu",
        "precision": "float32",
    }
    return SmoothedClassifier(network, **options | changed)


@pytest.mark.parametrize(
    ("x", "shape", "message"),
    [
        (
            torch.zeros(SHAPE, dtype=torch.uint8),
            SHAPE,
            "expected a float tensor with pixels in [0, 1], got torch.uint8; "
            "divide bytes by 255 first",
        ),
        (
            np.zeros(SHAPE),
            SHAPE,
            "expected a float tensor with pixels in [0, 1], got ndarray; "
            "divide bytes by 255 first",
        ),
        (
            torch.rand(1, 4, 4),
            SHAPE,
            "expected input of shape (1, 2, 3) or a batch of such, got (1, 4, 4)",
        ),
        (
            torch.rand(2, 2, *SHAPE),
            SHAPE,
            "expected input of shape (1, 2, 3) or a batch of such, got (2, 2, 1, 2, 3)",
        ),
        (
            torch.rand(2, 2, *SHAPE),
            None,
            "expected an input [C, H, W] or a batch of such, got (2, 2, 1, 2, 3)",
        ),
        (
            torch.tensor(0.5),
            None,
            "expected an input [C, H, W] or a batch of such, got ()",
        ),
        (
            torch.full(SHAPE, torch.nan),
            SHAPE,
            "expected finite pixels, got NaN or infinity",
        ),
        (
            torch.full(SHAPE, torch.inf),
            None,
            "expected finite pixels, got NaN or infinity",
        ),
    ],
)
@pytest.mark.parametrize("ask", ["certify", "predict"])
def test_bad_inputs(ask: str, x: Tensor, shape: tuple[int, ...] | None, message: str) -> None:
    network = Recorder()
    with pytest.raises(DataError) as caught:
        getattr(smoothed(network, input_shape=shape), ask)(x)
    assert str(caught.value) == message
    assert not network.batches


def test_images_outside_the_unit_box_are_warned_of() -> None:
    classifier = smoothed(Recorder(), input_shape=SHAPE)
    with pytest.warns(UserWarning, match="pixels") as caught:
        classifier.predict(torch.full(SHAPE, 2.0), n=1)
    assert str(caught[0].message) == (
        "expected pixels in [0, 1], got 2 to 2: the radius is in their units, and the network "
        "may not know such images"
    )
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        classifier.predict(torch.rand(SHAPE), n=1)


@pytest.mark.parametrize("ask", ["certify", "predict"])
@pytest.mark.parametrize("shape", [None, SHAPE])
def test_images_in_other_units_are_refused(ask: str, shape: tuple[int, ...] | None) -> None:
    """Bytes as floats: a radius of 0.5 would be one of 0.002, under noise that is as little."""
    network = Recorder()
    x = torch.zeros(SHAPE)
    x[0, 0, 0] = 2.01
    with pytest.raises(DataError) as caught:
        getattr(smoothed(network, input_shape=shape), ask)(x)
    assert str(caught.value) == (
        "expected pixels in [0, 1], got values up to 2.01, as of pixels in [0, 255]; divide them "
        "by 255, since radius and noise level are in units of [0, 1]"
    )
    assert not network.batches


@pytest.mark.parametrize(
    ("ask", "changed", "message"),
    [
        ("certify", {"n0": 0}, "expected integers n0 >= 1 and n >= 1, got n0=0, n=100000"),
        ("certify", {"n": -1}, "expected integers n0 >= 1 and n >= 1, got n0=100, n=-1"),
        (
            "certify",
            {"n": 1e3},
            "expected integers n0 >= 1 and n >= 1, got n0=100, n=1000.0",
        ),
        ("certify", {"alpha": 0.0}, "expected 0 < alpha < 1, got alpha=0.0"),
        ("certify", {"alpha": 1.0}, "expected 0 < alpha < 1, got alpha=1.0"),
        ("predict", {"alpha": 2.0}, "expected 0 < alpha < 1, got alpha=2.0"),
    ],
)
def test_bad_draws(ask: str, changed: dict[str, Any], message: str) -> None:
    network = Recorder()
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(smoothed(network), ask)(torch.rand(SHAPE), **changed)
    assert not network.batches


@pytest.mark.parametrize(
    ("changed", "kind", "message"),
    [
        (
            {"sigma": 0.0},
            ValueError,
            "expected a positive sigma that float32 can hold, got sigma=0.0",
        ),
        (
            {"sigma": -1.0},
            ValueError,
            "expected a positive sigma that float32 can hold, got sigma=-1.0",
        ),
        (
            {"sigma": float("inf")},
            ValueError,
            "expected a positive sigma that float32 can hold, got sigma=inf",
        ),
        (
            {"sigma": float("nan")},
            ValueError,
            "expected a positive sigma that float32 can hold, got sigma=nan",
        ),
        # 1e-46 is 0 and 1e39 is infinite as float32, in which the noise is scaled.
        (
            {"sigma": 1e-46},
            ValueError,
            "expected a positive sigma that float32 can hold, got sigma=1e-46",
        ),
        (
            {"sigma": 1e39},
            ValueError,
            "expected a positive sigma that float32 can hold, got sigma=1e+39",
        ),
        ({"num_classes": 1}, ValueError, "expected num_classes >= 2, got num_classes=1"),
        (
            {"precision": "half"},
            RszooError,
            "expected a precision of ['auto', 'bfloat16', 'float32'], got 'half'",
        ),
    ],
)
def test_bad_constructions(changed: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as caught:
        smoothed(Recorder(), **changed)
    assert str(caught.value) == message


def test_a_tolerance_is_not_ignored() -> None:
    with pytest.raises(ValueError, match=r"^expected radii with tolerance=0\.1, got none$"):
        smoothed(Recorder()).certify(torch.rand(SHAPE), n=100, tolerance=0.1)
    with pytest.raises(ValueError, match=r"^expected radii with tolerance=-0\.1, got none$"):
        Budget(tolerance=-0.1)
