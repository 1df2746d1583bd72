"""Commands that certify on a Ray cluster, which lives on when they are killed."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from forks import Forks, kill_when

from rszoo.evaluation.on_ray import ray_cluster

# What Ray itself leaves open or deprecates.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A cluster of this machine that others may connect to."""
    import ray

    with ray_cluster(None):
        yield ray.get_runtime_context().gcs_address


def test_a_driver_that_is_killed_is_resumed(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    constant_bundle: Path,
    address: str,
    forks: Forks,
) -> None:
    monkeypatch.chdir(tmp_path)
    log = Path("a.tsv")
    command = ["-m", "rszoo_cli", "certify", "--model", str(constant_bundle), "--n", "60000"]
    command += ["--limit", "12", "--engine", "ray", "--address", address]
    command += ["--out", str(log), "--resume"]
    driver = forks.start(*command)
    kill_when(lambda: log.exists() and log.read_bytes().count(b"\n") > 2, driver)
    before = log.read_text().splitlines()
    assert len(before) < 13
    assert forks.start(*command).wait(timeout=300) == 0
    after = log.read_text().splitlines()
    assert len(after) == 13
    assert after[: len(before) - 1] == before[:-1]
    assert {line.split("\t")[7] for line in after[1:]} == {"60000"}


def test_by_the_command_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    constant_bundle: Path,
    address: str,
    forks: Forks,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RAY_ADDRESS", address)
    certify = ["certify", "--model", str(constant_bundle), "--n", "500", "--limit", "3"]
    certify += ["--seed", "3", "--out"]
    engines = {
        "local": ["--device", "cpu"],
        "devices": ["--device", "cpu,cpu"],
        "ray": ["--engine", "ray", "--device", "cpu"],
    }
    for engine, options in engines.items():
        command = ["-m", "rszoo_cli", *certify, f"{engine}.tsv", *options]
        assert forks.start(*command).wait(timeout=300) == 0
    rows = [
        [line.split("\t")[:5] for line in Path(f"{engine}.tsv").read_text().splitlines()]
        for engine in engines
    ]
    assert len(rows[0]) == 4
    assert rows[0] == rows[1] == rows[2]
