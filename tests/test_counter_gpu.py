"""Noise by counter on a GPU: that of a CPU, and so are the votes, up to the network's rounding."""

import pytest
import torch
from torch import nn

from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.schemes import counter

pytestmark = pytest.mark.gpu

SHAPE = (3, 32, 32)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_a_gpu_draws_the_numbers_of_a_cpu_to_the_last_bit(dtype: torch.dtype) -> None:
    assert counter.kernels_draw(torch.device("cuda"))
    for shape, chunk in ((SHAPE, Stream.ESTIMATION), ((3, 5, 7), 1), ((301,), Stream.SEARCH)):
        given = {"seed": 0xFEDCBA9876543210, "chunk": int(chunk), "dtype": dtype}
        on_gpu, on_cpu = (
            counter.SCHEME.chunk(torch.Size(shape), device=torch.device(device), **given)
            for device in ("cuda", "cpu")
        )
        assert on_gpu.device.type == "cuda"
        assert torch.equal(on_gpu.cpu(), on_cpu)


@pytest.mark.parametrize("sound", [False, True])
def test_networks_see_equal_inputs_and_answer_alike(sound: bool) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 10))
    options = {"sigma": 0.25, "num_classes": 10, "input_shape": SHAPE, "sound": sound}
    x, n = torch.randint(256, SHAPE) / 255, 20_000
    on_gpu, on_cpu = (
        SmoothedClassifier(network, **options, device=device, noise_scheme="counter").votes(x, n=n)
        for device in ("cuda", "cpu")
    )
    flips = sum(abs(one - other) for one, other in zip(on_gpu, on_cpu, strict=True)) / 2
    assert flips <= 1e-3 * n  # of draws where two classes are nearly equal
    assert SmoothedClassifier(network, **options, device="cuda").scheme is counter.SCHEME
