"""Networks that are replayed from a graph: with a plain call in place of the capture, and really.

Where there is no GPU, a `Recorder` stands for it: what it has captured does the same work again on
what is then in the same memory, and leaves its answers where they were before, as a graph does.
"""

import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rszoo import networks
from rszoo.networks.cuda_graphs import BEFORE
from rszoo.networks.evaluated import evaluated
from rszoo.networks.graphed import Graphed, graphs_serve
from rszoo.networks.logits import WithLogits
from rszoo.smoothing.classifier import SmoothedClassifier

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
SIZE = 5


class Recorder:
    """Stands for a device with graphs.

    Attributes:
        launched, captured, replayed: how often.
        can: whether what is watched can be captured.
    """

    def __init__(self, can: bool = True) -> None:
        self.launched = self.captured = self.replayed = 0
        self.can = can

    def launch(self, work: Callable[[], None], *, watched: bool) -> bool:
        self.launched += 1
        work()
        return self.can or not watched

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        assert not torch.is_inference_mode_enabled()
        self.captured += 1
        network = work.__self__  # type: ignore[attr-defined]
        work()
        answers = network._logits

        def replay() -> None:
            self.replayed += 1
            work()
            network._logits = answers.copy_(network._logits)

        return replay


def small() -> nn.Module:
    return networks.build("small_cnn", input_shape=(1, 8, 8), num_classes=3).eval()


def graphed(network: nn.Module, graphs: Recorder) -> Graphed:
    return Graphed(network, batch_size=SIZE, device=CPU, graphs=graphs)


def batch(size: int = SIZE) -> Tensor:
    return torch.rand(size, 1, 8, 8)


@torch.inference_mode()
def test_answers_are_those_of_the_network() -> None:
    network, graphs = small(), Recorder()
    replayed, answers = graphed(network, graphs), []
    batches = [batch() for _ in range(BEFORE + 3)]
    for one in batches:
        answers.append(replayed(one))
    for one, answer in zip(batches, answers, strict=True):  # none is overwritten by a later one
        assert torch.equal(answer, network(one))
    assert (graphs.launched, graphs.captured, graphs.replayed) == (BEFORE, 1, 3)


@torch.inference_mode()
def test_other_batches_are_evaluated_as_they_are() -> None:
    network, graphs = small(), Recorder()
    replayed = graphed(network, graphs)
    for size in (1, SIZE - 1, SIZE + 1):
        one = batch(size)
        assert torch.equal(replayed(one), network(one))
    assert graphs.launched == 0


@torch.inference_mode()
def test_what_cannot_be_captured_is_evaluated_as_it_is() -> None:
    network, graphs = small(), Recorder(can=False)
    replayed = graphed(network, graphs)
    for _ in range(BEFORE + 3):
        one = batch()
        assert torch.equal(replayed(one), network(one))
    assert (graphs.launched, graphs.captured) == (BEFORE, 0)


@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
def test_in_every_mode_of_gradients(mode: Callable[[], torch.no_grad]) -> None:
    network, graphs = small(), Recorder()
    replayed = graphed(network, graphs)
    for one_mode in (torch.inference_mode, mode, torch.inference_mode):
        for _ in range(BEFORE):
            with one_mode():
                one = batch()
                assert torch.equal(replayed(one), network(one))
    assert graphs.captured == 1


def captures(change: Callable[[nn.Module], object], *, precision: str = "float32") -> int:
    """Return how often a network is captured if it is changed after its first capture."""
    network, graphs = small(), Recorder()
    replayed = graphed(network, graphs)
    with torch.inference_mode():
        for part in range(2):
            bfloat16 = part == 1 and precision == "bfloat16"
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bfloat16):
                for _ in range(BEFORE + 1):
                    one = batch()
                    assert torch.equal(replayed(one), network(one))
            if part == 0:
                with torch.inference_mode(False):
                    change(network)
    return graphs.captured


def in_place(network: nn.Module) -> None:
    network.load_state_dict({key: value / 2 for key, value in network.state_dict().items()})


def moved(network: nn.Module) -> None:
    for parameter in network.parameters():
        parameter.data = parameter.data.clone() / 2


def test_it_is_captured_again_where_weights_have_moved() -> None:
    assert captures(lambda network: None) == 1
    assert captures(in_place) == 1  # the graph reads them where they were
    assert captures(moved) == 2


def test_it_is_captured_again_in_another_precision() -> None:
    assert captures(lambda network: None, precision="bfloat16") == 2


@torch.inference_mode()
def test_weights_are_cast_within_the_capture() -> None:
    # Autocast keeps what it has cast until its end; a graph would read that after it.
    network = small()
    seen: list[bool] = []
    network.register_forward_hook(lambda *_: seen.append(torch.is_autocast_cache_enabled()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        graphed(network, Recorder())(batch())
        assert torch.is_autocast_cache_enabled()
    assert seen == [False]


def test_it_travels_as_what_is_to_be_captured_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rszoo.networks.graphed.CudaGraphs", lambda device: Recorder())
    there = pickle.loads(pickle.dumps(graphed(small(), Recorder())))
    assert (there.batch_size, there._replay) == (SIZE, None)


class Own(nn.Module):
    """Of no library that is known to compute and no more."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def test_only_what_is_known_is_replayed() -> None:
    hooked, patched = small(), small()
    hooked[1].register_forward_hook(lambda *_: None)
    patched[1].forward = lambda x: x  # type: ignore[method-assign]
    assert graphs_serve(WithLogits(small()), CUDA)
    assert not graphs_serve(small(), CPU)
    for other in (hooked, patched, nn.Sequential(Own())):
        assert not graphs_serve(other, CUDA)


@pytest.mark.parametrize("name", ["torchvision:resnet18", "timm:vit_tiny_patch16_224"])
def test_libraries_of_networks_are_known(name: str) -> None:
    with torch.device("meta"):
        network = networks.build(name, input_shape=(3, 224, 224), num_classes=10)
    assert graphs_serve(network, CUDA)


def chosen(**changed: object) -> nn.Module:
    given: dict[str, object] = {"compile": False, "fused": False, "capture": True}
    where = {"input_shape": (1, 8, 8), "batch_size": SIZE, "precision": "float32", "device": CUDA}
    return evaluated(small(), **(given | where | changed))  # type: ignore[arg-type]


def test_it_is_chosen_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rszoo.networks.graphed.CudaGraphs", lambda device: Recorder())
    assert isinstance(chosen(), Graphed)
    for changed in ({"capture": False}, {"device": CPU}, {"batch_size": None}):
        assert isinstance(chosen(**changed), WithLogits)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_votes_are_those_without_a_graph(precision: str) -> None:
    network = networks.build("lenet", input_shape=(1, 28, 28), num_classes=10)
    votes = []
    for capture in (True, False):
        how = {"device": "cuda", "precision": precision, "fused": False, "capture": capture}
        model = SmoothedClassifier(
            network, sigma=0.5, num_classes=10, input_shape=(1, 28, 28), **how
        )  # type: ignore[arg-type]
        x = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(1))
        found = model.certify(x, n=20_500, seed=1)
        votes.append((found.label, found.votes))
    assert votes[0] == votes[1]
