"""A classifier of one's own as a bundle: of a network with a name, or of an ONNX file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import nn

from rszoo import networks
from rszoo._yaml import to_yaml
from rszoo.data import Normalization
from rszoo.errors import RszooError
from rszoo.exchange.checkpoint import Checkpoint
from rszoo.exchange.stated import checked_network
from rszoo.exchange.weights import put_weights
from rszoo.hub.bundle import Bundle
from rszoo.hub.config import BundleConfig
from rszoo.hub.configs.network import LibraryConfig, NetworkConfig
from rszoo.hub.configs.opaque import OpaqueConfig
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.networks.execution import evaluation_mode, place
from rszoo.networks.onnx_network import check_answers, read_onnx
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.training.provenance import environment

__all__ = ["save"]

C = TypeVar("C", bound=BundleConfig)

_NOT_A_RECIPE = "# Not a recipe: the model was saved from Python, and this was said of it.\n"

# Containers that run code of their authors when they are loaded, or are pickles.
_OF_CODE = (".pkl", ".pt", ".pt2", ".pth", ".ts")

# How far the logits of the bundle's network may be from those that are saved, as a share of the
# largest: by the order of sums.
_ROUNDING = 1e-3
_TRIED = 4


def save(
    classifier: SmoothedClassifier,
    folder: str | Path,
    *,
    architecture: str | Path,
    options: Mapping[str, Any] | None = None,
    normalization: Normalization | None = None,
    name: str | None = None,
    method: str = "unknown",
    dataset: str = "own",
    overwrite: bool = False,
) -> Bundle:
    """Write the bundle of a classifier, which every command takes from then on.

    The network that the bundle describes is made from it anew, and compared with the classifier's
    on a few images: what is saved computes what was there, up to rounding.

    Args:
        classifier: with `input_shape`; classes without names get numbers.
        folder: the new bundle.
        architecture: name of the network for `rszoo.networks.build`, such as
            "torchvision:resnet18"; or the path of an ONNX file that ends in ".onnx", for a network
            without a name. Of such a network the bundle says that it is opaque.
        options: of the architecture.
        normalization: mean and standard deviation that the network standardises by first, as the
            first of two layers; None for one that takes images as they are. An ONNX file has it
            inside.
        name: of the bundle; None: that of the folder.
        method: how it was trained.
        dataset: name or path of the data that it was trained on.
        overwrite: replace an existing bundle.

    Raises:
        RszooError: the classifier is made of several, or has no `input_shape`; the weights are not
            those of the architecture, or it gives other logits than the classifier's network; an
            ONNX file that cannot be certified; or the folder exists and `overwrite` is false.
    """
    folder = Path(folder)
    common: dict[str, Any] = {
        "name": folder.name if name is None else name,
        "method": method,
        "dataset": dataset,
        "input_shape": _input_shape(classifier),
        "class_names": classifier.class_names or tuple(map(str, range(classifier.num_classes))),
        "sigma": classifier.sigma,
    }
    if str(architecture).endswith(".onnx"):
        if options or normalization is not None:
            raise RszooError(
                "expected an ONNX file alone, which has options and standardisation inside, got "
                f"{options=}, {normalization=}"
            )
        made = _opaque(classifier, architecture, common)
    else:
        stated = {**(options or {}), "name": str(architecture)}
        made = _named(classifier, stated, normalization, common)
    return write_bundle(
        folder, origin=Origin(**environment(), parents=()), replace=overwrite, **made
    )


def _opaque(
    classifier: SmoothedClassifier, path: str | Path, common: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what `write_bundle` takes for a network that is an ONNX file."""
    network = read_onnx(path)
    check_answers(
        network, input_shape=common["input_shape"], num_classes=len(common["class_names"])
    )
    _check_same(network, classifier)
    config = _config(OpaqueConfig, **common)
    return {"config": config, "onnx": network.content, "recipe": _recipe(common, {"name": "onnx"})}


def _named(
    classifier: SmoothedClassifier,
    stated: Mapping[str, Any],
    normalization: Normalization | None,
    common: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what `write_bundle` takes for a network of `rszoo.networks.build`."""
    if str(stated["name"]).endswith(_OF_CODE):
        raise RszooError(
            f"expected the name of a network or an ONNX file, got {stated['name']!r}: such files "
            "run code of their authors when they are loaded; export it as ONNX"
        )
    try:
        networks.options(str(stated["name"]))
    except RszooError as error:
        raise RszooError(
            f"{error}; a network that has no such name is saved as ONNX: architecture='FILE.onnx'"
        ) from None
    described = checked_network(stated)
    values: dict[str, Any] = {
        **described,
        "input_shape": common["input_shape"],
        "num_classes": len(common["class_names"]),
        "normalization": normalization,
    }
    config = _config(
        NetworkConfig,
        **common,
        architecture=described,
        library=LibraryConfig.of(described["name"]),
        normalization=normalization,
        trained_precision="float32",
    )
    networks.outline(**values)  # whether it takes such images
    network = networks.build(**values).eval()
    put_weights(network, _weights_of(classifier), normalization=normalization)
    _check_same(network, classifier)
    return {"config": config, "network": network, "recipe": _recipe(common, described)}


def _input_shape(classifier: object) -> tuple[int, int, int]:
    """Return the shape of the images of a classifier that can be saved."""
    if not isinstance(classifier, SmoothedClassifier):
        raise RszooError(
            f"expected a SmoothedClassifier, got {type(classifier).__name__}; save its parts, and "
            "put them together with rszoo compose"
        )
    if classifier.input_shape is None or len(classifier.input_shape) != 3:
        raise RszooError(
            "expected a classifier with input_shape, channels, height and width, got "
            f"{classifier.input_shape}; SmoothedClassifier(..., input_shape=(3, 32, 32)) has one"
        )
    channels, height, width = classifier.input_shape
    return channels, height, width


def _weights_of(classifier: SmoothedClassifier) -> Checkpoint:
    """Return the weights of a classifier's network as those of a checkpoint."""
    state = classifier.network.state_dict()
    return Checkpoint(
        path=Path("the classifier's network"),
        sha256="",
        sets={"": {name: tensor.detach().cpu() for name, tensor in state.items()}},
        arch=type(classifier.network).__name__,
        epoch=None,
    )


@torch.inference_mode()
def _check_same(network: nn.Module, classifier: SmoothedClassifier) -> None:
    """Refuse a network that gives other logits than the classifier's."""
    generator = torch.Generator().manual_seed(0)
    shape = (_TRIED, *_input_shape(classifier))
    images = torch.rand(shape, generator=generator)
    images += classifier.sigma * torch.randn(shape, generator=generator)
    images = images.to(classifier.device)
    placed, base = place(network, classifier.device), classifier.base
    with evaluation_mode(placed), evaluation_mode(base):
        found, expected = placed(images.clone()).float(), base(images.clone()).float()
    scale = max(expected.abs().max().item(), 1e-30)
    same = found.shape == expected.shape
    difference = (found - expected).abs().max().item() / scale if same else float("inf")
    if not difference <= _ROUNDING:
        raise RszooError(
            f"expected the logits of the classifier's network, got others (by {difference:.2g} of "
            "their scale): a network that standardises its images needs normalization=, and one "
            "that differs from the architecture in more than weights another name, or ONNX"
        )


def _config(class_: type[C], **values: Any) -> C:
    """Return a config of checked values.

    Raises:
        RszooError: one is out of range.
    """
    try:
        return class_(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise RszooError(f"{key}: {first['msg']}, got {values.get(key)!r}") from None


def _recipe(common: Mapping[str, Any], network: Mapping[str, Any]) -> str:
    said = {key: common[key] for key in ("name", "method", "dataset", "sigma")}
    return _NOT_A_RECIPE + to_yaml({**said, "network": dict(network)})
