"""How many draws sequential tests save for cascades and dual models, by the votes of their parts.

    python bench/draws_of_experts.py BUNDLE... [--draws 10000] [--n 10000] [--runs 2] [--json]

Every part, an expert or the router, answers some draws of each test image once. With the shares of
these votes, and half a vote for classes that had none, the votes of certifications are simulated,
and certified by the very classifier. "draws" are those of all parts for estimation; "times fewer"
compares with those of the certificates of all draws, the n0 = 100 draws of each part for the
selection included on both sides. "ACR" counts wrong answers 0; "at" is the certified accuracy at
the radii of the question (at 0.25 and 0.5 where it asks for every radius).
"""

import argparse
import json
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from rszoo import data
from rszoo.certificates.base import Certificate
from rszoo.certificates.kinds import kind
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.kinds import kind_of
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import largest_of, radii_up_to
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Budget

N0, ALPHA, STEP, AT = 100, 0.001, 0.25, (0.25, 0.5)
SEED = 7  # of the votes whose shares are taken


class Simulated(SmoothedClassifier):
    """A part whose votes are drawn with the shares that it had on an image.

    Attributes:
        counts: its votes, `[images, classes]`.
        image: which of them is certified.
    """

    image = 0

    def __init__(self, part: SmoothedClassifier, images: Tensor, draws: int, seed: int) -> None:
        counts = [part.votes(one, n=draws, seed=SEED) for one in images]
        super().__init__(
            nn.Identity(), sigma=part.sigma, num_classes=part.num_classes, device="cpu"
        )
        shares = np.array(counts) + 0.5 / part.num_classes
        self.shares: NDArray[np.float64] = shares / shares.sum(1, keepdims=True)
        self.rng = np.random.default_rng(seed)

    def running(self, image: Tensor, looks: Sequence[int], **_: Any) -> Generator[list[int]]:
        """Yield simulated votes at every look."""
        steps = np.diff(looks, prepend=0)
        votes = np.zeros(self.num_classes, np.int64)
        for step in steps:
            votes += self.rng.multinomial(step, self.shares[self.image])
            yield votes.tolist()


def simulated(name: str, images: Tensor, draws: int) -> CascadeClassifier | DualClassifier:
    """Return a model like a bundle, with simulated votes."""
    model = classifier_of(find(name), Execution(device="cpu"))
    assert isinstance(model, CascadeClassifier | DualClassifier)
    experts = [Simulated(one, images, draws, k) for k, one in enumerate(model.experts)]
    if isinstance(model, DualClassifier):
        return DualClassifier(experts, Simulated(model.router, images, draws, len(experts)))
    return CascadeClassifier(experts)


def certified(
    model: CascadeClassifier | DualClassifier, budget: Budget, images: Tensor, runs: int
) -> list[list[Certificate]]:
    """Return the certificates of all images, several times."""
    one = model.certifier(budget)
    parts = [voting for voting, _ in model.voters.values()]
    found: list[list[Certificate]] = []
    for _ in range(runs):
        found.append([])
        for i, image in enumerate(images):
            for part in parts:
                assert isinstance(part, Simulated)
                part.image = i
            found[-1].append(one(image))
    return found


def measure(name: str, n: int, draws: int, runs: int) -> list[dict[str, object]]:
    test = data.load("digits", "test")
    labels = np.asarray(test.labels)
    images = test.images(torch.arange(len(labels)))
    model, early = simulated(name, images, draws), kind_of(find(name)).early(find(name))
    assert early is not None
    whole = Budget(n0=N0, n=n, alpha=ALPHA, seed=0)
    cap = largest_of(early.ways, n=n, alpha=ALPHA)
    coarse, fine = 0.1 * early.sigmas[-1], 0.1 * early.sigmas[0]
    questions: dict[str, Budget] = {
        "all draws": whole,
        "r = 0.25": replace(whole, radii=(0.25,)),
        "r = 0.5": replace(whole, radii=(0.5,)),
        "every 0.25": replace(whole, radii=tuple(np.arange(0.0, cap, STEP).tolist())),
        **{
            f"adaptive, {tolerance:g}": replace(
                whole, radii=radii_up_to(cap, tolerance), tolerance=tolerance
            )
            for tolerance in (coarse, fine)
        },
    }
    rows: list[dict[str, object]] = []
    everything = kind(model.kind(questions["r = 0.25"]))  # of which all parts count
    selection, before = N0 * len(model.voters), 0.0
    for question, budget in questions.items():
        spent, radii = [], []
        for found in certified(model, budget, images, runs):
            for one, label in zip(found, labels.tolist(), strict=True):
                assert one.details is not None
                spent.append(sum(everything.spent({"spent": one.spent, **vars(one.details)})))
                radii.append(one.radius if one.label == label else -1.0)
        cost = float(np.mean(spent)) + selection
        before = before or cost
        at = budget.radii if budget.radii and not budget.tolerance else AT
        rows.append(
            {
                "model": name,
                "n": n,
                "question": question,
                "draws": cost - selection,
                "times_fewer": before / cost,
                "acr": float(np.maximum(radii, 0.0).mean()),
                "at": {r: float((np.array(radii) >= r).mean()) for r in at if r in AT},
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("bundles", nargs="+", metavar="BUNDLE")
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [
        row
        for name in options.bundles
        for row in measure(name, options.n, options.draws, options.runs)
    ]
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    table = Table("model", "n", "question", "draws", "times fewer", "ACR", "at", box=None)
    for row in rows:
        at = row["at"]
        assert isinstance(at, dict)
        table.add_row(
            str(row["model"]),
            f"{row['n']:,}",
            str(row["question"]),
            f"{row['draws']:,.0f}",
            f"{row['times_fewer']:.1f}",
            f"{row['acr']:.3f}",
            " ".join(f"{r:g}: {100 * share:.1f}" for r, share in at.items()),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
