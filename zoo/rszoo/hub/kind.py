"""What rszoo has to know of a kind of bundle; `kinds/` has one file for each."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import CardText
from rszoo.hub.config import BundleConfig
from rszoo.smoothing.execution import Execution

if TYPE_CHECKING:
    from torch import nn

    from rszoo.smoothing.classifier import SmoothedClassifier
    from rszoo.smoothing.interface import Classifier

__all__ = [
    "OF_ONE_NETWORK",
    "Early",
    "Kind",
    "early_alone",
    "listed_parts",
    "never_early",
    "stated_noise",
]

#: The kinds of certificate that a smoothed network has.
OF_ONE_NETWORK = (
    *("fixed", "runner_up", "chosen", "extended", "early", "early_runner_up"),
    *("top_k", "memory", "nominal"),
)


@dataclass(frozen=True, kw_only=True)
class Early:
    """What the radii of a model can be where its draws may stop early.

    Attributes:
        ways: the noise levels of all parts that a certificate rests on, in each of the ways that
            there are; see `rszoo.smoothing.decisions.largest_of`.
        lost: how much less than that of one network every radius is, pixel units.
    """

    ways: Sequence[Sequence[float]]
    lost: float = 0.0

    @property
    def sigmas(self) -> list[float]:
        """The noise levels of all parts, increasing."""
        return sorted({sigma for way in self.ways for sigma in way})


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The functions and texts for the bundles of one kind.

    None has a default, so that what a kind leaves out is an error at import: a default would be
    what holds of one network, and might claim of the new kind what is true of others alone.

    Attributes:
        classifier: makes what predicts and certifies, or says in an RszooError why it cannot.
        smoothed: the same where one network answers under one noise level, which can be searched
            for each input and certified at given radii; None where several answer.
        network: gives the base network, images `[B, C, H, W]` to logits `[B, classes]`, or says in
            an RszooError why there is none.
        early: what the radii can be where the draws may stop early; None where they may not.
        certificates: names of the kinds of certificate that its logs may hold, of
            `rszoo.certificates.kinds`.
        stated: what the protocol of its logs has to say besides the digest of its weights.
        roles: what each of the parts is, in their order.
        composition: what `rszoo show` says of the parts, as JSON values.
        card: what the card says, given also the place `org/name` on the hub.
        fits_noise: whether its noise fits the input without being searched.
        is_model: whether it is a model of its own, for the registry, and not only a part of one.
    """

    classifier: "Callable[[Bundle, Execution], Classifier]"
    smoothed: "Callable[[Bundle, Execution], SmoothedClassifier] | None"
    network: "Callable[[Bundle], nn.Module]"
    early: Callable[[Bundle], Early | None]
    certificates: Collection[str]
    stated: Callable[[BundleConfig], dict[str, Any]]
    roles: Callable[[BundleConfig], Sequence[str]]
    composition: Callable[[BundleConfig], dict[str, Any]]
    card: Callable[[BundleConfig, str], CardText]
    fits_noise: bool
    is_model: bool


def early_alone(bundle: Bundle) -> Early | None:
    """Return what the radii of one network can be under the noise level of its bundle."""
    sigma = bundle.config.noise
    return None if sigma is None else Early(ways=[[sigma]])


def never_early(bundle: Bundle) -> None:
    """Return that there are no radii, for what certifies none."""
    return None


def stated_noise(config: BundleConfig) -> dict[str, Any]:
    """Return what a log has to state where that is the noise level alone."""
    return {"sigma": config.noise}


def listed_parts(config: BundleConfig) -> dict[str, Any]:
    """Return the composition of a bundle whose parts are all there is to say."""
    return {"parts": [part.text for part in config.parts]}
