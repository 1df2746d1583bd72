"""What does a mix without noise withstand? AutoAttack, more starts, and what breaks others.

    python bench/adaptive_smoothing.py OUT MODEL... [--eps 8/255] [--skip 50] [--only MODEL]

MODEL: bundles without noise, such as both parts and their mixes, of one data set. Each is attacked
through itself, in L-infinity, a mix with its mixing network in the graph: by AutoAttack, by APGD
from five starts, and by PGD of 100 steps. Besides, each is shown the points that were found for
all the others. The worst of all counts, image by image. What is found is kept in OUT; --only finds
the points of one more model, so that several can be attacked at once, and prints no table.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from rszoo.evaluation.attack import Attack, Target, attacked
from rszoo.evaluation.inputs import Input
from rszoo.hub.attacked import target_of
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.inputs import inputs_for
from rszoo.smoothing.execution import Execution
from rszoo.theory.bounds import clopper_pearson_interval
from rszoo.theory.rounding import as_interval, as_share, as_share_at_most

# The steps count for PGD alone.
ATTACKS = ("pgd", "apgd", "autoattack")
STEPS = 100
TOGETHER = 50


@dataclass(frozen=True)
class Study:
    """Some models, and the images that they are attacked on."""

    out: Path
    models: Mapping[str, Bundle]
    eps: float
    skip: int

    def inputs(self) -> Sequence[Input]:
        return inputs_for(next(iter(self.models.values())), skip=self.skip).inputs

    def images(self) -> tuple[Tensor, Tensor]:
        """Return the images `[N, C, H, W]` and their labels `[N]`."""
        inputs = self.inputs()
        labels = torch.tensor([one.label for one in inputs])
        return torch.stack([one.image() for one in inputs]), labels

    def target(self, name: str) -> Target:
        execution = Execution(device="cpu", precision="float32")
        return target_of(self.models[name], execution, draws=1, n=1, alpha=0.5, seed=0)

    def points(self, name: str, by: str) -> Tensor:
        """Return the images as one attack moves them for a model that answers them rightly."""
        file = self.out / f"{name}-{by}.npy"
        if not file.exists():
            self.out.mkdir(parents=True, exist_ok=True)
            target, (x, y) = self.target(name), self.images()
            right = answers(target, x) == y
            how = Attack(name=by, norm="linf", eps=self.eps, steps=STEPS, batch_size=TOGETHER)
            moved = x.clone()
            for some in right.nonzero().flatten().split(TOGETHER):
                moved[some] = attacked(target.soft, x[some], y[some], how)
                print(name, by, f"{int(some[-1]) + 1} of {len(x)}", flush=True)
            np.save(file, moved.numpy())
        return torch.from_numpy(np.load(file))

    def right(self, name: str) -> dict[str, Tensor]:
        """Return for each attack which images a model still answers rightly, `[N]`."""
        target, (x, y) = self.target(name), self.images()
        found = {"no attack": answers(target, x) == y}
        for by in ATTACKS:
            found[by] = found["no attack"] & (answers(target, self.points(name, by)) == y)
        worst = torch.stack([*found.values()]).all(0)
        found["its own"] = worst
        for other in self.models:
            for by in ATTACKS:
                worst = worst & (answers(target, self.points(other, by)) == y)
        found["all"] = worst
        return found


def answers(target: Target, x: Tensor) -> Tensor:
    """Return the labels of images `[N, C, H, W]`."""
    return torch.tensor([target.answer(image) for image in x])


def show(found: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Print a table of the shares of right answers."""
    columns = [*next(iter(found.values()))]
    table = Table("model", *[cell for one in columns for cell in (one, "95 %")], box=None)
    for name, right in found.items():
        cells: list[str] = []
        for one in columns:
            count, images = int(right[one].sum()), len(right[one])
            share = as_share if one == "no attack" else as_share_at_most
            ends = clopper_pearson_interval(count, images, 0.05)
            cells += [share(count / images), as_interval(ends)]
        table.add_row(name, *cells)
    Console(width=180).print(table)


def write(found: Mapping[str, Mapping[str, Tensor]], inputs: Sequence[Input], file: Path) -> None:
    """Write whether each image is answered rightly, a row for each, 1 for right."""
    chosen = ["no attack", "autoattack", "all"]
    heads = ["idx", "label", *(f"{name}: {one}" for name in found for one in chosen)]
    rows = torch.stack([right[one] for right in found.values() for one in chosen], 1).int()
    lines = ["\t".join(heads)]
    for one, row in zip(inputs, rows.tolist(), strict=True):
        lines.append("\t".join(map(str, [one.idx, one.label, *row])))
    file.write_text("\n".join(lines) + "\n")


def main(given: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--eps", type=lambda text: float(Fraction(text)), default=8 / 255)
    parser.add_argument("--skip", type=int, default=50, help="every skip-th test image")
    parser.add_argument("--only", help="attack this model, and print no table")
    arguments = parser.parse_args(given)
    only = [] if arguments.only is None else [arguments.only]
    bundles = {bundle.config.name: bundle for bundle in map(find, arguments.models + only)}
    study = Study(arguments.out, bundles, arguments.eps, arguments.skip)
    if arguments.only is not None:
        for by in ATTACKS:
            study.points(find(arguments.only).config.name, by)
        return
    found = {name: study.right(name) for name in bundles}
    show(found)
    write(found, study.inputs(), arguments.out / "right.tsv")


if __name__ == "__main__":
    main()
