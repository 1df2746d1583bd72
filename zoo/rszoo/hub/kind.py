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
    "Kind",
    "listed_parts",
    "never_early",
    "nothing_lost",
    "stated_noise",
]

#: The kinds of certificate that a smoothed network has.
OF_ONE_NETWORK = (
    *("fixed", "runner_up", "chosen", "extended", "early", "early_runner_up"),
    *("top_k", "memory", "nominal"),
)


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
        early_loss: how much less than that of one network every radius is where the draws may stop
            early, pixel units; None where they may not.
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
    early_loss: Callable[[BundleConfig], float | None]
    certificates: Collection[str]
    stated: Callable[[BundleConfig], dict[str, Any]]
    roles: Callable[[BundleConfig], Sequence[str]]
    composition: Callable[[BundleConfig], dict[str, Any]]
    card: Callable[[BundleConfig, str], CardText]
    fits_noise: bool
    is_model: bool


def nothing_lost(config: BundleConfig) -> float:
    """Return that a network certifies at given radii all that it certifies otherwise."""
    return 0.0


def never_early(config: BundleConfig) -> None:
    """Return that no certificates at given radii are made.

    Of several experts the radius is the smallest of what each reaches, which is decided with few
    draws of its own already, on radii of its own.
    """
    return None


def stated_noise(config: BundleConfig) -> dict[str, Any]:
    """Return what a log has to state where that is the noise level alone."""
    return {"sigma": config.noise}


def listed_parts(config: BundleConfig) -> dict[str, Any]:
    """Return the composition of a bundle whose parts are all there is to say."""
    return {"parts": [part.text for part in config.parts]}
