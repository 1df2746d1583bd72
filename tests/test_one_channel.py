"""The fast gradient in one-channel images is the gradient."""

import pytest
import torch
from torch import Tensor, nn

from rszoo import networks
from rszoo.networks.architectures import lenet as lenet_file
from rszoo.networks.one_channel import convolve


def a_layer(*, bias: bool = True) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(1, 3, (3, 2), bias=bias).double()


def images() -> Tensor:
    return torch.rand(2, 1, 6, 5, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_in_images_weights_and_bias_are_numerically_right(bias: bool) -> None:
    layer, x = a_layer(bias=bias), images()
    assert convolve(layer, x).grad_fn.name() == "_ConvolutionBackward"  # type: ignore[union-attr]
    parameters = list(layer.parameters())

    def output(x: Tensor, *_: Tensor) -> Tensor:
        return convolve(layer, x)

    assert torch.autograd.gradcheck(output, (x, *parameters))


def test_the_output_is_the_layers() -> None:
    layer, x = a_layer(), images()
    assert torch.equal(convolve(layer, x), layer(x))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_lenet_has_the_gradient_of_the_plain_layers(
    memory_format: torch.memory_format, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    lenet = networks.build("lenet", input_shape=(1, 28, 28), num_classes=10)[1]
    x = torch.rand(4, 1, 28, 28).to(memory_format=memory_format).requires_grad_()
    (gradient,) = torch.autograd.grad(lenet(x).logsumexp(1).sum(), x)
    monkeypatch.setattr(lenet_file, "convolve", lambda layer, x: layer(x))
    (plain,) = torch.autograd.grad(lenet(x).logsumexp(1).sum(), x)
    torch.testing.assert_close(gradient, plain, atol=1e-7, rtol=1e-4)


def test_bfloat16_gives_gradients_of_the_inputs_types() -> None:
    layer, x = a_layer().float(), images().detach().float().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = convolve(layer, x)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is not None
    assert {x.grad.dtype, layer.weight.grad.dtype} == {torch.float32}
    expected = layer.weight.sum().item() * torch.ones(1)
    torch.testing.assert_close(x.grad[0, 0, 2, 2].view(1), expected, atol=0.02, rtol=0.02)
