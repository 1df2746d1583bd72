"""Per-example data that a method renews: when, from what, by whom, and what they are for."""

import itertools
from collections import Counter
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
from rszoo.training.distributed import Processes
from rszoo.training.loop import Epoch, build_optimizer, fit
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.sections.common import TrainSpec
from rszoo.training.refresh import refreshed


def spec(**values: object) -> TrainSpec:
    usual = {
        "epochs": 1,
        "batch_size": 10,
        "optimizer": "sgd",
        "lr": 0.01,
        "momentum": 0.0,
        "weight_decay": 0.0,
        "schedule": "one_cycle",
        "warmup": 0.0,
    }
    return TrainSpec.model_validate(usual | values)


def numbered(count: int) -> ImageSet:
    """A data set whose image number i has the byte i in its first pixel; columns differ."""
    pixels = torch.arange(64, dtype=torch.uint8).view(1, 1, 8, 8).repeat(count, 1, 1, 1)
    pixels[:, 0, 0, 0] = torch.arange(count, dtype=torch.uint8)
    return data.from_arrays(pixels, torch.arange(count) % 3, name="numbered", split="train")


def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))


def begin(network: nn.Module, train: TrainSpec) -> TrainingState:
    return TrainingState(network, build_optimizer(network, train))


class Apart(Processes):
    """One of several processes that never hears of the others."""

    def sum(self, tensor: Tensor) -> Tensor:
        return tensor


def epochs_of(start: float, refreshes: int, epochs: int) -> list[int]:
    method = Method(name="m", loss=torch.sum, start=start, refreshes=refreshes)
    return [epoch for epoch in range(epochs) if method.refreshes_before(epoch, epochs)]


@pytest.mark.parametrize(
    ("start", "refreshes", "epochs", "expected"),
    [
        (0.4, 9, 150, [60, 70, 80, 90, 100, 110, 120, 130, 140]),
        (7 / 15, 8, 150, [70, 80, 90, 100, 110, 120, 130, 140]),
        # 0.4667 of 150 epochs is 70.005: epoch 70 begins before that share is done.
        (0.4667, 8, 150, [71, 81, 91, 101, 111, 121, 131, 141]),
        (0.4666, 8, 150, [70, 80, 90, 100, 110, 120, 130, 140]),
        (0.4, 4, 10, [4, 6, 7, 9]),
        (0.0, 1, 5, [0]),
        (0.0, 5, 5, [0, 1, 2, 3, 4]),
        (0.5, 2, 4, [2, 3]),
        (0.4, 9, 5, [2, 3, 4]),
        (0.2, 0, 5, []),
    ],
)
def test_refreshes_are_at_equal_distances_from_start(
    start: float, refreshes: int, epochs: int, expected: list[int]
) -> None:
    assert epochs_of(start, refreshes, epochs) == expected


@pytest.mark.parametrize("sigma", [0.25, 0.5, 1.0])
def test_the_published_hard_dropping_looks_every_ten_epochs(sigma: float) -> None:
    recipe = load_recipe("hard_dropping").resolve(
        dataset="cifar10", sigma=sigma, profile="published"
    )
    method = methods.load("hard_dropping", **recipe.weights)
    first = 70 if sigma == 0.5 else 60
    found = [epoch for epoch in range(150) if method.refreshes_before(epoch, 150)]
    assert found == list(range(first, 150, 10))


@dataclass
class Counting:
    """A method whose value of each image is renewed by adding 1, and that writes all down."""

    first: list[bool] = field(default_factory=list)
    seen: list[Tensor] = field(default_factory=list)
    labels: list[Tensor] = field(default_factory=list)
    taken: list[tuple[float, list[int], list[float]]] = field(default_factory=list)

    def loss(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor,
        *extra: Tensor,
        sigma: float,
        progress: float,
    ) -> Tensor:
        images = (x[:, 0, 0, 0] * 255).round().int().tolist()
        self.taken.append((progress, images, extra[0].tolist() if extra else []))
        return network(x).square().mean()

    def refresh(
        self,
        network: nn.Module,
        x: Tensor,
        y: Tensor,
        counts: Tensor,
        *,
        sigma: float,
        first: bool,
    ) -> Tensor:
        assert sigma == 0.25
        self.first.append(first)
        self.seen.append(x.clone())
        self.labels.append(y.clone())
        return counts + 1

    def method(self, *, start: float, refreshes: int, name: str = "counts") -> Method:
        return Method(
            name="counting",
            loss=self.loss,
            takes=(name,),
            refresh=self.refresh,
            renews=name,
            start=start,
            refreshes=refreshes,
        )


def train_with(
    method: Method, images: ImageSet, train: TrainSpec, state: TrainingState, **options: Any
) -> list[Epoch]:
    epochs = fit(
        state, method, images, train=train, sigma=0.25, seed=0, precision="float32", **options
    )
    return list(epochs)


def test_values_are_renewed_before_those_epochs_only_and_handed_to_the_loss() -> None:
    counting, train = Counting(), spec(epochs=10)
    state, given = begin(linear(), train), torch.arange(10.0) * 100
    method = counting.method(start=0.4, refreshes=4)
    shares: list[float] = []
    options = {"per_example": {"counts": given}, "on_refresh": shares.append}
    train_with(method, numbered(10), train, state, **options)
    assert counting.first == [True, False, False, False]
    assert shares == [1.0] * 4
    renewals = [0, 0, 0, 0, 1, 1, 2, 3, 3, 4]
    assert len(counting.taken) == 10
    for (_, images, values), count in zip(counting.taken, renewals, strict=True):
        assert values == [100 * image + count for image in images]
    assert given.tolist() == [100.0 * image for image in range(10)]
    assert list(state.renewed) == ["counts"]
    assert state.renewed["counts"].tolist() == [100.0 * image + 4 for image in range(10)]


def test_a_method_without_refresh_renews_nothing() -> None:
    counting, train = Counting(), spec(epochs=3)
    state = begin(linear(), train)
    train_with(Method(name="plain", loss=counting.loss), numbered(10), train, state)
    assert state.renewed == {}


def test_values_are_renewed_from_all_images_in_order_as_they_are() -> None:
    counting, train = Counting(), spec(epochs=3, augment="crop_flip")
    images = numbered(20)
    options = {"per_example": {"counts": torch.zeros(20)}}
    method = counting.method(start=0.0, refreshes=3)
    train_with(method, images, train, begin(linear(), train), **options)
    everything = torch.arange(20)
    assert len(counting.seen) == 3
    for seen, labels in zip(counting.seen, counting.labels, strict=True):
        assert torch.equal(seen, images.images(everything))
        assert torch.equal(labels, images.labels)


def draws(weights: list[float], *, epochs: int, **options: Any) -> list[list[int]]:
    """Return the images of each epoch of one batch."""
    counting, train = Counting(), spec(epochs=epochs, batch_size=len(weights))
    given = {"sampling_weights": torch.tensor(weights)}
    method = Method(name="plain", loss=counting.loss)
    train_with(
        method, numbered(len(weights)), train, begin(linear(), train), per_example=given, **options
    )
    return [images for _, images, _ in counting.taken]


def test_images_are_drawn_in_proportion_to_their_weights() -> None:
    weights, epochs = [0.0, 1.0, 2.0, 3.0, 0.0, 4.0, 0.5, 0.5, 8.0, 1.0], 300
    visited = draws(weights, epochs=epochs)
    assert [len(images) for images in visited] == [10] * epochs
    counts, total = Counter(itertools.chain(*visited)), 10 * epochs
    for image, weight in enumerate(weights):
        share = weight / sum(weights)
        # Four standard deviations of a binomial; 0 for a weight of 0.
        assert abs(counts[image] - total * share) <= 4 * (total * share * (1 - share)) ** 0.5
    assert len({tuple(images) for images in visited}) == epochs


def test_equal_weights_still_draw_with_replacement() -> None:
    assert any(len(set(images)) < 10 for images in draws([1.0] * 10, epochs=3))


def test_processes_share_a_drawn_batch() -> None:
    weights = [0.0, 1.0, 2.0, 3.0, 0.0, 4.0, 0.5, 0.5, 8.0, 1.0]
    alone = draws(weights, epochs=3)
    first, second = (draws(weights, epochs=3, processes=Halves(rank, 2)) for rank in (0, 1))
    for whole, one, two in zip(alone, first, second, strict=True):
        assert len(one) == len(two) == 5
        assert sorted(one + two) == sorted(whole)


class Halves(Apart):
    """As above; its gradients are its own."""

    def average_gradients(self, network: nn.Module) -> None:
        pass


def test_renewed_weights_decide_what_is_drawn() -> None:
    class Keeping(Counting):
        def refresh(
            self, network: nn.Module, x: Tensor, y: Tensor, counts: Tensor, **_: float
        ) -> Tensor:
            return torch.where(torch.arange(len(counts)) == 3, 1.0, 0.0)

    keeping, train = Keeping(), spec(epochs=4)
    method = keeping.method(start=0.5, refreshes=1, name="sampling_weights")
    given = {"sampling_weights": torch.ones(10)}
    train_with(method, numbered(10), train, begin(linear(), train), per_example=given)
    assert [set(images) == {3} for _, images, _ in keeping.taken] == [False, False, True, True]


def test_when_no_weight_is_left_training_ends() -> None:
    class Strict(Counting):
        def refresh(
            self, network: nn.Module, x: Tensor, y: Tensor, counts: Tensor, **_: float
        ) -> Tensor:
            return torch.zeros_like(counts)

    strict, train = Strict(), spec(epochs=4)
    method = strict.method(start=0.5, refreshes=1, name="sampling_weights")
    given = {"sampling_weights": torch.ones(10)}
    state = begin(linear(), train)
    with pytest.raises(RszooError) as caught:
        train_with(method, numbered(10), train, state, per_example=given)
    assert str(caught.value) == (
        "epoch 3: expected training images with a sampling weight above 0, got none: the method "
        "gave all of them up; make it less strict"
    )
    assert state.epoch == 2


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    """More images than one batch of a refresh."""
    whole = data.load("digits", "train")
    chosen = torch.arange(600)
    return data.from_arrays(
        whole.images(chosen), whole.labels[chosen], name="digits", split="train"
    )


CHEAP: dict[str, dict[str, Any]] = {
    "insta_rs": {"levels": 3, "search_steps": 1, "search_copies": 2},
    "hard_dropping": {"drop_draws": 4, "threshold": 0.05, "attack_steps": 1, "m": 1},
}
FIRST = {"insta_rs": ("sigmas", 0.25), "hard_dropping": ("sampling_weights", 1.0)}
both_methods = pytest.mark.parametrize("name", sorted(CHEAP))


@both_methods
@pytest.mark.parametrize("world", [2, 3, 5])
def test_the_number_of_processes_does_not_matter(name: str, world: int, digits: ImageSet) -> None:
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    method, values = methods.load(name, **CHEAP[name]), torch.full((600,), FIRST[name][1])

    def of(processes: Processes, seed: int = 5) -> Tensor:
        torch.rand(processes.rank + 1)  # what was drawn before must not matter
        return refreshed(
            method,
            network,
            digits,
            values,
            sigma=0.25,
            first=True,
            seed=seed,
            precision="float32",
            processes=processes,
        )

    alone = of(Apart(0, 1))
    parts = [of(Apart(rank, world)) for rank in range(world)]
    assert torch.equal(torch.stack(parts).sum(0), alone)
    assert ((torch.stack(parts) != 0).sum(0) <= 1).all()
    assert len(alone.unique()) > 2
    assert not torch.equal(of(Apart(0, 1), seed=6), alone)


def test_batches_differ_in_their_noise_and_the_global_generator_is_left_alone() -> None:
    def refresh(network: nn.Module, x: Tensor, y: Tensor, values: Tensor, **_: float) -> Tensor:
        return torch.rand(len(x))

    method = Method(name="m", loss=torch.sum, refresh=refresh, renews="values")
    images = data.from_arrays(
        torch.zeros(600, 1, 8, 8, dtype=torch.uint8),
        torch.arange(600) % 3,
        name="n",
        split="train",
    )
    torch.manual_seed(8)
    expected = torch.rand(3)
    torch.manual_seed(8)
    network, shares = nn.Identity(), list[float]()
    values = refreshed(
        method,
        network,
        images,
        torch.zeros(600),
        sigma=0.25,
        first=True,
        seed=1,
        precision="float32",
        on_progress=shares.append,
    )
    assert torch.equal(torch.rand(3), expected)
    assert len(values.unique()) > 590
    assert shares == pytest.approx([1 / 3, 2 / 3, 1.0])


def digits_state(digits: ImageSet, train: TrainSpec, *, seed: int) -> TrainingState:
    torch.manual_seed(seed)
    network = networks.build("small_cnn", input_shape=digits.shape, num_classes=digits.num_classes)
    return begin(place(network, torch.device("cpu")), train)


def training(
    name: str, digits: ImageSet, state: TrainingState, train: TrainSpec
) -> Iterator[Epoch]:
    key, first = FIRST[name]
    return fit(
        state,
        methods.load(name, start=0.2, refreshes=2, **CHEAP[name]),
        digits,
        train=train,
        sigma=0.25,
        seed=0,
        precision="float32",
        per_example={key: torch.full((len(digits),), first)},
    )


def flat(values: object) -> Iterator[Tensor]:
    """Every tensor in a state."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        for value in values.values():
            yield from flat(value)


def tensors(state: TrainingState) -> list[Tensor]:
    return [
        *flat(state.network.state_dict()),
        *flat(state.optimizer.state_dict()["state"]),
        *flat(state.renewed),
    ]


@both_methods
def test_training_that_is_resumed_between_refreshes_is_the_uninterrupted_one(
    name: str, digits: ImageSet, tmp_path: Path
) -> None:
    small = data.from_arrays(
        digits.images(torch.arange(256)), digits.labels[:256], name="digits", split="train"
    )
    train = spec(epochs=5, batch_size=64, optimizer="adamw", lr=0.003)
    assert epochs_of(0.2, 2, 5) == [1, 3]
    whole = digits_state(small, train, seed=0)
    losses, renewed = [], []
    for epoch in training(name, small, whole, train):
        losses.append(epoch.loss)
        renewed.append({key: value.clone() for key, value in whole.renewed.items()})
    key, first = FIRST[name]
    assert renewed[0] == {}
    assert (renewed[1][key] != first).any()
    assert torch.equal(renewed[2][key], renewed[1][key])
    assert not torch.equal(renewed[3][key], renewed[1][key])

    for stop in (1, 2, 3, 4):
        begun = digits_state(small, train, seed=0)
        list(itertools.islice(training(name, small, begun, train), stop))
        save_checkpoint(tmp_path / "checkpoint.pt", begun, identity={})
        torch.manual_seed(99)
        resumed = digits_state(small, train, seed=1)
        load_checkpoint(tmp_path / "checkpoint.pt", resumed, identity={})
        assert [epoch.loss for epoch in training(name, small, resumed, train)] == losses[stop:]
        pairs = zip(tensors(resumed), tensors(whole), strict=True)
        assert all(torch.equal(one, two) for one, two in pairs)
