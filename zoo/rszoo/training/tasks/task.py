"""What one network learns: images, what it is to answer to them, and what the method asks for."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from rszoo.data import ImageSet
from rszoo.hub.bundle import Bundle
from rszoo.hub.config import BundleConfig
from rszoo.hub.origin import Parent
from rszoo.training.tasks.finished import Finished, network_config

__all__ = ["Models", "Task"]

#: The finished models that a task is made of, by section of the recipe, in the section's order.
Models = Mapping[str, Sequence[Bundle]]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What one network learns.

    Attributes:
        images, test_images: their labels are what the network is to answer.
        per_example: what the method asks for besides, by name, one row per training image.
        parents: name and weights of the models that labels or rows come from.
        judged: the test images that have a right answer; None for all.
        wrap: puts the network that learns together with others; None: it learns by itself.
        noise: noise level at which its accuracy is watched; None: the recipe's.
        start: the network to go on with; None begins anew.
        sigmas: noise level of each training image, `[N]`; None: the recipe's.
        config: makes the config of the bundle.
    """

    images: ImageSet
    test_images: ImageSet
    per_example: Mapping[str, Tensor]
    parents: list[Parent]
    judged: Tensor | None = None
    wrap: Callable[[Any], nn.Module] | None = None
    noise: float | None = None
    start: nn.Module | None = None
    sigmas: Tensor | None = None
    config: Callable[[Finished], BundleConfig] = network_config
