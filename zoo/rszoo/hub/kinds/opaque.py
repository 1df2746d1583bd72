"""Bundles with an ONNX file for a network, run from bytes whose digest was checked."""

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.card_text import CardText, certifying
from rszoo.hub.config import BundleConfig
from rszoo.hub.files import ONNX
from rszoo.hub.kinds.network import KINDS as OF_NETWORKS
from rszoo.hub.kinds.network import smoothed
from rszoo.hub.manifest import DAMAGED
from rszoo.smoothing.execution import Execution
from rszoo.theory.rounding import as_stated

if TYPE_CHECKING:
    from torch import nn

    from rszoo.smoothing.classifier import SmoothedClassifier

__all__ = ["KINDS"]


def opaque_classifier(bundle: Bundle, execution: Execution) -> "SmoothedClassifier":
    """Return the smoothed classifier of a bundle with an ONNX network.

    Raises:
        RszooError: unknown device, another precision than float32, packages that are missing, or
            a network that cannot be certified.
        IntegrityError: the file has changed since it was checked.
    """
    from rszoo.networks.onnx_network import OnnxNetwork

    return smoothed(bundle, OnnxNetwork(_content(bundle)), execution)


def _content(bundle: Bundle) -> bytes:
    """Return the file; what was hashed is what runs."""
    content = (bundle.path / ONNX).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != bundle.weights_digest:
        raise IntegrityError(
            ONNX, expected=f"sha256 {bundle.weights_digest}", actual=found, hint=DAMAGED
        )
    return content


def _no_network(bundle: Bundle) -> "nn.Module":
    raise RszooError(
        f"{bundle.id}: expected a network that PyTorch knows, got an ONNX file: it is {ONNX} in "
        "the bundle"
    )


def _stated(config: BundleConfig) -> dict[str, Any]:
    return {"sigma": config.noise, "opaque": True}


def _card(config: BundleConfig, repo: str) -> CardText:
    about = (
        f"Its network is opaque: an ONNX file, `{ONNX}`, smoothed by Gaussian noise of standard "
        f"deviation {as_stated(config.noise or 0.0)} (pixels in [0, 1]). Its operators were "
        "checked to be standard and not random; that it treats the images of a batch one by one, "
        "which the certificates assume, was tried on samples."
    )
    return certifying(about, repo)


KINDS = {
    "opaque": replace(
        OF_NETWORKS["smoothed"],
        classifier=opaque_classifier,
        smoothed=opaque_classifier,
        network=_no_network,
        stated=_stated,
        card=_card,
    )
}
