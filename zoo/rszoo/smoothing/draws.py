"""The noisy copies of one input, drawn a chunk at a time, and what a network votes on them."""

from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from threading import Event

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.networks.execution import autocast
from rszoo.smoothing.lattice import add_on_lattice
from rszoo.smoothing.noise import CHUNK, Stream
from rszoo.smoothing.scheme import Scheme

__all__ = ["Draws"]


@dataclass(kw_only=True)
class Draws:
    """The draws of one input in one stream, by their numbers from 0.

    Attributes:
        network: in eval mode; maps `[B, *shape]` to logits `[B, num_classes]`.
        x: the input, float32, without a batch axis.
        sigma: standard deviation of the noise.
        scheme: by which noise is drawn.
        seed: run seed.
        stream: which noise to use.
        num_classes: number of classes.
        precision: in which the network runs.
        sound: draw on the lattice of 8-bit pixels.
        batch_size: noisy inputs per forward.
    """

    network: nn.Module
    x: Tensor
    sigma: float
    scheme: Scheme
    seed: int
    stream: Stream
    num_classes: int
    precision: str
    sound: bool
    batch_size: int
    _chunk: tuple[int, Tensor] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._own_seed = self.scheme.seed_of(self.x, self.seed)

    def count(self, piece: range) -> Tensor:
        """Return the votes in a piece of a chunk, `[num_classes + 1]`, by class.

        The last number is of draws whose logits are NaN. Pieces are asked for in order, as a chunk
        is drawn once for all of its pieces.
        """
        index = piece.start // CHUNK
        if self._chunk is None or self._chunk[0] != index:
            self._chunk = None
            self._chunk = index, self._noise(index)
        return self._count(piece, self._chunk[1], Event())

    @torch.inference_mode()
    def count_alone(self, piece: range, stop: Event) -> Tensor:
        """Return what `count` does, in any order and in any thread.

        Raises:
            CancelledError: `stop` was set.
        """
        return self._count(piece, self._noise(piece.start // CHUNK), stop)

    def _count(self, piece: range, chunk: Tensor, stop: Event) -> Tensor:
        start = piece.start % CHUNK
        noise = chunk[start : start + len(piece)]
        if self.sound:
            noisy = add_on_lattice(self.x, noise, self.sigma)
        else:
            noisy = noise.mul_(self.sigma).add_(self.x)
        votes = torch.zeros(self.num_classes + 1, dtype=torch.int64, device=self.x.device)
        # Not around a loop that yields: a generator leaves inference mode at each yield, and with
        # it, for good, every autocast that it entered within.
        with autocast(self.x.device, self.precision):
            for batch in noisy.split(self.batch_size):
                if stop.is_set():
                    raise CancelledError
                largest, answers = self._logits(batch).max(1)
                votes[-1] += largest.isnan().sum()
                # Unlike bincount, this does not make a GPU wait for the host.
                votes.scatter_add_(0, answers, torch.ones_like(answers))
        return votes

    def _noise(self, index: int) -> Tensor:
        return self.scheme.chunk(
            self.x.shape,
            seed=self._own_seed,
            chunk=self.stream + index,
            device=self.x.device,
            dtype=torch.float64 if self.sound else torch.float32,
        )

    def _logits(self, batch: Tensor) -> Tensor:
        logits = self.network(batch)
        if logits.shape != (len(batch), self.num_classes):
            raise RszooError(
                f"expected logits of shape {(len(batch), self.num_classes)} from the network, got "
                f"{tuple(logits.shape)}; check num_classes"
            )
        return logits
