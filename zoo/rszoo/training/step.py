"""One step of training: the gradients of a batch, and the update of the weights along them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from rszoo.methods import Method
from rszoo.networks.execution import autocast
from rszoo.networks.fused.attackable import Attackable
from rszoo.training.checkpoint import TrainingState
from rszoo.training.distributed import ALONE, Processes
from rszoo.training.recipes.sections.common import TrainSpec

__all__ = ["Step"]


@dataclass(frozen=True, kw_only=True)
class Step:
    """The step of a training, the same for all of its batches.

    Attributes:
        network: what learns.
        optimizer: of the network.
        method: with its weights bound.
        sigma: noise level of all images; None where a batch has a level for each.
        precision: "float32" or "bfloat16", for the network.
        clip_norm: largest L2 norm of the whole gradient; None for no limit.
        total: sum of the losses, a float64 scalar on the device, to which every step adds.
        processes: who trains together.
        attackable: the network, as methods get it whose attacks call fused kernels; None for the
            network itself.
    """

    network: nn.Module
    optimizer: Optimizer
    method: Method
    sigma: float | None
    precision: str
    clip_norm: float | None
    total: Tensor
    processes: Processes
    attackable: Attackable | None

    @classmethod
    def of(
        cls,
        state: TrainingState,
        method: Method,
        train: TrainSpec,
        *,
        sigma: float | None,
        precision: str,
        processes: Processes = ALONE,
        attackable: Attackable | None = None,
    ) -> "Step":
        """Return the step of a training, whose total is 0."""
        device = next(state.network.parameters()).device
        return cls(
            network=state.network,
            optimizer=state.optimizer,
            method=method,
            sigma=sigma,
            precision=precision,
            clip_norm=train.clip_norm,
            total=torch.zeros((), dtype=torch.float64, device=device),
            processes=processes,
            attackable=attackable,
        )

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
            batch: as `gradients` takes it.
            progress: share of the training that is done after this step.
            lr: learning rate.
            check: called when the loss is in the total, before the weights change.
        """
        self.gradients(batch, progress=progress)
        if check is not None:
            check()
        self.update(lr=lr)

    def gradients(self, batch: Sequence[Tensor], *, progress: float) -> None:
        """Make the gradients of a batch, and add its loss to the total.

        Args:
            batch: images, labels, the per-example data that the method takes, and a noise level
                for each image where `sigma` is None.
            progress: share of the training that is done after this step.
        """
        x, y, *extra = batch
        sigma = extra.pop() if self.sigma is None else self.sigma
        with autocast(x.device, self.precision):
            model = self.attackable or self.network
            value = self.method.loss(model, x, y, *extra, sigma=sigma, progress=progress)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        self.total.add_(value.detach())

    def update(self, *, lr: float | Tensor) -> None:
        """Take one step of the optimiser along the gradients of all processes."""
        self.processes.average_gradients(self.network)
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
