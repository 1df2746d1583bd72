"""A network that is an ONNX file, evaluated by onnxruntime: the one opaque kind.

What it computes is in the file alone; rszoo knows its rules (`rszoo.networks.onnx_graph`) and its
answers. onnxruntime is given bytes that were checked, never a path, and its own operators only.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rszoo._reading import check_size
from rszoo.errors import RszooError
from rszoo.networks.onnx_graph import check_graph
from rszoo.networks.opaque import Opaque

__all__ = ["OnnxNetwork", "check_answers", "read_onnx"]

#: What an ONNX file may have, in bytes; the format ends there.
MOST_BYTES = 2**31 - 1

# How far the logits of an image alone may be from those in a batch, as a share of the largest: by
# the order of sums. Twice the same batch is to give the same bits.
_ROUNDING = 1e-3
_TRIED = 5


class OnnxNetwork(Opaque):
    """A network without weights that torch knows of.

    It computes in float32, on the CPU, wherever its images are, and has no gradient.

    Attributes:
        content: the ONNX file.
    """

    def __init__(self, content: bytes) -> None:
        """Check a file and make it ready.

        Raises:
            RszooError: packages are missing; the file is none that `check_graph` lets pass, or
                onnxruntime refuses it; or it has another input than images.
        """
        super().__init__()
        check_graph(content)
        self.content = content
        self._session = _session(content)
        self._input, self._output = _ends(self._session)

    def __reduce__(self) -> tuple[type["OnnxNetwork"], tuple[bytes]]:
        """Travel to another process as the file, which is checked there."""
        return OnnxNetwork, (self.content,)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `[B, classes]` of images.

        Raises:
            RszooError: onnxruntime fails, or the first output is no array.
        """
        images = np.ascontiguousarray(x.detach().to("cpu", torch.float32).numpy())
        try:
            (logits,) = self._session.run([self._output], {self._input: images})
        except Exception as error:  # onnxruntime has a class for each of its codes
            raise RszooError(f"the ONNX network fails on {list(x.shape)}: {error}") from error
        if not isinstance(logits, np.ndarray):
            raise RszooError(f"expected logits [B, classes], got {type(logits).__name__}")
        return torch.from_numpy(logits).to(x.device)


def read_onnx(path: str | Path) -> OnnxNetwork:
    """Read an ONNX file as a network, for `rszoo.SmoothedClassifier`.

    Args:
        path: one file with everything in it; images [B, C, H, W] in [0, 1] to logits, for any B.

    Raises:
        RszooError: the file is none, or not one that can be certified; see `OnnxNetwork`.
    """
    path = Path(path)
    check_size(path, most=MOST_BYTES)
    try:
        return OnnxNetwork(path.read_bytes())
    except OSError as error:
        raise RszooError(f"cannot read {str(path)!r}: {error.strerror}") from error


def check_answers(
    network: OnnxNetwork, *, input_shape: tuple[int, int, int], num_classes: int
) -> None:
    """Try a network on a few images: it treats them one by one, and twice the same.

    Raises:
        RszooError: it does not, or takes no batches, or gives no logits for so many classes.
    """
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(_TRIED, *input_shape, generator=generator)
    images[1:] += 0.5 * torch.randn(_TRIED - 1, *input_shape, generator=generator)
    logits = network(images)
    if tuple(logits.shape) != (_TRIED, num_classes) or not logits.is_floating_point():
        raise RszooError(
            f"expected float logits of shape {(_TRIED, num_classes)} for {_TRIED} images, got "
            f"{tuple(logits.shape)} of {logits.dtype}; export it with a free batch size"
        )
    if not torch.equal(network(images).nan_to_num(), logits.nan_to_num()):
        raise RszooError(
            "expected the same logits for the same images, got others the second time"
        )
    alone = torch.cat([network(image[None]) for image in images])
    difference = (alone - logits).abs().max().item() / max(logits.abs().max().item(), 1e-30)
    if not difference <= _ROUNDING:
        raise RszooError(
            "expected a network that treats the images of a batch one by one, got logits that "
            f"differ by {difference:.2g} of their scale when an image is alone"
        )


def _session(content: bytes) -> Any:  # noqa: ANN401  onnxruntime is untyped
    runtime: Any = import_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.use_deterministic_compute = True
    options.log_severity_level = 4  # what it has to say is raised
    try:
        return runtime.InferenceSession(
            content, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # as in `forward`
        raise RszooError(
            f"expected an ONNX network that onnxruntime takes, got another: {error}"
        ) from error


def _ends(session: Any) -> tuple[str, str]:  # noqa: ANN401
    """Return the names of the input and of the first output."""
    inputs, outputs = session.get_inputs(), session.get_outputs()
    found = [(one.type, list(one.shape)) for one in inputs]
    if len(found) != 1 or found[0][0] != "tensor(float)" or len(found[0][1]) != 4:
        raise RszooError(f"expected one input, images [B, C, H, W] as tensor(float), got {found}")
    if isinstance(found[0][1][0], int):
        raise RszooError(
            f"expected a free number of images, got {found[0][1][0]}; export it with a dynamic "
            "first axis"
        )
    return inputs[0].name, outputs[0].name
