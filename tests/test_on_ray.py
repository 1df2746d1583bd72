"""A Ray cluster on this machine gives the counts of the local engine, whoever dies."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rszoo.errors import RszooError
from rszoo.evaluation.certify import Input, certify_inputs
from rszoo.evaluation.log import CertificationLog
from rszoo.evaluation.on_ray import certify_inputs_on_ray, cluster
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo_cli import main

BUDGET: dict[str, Any] = {"n0": 100, "n": 25_000, "alpha": 0.001, "seed": 3}

# What Ray itself leaves open or deprecates.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def workers() -> Iterator[int]:
    with cluster(None) as count:
        yield count


def smoothed() -> SmoothedClassifier:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    return SmoothedClassifier(network, sigma=0.5, num_classes=3, device="cpu", precision="float32")


def inputs() -> list[Input]:
    images = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    return [Input(i, 0, lambda i=i: images[i]) for i in range(5)]


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


def test_the_certificates_are_those_of_the_local_engine(workers: int, tmp_path: Path) -> None:
    local = list(certify_inputs(smoothed(), inputs(), **BUDGET))
    drawn: list[int] = []
    with CertificationLog.open(tmp_path / "a.tsv", {}, resume=False) as log:
        certified = list(
            certify_inputs_on_ray(
                smoothed(), inputs(), workers=workers, log=log, on_draws=drawn.append, **BUDGET
            )
        )
        assert [(one.idx, given) for one, given in certified] == [
            (one.idx, given) for one, given in local
        ]
        assert sum(drawn) == 5 * 25_100
        assert log.done == set(range(5))
        again = certify_inputs_on_ray(smoothed(), inputs(), workers=workers, log=log, **BUDGET)
        assert list(again) == []


def test_a_worker_that_is_killed_changes_nothing(workers: int) -> None:
    local = [given for _, given in certify_inputs(smoothed(), inputs(), **BUDGET)]
    found, killed = [], 0
    for _, given in certify_inputs_on_ray(smoothed(), inputs(), workers=workers, **BUDGET):
        found.append(given)
        if not killed:
            for pid, name in descendants(os.getpid()).items():
                if name.startswith("ray::Worker"):
                    os.kill(pid, signal.SIGKILL)
                    killed += 1
    assert killed >= 1
    assert found == local


def test_by_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant_bundle: Path, workers: int
) -> None:
    monkeypatch.chdir(tmp_path)
    assert workers
    certify = ["certify", "--model", str(constant_bundle), "--n", "500", "--limit", "3", "--out"]
    # The cluster of these tests is there already: connect to it as a second driver would.
    import ray

    ray.shutdown()
    for engine in ("local", "ray"):
        with pytest.raises(SystemExit) as caught:
            main([*certify, f"{engine}.tsv", "--engine", engine])
        assert not caught.value.code
    rows = [
        [line.split("\t")[:5] for line in Path(f"{engine}.tsv").read_text().splitlines()]
        for engine in ("local", "ray")
    ]
    assert rows[0] == rows[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engine", "slurm"], "expected --engine local or ray, got 'slurm'"),
        (["--address", "a:1"], "expected --engine ray with --address, got local"),
        (["--engine", "ray", "--compile"], "--engine ray goes without --compile, --radii and"),
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
        cluster(address).__enter__()
