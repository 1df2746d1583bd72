"""One call certifies a bundle, or any classifier, into a log; and the same call continues it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn

from rszoo.errors import RszooError
from rszoo.evaluation.engine import Engine
from rszoo.evaluation.inputs import InputSet
from rszoo.evaluation.job import LogFile, Subject, certify
from rszoo.evaluation.log import read_log
from rszoo.evaluation.progress import Meter
from rszoo.hub.catalog import find
from rszoo.hub.inputs import inputs_for
from rszoo.hub.job import certify_bundle
from rszoo.hub.verification import Recheck, verify_log
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.interface import Budget

BUDGET = Budget(n0=20, n=500, alpha=0.01, seed=3)
ON_CPU = Execution(device="cpu", precision="float32")


class Counted:
    """A meter that remembers what it was told."""

    def __init__(self) -> None:
        self.done, self.total, self.unit, self.said = 0, 0, "", ""

    @contextmanager
    def of(self, *, total: int, unit: str, done: int, each: int, how: str) -> Iterator[Meter]:
        self.total, self.unit, self.done, self.each, self.how = total, unit, done, each, how
        yield self

    def advance(self, amount: int = 1) -> None:
        self.done += amount

    def status(self, text: str) -> None:
        self.said = text


def smoothed() -> SmoothedClassifier:
    network = nn.Linear(2, 3)
    with torch.no_grad():
        network.weight.copy_(torch.tensor([[4.0, 0.0], [0.0, 4.0], [-4.0, -4.0]]))
        network.bias.zero_()
    return SmoothedClassifier(network, sigma=0.5, num_classes=3, device="cpu")


def own(*points: tuple[float, float]) -> InputSet:
    return InputSet.of_own([(f"{x},{y}", torch.tensor([x, y])) for x, y in points])


def test_a_bundle_and_its_own_images(tmp_path: Path) -> None:
    bundle, log, counted = find("builtin/digits-gaussian-0.50"), tmp_path / "a.tsv", Counted()
    few = inputs_for(bundle, limit=2)
    first = certify_bundle(bundle, few, BUDGET, execution=ON_CPU, log=LogFile(path=log))
    more = inputs_for(bundle, limit=3)
    again = certify_bundle(
        bundle,
        more,
        BUDGET,
        execution=ON_CPU,
        log=LogFile(path=log, resume=True),
        metering=counted.of,
    )
    given = [certificate for _, certificate in again.answers]
    assert given[:2] == [certificate for _, certificate in first.answers]
    assert [one.idx for one, _ in again.answers] == [0, 1, 2]
    assert (counted.done, counted.total, counted.unit) == (3 * 520, 3 * 520, "draws")
    assert counted.said == "3 of 3 inputs"
    table = read_log(log)
    assert [table.certificate(row) for row in range(3)] == given
    assert table.protocol is not None
    assert table.protocol.model is not None
    assert table.protocol.model.weights_sha256 == bundle.weights_digest
    found = verify_log(table, bundle, Recheck(inputs=3, draws=500, seed=1), device="cpu")
    assert (len(found.findings), found.disagreeing) == (3, [])
    with pytest.raises(ValueError, match="expected another --seed than the log's, got 3"):
        verify_log(table, bundle, Recheck(seed=3))


def test_any_classifier_and_inputs_of_ones_own(tmp_path: Path) -> None:
    subject, log = Subject.of(smoothed(), name="lines"), LogFile(path=tmp_path / "a.tsv")
    found = certify(subject, own((2.0, 0.0), (0.0, 0.0)), BUDGET, log=log)
    assert found.kind.name == "fixed"
    alone = smoothed().certify(torch.tensor([2.0, 0.0]), n0=20, n=500, alpha=0.01, seed=3)
    assert found.answers[0][1] == alone
    assert read_log(log.path).input == ("2.0,0.0", "0.0,0.0")
    with pytest.raises(RszooError, match="was made under another protocol"):
        certify(
            Subject.of(smoothed(), name="other"),
            own((2.0, 0.0)),
            BUDGET,
            log=LogFile(path=log.path, resume=True),
        )


def test_without_a_log_and_at_radii_the_inputs_are_counted() -> None:
    counted = Counted()
    at_radii = Budget(n0=20, n=500, alpha=0.01, seed=3, radii=(0.25, 0.5))
    inputs = own((2.0, 0.0), (0.1, 0.0))
    found = certify(Subject.of(smoothed(), name="a"), inputs, at_radii, metering=counted.of)
    assert found.kind.name == "early"
    assert found.answers[0][1].radius == 0.5
    assert (counted.done, counted.total, counted.unit) == (2, 2, "inputs")


def test_shards_share_the_inputs() -> None:
    whole = own(*((float(i), 0.0) for i in range(5)))
    parts = [whole.shard(number, 2) for number in (1, 2)]
    assert [[one.idx for one in part.inputs] for part in parts] == [[0, 2, 4], [1, 3]]
    assert all(part.source == whole.source for part in parts)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"name": "dask"}, "expected --engine local or ray, got 'dask'"),
        ({"address": "a:1"}, "expected --engine ray with --address"),
        ({"devices": ("cpu", "cuda:0")}, "expected devices of one kind"),
        ({"name": "ray", "devices": ("cuda:0", "cuda:1")}, "--engine ray finds the devices"),
    ],
)
def test_engines_that_cannot_be(values: dict, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        Engine(**values)
