"""The one training loop. It knows nothing of methods, files or tracking.

Every random choice of an epoch (order, augmentation, noise) follows from (seed, epoch, rank), so
that training resumed after any epoch is the uninterrupted training.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from rszoo.data import ImageSet
from rszoo.errors import RszooError
from rszoo.methods import Method
from rszoo.networks.cuda_graphs import Graphs
from rszoo.networks.execution import autocast, evaluation_mode
from rszoo.networks.fused.attackable import Attackable
from rszoo.smoothing.noise import gaussian_copies
from rszoo.training.batches import Batch, Batches
from rszoo.training.captured import Captured
from rszoo.training.checkpoint import TrainingState
from rszoo.training.distributed import ALONE, Processes
from rszoo.training.recipes.sections.common import TrainSpec
from rszoo.training.refresh import refreshed
from rszoo.training.schedule import learning_rate
from rszoo.training.seeds import derived_seed
from rszoo.training.step import Step

__all__ = ["Epoch", "build_optimizer", "fit", "noisy_accuracy"]

# A GPU is asked whether the loss is finite only now and then: asking makes it wait.
_STEPS_BETWEEN_CHECKS = 50


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """The outcome of one epoch.

    Attributes:
        number: completed epochs, from 1.
        loss: mean training loss.
        lr: learning rate of the last step.
        images_per_second: training images (not noise copies) per second, over all processes.
    """

    number: int
    loss: float
    lr: float
    images_per_second: float


def build_optimizer(network: nn.Module, train: TrainSpec) -> Optimizer:
    """Return the optimiser that a recipe asks for."""
    if train.optimizer == "sgd":
        return SGD(
            network.parameters(),
            lr=train.lr,
            momentum=train.momentum,
            nesterov=train.nesterov,
            weight_decay=train.weight_decay,
            fused=True,
        )
    return AdamW(network.parameters(), lr=train.lr, weight_decay=train.weight_decay, fused=True)


def fit(
    state: TrainingState,
    method: Method,
    images: ImageSet,
    *,
    train: TrainSpec,
    sigma: float,
    seed: int,
    precision: str,
    per_example: Mapping[str, Tensor] = MappingProxyType({}),
    sigmas: Tensor | None = None,
    processes: Processes = ALONE,
    graphs: Graphs | None = None,
    attackable: Attackable | None = None,
    on_step: Callable[[], None] = lambda: None,
    on_refresh: Callable[[float], None] = lambda share: None,
) -> Iterator[Epoch]:
    """Train from `state.epoch` to the last epoch; yield after each one.

    Args:
        state: network (on its device) and optimiser; advanced in place.
        method: with its weights bound (`rszoo.methods.load`).
        images: the training set, on the network's device.
        train: the recipe's `train` block.
        sigma: noise level.
        seed: run seed.
        precision: "float32" or "bfloat16", for the network; noise and losses are float32.
        per_example: what the method needs beyond images and labels, by name, each `[N, ...]`;
            `sampling_weights` decide how often an image is drawn.
        sigmas: noise level of each image, `[N]`, for methods that take them; None: sigma.
        processes: who trains together; `train.batch_size` is the total of all.
        graphs: captures steps (`rszoo.training.captured`); None takes all one kernel at a time.
        attackable: the network, whose attacks fused kernels evaluate; None: PyTorch does.
        on_step: called after every step.
        on_refresh: called with the share that is done while per-example data are renewed.

    Raises:
        RszooError: the batch cannot be dealt out evenly, or the loss is not finite.
    """
    batches = Batches.of(images, train, seed=seed, processes=processes)
    shared = sigma if sigmas is None else None
    how = {"precision": precision, "processes": processes, "attackable": attackable}
    step = Step.of(state, method, train, sigma=shared, **how)
    lesson = _Lesson(step, batches, per_example, sigma, sigmas)
    captured = None if graphs is None else Captured(step, graphs)
    state.network.train()
    for epoch in range(state.epoch, train.epochs):
        started = time.perf_counter()
        if method.renews and method.refreshes_before(epoch, train.epochs):
            state.renewed[method.renews] = lesson.renewed(state, epoch, on_refresh)
        lr = _steps(captured or step, lesson, lesson.values(state), train, epoch, on_step)
        processes.average_statistics(state.network)
        took = time.perf_counter() - started
        state.epoch, state.seconds = epoch + 1, state.seconds + took
        state.captured |= captured is not None and captured.replays > 0
        state.fused |= attackable is not None and attackable.attacked
        yield Epoch(
            number=state.epoch,
            loss=processes.sum(step.total / (batches.steps * processes.world)).item(),
            lr=lr,
            images_per_second=batches.steps * batches.size / took,
        )


@dataclass(frozen=True)
class _Lesson:
    """What a method is given in every step; `fit` has the rest of it.

    Attributes:
        step: of the training.
        batches: of the training images.
        per_example: what the method needs beyond images and labels, as it is at first.
        sigma, sigmas: as `fit` takes them.
    """

    step: Step
    batches: Batches
    per_example: Mapping[str, Tensor]
    sigma: float
    sigmas: Tensor | None

    def values(self, state: TrainingState) -> dict[str, Tensor]:
        """Return the per-example data as they are now."""
        return {**self.per_example, **state.renewed}

    def renewed(
        self, state: TrainingState, epoch: int, on_progress: Callable[[float], None]
    ) -> Tensor:
        """Return the new values of what the method renews before an epoch, `[N, ...]`."""
        name = self.step.method.renews
        assert name is not None  # that is what it is called for
        return refreshed(
            self.step.method,
            state.network,
            self.batches.images,
            self.values(state)[name],
            sigma=self.sigma,
            first=name not in state.renewed,
            seed=derived_seed(self.batches.seed, epoch, "refresh"),
            precision=self.step.precision,
            processes=self.batches.processes,
            on_progress=on_progress,
        )

    def given(self, batch: Batch, values: Mapping[str, Tensor]) -> list[Tensor]:
        """Return what the step takes of a batch."""
        indices, x, y = batch
        extra = [values[name][indices] for name in self.step.method.takes]
        return [x, y, *extra, *([] if self.sigmas is None else [self.sigmas[indices]])]


def _steps(
    take: Step | Captured,
    lesson: _Lesson,
    values: Mapping[str, Tensor],
    train: TrainSpec,
    epoch: int,
    on_step: Callable[[], None],
) -> float:
    """Take the steps of an epoch, whose losses are the step's total then; return the last rate."""
    steps, total, lr = lesson.batches.steps, lesson.step.total.zero_(), train.lr
    batches = lesson.batches.of_epoch(epoch, weights=values.get("sampling_weights"))
    for step, batch in enumerate(batches, start=1):
        done = epoch * steps + step
        progress = done / (train.epochs * steps)
        lr = learning_rate(train, epoch=epoch, progress=progress)

        look = total.device.type == "cpu" or step == steps or step % _STEPS_BETWEEN_CHECKS == 0
        check = partial(_check_finite, total, step=done, epoch=epoch + 1) if look else None
        take(lesson.given(batch, values), progress=progress, lr=lr, check=check)
        on_step()
    return lr


def _check_finite(total: Tensor, *, step: int, epoch: int) -> None:
    if not math.isfinite(total.item()):
        raise RszooError(
            f"expected a finite loss, got {total.item()} by step {step} (epoch {epoch}); the last "
            "checkpoint is intact: lower train.lr, or set train.clip_norm, and train again"
        )


@torch.inference_mode()
def noisy_accuracy(
    network: nn.Module,
    images: ImageSet,
    *,
    sigma: float,
    seed: int,
    precision: str,
    indices: Tensor | None = None,
) -> float:
    """Return the accuracy under one noise draw per image: monitored, never used to choose.

    Args:
        network, images: on one device.
        sigma: noise level.
        seed: of the noise.
        precision: in which the network runs.
        indices: of the images to look at; None takes all.
    """
    chosen = torch.arange(len(images)) if indices is None else indices
    device = next(network.parameters()).device
    right = torch.zeros((), dtype=torch.int64, device=device)
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(cuda), evaluation_mode(network), autocast(device, precision):
        torch.manual_seed(derived_seed(seed, "accuracy"))
        for _, x, y in images.batches(chosen, 250):
            noisy = x + gaussian_copies(x, 1, sigma)[0]
            right += (network(noisy).argmax(1) == y).sum()
    return right.item() / len(chosen)
