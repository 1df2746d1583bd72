"""torch.hub entry points: one per training method whose models come with rszoo.

    torch.hub.load("owner/rszoo", "cat_rs", dataset="digits", sigma=0.5)

gives a `rszoo.SmoothedClassifier`, ready to certify; with `pretrained=False`, the bare network.
"""

import importlib.util
import pathlib
import sys
from typing import TYPE_CHECKING

dependencies = ["torch", "numpy", "scipy", "pydantic", "safetensors", "yaml"]

if importlib.util.find_spec("rszoo") is None:  # a checkout that is not installed
    sys.path.insert(0, str(pathlib.Path(__file__).parent / "zoo"))

if TYPE_CHECKING:
    from torch import nn

    from rszoo import SmoothedClassifier


def gaussian(
    dataset: str = "digits", sigma: float = 0.5, pretrained: bool = True
) -> "SmoothedClassifier | nn.Module":
    """Gaussian augmentation (Cohen et al., 2019).

    Args:
        dataset: data set that the model was trained on.
        sigma: noise level that it was trained with, in pixel units with images in [0, 1].
        pretrained: give the smoothed classifier; otherwise the bare, untrained network.

    Raises:
        rszoo.RszooError: no such model comes with rszoo.
    """
    return _model("gaussian", dataset, sigma, pretrained)


def consistency(
    dataset: str = "digits", sigma: float = 0.5, pretrained: bool = True
) -> "SmoothedClassifier | nn.Module":
    """Consistency regularisation (Jeong and Shin, 2020); arguments as for `gaussian`."""
    return _model("consistency", dataset, sigma, pretrained)


def cat_rs(
    dataset: str = "digits", sigma: float = 0.5, pretrained: bool = True
) -> "SmoothedClassifier | nn.Module":
    """CAT-RS, confidence-aware training (Jeong et al., 2023); arguments as for `gaussian`."""
    return _model("cat_rs", dataset, sigma, pretrained)


def _model(
    method: str, dataset: str, sigma: float, pretrained: bool
) -> "SmoothedClassifier | nn.Module":
    from rszoo.hub.bundle import untrained_network
    from rszoo.hub.catalog import find

    text = f"{float(sigma):.2f}"
    bundle = find(f"builtin/{dataset}-{method}-{text if float(text) == float(sigma) else sigma}")
    return bundle.classifier() if pretrained else untrained_network(bundle.of_network)
