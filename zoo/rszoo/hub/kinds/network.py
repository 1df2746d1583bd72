"""Bundles with one network: smoothed ones, and the networks that are parts of other bundles."""

from dataclasses import replace
from typing import TYPE_CHECKING

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import CardText, certifying, plain
from rszoo.hub.config import BundleConfig
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kind import OF_ONE_NETWORK, Kind, early_alone, stated_noise
from rszoo.smoothing.execution import Execution
from rszoo.theory.rounding import as_stated

if TYPE_CHECKING:
    from torch import nn

    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = ["KINDS", "of_kind", "smoothed", "smoothed_classifier"]

_NOT_SMOOTHED = {
    "standard": "a standard one, whose network has no noise level to certify at; rszoo compose "
    "mixed puts it beside a smoothed one",
    "weight": "the weight of a mix; rszoo compose mixed --weight makes the mix",
    "denoiser": "a denoiser; rszoo compose denoised puts it in front of a classifier",
}


def of_kind(bundle: Bundle, kind: str, message: str) -> NetworkConfig:
    """Return the config of a bundle with a network, if it is of a kind.

    Args:
        bundle: any.
        kind: "smoothed", "router", "standard", "weight" or "denoiser".
        message: of the error, to go after the bundle's id; `{kind}` stands for what it is.

    Raises:
        RszooError: it is of another kind.
    """
    config = bundle.of_network
    if config.kind != kind:
        raise RszooError(f"{bundle.id}: {message.replace('{kind}', config.kind)}")
    return config


def smoothed_classifier(bundle: Bundle, execution: Execution) -> "SmoothedClassifier":
    """Return the smoothed classifier of a bundle with one network.

    Raises:
        RszooError: the bundle is made of others, standard, or a part of others alone; unknown
            device or precision, or weights that do not fit.
    """
    config = bundle.of_network
    if config.kind in _NOT_SMOOTHED:
        raise RszooError(
            f"{bundle.id}: expected a smoothed bundle, got {_NOT_SMOOTHED[config.kind]}"
        )
    return smoothed(bundle, bundle.network(), execution)


def smoothed(bundle: Bundle, network: "nn.Module", execution: Execution) -> "SmoothedClassifier":
    """Return a network under the one noise level of its bundle.

    Raises:
        RszooError: unknown device or precision.
    """
    from rszoo.smoothing.classifier import SmoothedClassifier

    config = bundle.config
    assert config.noise is not None
    return SmoothedClassifier(
        network,
        sigma=config.noise,
        num_classes=len(config.class_names),
        input_shape=config.input_shape,
        class_names=config.class_names,
        **vars(execution),
    )


def _without_images(bundle: Bundle) -> "nn.Module":
    raise RszooError(
        f"{bundle.id}: expected a bundle whose network takes images, got the weight of a mix; "
        "export the parts of the mix"
    )


def _without_logits(bundle: Bundle) -> "nn.Module":
    raise RszooError(f"{bundle.id}: expected a bundle whose network classifies, got a denoiser")


def _smoothed_card(config: BundleConfig, repo: str) -> CardText:
    about = (
        f"Its network, a {plain(config.summary)}, is smoothed by Gaussian noise of standard "
        f"deviation {as_stated(config.noise or 0.0)} (pixels in [0, 1])."
    )
    return certifying(about, repo)


def _standard_card(config: BundleConfig, repo: str) -> CardText:
    return CardText(
        called="An image classifier",
        about=f"Its network, a {plain(config.summary)}, is trained without noise and certifies "
        "nothing: it is meant as the accurate part of a mix.",
        use=[f"`rszoo compose mixed --standard {repo} --robust ID --alpha-mix 0.76 --out DIR`"],
    )


def _weight_card(config: BundleConfig, repo: str) -> CardText:
    command, robust = ("mixed", "smoothed") if config.noise else ("mixed-standard", "robust")
    return CardText(
        called="The weight of a mix",
        about=f"Its small network weighs a standard and a {robust} classifier, input by input; it "
        "certifies nothing by itself.",
        use=[f"`rszoo compose {command} --standard ID --robust ID --weight {repo} --out DIR`"],
    )


def _denoiser_card(config: BundleConfig, repo: str) -> CardText:
    return CardText(
        called="A denoiser",
        about=f"Its network, a {plain(config.summary)}, removes Gaussian noise of standard "
        f"deviation {as_stated(config.noise or 0.0)} (pixels in [0, 1]), so that a classifier "
        "behind it recognises the image; it certifies nothing by itself.",
        use=[f"`rszoo compose denoised --denoiser {repo} --classifier ID --out DIR`"],
    )


_SMOOTHED = Kind(
    classifier=smoothed_classifier,
    smoothed=smoothed_classifier,
    network=Bundle.network,
    early=early_alone,
    certificates=OF_ONE_NETWORK,
    stated=stated_noise,
    roles=lambda config: (),
    composition=lambda config: {},
    card=_smoothed_card,
    fits_noise=False,
    is_model=True,
)
_ROUTER = replace(_SMOOTHED, is_model=False)

KINDS = {
    "smoothed": _SMOOTHED,
    "router": _ROUTER,
    "standard": replace(_ROUTER, certificates=(), card=_standard_card),
    "weight": replace(_ROUTER, certificates=(), card=_weight_card, network=_without_images),
    "denoiser": replace(_ROUTER, certificates=(), card=_denoiser_card, network=_without_logits),
}
