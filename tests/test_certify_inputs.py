"""Certifying many inputs: what is taken, what is logged, and that no order or cut changes it."""

import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rszoo.certificates.base import Certificate
from rszoo.certificates.kinds import protocol_of
from rszoo.data import ImageSet, from_arrays
from rszoo.errors import DataError
from rszoo.evaluation.certify import certify_inputs, protocol
from rszoo.evaluation.inputs import Input, evaluation_inputs, own_inputs
from rszoo.evaluation.log import NO_LABEL, CertificationLog, read_log
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget

SHAPE = (1, 3, 3)
BUDGET: dict[str, Any] = {"n0": 50, "n": 1100, "alpha": 0.01, "seed": 3}


def images(count: int = 12) -> ImageSet:
    labels = torch.arange(count) % 3
    return from_arrays(torch.rand(count, *SHAPE), labels, name="squares", split="test")


class Counting(nn.Module):
    """A linear network that counts what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(9, 3)
        self.asked = 0

    def forward(self, x: Tensor) -> Tensor:
        self.asked += len(x)
        return self.layer(x.flatten(1))


def smoothed() -> SmoothedClassifier:
    return SmoothedClassifier(
        Counting(), sigma=0.5, num_classes=3, device="cpu", precision="float32"
    )


def certify(
    classifier: SmoothedClassifier, inputs: list[Input], path: Path, *, stop: int | None = None
) -> dict[int, list[str]]:
    """Certify into a log, giving up after `stop` inputs; return its rows without the time."""
    with CertificationLog.open(path, protocol_of({"seed": 3}), resume=True) as log:
        for _ in islice(certify_inputs(classifier, inputs, Budget(**BUDGET), log=log), stop):
            pass
    header, *lines = path.read_text().splitlines()
    time = header.split("\t").index("time")
    rows = [line.split("\t") for line in lines]
    assert len({row[0] for row in rows}) == len(rows)
    return {int(row[0]): row[:time] + row[time + 1 :] for row in rows}


def test_certificates_are_those_of_the_classifier_and_land_in_the_log(tmp_path: Path) -> None:
    classifier, data = smoothed(), images()
    inputs = evaluation_inputs(data)
    path = tmp_path / "log.tsv"
    given: list[tuple[Input, Certificate]] = []
    with CertificationLog.open(path, protocol_of({}), resume=False) as log:
        for one, certificate in certify_inputs(classifier, inputs, Budget(**BUDGET), log=log):
            assert one.idx in log.done  # the row is there before the answer is given
            given.append((one, certificate))
    assert [one for one, _ in given] == inputs
    alone = [classifier.certify(image, **BUDGET) for image in data.images(torch.arange(12))]
    assert [certificate for _, certificate in given] == alone
    table = read_log(path)
    assert table.idx.tolist() == list(range(12))
    assert table.label.tolist() == data.labels.tolist()
    assert table.predict.tolist() == [certificate.label for _, certificate in given]
    assert table.radius.tolist() == [certificate.radius for _, certificate in given]
    assert table.p_lower is not None
    assert table.p_lower.tolist() == [certificate.p_lower for _, certificate in given]


def test_a_resumed_log_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    classifier, inputs = smoothed(), evaluation_inputs(images())
    whole = certify(classifier, inputs, tmp_path / "whole.tsv")
    for stop in (1, 5, 12):
        path = tmp_path / f"cut-{stop}.tsv"
        certify(classifier, inputs, path, stop=stop)
        assert certify(classifier, inputs, path) == whole
    assert len(whole) == 12


def test_a_run_killed_within_a_row_loses_nothing(tmp_path: Path) -> None:
    classifier, inputs = smoothed(), evaluation_inputs(images())
    whole = certify(classifier, inputs, tmp_path / "whole.tsv")
    path = tmp_path / "killed.tsv"
    certify(classifier, inputs, path, stop=4)
    path.write_bytes(path.read_bytes()[:-9])
    assert certify(classifier, inputs, path) == whole


def test_shards_in_any_order_hold_the_rows_of_the_whole(tmp_path: Path) -> None:
    classifier, inputs = smoothed(), evaluation_inputs(images())
    whole = certify(classifier, inputs, tmp_path / "whole.tsv")
    shuffled = random.Random(1).sample(inputs, len(inputs))
    assert certify(classifier, shuffled, tmp_path / "shuffled.tsv") == whole
    parts: dict[int, list[str]] = {}
    for shard in range(3):
        parts |= certify(classifier, shuffled[shard::3], tmp_path / f"{shard}.tsv")
    assert parts == whole
    few = certify(classifier, evaluation_inputs(images_of(inputs), skip=5), tmp_path / "few.tsv")
    assert few == {idx: whole[idx] for idx in (0, 5, 10)}


def images_of(inputs: list[Input]) -> ImageSet:
    labels = torch.tensor([one.label for one in inputs])
    pixels = torch.stack([one.image() for one in inputs])
    return from_arrays(pixels, labels, name="squares", split="test")


def test_logged_inputs_are_not_read_or_certified_again(tmp_path: Path) -> None:
    classifier, inputs = smoothed(), evaluation_inputs(images())
    certify(classifier, inputs[:8], tmp_path / "log.tsv")
    network = classifier.network
    assert isinstance(network, Counting)
    network.asked = 0

    def unread() -> Tensor:
        raise AssertionError("an input that the log holds was read")

    logged = [Input(one.idx, one.label, unread) for one in inputs[:8]]
    certify(classifier, logged + inputs[8:], tmp_path / "log.tsv")
    assert network.asked == 4 * (50 + 1100)


def test_progress_counts_every_draw() -> None:
    draws: list[int] = []
    answers = certify_inputs(
        smoothed(), evaluation_inputs(images(3)), Budget(**BUDGET), on_draws=draws.append
    )
    assert next(answers)[0].idx == 0  # one by one, not all at the end
    assert draws == [50, 1000, 100]
    assert len(list(answers)) == 2
    assert sum(draws) == 3 * 1150


def test_an_input_that_cannot_be_certified_leaves_the_rows_before_it(tmp_path: Path) -> None:
    inputs = evaluation_inputs(images(3))
    inputs[2] = Input(2, 0, lambda: torch.full(SHAPE, torch.nan))
    path = tmp_path / "log.tsv"
    with pytest.raises(DataError) as caught:
        certify(smoothed(), inputs, path)
    assert str(caught.value) == "expected finite pixels, got NaN or infinity"
    assert read_log(path).idx.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("count", "skip", "limit", "expected"),
    [
        (12, None, None, list(range(12))),
        (12, 1, None, list(range(12))),
        (12, 5, None, [0, 5, 10]),
        (12, 5, 2, [0, 5]),
        (12, None, 3, [0, 1, 2]),
        (12, 100, None, [0]),
        (12, 1, 100, list(range(12))),
        (1100, None, None, list(range(0, 1100, 2))),
        (999, None, 4, [0, 1, 2, 3]),
    ],
)
def test_every_skip_th_image_at_most_limit_of_them(
    count: int, skip: int | None, limit: int | None, expected: list[int]
) -> None:
    data = images(count)
    inputs = evaluation_inputs(data, skip=skip, limit=limit)
    assert [one.idx for one in inputs] == expected
    for one in inputs[:3]:
        assert one.label == int(data.labels[one.idx])
        assert one.name is None
        assert torch.equal(one.image(), data.images(torch.tensor([one.idx]))[0])


def test_own_inputs_have_names_and_no_labels(tmp_path: Path) -> None:
    pictures = [(f"{letter}.png", torch.rand(SHAPE)) for letter in "abc"]
    inputs = own_inputs(pictures)
    assert [(one.idx, one.label, one.name) for one in inputs] == [
        (0, NO_LABEL, "a.png"),
        (1, NO_LABEL, "b.png"),
        (2, NO_LABEL, "c.png"),
    ]
    for one, (_, picture) in zip(inputs, pictures, strict=True):
        assert torch.equal(one.image(), picture)
    rows = certify(smoothed(), inputs, tmp_path / "log.tsv")
    assert [row[-1] for row in rows.values()] == ["a.png", "b.png", "c.png"]


def test_the_protocol_says_what_was_certified() -> None:
    described = protocol(
        smoothed(),
        Budget(n0=50, n=1100, alpha=0.01, seed=3),
        model={"id": "m", "sha256": "0"},
        inputs={"name": "squares", "split": "test", "digest": "1"},
        versions={"rszoo": "0.1"},
    )
    assert described.values() == {
        "kind": "fixed",
        "model": {"id": "m", "sha256": "0"},
        "inputs": {"name": "squares", "split": "test", "digest": "1"},
        "sigma": 0.5,
        "n0": 50,
        "n": 1100,
        "alpha": 0.01,
        "seed": 3,
        "precision": "float32",
        "batch_size": None,
        "device": "cpu",
        "noise": "sha256-fmix32-1000",
        "versions": {"rszoo": "0.1"},
    }
