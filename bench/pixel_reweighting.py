"""Is the map worth anything? PART against plain adversarial training, and against its controls.

    python bench/pixel_reweighting.py OUT [--on mnist] [--seeds N] [--arm ARM] [--attack apgd]

On digits, or on 20,000 images of MNIST (and 500 of its test images), L-infinity. The arms:
`uniform` has epsilon everywhere; `part` epsilon_low where its map says that pixels matter less;
`shuffled` the maps of other images of the batch, of the same share; `mean` one budget everywhere,
the mean of PART's; `trades` and `mart` are those methods. What is trained in OUT is kept.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from rszoo import data
from rszoo.evaluation.attack import Attack, attack
from rszoo.hub.attacked import target_of
from rszoo.hub.bundle import Bundle
from rszoo.hub.inputs import inputs_for
from rszoo.methods import part
from rszoo.smoothing.execution import Execution
from rszoo.theory.bounds import clopper_pearson_interval
from rszoo.theory.rounding import as_interval, as_share, as_share_at_most
from rszoo.training.recipes.files import load_recipe
from rszoo.training.run import train

ARMS = ("uniform", "part", "shuffled", "mean", "trades", "mart")


@dataclass(frozen=True)
class Setting:
    """What is trained on, and how.

    Attributes:
        epsilon, low: budgets on the scale of [0, 1]; one that matters less is 7/8 of the other.
        skip: every skip-th test image is attacked.
        overrides: of the recipes.
        images: of the training set that are used, its first ones; None for all.
    """

    name: str
    epsilon: float
    skip: int = 1
    overrides: tuple[str, ...] = ()
    images: int | None = None

    @property
    def low(self) -> float:
        return self.epsilon * 7 / 8

    def dataset(self, out: Path) -> str:
        """Return the data set's name, or the path of what is made of it in `out`."""
        if self.images is None:
            return self.name
        path = out / f"{self.name}-{self.images}.npz"
        if not path.exists():
            out.mkdir(parents=True, exist_ok=True)
            parts = {split: data.load(self.name, split) for split in data.SPLITS}
            arrays: dict[str, np.ndarray] = {}
            for split, part in parts.items():
                count = self.images if split == "train" else len(part)
                images = part.images(torch.arange(count))
                arrays[f"{split}_images"] = (images * 255).round().to(torch.uint8).numpy()
                arrays[f"{split}_labels"] = part.labels[:count].numpy()
            np.savez(path, allow_pickle=False, **arrays)
        return str(path)


SETTINGS = {
    "digits": Setting("digits", 0.1),
    # what the recipes have for MNIST, but for the epochs
    "mnist": Setting(
        "mnist",
        0.3,
        skip=20,
        overrides=("network.name=lenet", "weights.step_size=0.05", "train.epochs=8"),
        images=20_000,
    ),
}


@contextmanager
def shuffled() -> Iterator[None]:
    """Give each image the map of another one while it lasts."""
    own = part.activation_map

    def of_another(model: nn.Module, x: Tensor, **how: str) -> Tensor:
        return own(model, x, **how).roll(1, 0)  # type: ignore[arg-type]

    part.activation_map = of_another
    try:
        yield
    finally:
        part.activation_map = own


@dataclass(frozen=True)
class Study:
    """The arms on one data set, in a folder."""

    setting: Setting
    out: Path

    def bundle(self, arm: str, seed: int) -> Bundle:
        """Return the bundle of one arm, trained in float32 if it is not there."""
        if arm == "part":
            return self._trained("part", arm, seed, [f"weights.epsilon_low={self.setting.low}"])
        if arm == "shuffled":
            with shuffled():
                own = [f"weights.epsilon_low={self.setting.low}"]
                return self._trained("part", arm, seed, own)
        if arm == "mean":
            return self._trained("adversarial", arm, seed, [], self._mean_budget(seed))
        return self._trained({"uniform": "adversarial"}.get(arm, arm), arm, seed, [])

    def _trained(
        self, method: str, arm: str, seed: int, own: list[str], epsilon: float | None = None
    ) -> Bundle:
        budget = [f"weights.epsilon={epsilon or self.setting.epsilon}"]
        recipe = load_recipe(method).resolve(
            dataset=self.setting.dataset(self.out),
            sigma=0.0,
            seed=seed,
            overrides=[*self.setting.overrides, *budget, *own],
        )
        out = self.out / f"{arm}-{seed}"
        (bundle,) = train([recipe], out=out, device="cpu", precision="float32", resume=True)
        return bundle

    def _mean_budget(self, seed: int) -> float:
        """Return the mean of the budgets that PART's network has for test images."""
        bundle = self.bundle("part", seed)
        of_all = inputs_for(bundle, skip=self.setting.skip).inputs
        images = torch.stack([one.image() for one in of_all])
        epsilon, low = self.setting.epsilon, self.setting.low
        budgets = part.budgets(bundle.network(), images, epsilon=epsilon, epsilon_low=low)
        share = (budgets > (epsilon + low) / 2).double().mean().item()
        mean = round(share * epsilon + (1 - share) * low, 5)
        print(f"seed {seed}: {share:.4f} of the pixels are important, mean budget {mean}")
        return mean

    def counts(self, bundle: Bundle, name: str) -> tuple[int, int, int]:
        """Return how many are right, under the attack at most, and of how many."""
        inputs = inputs_for(bundle, skip=self.setting.skip)
        execution = Execution(device="cpu", precision="float32")
        target = target_of(bundle, execution, draws=1, n=1, alpha=0.5, seed=0)
        how = Attack(name=name, norm="linf", eps=self.setting.epsilon, seed=0, batch_size=125)
        rows = attack(target, inputs, how)
        clean = sum(row.clean == row.label for row in rows)
        return clean, sum(row.attacked == row.label for row in rows), len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--on", choices=SETTINGS, default="digits")
    parser.add_argument("--seeds", type=int, default=3, help="trades and mart have one")
    parser.add_argument("--arm", choices=ARMS, action="append", help="all of them if not said")
    parser.add_argument("--attack", default="apgd")
    arguments = parser.parse_args()
    study = Study(SETTINGS[arguments.on], arguments.out)
    table = Table("arm", "seed", "right", "95 %", f"under {arguments.attack}", "95 %", box=None)
    for arm in arguments.arm or ARMS:
        for seed in range(1 if arm in ("trades", "mart") else arguments.seeds):
            clean, attacked, images = study.counts(study.bundle(arm, seed), arguments.attack)
            ends = [clopper_pearson_interval(k, images, 0.05) for k in (clean, attacked)]
            table.add_row(
                arm,
                str(seed),
                as_share(clean / images),
                as_interval(ends[0]),
                as_share_at_most(attacked / images),
                as_interval(ends[1]),
            )
            print(arm, seed, clean, attacked, images, flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
