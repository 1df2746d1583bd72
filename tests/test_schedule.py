"""The learning rate, against values worked out by hand."""

import pytest

from rszoo.training.recipes.sections.common import TrainSpec
from rszoo.training.schedule import learning_rate


def spec(**values: object) -> TrainSpec:
    usual = {
        "epochs": 10,
        "batch_size": 1,
        "optimizer": "sgd",
        "lr": 0.5,
        "weight_decay": 0.0,
        "schedule": "one_cycle",
    }
    return TrainSpec.model_validate(usual | values)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 0.5), (2, 0.5), (3, 0.05), (5, 0.05), (6, 0.005), (9, 0.0005)],
)
def test_step_divides_by_ten_every_so_many_epochs(epoch: int, expected: float) -> None:
    train = spec(schedule="step", step_epochs=3)
    for progress in ((epoch + 0.1) / 10, (epoch + 1) / 10):
        assert learning_rate(train, epoch=epoch, progress=progress) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("progress", "expected"),
    [(0.05, 0.125), (0.1, 0.25), (0.2, 0.5), (0.4, 0.375), (0.6, 0.25), (1.0, 0.0)],
)
def test_one_cycle_goes_up_to_the_rate_and_down_to_zero(progress: float, expected: float) -> None:
    train = spec(warmup=0.2)
    assert learning_rate(train, epoch=0, progress=progress) == pytest.approx(expected)


@pytest.mark.parametrize(("progress", "expected"), [(0.1, 0.45), (0.5, 0.25), (1.0, 0.0)])
def test_one_cycle_without_warmup_only_falls(progress: float, expected: float) -> None:
    train = spec(warmup=0.0)
    assert learning_rate(train, epoch=0, progress=progress) == pytest.approx(expected)
