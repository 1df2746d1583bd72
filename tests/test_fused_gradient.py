"""Gradients in the images by fused kernels, against those of PyTorch's layers."""

import pytest
import torch
from fused_networks import EXACT, NEEDS_TRITON, PLANS, distance, drawn_plan, step
from torch import Tensor

from rszoo.errors import RszooError
from rszoo.networks.fused.plan import Plan, Step, by_torch

pytestmark = NEEDS_TRITON

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def differences(plan: Plan, x: Tensor, dtype: torch.dtype = torch.float32) -> tuple[float, float]:
    """Return how far kernels are from PyTorch: in the logits, and in a gradient of them."""
    from rszoo.networks.fused.gradient import GradientEngine

    x = x.to(DEVICE)
    slopes = torch.randn(len(x), len(plan.bias)).to(DEVICE)
    mine, its = (x.detach().requires_grad_() for _ in range(2))
    logits = GradientEngine(plan, dtype=dtype).logits(mine)
    exact = by_torch(plan, its)
    (gradient,) = torch.autograd.grad(logits, mine, slopes)
    (right,) = torch.autograd.grad(exact, its, slopes)
    assert gradient.shape == right.shape
    assert gradient.dtype == torch.float32
    return distance(logits.detach(), exact.detach()), distance(gradient, right)


def on_device(*steps: Step, channels: int = 3) -> Plan:
    """Return a drawn plan whose weights are where images are."""
    with torch.device(DEVICE):
        return drawn_plan(*steps, channels=channels)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("images alone", (3, 5)),
        ("stride 2", (4, 6)),
        ("stride 2, 1x1", (5, 3)),
        ("1x1", (3, 4)),
        ("without ReLU", (3, 4)),
        ("a shortcut of another kind", (4, 4)),
        ("a shortcut of another kind", (5, 3)),
        ("a block", (8, 3)),
        ("two wide blocks", (6, 3)),
        ("a block whose input is read again", (3, 4)),
        ("a block whose middle is read again", (3, 4)),
    ],
    ids=str,
)
def test_gradients_are_what_torch_computes(name: str, size: tuple[int, int]) -> None:
    found = differences(on_device(*PLANS[name]()), torch.rand(2, 3, *size))
    assert max(found) < EXACT


def test_grey_images_of_another_memory_order_and_many_at_once() -> None:
    plan = on_device(step(16, 16, source=0), channels=1)
    assert max(differences(plan, torch.rand(2, 1, 6, 4))) < EXACT
    x = torch.rand(5, 3, 5, 6).to(memory_format=torch.channels_last)
    assert max(differences(on_device(step(16, 16, source=0)), x)) < EXACT


def test_what_nothing_reads_has_no_part_in_it() -> None:
    unread = [step(16, 16, source=0), step(16, 16, source=0)]
    assert max(differences(on_device(*unread), torch.rand(2, 3, 4, 4))) < EXACT


def test_a_result_that_is_added_before_it_is_convolved() -> None:
    """The mask of its ReLU belongs to all that comes back, in whatever order."""
    steps = [
        step(16, 16, source=0),
        step(16, 16, source=0, shortcut=1),
        step(16, 16, source=1, shortcut=2),
        step(16, 16, source=3, shortcut=1),
    ]
    assert max(differences(on_device(*steps), torch.rand(1, 3, 3, 3))) < EXACT


def test_images_beyond_what_32_bits_count_are_split(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rszoo.networks.fused.gradient.MOST_VALUES", 2 * 16 * 9)
    assert max(differences(on_device(), torch.rand(3, 3, 3, 3))) < EXACT


def test_float16_is_as_far_off_as_float16_rounds() -> None:
    plan, x = on_device(*PLANS["a shortcut of another kind"]()), torch.rand(3, 3, 6, 6)
    assert EXACT < min(found := differences(plan, x, torch.float16))
    assert max(found) < 0.01


def test_there_is_no_second_derivative_and_none_in_weights() -> None:
    from rszoo.networks.fused.gradient import GradientEngine

    engine = GradientEngine(on_device(), dtype=torch.float32)
    x = torch.rand(2, 3, 4, 4, device=DEVICE)
    assert not engine.logits(x).requires_grad
    logits = engine.logits(x.requires_grad_()).sum()
    with pytest.raises(RszooError, match=r"expected a first derivative .* --no-fused"):
        torch.autograd.grad(logits, x, create_graph=True)


# What the tests above would find: each of these is wrong somewhere.


@pytest.mark.parametrize("wrong", ["mask", "taps"])
def test_a_wrong_gradient_is_found(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rszoo.networks.fused import gradient
    from rszoo.networks.fused.launching import convolve

    taps = gradient._taps_back
    if wrong == "mask":
        monkeypatch.setattr(gradient, "convolve", lambda *a, mask=None, **how: convolve(*a, **how))
    else:
        monkeypatch.setattr(gradient, "_taps_back", lambda steps: taps(steps).flip(1))
    logits, slopes = differences(on_device(*PLANS["a block"]()), torch.rand(2, 3, 3, 4))
    assert logits < EXACT < 0.01 < slopes
