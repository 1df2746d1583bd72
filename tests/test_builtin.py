"""The bundles that come with rszoo: which, how large, how certified, and where from."""

import hashlib
import json
import re
import zlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from rszoo import data, methods
from rszoo.evaluation.log import read_log
from rszoo.hub.catalog import builtin_names, find
from rszoo_cli import app

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "zoo" / "rszoo" / "builtin"
SIGMAS = ("0.25", "0.50", "1.00")
CERTIFIED = [
    "builtin/digits-cascade-0.50",
    "builtin/digits-dual-0.50",
    *(
        f"builtin/digits-{method}-{sigma}"
        for method in methods.names()
        if methods.trains(method) == "smoothed"
        for sigma in SIGMAS
    ),
]


#: Every so manieth of its test images is certified; what its images are is known from elsewhere.
LARGER = {
    **{f"builtin/mnist-consistency-{sigma}": ("mnist", 20) for sigma in SIGMAS},
    **{f"builtin/cifar10-jpeg-consistency-{sigma}": ("cifar10", 100) for sigma in SIGMAS},
}


def test_every_method_at_every_sigma() -> None:
    others = ["builtin/digits-dual_rs-0.50", "builtin/digits-standard-0.00"]
    assert builtin_names() == sorted([*CERTIFIED, *LARGER, *others])


def test_a_wheel_is_small() -> None:
    folders = (ROOT / path for path in ("zoo/rszoo", "cli/rszoo_cli", "recipes"))
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    packed = (zlib.compress(path.read_bytes(), 6) for path in files if path.suffix != ".pyc")
    assert sum(map(len, packed)) < 8_000_000


@pytest.mark.parametrize("name", CERTIFIED)
def test_every_held_out_image_is_certified(name: str) -> None:
    check_evidence(name, images=range(360), digest=data.load("digits", "test").digest)


@pytest.mark.parametrize("name", LARGER)
def test_images_of_larger_data_sets_are_certified(name: str) -> None:
    of, step = LARGER[name]
    other = ROOT / "bench/results" / of / f"{of}-consistency-0.50.json"
    digest = json.loads(other.read_text())["inputs"]["digest"]
    check_evidence(name, images=range(0, 10_000, step), digest=digest)
    assert find(name).manifest.origin.device == "cpu"


def check_evidence(name: str, *, images: range, digest: str) -> None:
    bundle = find(name)  # which checks its files
    assert bundle.evidence is not None
    log = read_log(bundle.evidence)
    assert log.idx.tolist() == list(images)
    assert log.protocol is not None
    assert log.protocol.values()["inputs"]["digest"] == digest
    assert log.protocol.values()["model"]["weights_sha256"] == bundle.weights_digest
    assert (log.protocol.n, log.protocol.values()["alpha"]) == (10_000, 0.001)


def test_they_are_the_output_of_the_pipeline() -> None:
    stages: dict[str, Any] = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    made = {
        out["path"].removeprefix("models/"): out["md5"]
        for stage in stages.values()
        for out in stage.get("outs", [])
        if out["path"].startswith("models/")
    }
    assert {folder.name: dvc_hash(folder) for folder in FOLDER.iterdir()} == made


def dvc_hash(folder: Path) -> str:
    """What DVC calls the md5 of a folder without subfolders."""
    entries = [
        {"md5": hashlib.md5(path.read_bytes()).hexdigest(), "relpath": path.name}
        for path in sorted(folder.iterdir())
    ]
    return f"{hashlib.md5(json.dumps(entries).encode()).hexdigest()}.dir"


def test_verify_asks_where_a_folder_of_images_lies() -> None:
    done = CliRunner().invoke(app, ["verify", "builtin/cifar10-jpeg-consistency-0.50"])
    assert "say with --dataset where the data set lies now" in str(done.exception)


@pytest.mark.slow
@pytest.mark.parametrize("name", CERTIFIED)
def test_a_sample_is_certified_again(name: str) -> None:
    result = CliRunner().invoke(app, ["verify", name, "--seed", "1"], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def shown(name: str) -> list[str]:
    done = CliRunner().invoke(app, ["show", name])
    assert done.exit_code == 0, done.output
    return [line.strip() for line in done.stdout.partition("certified on")[0].splitlines()]


def test_show_says_what_a_model_is_and_where_it_comes_from() -> None:
    bundle = find("builtin/digits-cat_rs-0.50")
    origin = bundle.manifest.origin
    lines = shown(bundle.id)
    assert "classes     10: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9" in lines
    assert (
        f"made from   digits-gaussian-0.25 ({(origin.parents[0].weights_sha256 or '')[:12]})"
        in lines
    )
    assert f"recipe      {origin.facts['recipe']}" in lines
    assert f"weights     {bundle.weights_digest}" in lines
    (trained,) = (line for line in lines if line.startswith("trained  "))
    assert re.fullmatch(r"trained     in [\d.]+ s, on cpu, 1 thread, seed 0", trained)
    assert not [line for line in lines if re.match(r"\w+[._]\w+ ", line)]  # a file's keys
    dual = shown("builtin/digits-dual-0.50")
    assert "parts      expert digits-cat_rs-0.25" in dual
    assert "router digits-dual_rs-0.50" in [line.strip() for line in dual]
