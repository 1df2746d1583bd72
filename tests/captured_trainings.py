"""Short trainings by every method, with and without captured steps."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rszoo import data, methods
from rszoo.data import ImageSet
from rszoo.methods import Method
from rszoo.networks.cuda_graphs import Graphs
from rszoo.networks.denoised import Denoising
from rszoo.networks.execution import place
from rszoo.networks.fused.attackable import Attackable, attackable
from rszoo.networks.mixing import Mix, MixingNetwork
from rszoo.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from rszoo.training.loop import build_optimizer, fit
from rszoo.training.recipes.sections.common import TrainSpec

#: Weights that make steps small, and warm-ups end in the seventh of 16 steps.
WEIGHTS: dict[str, dict[str, Any]] = {
    "adversarial": {"attack_steps": 2},
    "dual_rs": {"attack_steps": 2, "warmup": 0.4},
    "denoising": {"mse_share": 0.4},
    "hard_dropping": {"m": 2, "start": 0.4, "attack_steps": 1, "refreshes": 2, "drop_draws": 1},
    "insta_rs": {"refreshes": 1, "levels": 2, "search_steps": 1, "search_copies": 2},
    "macer": {"m": 2, "deferred": 0.4},
    "mart": {"attack_steps": 2},
    "mixing": {"attack_steps": 2},
    "mixing_standard": {"attack_steps": 2},
    "part": {"attack_steps": 2, "warmup": 0.4},
    "smoothadv": {"m": 2, "attack_steps": 2, "warmup": 0.4},
    "smoothadv_consistency": {"m": 2, "attack_steps": 2, "warmup": 0.4},
    "smoothmix": {"m": 2, "warmup": 0.4},
    "trades": {"attack_steps": 2},
}


def method_named(name: str) -> Method:
    return methods.load(name, **WEIGHTS.get(name, {}))


@cache
def some_digits(device: torch.device) -> ImageSet:
    """Return 67 digits: batches of 16 leave three over."""
    whole, chosen = data.load("digits", "train"), torch.arange(67)
    images, labels = whole.images(chosen), whole.labels[chosen]
    return data.from_arrays(images, labels, name="digits", split="train").to(device)


def per_example(count: int, device: torch.device) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(7)
    made = {
        "soft_targets": torch.rand((count, 10), generator=generator).softmax(-1),
        "sigmas": torch.full((count,), 0.25),
        "sampling_weights": torch.ones(count),
        "expert_radii": torch.rand((count, 10), generator=generator),
        "example_weights": torch.rand((count,), generator=generator),
    }
    return {name: values.to(device) for name, values in made.items()}


def classifier() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 64, 10),
    )


def learner(kind: str, device: torch.device, *, seed: int = 0) -> nn.Module:
    """Return a network of the kind that a method trains; frozen parts are always the same."""
    torch.manual_seed(5)
    parts = [classifier().to(device) for _ in range(2)]
    torch.manual_seed(seed)
    if kind == "weight":
        mixing = MixingNetwork()
        nn.init.normal_(mixing.out.weight)
        return place(Mix(nn.Sequential(nn.Identity(), mixing), *parts), device)
    if kind == "denoiser":
        return place(Denoising(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1)), parts[0]), device)
    return place(classifier(), device)


@dataclass(frozen=True, kw_only=True)
class Training:
    """A training of 16 steps in four epochs, whose learning rates are float32 numbers.

    The graph has them in float32, and else they are Python's: the others would differ in a bit.
    """

    method: Method
    kind: str = "smoothed"
    optimizer: str = "adamw"
    sigmas: bool = False
    network: Callable[[], nn.Module] | None = None  # instead of the usual one
    fused: bool = False
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def spec(self) -> TrainSpec:
        values = {
            "epochs": 4,
            "batch_size": 16,
            "optimizer": self.optimizer,
            "lr": 2**-7,
            "weight_decay": 1e-3,
            "schedule": "one_cycle",
            "warmup": 0.5,
            "augment": "crop_flip",
            "clip_norm": 1.0,
        }
        return TrainSpec.model_validate(values)

    def start(self, seed: int = 0) -> TrainingState:
        network = learner(self.kind, self.device, seed=seed)
        if self.network is not None:
            network = place(self.network(), self.device)
        return TrainingState(network, build_optimizer(network, self.spec))

    def losses(
        self, state: TrainingState, graphs: Graphs | None = None, *, epochs: int = 4
    ) -> list[float]:
        """Train to the end of so many epochs; return the loss of each."""
        images = some_digits(self.device)
        given = per_example(len(images), self.device)
        levels = torch.linspace(0.1, 0.4, len(images), device=self.device)
        running = fit(
            state,
            self.method,
            images,
            train=self.spec,
            sigma=0.25,
            seed=3,
            precision="float32",
            per_example={name: given[name] for name in needed(self.method)},
            sigmas=levels if self.sigmas else None,
            graphs=graphs,
            attackable=self._attackable(state.network, images.shape),
        )
        count = epochs - state.epoch
        return [next(running).loss for _ in range(count)]

    def _attackable(self, network: nn.Module, shape: tuple[int, ...]) -> Attackable | None:
        how: dict[str, Any] = {"precision": "float32", "device": self.device}
        return attackable(network, self.fused, input_shape=shape, on_obstacle=print, **how)

    def interrupted(
        self, graphs: Callable[[], Graphs | None], path: Path
    ) -> tuple[TrainingState, list[float]]:
        """Train for two epochs, go on from their checkpoint with another network; both losses."""
        begun = self.start()
        losses = self.losses(begun, graphs(), epochs=2)
        save_checkpoint(path, begun, identity={})
        resumed = self.start(seed=9)
        load_checkpoint(path, resumed, identity={})
        return resumed, losses + self.losses(resumed, graphs())


def needed(method: Method) -> tuple[str, ...]:
    return (*method.takes, *([method.renews] if method.renews else []))


def tensors(state: TrainingState) -> dict[str, Tensor]:
    """Return all that a training changes: weights, statistics, and the optimiser's state."""
    found = dict(state.network.state_dict())
    for number, values in state.optimizer.state_dict()["state"].items():
        found |= {f"{number}.{key}": value for key, value in values.items() if value is not None}
    return found
