"""The one training loop. It knows nothing of methods, files or tracking.

Every random choice of an epoch (order, augmentation, noise) follows from (seed, epoch, rank), so
that training resumed after any epoch is the uninterrupted training.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from rszoo.data import ImageSet
from rszoo.errors import RszooError
from rszoo.methods import Method
from rszoo.networks.execution import autocast, evaluation_mode
from rszoo.smoothing.noise import gaussian_copies
from rszoo.training.checkpoint import TrainingState
from rszoo.training.distributed import ALONE, Processes
from rszoo.training.recipes.sections.common import TrainSpec
from rszoo.training.refresh import refreshed
from rszoo.training.schedule import learning_rate
from rszoo.training.seeds import derived_seed

__all__ = ["Epoch", "build_optimizer", "fit", "noisy_accuracy"]

# A GPU is asked whether the loss is finite only now and then: asking makes it wait.
_STEPS_BETWEEN_CHECKS = 50


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """What one epoch came to.

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
    levels: Tensor | None = None,
    processes: Processes = ALONE,
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
        levels: noise level of each image, `[N]`, for methods that take them; None: sigma.
        processes: who trains together; `train.batch_size` is the total of all.
        on_step: called after every step.
        on_refresh: called with the share that is done while per-example data are renewed.

    Raises:
        RszooError: the batch cannot be dealt out evenly, or the loss is not finite.
    """
    batch_size = _shared_batch_size(train, images, processes)
    steps = len(images) // batch_size
    device = next(state.network.parameters()).device

    def renew(name: str, epoch: int) -> None:
        state.renewed[name] = refreshed(
            method,
            state.network,
            images,
            {**per_example, **state.renewed}[name],
            sigma=sigma,
            first=name not in state.renewed,
            seed=derived_seed(seed, epoch, "refresh"),
            precision=precision,
            processes=processes,
            on_progress=on_refresh,
        )

    state.network.train()
    for epoch in range(state.epoch, train.epochs):
        started = time.perf_counter()
        total = torch.zeros((), dtype=torch.float64, device=device)
        lr = train.lr
        if method.renews and method.refreshes_before(epoch, train.epochs):
            renew(method.renews, epoch)
        values = {**per_example, **state.renewed}
        batches = _epoch_batches(
            images,
            batch_size,
            epoch=epoch,
            weights=values.get("sampling_weights"),
            augment=train.augment,
            seed=seed,
            processes=processes,
        )
        for step, (indices, x, y) in enumerate(batches, start=1):
            done = epoch * steps + step
            progress = done / (train.epochs * steps)
            lr = learning_rate(train, epoch=epoch, progress=progress)
            extra = [values[name][indices] for name in method.takes]
            noise = sigma if levels is None else levels[indices]
            with autocast(device, precision):
                value = method.loss(state.network, x, y, *extra, sigma=noise, progress=progress)
            state.optimizer.zero_grad(set_to_none=True)
            value.backward()
            total += value.detach()
            if device.type == "cpu" or step == steps or step % _STEPS_BETWEEN_CHECKS == 0:
                _check_finite(total, step=done, epoch=epoch + 1)
            _update(state, lr=lr, clip_norm=train.clip_norm, processes=processes)
            on_step()
        processes.average_statistics(state.network)
        took = time.perf_counter() - started
        state.epoch, state.seconds = epoch + 1, state.seconds + took
        yield Epoch(
            number=state.epoch,
            loss=processes.sum(total / (steps * processes.world)).item(),
            lr=lr,
            images_per_second=steps * batch_size / took,
        )


def _shared_batch_size(train: TrainSpec, images: ImageSet, processes: Processes) -> int:
    batch_size = min(train.batch_size, len(images))
    if batch_size % processes.world:
        raise RszooError(
            f"expected a batch size that {processes.world} processes can share evenly, "
            f"got {batch_size}; change train.batch_size"
        )
    return batch_size


def _epoch_batches(
    images: ImageSet,
    batch_size: int,
    *,
    epoch: int,
    weights: Tensor | None,
    augment: str,
    seed: int,
    processes: Processes,
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Seed the noise of an epoch, and yield this process's share of its batches.

    The order, shuffled or drawn by weights, is cut into whole batches, of which every process
    takes an equal share.
    """
    shuffle = torch.Generator().manual_seed(derived_seed(seed, epoch, "order"))
    if weights is None:
        order = torch.randperm(len(images), generator=shuffle)
    elif weights.any():
        order = torch.multinomial(weights.cpu(), len(images), replacement=True, generator=shuffle)
    else:
        raise RszooError(
            f"epoch {epoch + 1}: expected training images with a sampling weight above 0, got "
            "none: the method gave all of them up; make it less strict"
        )
    steps = len(images) // batch_size
    shares = order[: steps * batch_size].view(steps, batch_size)
    mine = shares[:, processes.rank :: processes.world].flatten()
    torch.manual_seed(derived_seed(seed, epoch, "noise", processes.rank))
    generator = torch.Generator().manual_seed(derived_seed(seed, epoch, "augment", processes.rank))
    for indices, x, y in images.batches(
        mine, batch_size // processes.world, augment=augment, generator=generator
    ):
        yield indices, x.contiguous(memory_format=torch.channels_last), y


def _update(
    state: TrainingState, *, lr: float, clip_norm: float | None, processes: Processes
) -> None:
    """Take one step of the optimiser along the gradients of all processes."""
    processes.average_gradients(state.network)
    if clip_norm is not None:
        nn.utils.clip_grad_norm_(state.network.parameters(), clip_norm)
    for group in state.optimizer.param_groups:
        group["lr"] = lr
    state.optimizer.step()


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
