"""The hot loop counts what a slow loop counts, however it is cut into batches."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from rszoo import networks
from rszoo.errors import RszooError
from rszoo.smoothing.noise import CHUNK, Stream
from rszoo.smoothing.schemes.generator import SCHEME
from rszoo.smoothing.votes import count_votes, default_batch_size, running_votes

SHAPE = (1, 3, 3)
CLASSES = 4
SIGMA = 0.3


class Recorder(nn.Module):
    """Passes images on and remembers what it saw."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.seen: list[Tensor] = []
        self.modes: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        self.modes.append((self.training, torch.is_grad_enabled()))
        return self.network(x)


def linear() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(9, CLASSES))


def count(
    network: nn.Module,
    x: Tensor,
    draws: int,
    *,
    seed: int = 0,
    stream: Stream = Stream.ESTIMATION,
    batch_size: int | None = None,
    precision: str = "float32",
    on_progress: Callable[[int], None] | None = None,
) -> list[int]:
    return count_votes(
        network,
        x,
        sigma=SIGMA,
        draws=draws,
        stream=stream,
        seed=seed,
        num_classes=CLASSES,
        precision=precision,
        batch_size=batch_size,
        on_progress=on_progress,
    )


def count_slowly(
    network: nn.Module, x: Tensor, first: int, last: int, *, seed: int, stream: Stream
) -> list[int]:
    counts = [0] * CLASSES
    for draw in range(first, last):
        chunk, place = divmod(draw, CHUNK)
        if draw == first or place == 0:
            noise = SCHEME.chunk(
                x.shape, seed=SCHEME.seed_of(x, seed), chunk=stream + chunk, device=x.device
            )
        with torch.no_grad():
            counts[int(network((x + noise[place] * SIGMA).unsqueeze(0)).argmax())] += 1
    return counts


@pytest.mark.parametrize("stream", list(Stream))
@pytest.mark.parametrize("seed", [0, 5])
def test_counts_equal_a_slow_loop(stream: Stream, seed: int) -> None:
    network, x = linear(), torch.rand(SHAPE)
    fast = count(network, x, 1300, seed=seed, stream=stream)
    assert fast == count_slowly(network, x, 0, 1300, seed=seed, stream=stream)
    assert sum(votes > 0 for votes in fast) > 1  # otherwise this shows nothing


def test_fewer_draws_are_a_prefix() -> None:
    network, x = linear(), torch.rand(SHAPE)
    rest = count_slowly(network, x, 2000, 2500, seed=0, stream=Stream.ESTIMATION)
    prefix = count(network, x, 2000)
    assert count(network, x, 2500) == [a + b for a, b in zip(prefix, rest, strict=True)]


@pytest.mark.parametrize("batch_size", [1, 7, 250, 999, 1000, 5000])
def test_batch_size_changes_nothing(batch_size: int) -> None:
    network, x = linear(), torch.rand(SHAPE)
    assert count(network, x, 1500, batch_size=batch_size) == count(network, x, 1500)


@pytest.mark.parametrize("draws", [1, 999, 1000, 1001, 3000])
def test_counts_add_up_and_progress_reports_every_draw(draws: int) -> None:
    done: list[int] = []
    votes = count(linear(), torch.rand(SHAPE), draws, on_progress=done.append)
    assert sum(votes) == draws
    assert len(votes) == CLASSES
    full, rest = divmod(draws, CHUNK)
    assert done == [CHUNK] * full + [rest] * (rest > 0)


@pytest.mark.parametrize(("seed", "stream"), [(1, Stream.ESTIMATION), (0, Stream.SELECTION)])
def test_another_seed_or_stream_is_other_noise(seed: int, stream: Stream) -> None:
    x = torch.rand(SHAPE)
    first, second = Recorder(linear()), Recorder(linear())
    count(first, x, 1000)
    count(second, x, 1000, seed=seed, stream=stream)
    shared = torch.isin(torch.cat(first.seen), torch.cat(second.seen)).float().mean()
    assert shared < 0.01


def test_the_network_sees_the_input_plus_noise_of_sigma_in_float32() -> None:
    x = torch.rand(SHAPE)
    recorder = Recorder(linear())
    count(recorder, x, 1000)
    noise = SCHEME.chunk(
        x.shape, seed=SCHEME.seed_of(x, 0), chunk=Stream.ESTIMATION, device=x.device
    )
    seen = torch.cat(recorder.seen)
    assert seen.dtype == torch.float32
    assert torch.equal(seen, noise * SIGMA + x)
    assert float(seen.min()) < 0  # not clipped to [0, 1]


@pytest.mark.parametrize("draws", [2000, 20_000])
def test_memory_does_not_grow_with_the_draws(draws: int) -> None:
    class Sizes(nn.Module):
        largest = 0

        def forward(self, x: Tensor) -> Tensor:
            self.largest = max(self.largest, len(x))
            # What lies behind the batch is what is kept: one chunk, not all draws.
            assert x.untyped_storage().nbytes() == 4 * CHUNK * 48
            return x.flatten(1)[:, :CLASSES]

    network = Sizes()
    count(network, torch.rand(3, 4, 4), draws)
    assert network.largest == CHUNK


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((1, 8, 8), CHUNK), ((3, 224, 224), 1), ((1, 500, 1000), 1), ((2,), CHUNK)],
)
def test_batches_on_a_cpu_fit_the_caches(shape: tuple[int, ...], expected: int) -> None:
    assert default_batch_size(torch.Size(shape), torch.device("cpu")) == expected
    assert default_batch_size(torch.Size(shape), torch.device("cuda")) == CHUNK


@pytest.mark.parametrize("training", [True, False])
def test_the_network_runs_in_eval_mode_without_gradients_and_gets_its_mode_back(
    training: bool,
) -> None:
    network = Recorder(nn.Sequential(nn.BatchNorm2d(1), linear())).train(training)
    statistics = {name: value.clone() for name, value in network.state_dict().items()}
    count(network, torch.rand(SHAPE), 1000)
    assert network.modes == [(False, False)] * len(network.modes)
    assert all(module.training is training for module in network.modules())
    assert all(torch.equal(statistics[k], v) for k, v in network.state_dict().items())


def test_the_mode_comes_back_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("broken")

    network = Broken().train()
    with pytest.raises(RuntimeError, match="broken"):
        count(network, torch.rand(SHAPE), 10)
    assert network.training


def test_bfloat16_is_for_the_network_not_for_the_noise() -> None:
    class Dtypes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = linear()
            self.seen: set[tuple[torch.dtype, torch.dtype]] = set()

        def forward(self, x: Tensor) -> Tensor:
            logits = self.layer(x)
            self.seen.add((x.dtype, logits.dtype))
            return logits

    network, x = Dtypes(), torch.rand(SHAPE)
    assert sum(count(network, x, 100, precision="bfloat16")) == 100
    assert network.seen == {(torch.float32, torch.bfloat16)}
    network.seen.clear()
    count(network, x, 100)
    assert network.seen == {(torch.float32, torch.float32)}


def test_a_convolutional_network_of_the_zoo() -> None:
    network = networks.build("small_cnn", input_shape=(1, 8, 8), num_classes=CLASSES)
    x = torch.rand(1, 8, 8)
    votes = count(network, x, 1100)
    slow = count_slowly(network.eval(), x, 0, 1100, seed=0, stream=Stream.ESTIMATION)
    assert votes == slow


def test_nan_logits_are_no_votes() -> None:
    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            logits = x.flatten(1)[:, :CLASSES].clone()
            logits[::2, 1] = float("nan")
            return logits

    with pytest.raises(RszooError) as caught:
        count(Broken(), torch.rand(SHAPE), 1500, batch_size=CHUNK)
    assert str(caught.value) == (
        "expected logits that are numbers, got NaN for 750 of 1500 draws; "
        "the network's weights are broken"
    )


def test_another_number_of_logits_is_an_error() -> None:
    with pytest.raises(RszooError) as caught:
        count(nn.Flatten(), torch.rand(SHAPE), 10, batch_size=10)
    assert str(caught.value) == (
        "expected logits of shape (10, 4) from the network, got (10, 9); check num_classes"
    )


def test_more_draws_than_a_stream_holds_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^expected at most 1048576000 draws, got 1048576001$"):
        count(nn.Flatten(), torch.rand(SHAPE), 1048576001)


def test_running_votes_are_the_votes_of_fewer_draws() -> None:
    torch.manual_seed(0)
    network, x = linear(), torch.rand(SHAPE)
    looks = [1, 7, 999, 1000, 1001, 2500]
    running = list(
        running_votes(
            network, x, sigma=SIGMA, looks=looks, stream=Stream.ESTIMATION, seed=0, num_classes=4
        )
    )
    assert running == [count(network, x, look) for look in looks]


def test_every_draw_is_in_the_precision_at_many_looks() -> None:
    """Each yield of a generator leaves inference mode, which once turned autocast off for good."""
    types: list[torch.dtype] = []
    network = linear()
    network.register_forward_hook(lambda module, given, logits: types.append(logits.dtype))
    where = {"sigma": SIGMA, "stream": Stream.ESTIMATION, "seed": 0, "num_classes": CLASSES}
    x = torch.rand(SHAPE)
    for precision, expected in (("bfloat16", torch.bfloat16), ("float32", torch.float32)):
        types.clear()
        looks = [1, 7, CHUNK, CHUNK + 1, 3 * CHUNK]
        assert len(list(running_votes(network, x, looks=looks, precision=precision, **where))) == 5  # type: ignore[arg-type]
        assert len(types) == 6
        assert {*types} == {expected}


def test_running_votes_draw_nothing_that_is_not_asked_for() -> None:
    network = Recorder(linear()).train()
    votes = running_votes(
        network,
        torch.rand(SHAPE),
        sigma=SIGMA,
        looks=[10, 30, 5000],
        stream=Stream.ESTIMATION,
        seed=0,
        num_classes=CLASSES,
    )
    assert [sum(next(votes)), sum(next(votes))] == [10, 30]
    assert sum(map(len, network.seen)) == 30
    votes.close()
    assert network.training
