"""Noise of torch's own generator, which is seeded anew for each chunk.

Draws are a function of (seed, input, chunk), but on one kind of device: the generators of CPUs and
CUDA differ, and that of CUDA among GPUs of other sizes (`rszoo.evaluation.repetition`). What
follows a normal number's uniform ones is rounded as the processor at hand does it.
"""

import torch
from torch import Tensor

from rszoo.smoothing.noise import CHUNK
from rszoo.smoothing.scheme import Scheme
from rszoo.theory.box_muller import unreached_share

__all__ = ["SCHEME", "generator_shortfall"]


def _mix(k: int) -> int:
    """Return the 32-bit finaliser of MurmurHash3: a bijection, so that no two chunks collide."""
    k ^= k >> 16
    k = k * 0x85EBCA6B & 0xFFFFFFFF
    k ^= k >> 13
    k = k * 0xC2B2AE35 & 0xFFFFFFFF
    return k ^ k >> 16


def _draw(
    numbers: int, *, seed: int, chunk: int, device: torch.device, dtype: torch.dtype
) -> Tensor:
    """Return a chunk; see `rszoo.smoothing.scheme.Drawing`.

    Guarantee:
        - Within one input all chunks are seeded differently. torch's CPU generator uses only 32
          bits of a seed, so the seeds are 32-bit numbers and distinct by construction.
        - The numbers are standard normal but for their rounding, and but for what is far out and
          never drawn, see `generator_shortfall`.
    """
    generator = torch.Generator(device=device).manual_seed(seed ^ _mix(chunk))
    noise = torch.empty((CHUNK, numbers), device=device, dtype=dtype)
    return noise.normal_(generator=generator)


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


#: Noise of torch's generator, the scheme of new logs on a CPU, and of all logs of before.
SCHEME = Scheme(name=f"sha256-fmix32-{CHUNK}", seed_bits=32, everywhere=False, draw=_draw)
