"""Bundles of a denoiser in front of a classifier.

Salman, Sun, Yang, Kapoor and Kolter (2020), Denoised Smoothing: A Provable Defense for Pretrained
Classifiers, https://arxiv.org/abs/2003.01908.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from rszoo import networks
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import certifying, made_of
from rszoo.hub.configs.denoised import DenoisedConfig
from rszoo.hub.kind import OF_ONE_NETWORK, Kind, early_alone, listed_parts, stated_noise
from rszoo.hub.kinds import kind_of
from rszoo.hub.kinds._shared import once
from rszoo.hub.kinds.network import of_kind, smoothed
from rszoo.hub.parts import part_in, part_of, write_composed
from rszoo.smoothing.execution import Execution
from rszoo.theory.rounding import as_stated

if TYPE_CHECKING:
    from torch import nn

    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = ["KINDS", "compose_denoised", "is_behind"]


def compose_denoised(
    folder: Path, *, denoiser: Bundle, classifier: Bundle, overwrite: bool = False
) -> Bundle:
    """Write a bundle that puts a denoiser in front of a classifier.

    Args:
        folder: the new bundle; its name is the bundle's.
        denoiser: of kind "denoiser".
        classifier: of any kind with a network that classifies images of the same shape.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the parts do not fit together, or the folder exists.
    """
    sigma = _check_parts(denoiser, classifier)
    kind_of(classifier).network(classifier)  # or it says why there is none
    config = DenoisedConfig(
        name=folder.name,
        method="denoised",
        dataset=classifier.config.dataset,
        input_shape=classifier.config.input_shape,
        class_names=classifier.config.class_names,
        denoiser=part_in(folder, denoiser),
        classifier=part_in(folder, classifier),
        sigma=sigma,
    )
    return write_composed(folder, config, parts=[denoiser, classifier], overwrite=overwrite)


def is_behind(bundle: Bundle, kind: str) -> bool:
    """Return whether a bundle of some kind is behind the denoiser, such as "router"."""
    config = bundle.config
    assert isinstance(config, DenoisedConfig)
    return part_of(bundle, config.classifier).config.kind == kind


def _check_parts(denoiser: Bundle, classifier: Bundle) -> float:
    """Refuse parts that do not fit together; return the noise level of the denoiser."""
    config = of_kind(
        denoiser,
        "denoiser",
        "expected a denoiser, got a {kind} bundle; rszoo train denoising trains one",
    )
    if networks.gives(config.summary) != "images":
        raise RszooError(
            f"{denoiser.id}: expected a network that gives images, got {config.summary!r}"
        )
    if config.input_shape != classifier.config.input_shape:
        raise RszooError(
            f"{denoiser.id}: expected a denoiser for the inputs of {classifier.id}, "
            f"{classifier.config.input_shape}, got one for {config.input_shape}"
        )
    return config.sigma


def _network(bundle: Bundle) -> "nn.Module":
    """Return the denoiser with the classifier behind it, as one network."""
    from rszoo.networks.denoised import Denoised

    config = bundle.config
    assert isinstance(config, DenoisedConfig)
    denoiser, classifier = part_of(bundle, config.denoiser), part_of(bundle, config.classifier)
    made_of = classifier.config
    stated = (config.sigma, config.input_shape, config.class_names)
    if (_check_parts(denoiser, classifier), made_of.input_shape, made_of.class_names) != stated:
        raise RszooError(
            f"{bundle.id}: expected the noise level, inputs and classes of its parts, got others; "
            "compose it anew"
        )

    def network() -> "nn.Module":
        return kind_of(classifier).network(classifier)

    behind = once(classifier.weights_digest, network)
    return Denoised(denoiser.network(), behind).eval()


def _smoothed(bundle: Bundle, execution: Execution) -> "SmoothedClassifier":
    return smoothed(bundle, _network(bundle), execution)


KINDS = {
    "denoised": Kind(
        classifier=_smoothed,
        smoothed=_smoothed,
        network=_network,
        early=early_alone,
        certificates=OF_ONE_NETWORK,
        stated=stated_noise,
        roles=lambda config: ("denoiser", "classifier"),
        composition=listed_parts,
        card=lambda config, repo: certifying(
            "A denoiser is in front of its classifier; what is smoothed, by Gaussian noise of "
            f"standard deviation {as_stated(config.noise or 0.0)}, and certified is both "
            f"together. {made_of(config)}",
            repo,
        ),
        fits_noise=False,
        is_model=True,
    )
}
