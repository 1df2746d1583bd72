"""Does an imported network know its data? Its accuracy under noise, on a few hundred test images.

A wrong standardisation, data set or noise level leaves every name and shape as it should be, and
destroys the accuracy.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from rszoo.data import ImageSet, Normalization
from rszoo.networks.normalize import first_layer
from rszoo.theory.rounding import as_share
from rszoo.training.loop import noisy_accuracy

__all__ = ["Check", "check"]

_IMAGES = 500

# Seconds that the check may take, about, on how many images at least, and by how many of them the
# machine is measured: ResNet-50 takes minutes for 500 on two cores.
_SECONDS = 60.0
_FEWEST = 50
_TRIED = 8

# Both networks see the same images under the same noise; on 500, chance alone seldom reaches this.
_MARGIN = 0.05


@dataclass(frozen=True, kw_only=True)
class Check:
    """Accuracies under one noise draw per image.

    Attributes:
        images: so many test images.
        sigma: the noise level.
        stated: the standardisation that the user stated.
        accuracies: by standardisation, the stated one among them.
        num_classes: of the data set.
    """

    images: int
    sigma: float
    stated: str
    accuracies: Mapping[str, float]
    num_classes: int

    @property
    def accuracy(self) -> float:
        """The accuracy under the standardisation that the user stated."""
        return self.accuracies[self.stated]

    @property
    def called(self) -> str:
        """How a message calls the accuracies: "accuracy under noise" or "accuracy"."""
        return "accuracy under noise" if self.sigma else "accuracy"

    @property
    def doubts(self) -> list[str]:
        """The reasons to doubt the import, in words; empty when there are none."""
        found = []
        if self.accuracy < self.expected:
            found.append(
                f"{self.called} is {as_share(self.accuracy)}%, expected {self.expected:.0%} or "
                f"more of a network trained at sigma {self.sigma:g}: is everything stated as the "
                "checkpoint was trained?"
            )
        best = max(self.accuracies, key=lambda kind: self.accuracies[kind])
        if self.accuracies[best] > self.accuracy + _MARGIN:
            found.append(
                f"--normalization {best} would fit better than {self.stated}: {self.called} "
                f"{as_share(self.accuracies[best])}% instead of {as_share(self.accuracy)}%"
            )
        return found

    @property
    def expected(self) -> float:
        """Three times chance, but at most halfway from chance to 1, and at least 10 %."""
        chance = 1 / self.num_classes
        return max(0.1, min(3 * chance, (1 + chance) / 2))


def check(
    network: nn.Sequential,
    images: ImageSet,
    *,
    sigma: float,
    stated: str,
    choices: Mapping[str, Normalization | None],
    device: torch.device,
) -> Check:
    """Measure the accuracy of `network` under each standardisation in `choices`.

    On 500 images, or on as many as take about a minute, but on 50 at least.

    Args:
        network: standardisation, network; as it was afterwards, but on `device`.
        images: the test images.
        sigma: noise level.
        stated: the standardisation that the network has, a key of `choices`.
        choices: standardisations by name.
        device: where to run.
    """
    given, on_device = network[0], images.to(device)
    measured = partial(
        noisy_accuracy, network, on_device, sigma=sigma, seed=0, precision="float32"
    )
    network.to(device)
    since = time.perf_counter()
    measured(indices=_spread(images, _TRIED))
    each = (time.perf_counter() - since) / min(_TRIED, len(images))
    affordable = int(_SECONDS / (each * len(choices)))
    indices = _spread(images, min(_IMAGES, max(_FEWEST, affordable)))
    accuracies = {}
    for kind, constants in choices.items():
        network[0] = first_layer(constants).to(device)
        accuracies[kind] = measured(indices=indices)
    network[0] = given
    network.to(device)
    return Check(
        images=len(indices),
        sigma=sigma,
        stated=stated,
        accuracies=accuracies,
        num_classes=images.num_classes,
    )


def _spread(images: ImageSet, most: int) -> Tensor:
    """Return the indices of at most so many images, in equal steps."""
    return torch.arange(0, len(images), -(-len(images) // most))
