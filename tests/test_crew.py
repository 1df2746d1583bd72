"""Several devices, or a Ray cluster, give the counts of the local engine, whoever dies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rszoo.certificates.kinds import protocol_of
from rszoo.errors import RszooError
from rszoo.evaluation.certify import certify_inputs
from rszoo.evaluation.crew import Crew, certify_inputs_with
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog
from rszoo.evaluation.on_devices import device_crew
from rszoo.evaluation.on_ray import ray_crew
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget
from rszoo_cli import main

BUDGET: dict[str, Any] = {"n0": 100, "n": 25_000, "alpha": 0.001, "seed": 3}

# What Ray itself leaves open or deprecates.
pytestmark = pytest.mark.filterwarnings("ignore")


def smoothed() -> SmoothedClassifier:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    return SmoothedClassifier(network, sigma=0.5, num_classes=3, device="cpu", precision="float32")


def inputs() -> list[Input]:
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return [Input(i, 0, lambda i=i: images[i]) for i in range(5)]


@pytest.fixture(scope="module")
def on_ray() -> Iterator[Crew]:
    with ray_crew(smoothed(), address=None) as workers:
        yield workers


@pytest.fixture(params=["devices", "ray"])
def crew(request: pytest.FixtureRequest) -> Iterator[Crew]:
    if request.param == "ray":
        yield request.getfixturevalue("on_ray")
        return
    with device_crew([smoothed(), smoothed()]) as workers:
        yield workers


def descendants(root: int) -> dict[int, str]:
    """Return the processes below one, with their names."""
    parents, names = {}, {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            names[int(entry.name)] = (entry / "cmdline").read_text()
        except OSError:
            continue
        parents[int(entry.name)] = int(fields[1])

    def below(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == root:
                return True
        return False

    return {pid: name for pid, name in names.items() if below(pid)}


def test_the_certificates_are_those_of_the_local_engine(crew: Crew, tmp_path: Path) -> None:
    local = list(certify_inputs(smoothed(), inputs(), Budget(**BUDGET)))
    drawn: list[int] = []
    with CertificationLog.open(tmp_path / "a.tsv", protocol_of({}), resume=False) as log:
        certified = list(
            certify_inputs_with(
                crew, smoothed(), inputs(), Budget(**BUDGET), log=log, on_draws=drawn.append
            )
        )
        assert [(one.idx, given) for one, given in certified] == [
            (one.idx, given) for one, given in local
        ]
        assert sum(drawn) == 5 * 25_100
        assert log.done == set(range(5))
        again = certify_inputs_with(crew, smoothed(), inputs(), Budget(**BUDGET), log=log)
        assert list(again) == []


def test_early_stopping_is_that_of_the_local_engine(crew: Crew) -> None:
    settings = {**BUDGET, "radii": (0.25, 0.5), "tolerance": 0.1}
    local = [given for _, given in certify_inputs(smoothed(), inputs(), Budget(**settings))]
    spread = [
        given for _, given in certify_inputs_with(crew, smoothed(), inputs(), Budget(**settings))
    ]
    assert spread == local
    assert any(given.spent < BUDGET["n"] for given in local)


def test_a_worker_that_is_killed_changes_nothing(on_ray: Crew) -> None:
    local = [given for _, given in certify_inputs(smoothed(), inputs(), Budget(**BUDGET))]
    found, killed = [], 0
    for _, given in certify_inputs_with(on_ray, smoothed(), inputs(), Budget(**BUDGET)):
        found.append(given)
        if not killed:
            for pid, name in descendants(os.getpid()).items():
                if name.startswith("ray::Worker"):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
    assert killed >= 1
    assert found == local


def test_the_error_of_a_worker_reaches_the_caller() -> None:
    broken = smoothed()
    torch.nn.init.constant_(next(broken.network.parameters()), float("nan"))
    with (
        device_crew([broken, broken]) as workers,
        pytest.raises(RszooError, match="got NaN for 100 of 100 draws"),
    ):
        next(certify_inputs_with(workers, broken, inputs(), Budget(**BUDGET)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "slurm"], "expected --engine local or ray, got 'slurm'"),
        (["--address", "a:1"], "expected --engine ray with --address, got local"),
        (["--engine", "ray", "--device", "cuda:0,cuda:1"], "--engine ray finds the devices"),
        (["--device", "cpu,cuda:1"], "expected devices of one kind with --device, got 'cpu,cuda"),
    ],
)
def test_wrong_usage(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main(["certify", "--model", "builtin/digits-cat_rs-0.50", *arguments])
    framed = [line.strip("│ ") for line in capsys.readouterr().err.splitlines()]
    assert message in " ".join(framed)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "127.0.0.1:x"])
def test_without_a_cluster_at_the_address(address: str) -> None:
    with pytest.raises(RszooError, match=r"^expected a Ray cluster at HOST:PORT, got '"):
        ray_crew(smoothed(), address=address).__enter__()
