"""Chunks on several cores at once are the same votes, and leave nothing behind."""

import threading
import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

import rszoo
from rszoo import networks
from rszoo.errors import RszooError
from rszoo.networks.compiled import Compiled
from rszoo.networks.logits import as_network
from rszoo.smoothing.at_once import in_order, is_stateless
from rszoo.smoothing.noise import CHUNK, Stream
from rszoo.smoothing.votes import count_votes, running_votes

CLASSES = 4
IMAGE = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(1)).mul(255).round() / 255


@pytest.fixture
def three_threads() -> Iterator[None]:
    torch.set_num_threads(3)
    yield
    assert torch.get_num_threads() == 3
    assert threads() == 0
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def worth_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rszoo.smoothing.votes._WORTH_FLOATS", 1)  # however few they are


def threads() -> int:
    return sum(one.name.startswith("rszoo") for one in threading.enumerate())


def small_cnn() -> nn.Module:
    torch.manual_seed(0)
    return networks.build("small_cnn", input_shape=(1, 8, 8), num_classes=CLASSES)


def running(
    network: nn.Module, looks: list[int], *, sound: bool = False, first: int = 0
) -> list[list[int]]:
    return list(
        running_votes(
            network,
            IMAGE,
            sigma=0.5,
            looks=looks,
            stream=Stream.ESTIMATION,
            seed=3,
            num_classes=CLASSES,
            sound=sound,
            first=first,
        )
    )


def test_results_come_in_order_while_others_are_worked_on(three_threads: None) -> None:
    together, own = threading.Barrier(3, timeout=30), set()

    def work(piece: int, stop: threading.Event) -> int:
        own.add(torch.get_num_threads())
        if piece < 3:
            together.wait()  # of which none gets on before three are there
        time.sleep(0.01 * (piece % 3 == 0))
        return 2 * piece

    assert list(in_order(work, range(20), threads=3)) == list(range(0, 40, 2))
    assert own == {1}


def test_no_more_is_begun_than_will_soon_be_asked_for(three_threads: None) -> None:
    begun: list[int] = []
    results = in_order(lambda piece, stop: begun.append(piece), range(1000), threads=3)
    next(iter(results))
    results.close()  # type: ignore[attr-defined]
    assert 1 <= len(begun) <= 7


def test_the_first_error_ends_all(three_threads: None) -> None:
    stopped: list[bool] = []

    def work(piece: int, stop: threading.Event) -> None:
        if piece == 0:
            raise RszooError("broken")
        stopped.append(stop.wait(60))

    started = time.monotonic()
    with pytest.raises(RszooError, match="broken"):
        list(in_order(work, range(100), threads=3))
    assert time.monotonic() - started < 30
    assert stopped
    assert all(stopped)
    assert len(stopped) < 10


@pytest.mark.parametrize("sound", [False, True])
@pytest.mark.parametrize(
    "looks", [[7200], [8000], [10, 300, 999, 1000, 1001, 5200, 5300, 7999, 9000]]
)
def test_the_votes_are_those_of_one_thread(looks: list[int], sound: bool) -> None:
    network = small_cnn()
    alone = running(network, looks, sound=sound)
    torch.set_num_threads(3)
    try:
        assert running(network, looks, sound=sound) == alone
    finally:
        torch.set_num_threads(1)
    assert sum(votes > 0 for votes in alone[-1]) > 1  # otherwise this shows nothing


def test_the_votes_of_later_draws_are_those_of_one_thread(three_threads: None) -> None:
    network = small_cnn()
    (later,) = running(network, [7200], first=3000)
    (before,), (both,) = running(network, [3000]), running(network, [7200])
    assert [a + b for a, b in zip(before, later, strict=True)] == both


def test_a_certificate_is_that_of_one_thread() -> None:
    classifier = rszoo.load("builtin/digits-cat_rs-0.50", device="cpu")
    alone = classifier.certify(IMAGE, n=6000, seed=5)
    assert is_stateless(classifier._evaluated)  # type: ignore[attr-defined]
    torch.set_num_threads(3)
    try:
        assert classifier.certify(IMAGE, n=6000, seed=5) == alone
    finally:
        torch.set_num_threads(1)


class Counting(nn.Module):
    """Counts the images that it sees, in any thread."""

    stateless = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[int] = []
        self.by: set[int] = set()

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        self.by.add(threading.get_ident())
        time.sleep(0.001)
        return x.flatten(1)[:, :CLASSES]


def test_nothing_is_drawn_that_is_not_asked_for(three_threads: None) -> None:
    network = Counting().train()
    votes = running_votes(
        network,
        IMAGE,
        sigma=0.5,
        looks=[10, 4500, 90_000],
        stream=Stream.ESTIMATION,
        seed=0,
        num_classes=CLASSES,
    )
    assert [sum(next(votes)), sum(next(votes))] == [10, 4500]
    assert sum(network.seen) == 4500
    assert len(network.by) > 1
    votes.close()
    assert network.training


def test_an_interruption_ends_all(three_threads: None) -> None:
    network = Counting().train()

    def interrupt(draws: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        count_votes(
            network,
            IMAGE,
            sigma=0.5,
            draws=1_000_000,
            stream=Stream.ESTIMATION,
            seed=0,
            num_classes=CLASSES,
            batch_size=10,
            on_progress=interrupt,
        )
    assert threads() == 0
    assert network.training
    assert sum(network.seen) < 20_000


def test_threads_are_for_what_takes_longer_than_to_begin_them(
    three_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rszoo.smoothing.votes._WORTH_FLOATS", 64 * 5000)
    short, long = Counting(), Counting()
    assert running(short, [4999]) == running(long, [4999])
    assert len(short.by) == 1
    running(long, [5000])
    assert len(long.by) > 1


def test_undefined_logits_are_counted_in_all_threads(three_threads: None) -> None:
    class Broken(Counting):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x).log()

    with pytest.raises(RszooError, match=r"got NaN for \d+ of 5000 draws"):
        running(Broken(), [5000])


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_every_thread_is_in_the_precision(three_threads: None, precision: str) -> None:
    types: list[torch.dtype] = []

    class Noting(Counting):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(CLASSES, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            logits = self.layer(super().forward(x))
            types.append(logits.dtype)
            assert torch.is_inference(logits)
            return logits

    network = Noting()
    looks = [1, CHUNK, 5 * CHUNK, 5 * CHUNK + 1, 9 * CHUNK]
    how = {"sigma": 0.5, "stream": Stream.ESTIMATION, "seed": 0, "num_classes": CLASSES}
    votes = running_votes(network, IMAGE, looks=looks, precision=precision, **how)  # type: ignore[arg-type]
    assert sum([*votes][-1]) == 9 * CHUNK
    assert len(network.by) > 1
    assert {*types} == {getattr(torch, precision)}


class Keeping(nn.Module):
    """Keeps its images while it does something else: what another thread may overwrite."""

    def forward(self, x: Tensor) -> Tensor:
        self.kept = x
        time.sleep(0.005)
        return self.kept.flatten(1)[:, :CLASSES]


def test_a_network_that_may_keep_something_is_evaluated_by_one_thread(
    three_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = running(Counting(), [9000])
    assert running(Keeping(), [9000]) == right
    monkeypatch.setattr(Keeping, "stateless", True, raising=False)
    assert running(Keeping(), [9000]) != right  # what it would be otherwise


def test_which_networks_remember_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda network, **options: network)  # slow to import
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))
    assert is_stateless(network)
    assert is_stateless(small_cnn())
    assert not is_stateless(nn.Sequential(network, Keeping()))
    assert not is_stateless(as_network(network.forward))
    assert not is_stateless(Compiled(network, 10))
    network[1].forward = network[1].forward
    assert not is_stateless(network)
    del network[1].forward
    assert is_stateless(network)
    hook = network[0].register_forward_hook(lambda module, args, answer: None)
    assert not is_stateless(network)
    hook.remove()
    network[0].register_forward_pre_hook(lambda module, args: None)
    assert not is_stateless(network)
