"""The noise: reproducible, distinct, normal with the right scale, independent, in the right order.

Statistical tests have a fixed seed; each comes with a control that must be rejected.
"""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kstest
from torch import Tensor

from rszoo.smoothing.noise import (
    CHUNK,
    Stream,
    gaussian_copies,
    input_seed,
)
from rszoo.smoothing.schemes.generator import SCHEME, _mix, generator_shortfall

CPU = torch.device("cpu")


def chunk(index: int, *, seed: int = 1, shape: tuple[int, ...] = (2, 3, 4)) -> Tensor:
    return SCHEME.chunk(torch.Size(shape), seed=seed, chunk=index, device=CPU)


def test_a_chunk_is_a_function_of_its_seed_and_number() -> None:
    first = chunk(5)
    torch.manual_seed(99)  # the global generator has no say, and is left alone
    before = torch.get_rng_state()
    chunk(6)
    assert torch.equal(chunk(5), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert first.shape == (CHUNK, 2, 3, 4)
    assert first.dtype == torch.float32


def test_no_two_chunks_of_any_streams_have_one_seed() -> None:
    last = max(Stream)
    numbers = np.arange(last + (1 << 20), dtype=np.uint64)  # every chunk of every stream
    mixed = _mix(numbers.copy())
    sample = [0, 1, Stream.ESTIMATION, Stream.PREDICTION + 7, len(numbers) - 1]
    assert [int(mixed[k]) for k in sample] == [_mix(k) for k in sample]
    assert mixed.max() < 1 << 32
    ordered = np.sort(mixed.astype(np.uint32))
    assert not (ordered[1:] == ordered[:-1]).any()


def test_seeds_below_2_to_32_are_all_that_the_generator_tells_apart() -> None:
    # The reason for 32-bit seeds: distinct 64-bit ones would not mean distinct noise.
    def first(seed: int) -> Tensor:
        return torch.empty(16).normal_(generator=torch.Generator().manual_seed(seed))

    assert torch.equal(first(5), first(5 + (1 << 32)))
    assert not torch.equal(first(5), first(5 + (1 << 31)))


def test_streams_do_not_meet() -> None:
    assert sorted(Stream) == [i << 20 for i in range(6)]
    draws = [chunk(index) for index in (0, 1, *Stream)]
    draws[0] = chunk(2)
    flat = torch.cat(draws).flatten()
    # float32 holds about 2^24 normals: a few of these 120,000 coincide, whole chunks would not.
    assert len(flat.unique()) > 0.95 * len(flat)


def test_the_seed_of_an_input_depends_on_pixels_shape_and_run_seed() -> None:
    x = torch.rand(2, 3, 4)
    nudged = x.clone()
    nudged[1, 2, 3] = torch.nextafter(nudged[1, 2, 3], torch.tensor(2.0))
    seeds = [
        input_seed(x, 0),
        input_seed(x, 1),
        input_seed(x, -1),
        input_seed(nudged, 0),
        input_seed(x.flatten(), 0),
        input_seed(x.view(3, 2, 4), 0),
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 1 << 32 for seed in seeds)


def test_the_seed_of_an_input_does_not_depend_on_how_it_is_stored() -> None:
    x = torch.rand(3, 4, 5)
    expected = input_seed(x, 7)
    permuted = x.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert not permuted.is_contiguous()
    assert input_seed(permuted, 7) == expected
    assert input_seed(x.double(), 7) == expected
    assert input_seed(x.clone().requires_grad_(), 7) == expected


def test_the_seed_of_an_input_is_pinned() -> None:
    # A change here changes every count ever logged: it needs a new SCHEME.
    assert input_seed(torch.arange(6).view(1, 2, 3) / 8, 3) == 1375683862
    assert [_mix(k) for k in (0, 1, 1 << 20)] == [0, 0x514E28B7, 4026191075]


def p_value(sample: Tensor, scale: float) -> float:
    return float(kstest(sample.flatten().double().numpy() / scale, "norm").pvalue)


@pytest.mark.parametrize("shape", [(3, 4, 5), (40,)])
def test_the_draws_are_standard_normal(shape: tuple[int, ...]) -> None:
    sample = chunk(3, shape=shape)
    assert p_value(sample, 1.0) > 0.001
    assert p_value(sample, 2 / 3) < 1e-12
    assert p_value(sample, 3 / 2) < 1e-12
    assert p_value(sample.abs(), 1.0) < 1e-12


def test_each_pixel_is_normal_over_the_draws() -> None:
    sample = torch.cat([chunk(index, shape=(1, 2, 2)) for index in range(5)])
    for pixel in sample.flatten(1).T:
        assert p_value(pixel, 1.0) > 0.001


def largest_correlation(rows: Tensor) -> float:
    correlations = torch.corrcoef(rows)
    return float((correlations - torch.eye(len(rows))).abs().max())


def test_chunks_inputs_and_pixels_are_uncorrelated() -> None:
    chunks = [chunk(stream + index) for stream in Stream for index in range(4)]
    inputs = [chunk(0, seed=seed) for seed in range(2, 12)]
    rows = torch.stack(chunks + inputs).flatten(1)
    bound = 6 / rows.shape[1] ** 0.5
    assert largest_correlation(rows) < bound
    pixels = torch.stack(chunks).flatten(0, 1).flatten(1).T
    assert largest_correlation(pixels) < 6 / pixels.shape[1] ** 0.5
    # Control: one chunk that repeats a tenth of another.
    rows[3, : rows.shape[1] // 10] = rows[2, : rows.shape[1] // 10]
    assert largest_correlation(rows) > bound


def test_images_come_in_channels_last_memory() -> None:
    assert chunk(0).is_contiguous(memory_format=torch.channels_last)
    assert chunk(0, shape=(7,)).is_contiguous()


@pytest.mark.parametrize("shape", [(5, 3, 4, 4), (5, 7)])
def test_copies_are_one_draw_each_at_scale_sigma(shape: tuple[int, ...]) -> None:
    copies = gaussian_copies(torch.rand(shape), 40, 0.25)
    assert copies.shape == (40, *shape)
    assert copies.dtype == torch.float32
    assert p_value(copies, 0.25) > 0.001
    assert p_value(copies, 0.25 * 2 / 3) < 1e-6
    assert p_value(copies, 0.25 * 3 / 2) < 1e-6
    rows = copies.flatten(0, 1).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)


def test_copies_come_from_the_global_generator() -> None:
    x = torch.rand(2, 3, 4, 4)
    torch.manual_seed(3)
    first, second = gaussian_copies(x, 2, 1.0), gaussian_copies(x, 2, 1.0)
    torch.manual_seed(3)
    assert torch.equal(gaussian_copies(x, 2, 1.0), first)
    assert not torch.equal(first, second)


def test_noisy_copies_of_images_are_one_channels_last_batch() -> None:
    x = torch.rand(2, 3, 4, 5)
    noise = gaussian_copies(x, 3, 0.5)
    batch = (x.to(memory_format=torch.channels_last) + noise).flatten(0, 1)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(batch[4], x[0] + noise[2, 0])


def test_copies_of_half_precision_images_are_drawn_in_float32() -> None:
    assert gaussian_copies(torch.rand(2, 1, 2, 2).bfloat16(), 2, 1.0).dtype == torch.float32


@pytest.mark.parametrize(
    ("dtype", "bits", "furthest", "rounding"),
    [(torch.float32, 24, 5.7682, 1e-6), (torch.float64, 53, 8.5717, 1e-14)],
)
def test_the_generator_ends_where_its_uniform_numbers_do(
    dtype: torch.dtype, bits: int, furthest: float, rounding: float
) -> None:
    """Normal numbers are those of Box and Muller, from multiples of 2^-bits below 1."""

    def generator() -> torch.Generator:
        return torch.Generator().manual_seed(11)

    uniform = torch.empty(2**20, dtype=dtype).uniform_(generator=generator())
    whole = uniform.double() * 2.0**bits
    assert torch.equal(whole, whole.round())
    assert whole.max() <= 2.0**bits - 1
    normal = torch.empty(2**20, dtype=dtype).normal_(generator=generator())
    u, v = uniform.double().view(-1, 2, 8).unbind(1)
    norm = (-2 * torch.log1p(-u)).sqrt()
    pairs = torch.stack([norm * (2 * math.pi * v).cos(), norm * (2 * math.pi * v).sin()], 1)
    torch.testing.assert_close(normal.double(), pairs.flatten(), atol=2 * rounding, rtol=rounding)
    assert math.sqrt(-2 * math.log(2.0**-bits)) == pytest.approx(furthest, abs=1e-4)


def test_the_share_that_is_never_drawn() -> None:
    """Two normal numbers have a norm beyond r with probability exp(-r^2 / 2)."""
    for dtype, furthest in ((torch.float32, 5.76810754640353), (torch.float64, 8.57167434865291)):
        pair = math.exp(-(furthest**2) / 2)
        for numbers in (2, 64, 784, 3072, 3 * 224 * 224):
            exact = -math.expm1(numbers / 2 * math.log1p(-pair))
            assert generator_shortfall(numbers, dtype=dtype) == pytest.approx(exact, rel=1e-9)
    assert generator_shortfall(3 * 224 * 224) == pytest.approx(4.48e-3, rel=1e-3)
    assert generator_shortfall(3 * 224 * 224, dtype=torch.float64) < 1e-11


def test_the_range_is_that_of_certificates() -> None:
    """As far out as a uniform number of 20 bits: it is reached, and rarely passed."""
    noise = SCHEME.chunk(torch.Size((3, 32, 32)), seed=1, chunk=0, device=torch.device("cpu"))
    flat = noise.permute(0, 2, 3, 1).reshape(-1, 2, 8)
    norms = flat.double().square().sum(1).sqrt()
    assert norms.max() <= 5.7682
    beyond = int((norms > math.sqrt(2 * 20 * math.log(2))).sum())
    assert 0 < beyond < 10  # of 1,536,000 pairs, 1.46 are expected
