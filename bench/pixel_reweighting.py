"""Is the map worth anything? PART against plain adversarial training, and against its controls.

    python bench/pixel_reweighting.py OUT [--seeds N] [--attack apgd]

On digits, L-infinity. The arms: `uniform` has epsilon everywhere; `part` epsilon_low where its map
says that pixels matter less; `shuffled` the maps of other images of the batch, of the same share;
`mean` one budget everywhere, the mean of PART's. What is finished in OUT is kept.
"""

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

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

EPSILON, LOW = 0.1, 0.0875


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


def share(bundle: Bundle) -> float:
    """Return the share of important pixels of the test images, by a network's own maps."""
    images = torch.stack([one.image() for one in inputs_for(bundle, skip=1).inputs])
    network = bundle.network()
    budgets = part.budgets(network, images, epsilon=EPSILON, epsilon_low=LOW)
    return (budgets > (EPSILON + LOW) / 2).double().mean().item()


def trained(
    method: str, seed: int, out: Path, low: float = LOW, epsilon: float = EPSILON
) -> Bundle:
    """Return the bundle of one training on digits, in float32."""
    overrides = [f"weights.epsilon={epsilon}"]
    overrides += [f"weights.epsilon_low={low}"] if method == "part" else []
    recipe = load_recipe(method).resolve(sigma=0.0, seed=seed, overrides=overrides)
    (bundle,) = train([recipe], out=out, device="cpu", precision="float32", resume=True)
    return bundle


def arms(seeds: int, out: Path) -> Iterator[tuple[str, int, Bundle]]:
    for seed in range(seeds):
        yield "uniform", seed, trained("adversarial", seed, out / f"uniform-{seed}")
        reweighted = trained("part", seed, out / f"part-{seed}")
        yield "part", seed, reweighted
        with shuffled():
            yield "shuffled", seed, trained("part", seed, out / f"shuffled-{seed}")
        important = share(reweighted)
        mean = round(important * EPSILON + (1 - important) * LOW, 5)
        print(f"seed {seed}: {important:.4f} of the pixels are important, mean budget {mean}")
        yield "mean", seed, trained("adversarial", seed, out / f"mean-{seed}", epsilon=mean)
    for name in ("trades", "mart"):
        yield name, 0, trained(name, 0, out / f"{name}-0")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--attack", default="apgd")
    arguments = parser.parse_args()
    table = Table("arm", "seed", "right", "95 %", f"under {arguments.attack}", "95 %", box=None)
    for name, seed, bundle in arms(arguments.seeds, arguments.out):
        inputs = inputs_for(bundle, skip=1)
        execution = Execution(device="cpu", precision="float32")
        target = target_of(bundle, execution, draws=1, n=1, alpha=0.5, seed=0)
        how = Attack(name=arguments.attack, norm="linf", eps=EPSILON, seed=0, batch_size=120)
        rows = attack(target, inputs, how)
        clean = sum(row.clean == row.label for row in rows)
        attacked = sum(row.attacked == row.label for row in rows)
        ends = [clopper_pearson_interval(k, len(rows), 0.05) for k in (clean, attacked)]
        table.add_row(
            name,
            str(seed),
            as_share(clean / len(rows)),
            as_interval(ends[0]),
            as_share_at_most(attacked / len(rows)),
            as_interval(ends[1]),
        )
        print(name, seed, clean, attacked, len(rows), flush=True)
    Console().print(table)


if __name__ == "__main__":
    main()
