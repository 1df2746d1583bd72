"""A network as an ONNX model, compared with PyTorch before anybody gets it."""

import importlib
import importlib.util
import warnings
from typing import Any

import torch
from torch import Tensor, nn

from rszoo.errors import RszooError

__all__ = ["INPUT", "OUTPUT", "onnx_model"]

INPUT, OUTPUT = "images", "logits"

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_TOLERANCE = 1e-5


def onnx_model(
    network: nn.Module, *, input_shape: tuple[int, int, int], sigma: float, note: str
) -> tuple[bytes, float]:
    """Return the ONNX file of a network in eval mode on the CPU, and how far its logits are off.

    Args:
        network: maps images to logits.
        input_shape: channels, height, width; the number of images is free.
        sigma: noise level of the images that it is compared on.
        note: put into the file.

    Returns:
        The bytes, and the largest difference to PyTorch's logits, relative to the largest logit
        where that is above 1.

    Raises:
        RszooError: packages are missing, or the two disagree by more than 1e-5.
    """
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise RszooError(
            f"ONNX needs the packages {list(_PACKAGES)}, {missing} are not installed; "
            "pip install 'rszoo[onnx]', or --format state_dict goes without"
        )
    content = _exported(network, input_shape, note)
    difference = _difference(content, network, input_shape, sigma)
    if not difference <= _TOLERANCE:
        raise RszooError(
            f"expected ONNX logits within {_TOLERANCE:g} of PyTorch's, got {difference:.2g}; "
            "nothing is written"
        )
    return content, difference


def _exported(network: nn.Module, input_shape: tuple[int, int, int], note: str) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter about torch itself
        program = torch.onnx.export(
            network,
            (torch.zeros(2, *input_shape),),
            dynamo=True,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    assert program is not None  # it is one with dynamo=True
    model: Any = program.model_proto
    model.doc_string = note
    # Where each operator comes from: paths of this machine, which are nobody's business.
    for part in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input):
        del part.metadata_props[:]
    return model.SerializeToString(deterministic=True)


def _difference(
    content: bytes, network: nn.Module, input_shape: tuple[int, int, int], sigma: float
) -> float:
    """Return the largest difference on noisy images, alone and in a batch."""
    runtime = importlib.import_module("onnxruntime")
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch in (1, 3):
        shape = (batch, *input_shape)
        x = torch.rand(shape, generator=generator)
        x += sigma * torch.randn(shape, generator=generator)
        with torch.inference_mode():
            expected: Tensor = network(x)
        logits = torch.from_numpy(session.run([OUTPUT], {INPUT: x.numpy()})[0])
        if logits.shape != expected.shape:
            return float("inf")
        scale = max(1.0, expected.abs().max().item())
        worst = max(worst, (logits - expected).abs().max().item() / scale)
    return worst
