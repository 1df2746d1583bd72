"""What a noise scheme is: a way to draw the noise of certificates, which their log names."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from rszoo.smoothing.noise import CHUNK, input_seed

__all__ = ["Drawing", "Scheme"]


class Drawing(Protocol):
    """A function that draws a chunk of flat draws."""

    def __call__(
        self, numbers: int, *, seed: int, chunk: int, device: torch.device, dtype: torch.dtype
    ) -> Tensor:
        """Return the standard normal draws of one chunk, `[CHUNK, numbers]`, contiguous.

        Args:
            numbers: of one draw.
            seed: of the input, from `Scheme.seed_of`.
            chunk: its number, counted through all streams.
            device: where the draws are to be.
            dtype: float32, or float64 for sound certificates.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Scheme:
    """A noise scheme; each is a file of `rszoo.smoothing.schemes`.

    Guarantee:
        A chunk is a function of its arguments alone, whatever else is drawn before, after or at
        the same time.

    Attributes:
        name: in the protocol of a log; what changes a draw changes the name.
        seed_bits: of the seeds of inputs.
        everywhere: whether draws are the same, to the last bit, on every device.
        draw: draws a chunk.
    """

    name: str
    seed_bits: int
    everywhere: bool
    draw: Drawing

    def seed_of(self, x: Tensor, seed: int) -> int:
        """Return the seed of one input, see `rszoo.smoothing.noise.input_seed`."""
        return input_seed(x, seed, bits=self.seed_bits)

    def chunk(
        self,
        shape: torch.Size,
        *,
        seed: int,
        chunk: int,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> Tensor:
        """Return the `CHUNK` standard normal draws of one chunk, `[CHUNK, *shape]`.

        Images (`[C, H, W]`) come in channels-last memory, which the convolutions want; numbers are
        drawn in the order of memory.

        Guarantee:
            Those of the scheme's function `draw`.

        Args:
            shape: of the input.
            seed, chunk, device, dtype: as in `Drawing`.
        """
        flat = self.draw(shape.numel(), seed=seed, chunk=chunk, device=device, dtype=dtype)
        if len(shape) == 3:
            channels, height, width = shape
            return flat.view(CHUNK, height, width, channels).permute(0, 3, 1, 2)
        return flat.view(CHUNK, *shape)
