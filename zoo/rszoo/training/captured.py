"""Steps of training that are recorded once and replayed: one launch in place of a thousand.

A CUDA graph holds the kernels of one step, with their arguments: addresses of memory and numbers
of Python, as they were when it was captured (https://docs.pytorch.org/docs/stable/notes/cuda.html,
"CUDA Graphs"). A replay runs them again. What changes from step to step must therefore be in
memory that stays where it is:

- the batch is copied into buffers (all batches of a training are of one size);
- the learning rate is a scalar on the device, which the fused optimisers read, in float32;
- the sum of the losses is `Step.total`, which nobody reads in between;
- weights, statistics and the optimiser's state are changed in place, and the state is there: the
  steps before the capture, which are steps of the training like others, have made it;
- gradients lie in the graph's own memory: they are set to None, and the backward pass makes them;
- random numbers: the device's generator knows of the graph, and gives each replay its seed and
  the next of its numbers, as it would give them to the kernels one at a time
  (`CUDAGeneratorState::replay_prologue` in torch's CUDAGeneratorImpl.cpp). A new seed before an
  epoch is that of the replays that follow.

The progress is a number, so that one capture serves for as long as the loss does not turn on it:
for one phase of the method (`rszoo.methods`). During a warm-up each step is of another phase, and
is taken one kernel at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor
from torch.optim import Optimizer

from rszoo.networks.cuda_graphs import BEFORE, Graphs
from rszoo.training.step import Step

__all__ = ["Captured"]


class Captured:
    """A step that is captured when it has been taken a few times, and replayed from then on.

    Attributes:
        replays: steps that were replayed.
    """

    def __init__(self, step: Step, graphs: Graphs) -> None:
        """Make a step for batches of one size."""
        self.replays = 0
        self._possible = True
        self._step, self._graphs = step, graphs
        self._buffers: list[Tensor] = []
        self._lr = torch.zeros((), dtype=torch.float32, device=step.total.device)
        self._phase: object = object()  # equal to none
        self._launched = 0
        self._replay: Callable[[], None] | None = None

    def __call__(
        self,
        batch: Sequence[Tensor],
        *,
        progress: float,
        lr: float,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Take the step of a batch.

        Args:
            batch: as `Step.gradients` takes it.
            progress: share of the training that is done after this step.
            lr: learning rate.
            check: called after the step, into which nobody can look.

        Raises:
            RszooError: what seemed to be possible to capture was not.
        """
        self._lr.fill_(lr)
        if self._buffers:
            for buffer, tensor in zip(self._buffers, batch, strict=True):
                buffer.copy_(tensor)
        else:
            self._buffers = [tensor.clone() for tensor in batch]
        self._enter(progress)
        if self._replay is None and self._possible and self._launched == BEFORE:
            with _capturable(self._step.optimizer):
                self._replay = self._graphs.capture(partial(self._take, progress))
        if self._replay is None:
            self._launch(progress)
        else:
            self._replay()
            self.replays += 1
        if check is not None:
            check()

    def _enter(self, progress: float) -> None:
        """Forget the capture where the loss is another one from here on."""
        phase = self._step.method.phase
        current = phase(progress) if phase else progress
        if current != self._phase:
            self._phase, self._launched, self._replay = current, 0, None

    def _launch(self, progress: float) -> None:
        self._launched += 1
        watched = self._possible and self._launched == BEFORE
        can = self._graphs.launch(partial(self._take, progress), watched=watched)
        self._possible = self._possible and can

    def _take(self, progress: float) -> None:
        self._step.gradients(self._buffers, progress=progress)
        self._step.update(lr=self._lr)


@contextmanager
def _capturable(optimizer: Optimizer) -> Iterator[None]:
    """Let an optimiser be captured: AdamW refuses unless told, and warns of it elsewhere.

    Fused, it computes the same either way: its count of steps is on the device in any case.
    """
    groups = [group for group in optimizer.param_groups if "capturable" in group]
    for group in groups:
        group["capturable"] = True
    try:
        yield
    finally:
        for group in groups:
            group["capturable"] = False
