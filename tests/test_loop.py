"""The training loop: which images a step sees, at which rate, and that nothing else decides."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rszoo import data, methods, networks
from rszoo.data import ImageSet
from rszoo.errors import RszooError
from rszoo.methods import Method
from rszoo.networks.execution import place
from rszoo.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from rszoo.training.distributed import ALONE, Processes
from rszoo.training.loop import Epoch, build_optimizer, fit, noisy_accuracy
from rszoo.training.recipes.sections.common import TrainSpec

CPU = torch.device("cpu")


def spec(**values: object) -> TrainSpec:
    usual = {
        "epochs": 1,
        "batch_size": 4,
        "optimizer": "sgd",
        "lr": 0.5,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "schedule": "one_cycle",
        "warmup": 0.0,
    }
    return TrainSpec.model_validate(usual | values)


def numbered(count: int) -> ImageSet:
    """A data set whose image number i has the byte i in all its pixels."""
    pixels = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    labels = torch.arange(count) % 3
    return data.from_arrays(pixels.clone(), labels, name="numbered", split="train")


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def begin(network: nn.Module, train: TrainSpec) -> TrainingState:
    return TrainingState(network, build_optimizer(network, train))


@dataclass
class Recorder:
    """A loss that writes down what each step is given."""

    steps: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)
    noise: list[float] = field(default_factory=list)
    extra: list[Tensor] = field(default_factory=list)

    def __call__(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor,
        *extra: Tensor,
        sigma: float,
        progress: float,
    ) -> Tensor:
        assert sigma == 0.25
        self.steps.append((x[:, 0, 0, 0] * 255).round().int().tolist())
        self.labels.append(y.tolist())
        self.progress.append(progress)
        self.noise.append(torch.rand(()).item())
        self.extra += extra
        return network(x).square().mean()


class Apart(Processes):
    """One of several processes that never hears of the others."""

    def sum(self, tensor: Tensor) -> Tensor:
        return tensor


def record(
    train: TrainSpec, *, count: int = 10, seed: int = 0, **options: Any
) -> tuple[Recorder, list[Epoch], TrainingState]:
    recorder, state = Recorder(), begin(linear(), train)
    epochs = list(
        fit(
            state,
            Method(name="recorder", loss=recorder, takes=tuple(options.get("per_example", ()))),
            numbered(count),
            train=train,
            sigma=0.25,
            seed=seed,
            precision="float32",
            **options,
        )
    )
    return recorder, epochs, state


def test_an_epoch_visits_whole_batches_without_repetition() -> None:
    recorder, epochs, _ = record(spec(epochs=2, batch_size=4))
    assert [len(step) for step in recorder.steps] == [4, 4, 4, 4]
    for epoch in (recorder.steps[:2], recorder.steps[2:]):
        visited = list(itertools.chain(*epoch))
        assert len(set(visited)) == 8
        assert set(visited) <= set(range(10))
    assert recorder.steps[:2] != recorder.steps[2:]
    assert [epoch.number for epoch in epochs] == [1, 2]


def test_labels_and_per_example_values_belong_to_the_images() -> None:
    squares = torch.arange(10.0).square()
    recorder, _, _ = record(spec(), per_example={"squares": squares})
    for step, labels, extra in zip(recorder.steps, recorder.labels, recorder.extra, strict=True):
        assert labels == [index % 3 for index in step]
        assert extra.tolist() == [index**2 for index in step]


def test_a_batch_larger_than_the_data_is_all_of_it() -> None:
    recorder, _, _ = record(spec(batch_size=64))
    assert [sorted(step) for step in recorder.steps] == [list(range(10))]


def test_the_seed_decides_order_and_noise() -> None:
    first, again, other = (record(spec(epochs=2), seed=seed)[0] for seed in (0, 0, 1))
    assert first.steps == again.steps
    assert first.noise == again.noise
    assert first.steps != other.steps
    assert not set(first.noise) & set(other.noise)
    assert len(set(first.noise)) == 4


def test_two_processes_share_each_batch() -> None:
    train = spec(epochs=2, batch_size=4)
    alone, _, _ = record(train)
    first, second = (record(train, processes=Apart(rank, 2))[0] for rank in (0, 1))
    assert [len(step) for step in first.steps] == [2, 2, 2, 2]
    for whole, one, two in zip(alone.steps, first.steps, second.steps, strict=True):
        assert sorted(one + two) == sorted(whole)
    assert not set(first.noise) & set(second.noise)


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(RszooError) as caught:
        record(spec(batch_size=5), processes=Apart(0, 2))
    assert str(caught.value) == (
        "expected a batch size that 2 processes can share evenly, got 5; change train.batch_size"
    )


def test_progress_and_rate_of_each_step() -> None:
    used: list[float] = []
    train = spec(epochs=2, batch_size=4, lr=0.5)
    recorder, state = Recorder(), begin(linear(), train)
    step = state.optimizer.step

    def watched() -> None:
        used.append(state.optimizer.param_groups[0]["lr"])
        step()

    state.optimizer.step = watched  # type: ignore[method-assign]
    epochs = list(
        fit(
            state,
            Method(name="recorder", loss=recorder),
            numbered(10),
            train=train,
            sigma=0.25,
            seed=0,
            precision="float32",
        )
    )
    assert recorder.progress == [0.25, 0.5, 0.75, 1.0]
    assert used == [0.375, 0.25, 0.125, 0.0]
    assert [epoch.lr for epoch in epochs] == [0.25, 0.0]


def test_the_loss_of_an_epoch_is_the_mean_of_its_steps() -> None:
    values = iter([1.0, 2.0, 4.0, 8.0])

    def loss(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
        return network(x).sum() * 0.0 + next(values)

    train = spec(epochs=2, batch_size=4)
    epochs = fit(
        begin(linear(), train),
        Method(name="loss", loss=loss),
        numbered(10),
        train=train,
        sigma=0.25,
        seed=0,
        precision="float32",
    )
    assert [epoch.loss for epoch in epochs] == [1.5, 6.0]


def test_precision_is_that_of_the_network() -> None:
    kinds = []

    def loss(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
        kinds.append(network(x).dtype)
        return network(x).float().mean()

    train = spec(batch_size=10)
    for precision in ("float32", "bfloat16"):
        state = begin(linear(), train)
        list(
            fit(
                state,
                Method(name="loss", loss=loss),
                numbered(10),
                train=train,
                sigma=0.25,
                seed=0,
                precision=precision,
            )
        )
        assert {parameter.dtype for parameter in state.network.parameters()} == {torch.float32}
    assert kinds == [torch.float32, torch.bfloat16]


@pytest.mark.parametrize(("clip_norm", "moved"), [(None, 500.0), (0.25, 0.25), (1e6, 500.0)])
def test_clip_norm_limits_the_whole_gradient(clip_norm: float | None, moved: float) -> None:
    # The gradient is 300 in one weight and 400 in another layer's: its norm is 500.
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False))
    train = spec(batch_size=10, lr=0.8, schedule="step", step_epochs=1, clip_norm=clip_norm)
    before = torch.cat([p.detach().flatten().clone() for p in network.parameters()])

    def loss(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
        one, two = network.parameters()
        return 300 * one.sum() + 400 * two.sum()

    list(
        fit(
            begin(network, train),
            Method(name="loss", loss=loss),
            numbered(10),
            train=train,
            sigma=0.25,
            seed=0,
            precision="float32",
        )
    )
    after = torch.cat([p.detach().flatten() for p in network.parameters()])
    change = (before - after) / 0.8
    assert change.norm().item() == pytest.approx(moved, rel=1e-4)
    assert (change[1] / change[0]).item() == pytest.approx(4 / 3, rel=1e-3)


def test_the_optimiser_is_the_recipes() -> None:
    sgd = build_optimizer(linear(), spec(lr=0.3, momentum=0.8, nesterov=True, weight_decay=1e-3))
    assert isinstance(sgd, torch.optim.SGD)
    wanted = {"lr": 0.3, "momentum": 0.8, "nesterov": True, "weight_decay": 1e-3, "dampening": 0}
    assert {key: sgd.defaults[key] for key in wanted} == wanted
    adamw = build_optimizer(linear(), spec(optimizer="adamw", lr=0.003, weight_decay=0.05))
    assert isinstance(adamw, torch.optim.AdamW)
    wanted = {"lr": 0.003, "betas": (0.9, 0.999), "weight_decay": 0.05}
    assert {key: adamw.defaults[key] for key in wanted} == wanted


def test_a_loss_that_is_not_finite_stops_before_it_does_harm() -> None:
    values = iter([1.0, 1.0, 1.0, float("nan")])

    def loss(network: nn.Module, x: Tensor, y: Tensor, **_: float) -> Tensor:
        return network(x).square().mean() * next(values)

    train = spec(epochs=3, batch_size=4)
    state = begin(linear(), train)
    epochs = fit(
        state,
        Method(name="loss", loss=loss),
        numbered(10),
        train=train,
        sigma=0.25,
        seed=0,
        precision="float32",
    )
    next(epochs)
    with pytest.raises(RszooError) as caught:
        next(epochs)
    assert str(caught.value) == (
        "expected a finite loss, got nan by step 4 (epoch 2); the last checkpoint is intact: "
        "lower train.lr, or set train.clip_norm, and train again"
    )
    assert state.epoch == 1
    assert all(bool(p.isfinite().all()) for p in state.network.parameters())


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    whole = data.load("digits", "train")
    chosen = torch.arange(256)
    return data.from_arrays(
        whole.images(chosen), whole.labels[chosen], name="digits", split="train"
    )


def digits_state(digits: ImageSet, train: TrainSpec, *, seed: int) -> TrainingState:
    torch.manual_seed(seed)
    network = networks.build("small_cnn", input_shape=digits.shape, num_classes=digits.num_classes)
    return begin(place(network, CPU), train)


def training(
    method: str, digits: ImageSet, state: TrainingState, train: TrainSpec, *, seed: int = 0
) -> Iterator[Epoch]:
    generator = torch.Generator().manual_seed(7)
    targets = torch.rand(len(digits), digits.num_classes, generator=generator).softmax(1)
    return fit(
        state,
        methods.load(method),
        digits,
        train=train,
        sigma=0.25,
        seed=seed,
        precision="float32",
        per_example={"soft_targets": targets},
    )


def flat(values: object) -> Iterator[Tensor]:
    """Every tensor in the state of a network or an optimiser."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from flat(value)


def same(one: TrainingState, two: TrainingState) -> bool:
    pairs = [
        (flat(one.network.state_dict()), flat(two.network.state_dict())),
        (flat(one.optimizer.state_dict()["state"]), flat(two.optimizer.state_dict()["state"])),
    ]
    return all(
        torch.equal(left, right)
        for lefts, rights in pairs
        for left, right in zip(lefts, rights, strict=True)
    )


def test_the_same_seed_gives_the_same_weights(digits: ImageSet) -> None:
    train = spec(epochs=1, batch_size=64, lr=0.05, momentum=0.9, augment="crop_flip")
    states = []
    for seed in (0, 0, 1):
        states.append(digits_state(digits, train, seed=3))
        torch.rand(seed + 5)  # what was drawn before must not matter
        list(training("gaussian", digits, states[-1], train, seed=seed))
    assert same(states[0], states[1])
    assert not same(states[0], states[2])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("method", ["gaussian", "consistency", "cat_rs"])
def test_training_that_is_resumed_is_the_uninterrupted_one(
    method: str, optimizer: str, digits: ImageSet, tmp_path: Path
) -> None:
    train = spec(
        epochs=3, batch_size=64, optimizer=optimizer, lr=0.01, momentum=0.9 * (optimizer == "sgd")
    )
    whole = digits_state(digits, train, seed=0)
    losses = [epoch.loss for epoch in training(method, digits, whole, train)]

    begun = digits_state(digits, train, seed=0)
    assert next(training(method, digits, begun, train)).loss == losses[0]
    save_checkpoint(tmp_path / "checkpoint.pt", begun, identity={})
    torch.manual_seed(99)
    resumed = digits_state(digits, train, seed=1)
    assert resumed.epoch == 0
    load_checkpoint(tmp_path / "checkpoint.pt", resumed, identity={})
    assert resumed.epoch == 1
    assert [epoch.loss for epoch in training(method, digits, resumed, train)] == losses[1:]
    assert resumed.epoch == 3
    assert same(whole, resumed)


class Constant(nn.Module):
    """Answers class 1, and remembers what it was given and in which mode."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.modes: list[bool] = []
        self.inputs: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.modes.append(self.training)
        self.inputs.append(x)
        return torch.tensor([0.0, 1.0, 0.0]).expand(len(x), 3)


def accuracy(network: nn.Module, images: ImageSet, *, sigma: float, seed: int = 0) -> float:
    return noisy_accuracy(network, images, sigma=sigma, seed=seed, precision="float32")


@pytest.mark.parametrize("training", [True, False])
def test_noisy_accuracy_leaves_no_trace(training: bool) -> None:
    network = Constant().train(training)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert accuracy(network, numbered(9), sigma=0.5) == pytest.approx(1 / 3)
    assert torch.equal(torch.rand(3), expected)
    assert network.training is training
    assert network.modes == [False]


def test_noisy_accuracy_sees_images_under_noise_of_its_seed() -> None:
    network, images = Constant(), numbered(250)
    for seed in (0, 0, 1):
        accuracy(network, images, sigma=0.5, seed=seed)
    first, again, other = (x - images.images(torch.arange(250)) for x in network.inputs)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    # 16,000 draws: the sample deviation is within 3 % of 0.5 but once in a million times.
    assert first.std().item() == pytest.approx(0.5, rel=0.03)
    assert first.mean().item() == pytest.approx(0.0, abs=0.02)


def test_alone_is_the_main_process() -> None:
    assert ALONE.is_main
    assert not Processes(rank=1, world=2).is_main
    value = torch.ones(2)
    assert ALONE.sum(value) is value
