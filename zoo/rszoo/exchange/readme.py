"""The README.txt beside an exported network: what it takes, what it gives, what it is not."""

import json

from rszoo.exchange.onnx_file import INPUT, OUTPUT
from rszoo.hub.bundle import Bundle
from rszoo.hub.configs.network import NetworkConfig

__all__ = ["NO_CERTIFICATE", "readme"]

NO_CERTIFICATE = (
    "The certificate does not travel with this network: one evaluation of it certifies nothing."
)

_HEAD = """\
{name}: base network, exported by rszoo

{no_certificate}
{certificates}

images   float32 [batch, {shape}], in [0, 1]; noise is added to them as they are
logits   float32 [batch, {num_classes}]
classes  {classes}
network  {architecture}
weights  sha256 {digest} in the bundle
The network standardises its input itself: {standardisation}.
"""

_SMOOTHED = """\
Certificates are about the smoothed classifier, the majority vote of this network under
Gaussian noise of standard deviation sigma = {sigma}, as rszoo evaluates it. For a
certificate, run `rszoo certify` on the bundle; another runtime rounds differently, and what
it votes has to be certified anew."""

_STANDARD = """\
It was trained without noise, as the accurate part of a mix: `rszoo compose mixed`."""

_ONNX = """
model.onnx: the network with its standardisation; the batch size is free

    import onnxruntime

    session = onnxruntime.InferenceSession("model.onnx")
    logits = session.run(["{output}"], {{"{input}": images}})[0]
"""

_WEIGHTS = """
model.safetensors: the state dict of nn.Sequential(standardisation, network), as the research
codes save it: every name begins with "1.", and the standardisation has no tensors.

    import torch
    from safetensors.torch import load_file

    weights = load_file("model.safetensors")

With rszoo:

    from rszoo import data, networks

    model = networks.build(
        {name!r},
        input_shape={input_shape},
        num_classes={num_classes},
        normalization={normalization},{options}
    ).eval()
    model.load_state_dict(weights)

Without, in a network of your own with the same names{same_names}:

    network.load_state_dict({{name[2:]: tensor for name, tensor in weights.items()}})
    network.eval()
    logits = network({standardised})
"""


def readme(bundle: Bundle, *, weights: bool, onnx: bool) -> str:
    """Return the text for an export with a state dict, an ONNX model, or both."""
    config = bundle.of_network
    options = dict(config.architecture)
    name = options.pop("name")
    text = _HEAD.format(
        name=config.name,
        no_certificate=NO_CERTIFICATE,
        certificates=_SMOOTHED.format(sigma=config.sigma) if config.sigma else _STANDARD,
        shape=", ".join(map(str, config.input_shape)),
        num_classes=len(config.class_names),
        classes=json.dumps(config.class_names, ensure_ascii=False),
        architecture=" ".join([name, *(f"{key}={value}" for key, value in options.items())]),
        digest=bundle.weights_digest,
        standardisation=_in_words(config),
    )
    if onnx:
        text += _ONNX.format(input=INPUT, output=OUTPUT)
    if weights:
        text += _WEIGHTS.format(
            name=name,
            input_shape=tuple(config.input_shape),
            num_classes=len(config.class_names),
            normalization=_in_python(config),
            options="".join(f"\n        {key}={value!r}," for key, value in options.items()),
            same_names=" (torchvision's resnet50 has them)" if name == "resnet50" else "",
            standardised=_standardised(config),
        )
    return text


def _in_words(config: NetworkConfig) -> str:
    constants = config.normalization
    if constants is None:
        return "nothing is subtracted or divided"
    return f"per channel, mean {list(constants.mean)}, standard deviation {list(constants.std)}"


def _in_python(config: NetworkConfig) -> str:
    constants = config.normalization
    if constants is None:
        return "None"
    return f"data.Normalization({constants.mean}, {constants.std})"


def _standardised(config: NetworkConfig) -> str:
    constants = config.normalization
    if constants is None:
        return "images"
    mean, std = (
        f"torch.tensor({list(c)})[:, None, None]" for c in (constants.mean, constants.std)
    )
    return f"(images - {mean}) / {std}"
