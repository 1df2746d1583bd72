"""What Gaussian noise is drawn from: for certification from seeds, for training by copies.

Certification noise is a function of (seed, input, chunk) alone, drawn by one of
`rszoo.smoothing.schemes`. Sharding, resuming, the number of inputs and the engine therefore cannot
change a count. The input enters by a digest of its pixels, not by its place in a list.
"""

import hashlib
import secrets
from enum import IntEnum

import torch
from torch import Tensor

__all__ = [
    "CHUNK",
    "STREAM_CHUNKS",
    "Stream",
    "gaussian_copies",
    "input_seed",
    "random_seed",
]

#: Draws per chunk: the unit in which noise is seeded, and in which work can be divided.
CHUNK = 1000

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


def input_seed(x: Tensor, seed: int, *, bits: int = 32) -> int:
    """Return 32 or 64 bits that depend on the pixels and shape of one input, and on `seed`."""
    pixels = x.detach().to("cpu", torch.float32).contiguous()
    digest = hashlib.sha256(f"{seed}:{tuple(x.shape)}:".encode())
    digest.update(pixels.numpy().tobytes())
    return int.from_bytes(digest.digest()[: bits // 8], "little")


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
