"""The pipeline of dvc.yaml, in copies of the repository's."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import yaml
from forks import Forks, write_command

from rszoo import methods

ROOT = Path(__file__).parents[1]
FILES = (".dvc/config", ".dvcignore", ".gitignore", "data/README.md", "dvc.yaml", "params.yaml")
TINY = {
    "methods": ["gaussian"],
    "taught": [],
    "sigmas": ["0.50"],
    "standard": ["0.00"],
    "dual": {"sigmas": [], "experts": "cat_rs", "low": "0.25", "high": "0.50"},
    "cascade": {"sigmas": [], "experts": "cat_rs", "low": "0.25"},
    "train": "train.epochs=2",
    "certify": "--n 100 --limit 8",
}
DEADLINE = 300.0


class Copy:
    """A copy of the pipeline, in a Git repository and a home of its own."""

    def __init__(self, folder: Path, forks: Forks | None = None, **changes: object) -> None:
        self.folder, self.home = folder / "copy", folder / "home"
        self.python = forks.command if forks else [sys.executable]
        for name in FILES:
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, self.folder / name)
        shutil.copytree(ROOT / "recipes", self.folder / "recipes")
        (self.home / "bin").mkdir(parents=True)
        if forks:
            write_command(self.home / "bin" / "rszoo", *forks.command, "-m", "rszoo_cli")
        params = yaml.safe_load((self.folder / "params.yaml").read_text())
        assert set(changes) <= set(params)
        (self.folder / "params.yaml").write_text(yaml.safe_dump(params | changes))
        subprocess.run(["git", "init", "-q"], cwd=self.folder, env=self.environment, check=True)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
        return kept | {
            "PATH": os.pathsep.join(
                map(str, [self.home / "bin", Path(sys.executable).parent, os.environ["PATH"]])
            ),
            "HOME": str(self.home),
            "XDG_CONFIG_HOME": str(self.home / "config"),
            "DVC_SITE_CACHE_DIR": str(self.home / "site"),
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*self.python, "-m", "dvc", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def dvc(self, *arguments: str) -> str:
        """Run a command of DVC, and return what it printed."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=DEADLINE)
        assert process.returncode == 0, output
        return output

    def repro(self, *targets: str) -> tuple[set[str], set[str]]:
        """Reproduce; return the stages that ran and those that were skipped."""
        return stages(self.dvc("repro", *targets))

    def raise_version(self, method: str) -> None:
        path = self.folder / "recipes" / f"{method}.yaml"
        path.write_text(path.read_text().replace("version: 1", "version: 2", 1))


def stages(output: str) -> tuple[set[str], set[str]]:
    ran = re.findall(r"^Running stage '(.*)':$", output, re.MULTILINE)
    skipped = re.findall(r"^Stage '(.*)' didn't change, skipping$", output, re.MULTILINE)
    assert len(ran) + len(skipped) == len({*ran, *skipped})
    return set(ran), set(skipped)


def of(stage: str, names: Sequence[str], sigmas: Sequence[str]) -> list[str]:
    return [f"{stage}@digits-{name}-{sigma}" for name in names for sigma in sigmas]


def test_the_stages(tmp_path: Path, forks: Forks) -> None:
    copy = Copy(tmp_path, forks)
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    alone, sigmas = params["methods"], ["0.25", "0.50", "1.00"]
    # Not the weight of a mix, a denoiser, nor what is trained without noise to withstand attacks:
    # what they are for, one chooses.
    chosen = {"denoising", "mixing", "mixing_standard", "adversarial", "mart", "part", "trades"}
    assert {*alone, "cat_rs", "dual_rs", "standard"} == {*methods.names()} - chosen
    assert copy.dvc("stage", "list", "--name-only").split() == [
        "prepare@digits",
        *of("train", alone, sigmas),
        *of("train_taught", ["cat_rs"], sigmas),
        *of("certify", alone, sigmas),
        *of("certify_taught", ["cat_rs"], sigmas),
        "train_standard@digits-standard-0.00",
        "train_router@digits-dual_rs-0.50",
        "compose@digits-dual-0.50",
        "certify_dual@digits-dual-0.50",
        "compose_cascade@digits-cascade-0.50",
        "certify_cascade@digits-cascade-0.50",
        "leaderboard",
    ]


def test_another_data_set(tmp_path: Path, forks: Forks) -> None:
    listed = Copy(tmp_path, forks, **TINY | {"dataset": "mnist", "name": "mnist"}).dvc(
        "stage", "list"
    )
    assert re.search(r"^prepare@mnist +Outputs prepared/mnist.json$", listed, re.MULTILINE)
    assert re.search(
        r"^train@mnist-gaussian-0.50 +Outputs runs/mnist-gaussian-0.50$", listed, re.MULTILINE
    )


def test_a_whole_run(tmp_path: Path, forks: Forks) -> None:
    copy = Copy(tmp_path, forks, **TINY)
    standard = "train_standard@digits-standard-0.00"
    everything = {
        "prepare@digits",
        "train@digits-gaussian-0.50",
        "certify@digits-gaussian-0.50",
        standard,
        "leaderboard",
    }
    assert copy.repro() == (everything, set())
    assert copy.dvc("status", "-q") == ""
    assert copy.repro() == (set(), everything)
    assert not (copy.home / "config" / "dvc").exists()  # what is set for all projects

    digests = json.loads((copy.folder / "prepared" / "digits.json").read_text())
    assert [digests["splits"][split]["images"] for split in ("train", "test")] == [1437, 360]
    assert "curve.0.25" in copy.dvc("metrics", "show", "--md")  # of lists DVC shows nothing
    metrics = json.loads(copy.dvc("metrics", "show", "--json"))[""]["data"]
    assert {name: values["data"]["images"] for name, values in metrics.items()} == {
        "reports/digits-gaussian-0.50.json": 8
    }
    assert "digits-gaussian-0.50" in (copy.folder / "reports" / "leaderboard.html").read_text()
    assert (copy.folder / "models" / "digits-standard-0.00" / "manifest.json").exists()

    copy.raise_version("standard")
    assert list(json.loads(copy.dvc("status", "--json"))) == [standard]


def test_a_data_set_is_made_beside_others(tmp_path: Path, forks: Forks) -> None:
    copy = Copy(tmp_path, forks, **TINY)
    images, labels = np.zeros((4, 1, 8, 8), np.uint8), np.arange(4) % 2
    np.savez(copy.folder / "data" / "mine.npz", images=images, labels=labels)
    digits = (copy.folder / "params.yaml").read_text()
    mine = yaml.safe_load(digits) | {"dataset": "data/mine.npz", "name": "mine"}
    assert copy.repro("prepare") == ({"prepare@digits"}, set())
    (copy.folder / "params.yaml").write_text(yaml.safe_dump(mine))
    assert copy.repro("prepare") == ({"prepare@mine"}, set())
    (copy.folder / "params.yaml").write_text(digits)
    assert copy.repro("prepare") == (set(), {"prepare@digits"})
    locked = yaml.safe_load((copy.folder / "dvc.lock").read_text())["stages"]
    assert set(locked) == {"prepare@digits", "prepare@mine"}


@pytest.mark.parametrize(("file", "name"), [("mnist", "mnist"), ("cifar10", "cifar10-jpeg")])
def test_the_values_for_other_data_are_of_the_same_names(
    tmp_path: Path, forks: Forks, file: str, name: str
) -> None:
    values = yaml.safe_load((ROOT / f"params.{file}.yaml").read_text())
    listed = Copy(tmp_path, forks, **values).dvc("stage", "list", "--name-only").split()
    sigmas = ("0.25", "0.50", "1.00")
    assert listed == [
        f"prepare@{name}",
        *(
            f"{stage}@{name}-consistency-{sigma}"
            for stage in ("train", "certify")
            for sigma in sigmas
        ),
        "leaderboard",
    ]


@pytest.mark.slow
def test_a_kill_costs_the_running_stage_and_of_that_one_epoch(tmp_path: Path) -> None:
    changes = {"methods": ["gaussian", "stability"], "train": "train.epochs=20"}
    copy, stability = Copy(tmp_path, **TINY | changes), "train@digits-stability-0.50"
    checkpoint = copy.folder / "runs" / ".state" / "digits-stability-0.50" / "checkpoint.pt"
    process = copy.start("repro")
    deadline = time.monotonic() + DEADLINE
    while not checkpoint.exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (copy.folder / "runs" / "digits-stability-0.50").exists()

    output = copy.dvc("repro", "train")
    assert stages(output) == ({stability}, {"prepare@digits", "train@digits-gaussian-0.50"})
    assert re.search("^digits-stability-0.50: continues after epoch [0-9]+$", output, re.MULTILINE)

    copy.raise_version("stability")
    assert copy.repro("train") == ({stability}, {"prepare@digits", "train@digits-gaussian-0.50"})
