"""Bundles that average the logits of several networks of one noise level.

Horvath, Müller, Fischer and Vechev (2022), Boosting Randomized Smoothing with Variance Reduced
Classifiers, https://arxiv.org/abs/2106.06946.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import certifying, made_of
from rszoo.hub.configs.ensemble import EnsembleConfig
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kind import OF_ONE_NETWORK, Kind, early_alone, listed_parts, stated_noise
from rszoo.hub.kinds.network import of_kind, smoothed
from rszoo.hub.parts import part_in, part_of, write_composed
from rszoo.smoothing.execution import Execution
from rszoo.theory.rounding import as_stated

if TYPE_CHECKING:
    from torch import nn

    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = ["KINDS", "compose_ensemble"]


def compose_ensemble(
    folder: Path, *, members: Sequence[Bundle], overwrite: bool = False
) -> Bundle:
    """Write a bundle whose network is the average of the logits of others.

    Args:
        folder: the new bundle; its name is the bundle's.
        members: at least two different smoothed bundles of the same inputs, classes and noise.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the members do not fit together, or the folder exists.
    """
    first = _check_alike(members)
    config = EnsembleConfig(
        name=folder.name,
        method="ensemble",
        dataset=first.dataset,
        input_shape=first.input_shape,
        class_names=first.class_names,
        members=tuple(part_in(folder, member) for member in members),
        sigma=first.sigma,
    )
    return write_composed(folder, config, parts=members, overwrite=overwrite)


def _check_alike(members: Sequence[Bundle]) -> NetworkConfig:
    """Refuse members that are there twice, not smoothed, or of other inputs, classes or noise.

    Returns the config of the first.
    """
    if len({member.weights_digest for member in members}) < max(2, len(members)):
        listed = [member.id for member in members]
        raise RszooError(f"expected at least two members, each once, got {listed}")
    first = of_kind(members[0], "smoothed", "expected a smoothed bundle, got a {kind} one")
    wanted = (first.input_shape, first.class_names, first.sigma)
    for member in members:
        config = of_kind(member, "smoothed", "expected a smoothed bundle, got a {kind} one")
        if (config.input_shape, config.class_names, config.sigma) != wanted:
            raise RszooError(
                f"{member.id}: expected the inputs, classes and noise level of "
                f"{members[0].id}, got others (sigma {config.sigma:g})"
            )
    return first


def _network(bundle: Bundle) -> "nn.Module":
    from rszoo.networks.ensemble import Ensemble

    config = bundle.config
    assert isinstance(config, EnsembleConfig)
    members = [part_of(bundle, part) for part in config.members]
    first = _check_alike(members)
    stated = (config.input_shape, config.class_names, config.sigma)
    if (first.input_shape, first.class_names, first.sigma) != stated:
        raise RszooError(
            f"{bundle.id}: expected the inputs, classes and noise level of its members, got others"
        )
    return Ensemble([member.network() for member in members]).eval()


def _smoothed(bundle: Bundle, execution: Execution) -> "SmoothedClassifier":
    return smoothed(bundle, _network(bundle), execution)


KINDS = {
    "ensemble": Kind(
        classifier=_smoothed,
        smoothed=_smoothed,
        network=Bundle.network,
        early=early_alone,
        certificates=OF_ONE_NETWORK,
        stated=stated_noise,
        roles=lambda config: ("member",) * len(config.parts),
        composition=listed_parts,
        card=lambda config, repo: certifying(
            f"Its network averages the logits of {config.summary} and is smoothed by Gaussian "
            f"noise of standard deviation {as_stated(config.noise or 0.0)}. {made_of(config)}",
            repo,
        ),
        fits_noise=False,
        is_model=True,
    )
}
