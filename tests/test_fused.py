"""Fused kernels against PyTorch's layers: on a GPU or, without one, in Triton's interpreter."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fused_networks import EXACT, NEEDS_TRITON, PLANS, distance, drawn_plan, resnet, step
from torch import Tensor

from rszoo.networks.fused.plan import IMAGES, Plan, by_torch
from rszoo.networks.fused.tracing import planned

pytestmark = NEEDS_TRITON

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def logits(plan: Plan, x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return what the kernels make of images."""
    from rszoo.networks.fused.engine import Engine

    engine = Engine(plan, tuple(x.shape[1:]), dtype=dtype, device=DEVICE)
    return engine.logits(x.to(DEVICE)).cpu()


@pytest.mark.parametrize("size", [(8, 5), (7, 9)], ids=str)
@pytest.mark.parametrize("name", PLANS)
def test_kernels_are_what_torch_computes(name: str, size: tuple[int, int]) -> None:
    plan = drawn_plan(*PLANS[name]())
    x = torch.rand(3, 3, *size)
    assert distance(logits(plan, x), by_torch(plan, x)) < EXACT


def test_grey_images_of_another_memory_order() -> None:
    plan = drawn_plan(step(16, 16, source=0), channels=1)
    x = torch.rand(2, 1, 6, 8)
    assert distance(logits(plan, x), by_torch(plan, x)) < EXACT
    plan = drawn_plan(step(16, 16, source=0))
    x = torch.rand(2, 3, 6, 8).to(memory_format=torch.channels_last)
    assert distance(logits(plan, x), by_torch(plan, x)) < EXACT


def test_many_images_and_tiles_that_are_not_full() -> None:
    """Five images are three programs of two, one of them half empty; 200 places are four tiles."""
    plan = drawn_plan(*PLANS["two wide blocks"]())
    x = torch.rand(5, 3, 8, 8)
    assert distance(logits(plan, x), by_torch(plan, x)) < EXACT
    plan = drawn_plan(*PLANS["a block"]())
    x = torch.rand(2, 3, 10, 40)
    assert distance(logits(plan, x), by_torch(plan, x)) < EXACT


def test_images_beyond_what_32_bits_count_are_split() -> None:
    from rszoo.networks.fused.engine import Engine

    plan, x = drawn_plan(*PLANS["a block"]()), torch.rand(5, 3, 8, 8, device=DEVICE)
    engine = Engine(plan, (3, 8, 8), dtype=torch.float32, device=DEVICE)
    assert engine.most_images == (2**31 - 1) // (8 * 8 * 16)
    whole = engine.logits(x)
    engine.most_images = 2
    assert distance(engine.logits(x), whole) < EXACT


def test_float16_is_as_far_off_as_float16_rounds() -> None:
    """Torch's own float16 rounds as often, and sums in float32 as well."""
    network = resnet()
    plan, x = planned(network, (3, 8, 8)), torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        exact = network(x)
    rounding = distance(by_torch(plan, x, torch.float16), exact)
    assert EXACT < distance(logits(plan, x, torch.float16), exact) < 3 * rounding < 0.01


@pytest.mark.parametrize(("depth", "shape"), [(8, (3, 8, 8)), (20, (3, 8, 4)), (8, (1, 12, 7))])
def test_a_resnet_is_itself(depth: int, shape: tuple[int, int, int]) -> None:
    network = resnet(shape, depth=depth)
    x = torch.rand(3, *shape)
    with torch.no_grad():
        exact = network(x)
    assert distance(logits(planned(network, shape), x), exact) < EXACT


def test_an_image_alone_is_an_image_among_others() -> None:
    """The interpreter multiplies by NumPy, which rounds by the place of a row."""
    plan, x = drawn_plan(*PLANS["a shortcut of another kind"]()), torch.rand(5, 3, 8, 8)
    together = logits(plan, x)
    for row in (0, 3):
        assert distance(logits(plan, x[row : row + 1]), together[row : row + 1]) < 1e-6
    other = x.clone()
    other[1:] = 1e6
    assert distance(logits(plan, other)[:1], together[:1]) < 1e-6


def test_runs_of_blocks_are_one_launch() -> None:
    from rszoo.networks.fused.packing import launches

    plan = planned(resnet(depth=20), (3, 8, 8))
    found = launches(plan, dtype=torch.float32, device=torch.device("cpu"))
    # Of each stage of three blocks: the first, with its three convolutions, then two at once.
    assert [len(one.steps) for one in found] == [1, 6, 1, 1, 1, 4, 1, 1, 1, 4]
    assert sum(len(one.done) for one in found) == len(found) - 1


# What the tests above would find: each of these is wrong somewhere.


def test_kernels_that_forget_the_border_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    if DEVICE.type == "cuda":
        pytest.skip("a kernel is changed in the interpreter alone")
    from fused_without_border import values

    plan, x = drawn_plan(*PLANS["a block"]()), torch.rand(3, 3, 8, 8)
    assert distance(logits(plan, x), by_torch(plan, x)) < EXACT
    monkeypatch.setattr("rszoo.networks.fused.kernels._values", values)
    assert distance(logits(plan, x), by_torch(plan, x)) > 0.01


def test_a_plan_without_the_mean_or_with_a_black_border_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plan, x = drawn_plan(step(16, 16, source=0)), torch.rand(3, 3, 8, 8)
    nothing = replace(plan, mean=torch.zeros_like(plan.mean))
    assert distance(logits(nothing, x), by_torch(plan, x)) > 0.01
    # Standardisation folded into weights and bias is exact inside, and wrong at the border.
    first = plan.steps[0]
    weight = first.weight / plan.std.view(-1, 1, 1)
    bias = first.bias - (weight.sum((2, 3)) @ plan.mean)
    folded = replace(
        nothing,
        std=torch.ones_like(plan.std),
        steps=(replace(first, weight=weight, bias=bias), *plan.steps[1:]),
    )
    assert first.source == IMAGES
    assert distance(logits(folded, x), by_torch(plan, x)) > 0.01


def test_the_compiler_takes_the_kernels_without_a_gpu(tmp_path: Path) -> None:
    """The interpreter takes more than the compiler: here is what a GPU would run, in bfloat16."""
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    script = Path(__file__).with_name("fused_compiled.py")
    done = subprocess.run(
        [sys.executable, str(script), "90"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == 5
    for taken in found.values():
        assert taken["stack"] == 0  # every number has a register
        assert taken["shared"] < 48 * 1024
