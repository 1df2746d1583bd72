"""Where an attack passes, a convolution with batch normalisation is one convolution."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rszoo import networks
from rszoo.methods._attacks import frozen


@pytest.fixture
def resnet() -> nn.Module:
    torch.manual_seed(0)
    network = networks.build("cifar_resnet", input_shape=(3, 16, 16), num_classes=10, depth=8)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):  # as after a training
            nn.init.normal_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 2.0)
            nn.init.normal_(module.bias)
    return network.double()


@pytest.fixture
def normalized(resnet: nn.Module) -> list[nn.Module]:
    """The batch normalisations that run, in their order."""
    ran: list[nn.Module] = []
    for module in resnet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda one, *_: ran.append(one))
    return ran


def images(*, requires_grad: bool) -> Tensor:
    torch.manual_seed(1)
    return torch.rand(4, 3, 16, 16, dtype=torch.float64).requires_grad_(requires_grad)


def test_logits_and_gradients_of_an_attack_are_those_of_the_layers(
    resnet: nn.Module, normalized: list[nn.Module]
) -> None:
    x = images(requires_grad=True)
    resnet.eval()
    plain = resnet(x)
    (expected,) = torch.autograd.grad(plain.logsumexp(1).sum(), x)
    assert len(normalized) == 9
    with frozen(resnet):
        logits = resnet(x)
        (gradient,) = torch.autograd.grad(logits.logsumexp(1).sum(), x)
    assert len(normalized) == 9
    torch.testing.assert_close(logits, plain, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(gradient, expected, atol=1e-10, rtol=1e-10)
    assert expected.abs().max() > 1e-3


@pytest.mark.parametrize(
    ("mode", "requires_grad"),
    [
        (nn.Module.train, True),
        (nn.Module.eval, True),
        (nn.Module.train, False),
        (nn.Module.eval, False),
    ],
)
def test_without_an_attack_the_layers_run(
    resnet: nn.Module,
    normalized: list[nn.Module],
    mode: Callable[[nn.Module], object],
    requires_grad: bool,
) -> None:
    mode(resnet)
    resnet(images(requires_grad=requires_grad)).sum().backward()
    assert len(normalized) == 9
    assert all(parameter.grad is not None for parameter in resnet.parameters())


def test_batch_statistics_are_used_where_weights_are_frozen_in_training(
    resnet: nn.Module, normalized: list[nn.Module]
) -> None:
    resnet.requires_grad_(False)
    resnet.train()(images(requires_grad=True))
    assert len(normalized) == 9


def test_bfloat16(resnet: nn.Module) -> None:
    x = images(requires_grad=True).detach().float().requires_grad_()
    resnet.float().eval()
    expected = resnet(x).detach()
    with frozen(resnet), torch.autocast("cpu", torch.bfloat16):
        logits = resnet(x)
        (gradient,) = torch.autograd.grad(logits.float().sum(), x)
    assert logits.dtype == torch.bfloat16
    assert gradient.dtype == torch.float32
    torch.testing.assert_close(logits.float(), expected, atol=0.1, rtol=0.1)
