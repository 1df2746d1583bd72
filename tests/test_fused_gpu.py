"""Fused kernels in bfloat16 on a GPU, on the networks that they are for."""

import pytest
import torch
from fused_networks import distance, with_statistics
from torch import Tensor, nn

from rszoo import networks
from rszoo.methods._attacks import frozen
from rszoo.networks.cuda_graphs import CudaGraphs
from rszoo.networks.execution import place
from rszoo.networks.fused.attackable import Attackable, attackable
from rszoo.networks.fused.network import Fused
from rszoo.smoothing.classifier import SmoothedClassifier

pytestmark = pytest.mark.gpu

SHAPE = (3, 32, 32)


def resnet(depth: int) -> nn.Module:
    network = networks.build("cifar_resnet", input_shape=SHAPE, num_classes=10, depth=depth)
    return place(with_statistics(network), torch.device("cuda"))


@pytest.mark.parametrize("depth", [20, 110])
def test_logits_are_as_near_to_float32_as_those_of_autocast(depth: int) -> None:
    network, x = resnet(depth), torch.rand(1000, *SHAPE, device="cuda")
    with torch.inference_mode():
        exact = network(x)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            library = network(x)
        mine = Fused(network, SHAPE, "bfloat16")(x)
    assert mine.dtype == torch.float32
    assert 0.0 < distance(mine, exact) < max(0.02, 2.0 * distance(library, exact))


def test_an_image_has_the_same_logits_in_any_batch() -> None:
    """Where it lies in a batch decides nothing but the order of the last sums, torch's."""
    network, x = resnet(20), torch.rand(1000, *SHAPE, device="cuda")
    fused = Fused(network, SHAPE, "bfloat16")
    with torch.inference_mode():
        together = fused(x)
        for first, size in ((0, 1), (3, 1), (500, 40), (750, 250), (999, 1)):
            alone = fused(x[first : first + size])
            torch.testing.assert_close(alone, together[first : first + size], atol=1e-4, rtol=1e-4)


def test_a_classifier_on_a_gpu_is_fused_by_itself_and_agrees_with_the_library() -> None:
    options = {"sigma": 0.25, "num_classes": 10, "input_shape": SHAPE, "device": "cuda"}
    network, x, n = resnet(20), torch.rand(SHAPE), 20_000
    fused = SmoothedClassifier(network, **options, precision="bfloat16")
    library = SmoothedClassifier(network, **options, precision="bfloat16", fused=False)
    assert (fused.fused, library.fused) == (True, False)
    assert "fused" not in library.protocol_entries
    counts, others = (torch.tensor(one.votes(x, n=n)) for one in (fused, library))
    assert counts.sum() == n
    # The same noise: what differs is rounding, which decides where two classes are near, as they
    # often are for a network that has learned nothing.
    assert (counts - others).abs().sum() / 2 < 0.05 * n
    assert fused.votes(x, n=n) == counts.tolist()
    assert not SmoothedClassifier(network, **options, precision="float32").fused


def under_attack(network: nn.Module) -> Attackable:
    """Return a network whose attacks are fused by themselves."""
    device = torch.device("cuda", torch.cuda.current_device())
    how = {"input_shape": SHAPE, "precision": "bfloat16", "device": device}
    found = attackable(network, None, on_obstacle=pytest.fail, **how)  # type: ignore[arg-type]
    assert found is not None
    return found


def gradient(network: nn.Module, x: Tensor) -> Tensor:
    """Return the gradient of the first class of each image."""
    point = x.detach().requires_grad_()
    with frozen(network) as attacked:
        (found,) = torch.autograd.grad(attacked(point)[:, 0].sum(), point)
    return found


@pytest.mark.parametrize("depth", [20, 110])
def test_gradients_are_as_near_to_float32_as_those_of_autocast(depth: int) -> None:
    network, x = resnet(depth), torch.rand(256, *SHAPE, device="cuda")
    exact = gradient(network, x)
    model = under_attack(network)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        library, mine = gradient(network, x), gradient(model, x)
    assert model.attacked
    assert 0.0 < distance(mine, exact) < max(0.02, 2.0 * distance(library, exact))


def test_a_captured_attack_packs_weights_as_they_are() -> None:
    network, x = resnet(20), torch.rand(64, *SHAPE, device="cuda")
    model, found, notes = under_attack(network), torch.empty_like(x), list[str]()

    def attack() -> None:
        found.copy_(gradient(model, x))

    graphs = CudaGraphs(x.device, on_obstacle=notes.append)
    assert [graphs.launch(attack, watched=one) for one in (False, False, True)] == [True] * 3
    replay, before = graphs.capture(attack), found.clone()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * parameter.std() * torch.randn_like(parameter)
    replay()
    captured = found.clone()
    attack()
    assert notes == []
    assert torch.equal(captured, found)
    assert distance(captured, before) > 0.01
