"""torch.hub entry points: one per training method of smoothed classifiers.

    torch.hub.load("owner/rszoo", "cat_rs", dataset="mnist", sigma=0.5)

gives a classifier that is ready to certify: a model that comes with rszoo, or one from the
Hugging Face Hub. With `pretrained=False` it gives the bare, untrained network.
"""

import importlib.util
import pathlib
import sys
from typing import TYPE_CHECKING

dependencies = ["torch", "numpy", "scipy", "pydantic", "safetensors", "yaml", "huggingface_hub"]

if importlib.util.find_spec("rszoo") is None:  # a checkout that is not installed
    sys.path.insert(0, str(pathlib.Path(__file__).parent / "zoo"))

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from rszoo.smoothing.interface import Classifier

_METHODS = {
    "gaussian": "Gaussian augmentation (Cohen et al., 2019)",
    "stability": "Stability training (Li et al., 2019)",
    "smoothadv": "SmoothAdv, adversarial training of smoothed classifiers (Salman et al., 2019)",
    "macer": "MACER, maximising the certified radius (Zhai et al., 2020)",
    "consistency": "Consistency regularisation (Jeong and Shin, 2020)",
    "smoothadv_consistency": "SmoothAdv with consistency regularisation (Jeong and Shin, 2020)",
    "smoothmix": "SmoothMix, confidence-calibrated smoothing (Jeong et al., 2021)",
    "insta_rs": "Insta-RS Train, a reconstruction (Chen et al., 2021)",
    "cat_rs": "CAT-RS, confidence-aware training (Jeong et al., 2023)",
    "hard_dropping": "Gaussian augmentation that drops hard images (Sun et al., 2025)",
}

_HELP = """{title}.

    Args:
        dataset: data set that the model was trained on: digits, mnist, cifar10, ...
        sigma: noise level that it was trained with, in pixel units with images in [0, 1].
        pretrained: give the trained classifier; otherwise the bare, untrained network.
        progress: show the progress of a download.
        owner: whose models on the Hugging Face Hub, where none comes with rszoo.

    Returns:
        A classifier with `certify` and `predict`, or an `nn.Module` that takes images in [0, 1].

    Raises:
        rszoo.RszooError: there is no such model, or the hub cannot be reached.
    """


def _entry(method: str, title: str) -> "Callable[..., Classifier | nn.Module]":
    def entry(
        dataset: str = "digits",
        sigma: float = 0.5,
        pretrained: bool = True,
        progress: bool = True,
        owner: str = "rszoo",
    ) -> "Classifier | nn.Module":
        if not pretrained:
            return _untrained(method, dataset, float(sigma))
        return _pretrained(method, dataset, float(sigma), progress=progress, owner=owner)

    entry.__name__ = entry.__qualname__ = method
    entry.__doc__ = _HELP.format(title=title)
    return entry


def _pretrained(
    method: str, dataset: str, sigma: float, *, progress: bool, owner: str
) -> "Classifier":
    import huggingface_hub

    import rszoo

    text = f"{sigma:.2f}"
    name = f"{dataset}-{method}-{text if float(text) == sigma else sigma}"
    if f"builtin/{name}" in rszoo.list_models():
        return rszoo.load(f"builtin/{name}")
    if not progress:
        huggingface_hub.utils.disable_progress_bars()
    return rszoo.load(f"{owner}/{name}")


def _untrained(method: str, dataset: str, sigma: float) -> "nn.Module":
    from rszoo import data, networks
    from rszoo.training.recipes.files import load_recipe

    network = load_recipe(method).resolve(dataset=dataset, sigma=sigma).network
    known = data.known_set(dataset)
    if known is None or not known.class_names:
        known = data.load(dataset, "test")
    return networks.build(
        network.name,
        input_shape=known.shape,
        num_classes=len(known.class_names),
        normalization=known.normalization,
        **network.options,
    )


globals().update({method: _entry(method, title) for method, title in _METHODS.items()})
