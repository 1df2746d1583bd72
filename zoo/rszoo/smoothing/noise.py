"""All Gaussian noise is drawn here: for certification by chunks, for training by copies.

Certification noise is a function of (seed, input, chunk) alone. Sharding, resuming, the number of
inputs and the engine therefore cannot change a count (on one kind of device: the generators of
CPUs and CUDA differ, and that of CUDA among GPUs of other sizes, `rszoo.evaluation.repetition`).
The input enters by a digest of its pixels, not by its place in a list.
"""

import hashlib
import secrets
from enum import IntEnum

import torch
from torch import Tensor

from rszoo.theory.box_muller import unreached_share

__all__ = [
    "CHUNK",
    "SCHEME",
    "STREAM_CHUNKS",
    "Stream",
    "gaussian_copies",
    "generator_shortfall",
    "input_seed",
    "random_seed",
    "standard_normal_chunk",
]

#: Draws per chunk: the unit in which noise is seeded, and in which work can be divided.
CHUNK = 1000

#: Written into every certification log: a change of the scheme changes every count.
SCHEME = f"sha256-fmix32-{CHUNK}"


#: Chunks of one stream: a little over 10^9 draws.
STREAM_CHUNKS = 1 << 20


class Stream(IntEnum):
    """The first chunk of each use of noise: uses never share a draw."""

    SELECTION = 0
    ESTIMATION = STREAM_CHUNKS
    PREDICTION = 2 * STREAM_CHUNKS
    ROUTER_SELECTION = 3 * STREAM_CHUNKS
    ROUTER_ESTIMATION = 4 * STREAM_CHUNKS
    SEARCH = 5 * STREAM_CHUNKS


def random_seed() -> int:
    """Return a seed of 32 bits that nobody could know: no network or input was made for it."""
    return secrets.randbits(32)


def input_seed(x: Tensor, seed: int) -> int:
    """Return 32 bits that depend on the pixels and shape of one input, and on `seed`."""
    pixels = x.detach().to("cpu", torch.float32).contiguous()
    digest = hashlib.sha256(f"{seed}:{tuple(x.shape)}:".encode())
    digest.update(pixels.numpy().tobytes())
    return int.from_bytes(digest.digest()[:4], "little")


def _mix(k: int) -> int:
    """Return the 32-bit finaliser of MurmurHash3: a bijection, so that no two chunks collide."""
    k ^= k >> 16
    k = k * 0x85EBCA6B & 0xFFFFFFFF
    k ^= k >> 13
    k = k * 0xC2B2AE35 & 0xFFFFFFFF
    return k ^ k >> 16


def standard_normal_chunk(
    shape: torch.Size,
    *,
    input_seed: int,
    chunk: int,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> Tensor:
    """Return the `CHUNK` standard normal draws of one chunk, `[CHUNK, *shape]`.

    Images (`[C, H, W]`) come in channels-last memory, which the convolutions want.

    Guarantee:
        - Within one input all chunks are seeded differently. torch's CPU generator uses only 32
          bits of a seed, so the seeds are 32-bit numbers and distinct by construction.
        - The numbers are standard normal but for their rounding, and but for what is far out and
          never drawn, see `generator_shortfall`.
    """
    generator = torch.Generator(device=device).manual_seed(input_seed ^ _mix(chunk))
    if len(shape) == 3:
        channels, height, width = shape
        noise = torch.empty((CHUNK, height, width, channels), device=device, dtype=dtype)
        return noise.normal_(generator=generator).permute(0, 3, 1, 2)
    return torch.empty((CHUNK, *shape), device=device, dtype=dtype).normal_(generator=generator)


# The smallest uniform number of torch's generators, by kind of device and of number. That of a CPU
# is tried by the tests; that of CUDA is from the source of cuRAND (curand_normal.h, version 13).
_SMALLEST = {
    ("cpu", torch.float32): 2.0**-24,
    ("cpu", torch.float64): 2.0**-53,
    ("cuda", torch.float32): 2.0**-33,
    ("cuda", torch.float64): 2.0**-54,
}


def generator_shortfall(
    numbers: int, *, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> float:
    """Return the share of the Gaussian that lies further out than a generator reaches.

    Two numbers at a time are made of two uniform ones, u and v, as `rszoo.theory.box_muller` has
    it. On a CPU u is a multiple of 2^-24, in float64 of 2^-53: their norm is 5.77 at most, or
    8.57. Two normal numbers have a larger one with a probability of just 2^-24, or 2^-53.

    Guarantee:
        The probability of an event that does not turn on how numbers are rounded differs by this
        at most between the generator's noise and the Gaussian. Certificates do not subtract it: of
        a network that is made to answer otherwise so far out, they may exceed the truth. Far out
        rounding is coarse, see `rszoo.theory.box_muller.coarse_share`; with float64 neither
        matters.

    Args:
        numbers: of an image, channels x height x width.
        dtype: of the noise; float64 is that of sound certificates.
        device: "cpu" or "cuda".

    >>> f"{generator_shortfall(3 * 32 * 32):.1e}", f"{generator_shortfall(3 * 224 * 224):.1e}"
    ('9.2e-05', '4.5e-03')
    """
    return unreached_share(numbers, smallest=_SMALLEST[device, dtype])


def gaussian_copies(x: Tensor, m: int, sigma: float | Tensor) -> Tensor:
    """Return m independent noise tensors for a batch, `[m, *x.shape]`, for training.

    Drawn in float32 from the global generator, which the training loop seeds. Copies come first,
    so that `(x + noise).flatten(0, 1)` is one batch of m * B noisy images (in channels-last
    memory, when they are images).

    Args:
        x: `[B, ...]`.
        m: copies of each.
        sigma: standard deviation, for all or for each, `[B]`.
    """
    if isinstance(sigma, Tensor):
        sigma = sigma.view(-1, *[1] * (x.ndim - 1))
    if x.ndim == 4:
        batch, channels, height, width = x.shape
        noise = torch.randn((m * batch, height, width, channels), device=x.device)
        return noise.permute(0, 3, 1, 2).unflatten(0, (m, batch)).mul_(sigma)
    return torch.randn((m, *x.shape), device=x.device).mul_(sigma)
