"""`rszoo show --lineage`: from a bundle to what it is made of, whoever wrote the bundle."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import pytest
from stores import moved_store
from typer.testing import CliRunner

from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.training.dvc_lock import dvc_entry
from rszoo_cli import app, console

NAME = "digits-gaussian-0.25"
MODEL = f"runs/{NAME}"


@pytest.fixture(autouse=True)
def runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 250)
    with moved_store(trained, tmp_path / "runs") as folder:
        yield folder


def shown(model: str, *arguments: str) -> str:
    result = CliRunner().invoke(app, ["show", model, "--lineage", *arguments])
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.stdout.splitlines())


def tree(model: str = MODEL) -> dict[str, Any]:
    return json.loads(shown(model, "--json"))


def child(runs: Path, name: str, origin: dict[str, Any]) -> Bundle:
    """Write a bundle with an origin."""
    first = open_bundle(runs / NAME)
    return write_bundle(
        runs / name,
        config=first.of_network.model_copy(update={"name": name, "dataset": "da\x1bta"}),
        network=first.network(),
        recipe="",
        origin=Origin.model_validate(origin),
    )


def parent_of(bundle: Bundle, **other: str) -> dict[str, str]:
    return {"name": bundle.config.name, "weights_sha256": bundle.weights_digest, **other}


def lock(text: str) -> None:
    Path("dvc.lock").write_text(text)


def test_everything_about_a_trained_bundle(runs: Path) -> None:
    lock(
        f"schema: '2.0'\nstages:\n  train@gaussian-0.25:\n    cmd: x\n    outs:\n"
        f"    - path: {MODEL}\n      hash: md5\n      md5: abc.dir\n      size: 1\n"
    )
    bundle = open_bundle(runs / NAME)
    origin = bundle.manifest.origin
    store = f"sqlite:///{runs / 'mlflow.db'}"
    assert shown(MODEL) == "\n".join(
        (
            f"{MODEL}, gaussian on digits, sigma 0.25",
            f"├── run {origin.mlflow_run} {NAME}, FINISHED, in {store}",
            "├── registered digits-0.25 version 1 (candidate)",
            f"├── recipe {origin.facts['recipe']}",
            f"├── data {origin.facts['data']}",
            f"├── git {origin.git_commit}",
            "└── dvc train@gaussian-0.25, md5 abc.dir, changed since, in "
            f"{runs.parent / 'dvc.lock'}",
        )
    )


def test_its_certificates() -> None:
    certify = [
        "certify",
        "--model",
        MODEL,
        "--n",
        "1000",
        "--limit",
        "8",
        "--skip",
        "2",
        "--attach",
    ]
    assert CliRunner().invoke(app, certify).exit_code == 0
    node = tree()
    known = node["certificates"]
    assert (known["images"], known["n"], known["alpha"]) == (8, 1000, 0.001)
    assert (known["of"]["name"], known["of"]["split"]) == ("digits", "test")
    assert node["registered"]["aliases"] == ["candidate", "champion"]
    assert "certificates 8 images of digits test, n = 1,000, alpha = 0.001, ACR 0." in shown(MODEL)


def test_a_run_that_the_store_does_not_know(runs: Path, client_uri: str) -> None:
    run_id = open_bundle(runs / NAME).manifest.origin.mlflow_run
    mlflow.MlflowClient(client_uri).delete_run(run_id)
    assert "FINISHED" in shown(MODEL)  # only put away
    other = child(runs, "other", {"mlflow_run": "0" * 32})
    assert f"run {'0' * 32}, not in this store: {client_uri}" in shown(str(other.path))
    (runs / "mlflow.db").write_bytes(b"broken" * 1000)
    assert f"run {run_id}, expected an MLflow store at" in shown(MODEL)
    (runs / "mlflow.db").unlink()
    assert f"run {run_id}, no MLflow store here" in shown(MODEL)
    assert not (runs / "mlflow.db").exists()


@pytest.fixture
def client_uri(runs: Path) -> str:
    return f"sqlite:///{runs / 'mlflow.db'}"


@pytest.mark.parametrize(
    ("old", "new", "same"), [("seed: 0", "seed: 1", False), ("version: 1", "version: 1.0", True)]
)
def test_another_recipe_than_the_manifest_says(
    runs: Path, old: str, new: str, *, same: bool
) -> None:
    origin = open_bundle(runs / NAME).manifest.origin
    text = (runs / NAME / "recipe.yaml").read_text()
    assert old in text
    first = open_bundle(runs / NAME)
    write_bundle(
        runs / "other",
        config=first.config,
        network=first.network(),
        recipe=text.replace(old, new),
        origin=origin,
    )
    assert tree()["recipe"]["in_bundle"] is True
    assert tree("runs/other")["recipe"]["in_bundle"] is same
    line = f"recipe {origin.facts['recipe']}, not that of recipe.yaml"
    assert (line in shown("runs/other")) is not same


def test_the_network_that_soft_targets_came_from() -> None:
    node = tree("builtin/digits-cat_rs-0.50")
    (parent,) = node["parents"]
    assert (parent["role"], parent["id"]) == ("trained with", "builtin/digits-gaussian-0.25")
    assert parent["certificates"]["images"] == 360
    assert (
        "└── trained with: builtin/digits-gaussian-0.25, gaussian on digits, sigma 0.25"
        in shown("builtin/digits-cat_rs-0.50")
    )


def test_the_parts_of_a_composed_bundle(runs: Path) -> None:
    from rszoo.hub.catalog import find
    from rszoo.hub.configs.network import NetworkConfig
    from rszoo.hub.kinds.dual import compose_dual

    experts = [find(f"builtin/digits-cat_rs-{sigma}") for sigma in ("0.25", "0.50")]
    for expert in experts:
        shutil.copytree(expert.path, runs / expert.config.name)
    own = [open_bundle(runs / expert.config.name) for expert in experts]
    config = own[0].of_network
    names = tuple(expert.config.name for expert in own)
    from rszoo import networks

    network = networks.build("small_cnn", input_shape=config.input_shape, num_classes=2)
    router = write_bundle(
        runs / "router",
        config=NetworkConfig(
            **{
                **config.model_dump(),
                "kind": "router",
                "name": "router",
                "class_names": names,
                "architecture": {"name": "small_cnn"},
            }
        ),
        network=network,
        recipe="",
        origin=Origin.model_validate({"parents": [parent_of(expert) for expert in own]}),
    )
    compose_dual(runs / "dual", experts=own, router=router)
    parents = tree("runs/dual")["parents"]
    assert [parent["role"] for parent in parents] == ["expert", "expert", "router"]
    (taught, soft) = (parents[2]["parents"], parents[0]["parents"])
    assert [parent.get("repeated") for parent in taught] == [True, True]
    assert soft[0]["id"] == "builtin/digits-gaussian-0.25"
    shutil.rmtree(runs / "router")
    last = tree("runs/dual")["parents"][2]
    assert "is missing" in last["problem"]
    assert f"router: router ({router.weights_digest[:12]}), runs/dual: its part" in shown(
        "runs/dual"
    )


def test_parents_that_are_not_here(runs: Path) -> None:
    first = open_bundle(runs / NAME)
    listed = [
        parent_of(first, weights_sha256="1" * 64),
        parent_of(first, name="gone"),
        parent_of(first),
    ]
    broken = Path(shutil.copytree(runs / NAME, runs / "broken"))
    (broken / "recipe.yaml").unlink()
    bundle = child(runs, "other", {"parents": [*listed, parent_of(first, name="broken")]})
    problems = [parent.get("problem") for parent in tree(str(bundle.path))["parents"]]
    assert problems[:2] == ["trained again since", "not here"]
    assert problems[3].startswith("recipe.yaml: expected a file, got none")


def test_hostile_origins(runs: Path) -> None:
    first = open_bundle(runs / NAME)
    outside = shutil.copytree(runs / NAME, runs.parent / "outside")
    bundle = child(
        runs,
        "other",
        {
            "facts": ["x"],
            "git_commit": "\x1b[2J\nx",
            "mlflow_run": "' OR 1=1",
            "parents": [
                parent_of(first, name="../outside"),
                parent_of(first, name=str(outside)),
                parent_of(first, name="\x1b[2J"),
                {"name": 1, "weights_sha256": None},
                "nobody",
            ],
        },
    )
    node = tree(str(bundle.path))
    assert node["run"] is node["recipe"] is node["data"] is None
    assert [parent["problem"] for parent in node["parents"]] == ["not here"] * 5
    assert "\x1b" not in shown(str(bundle.path))
    assert r"git \x1b[2J\nx" in shown(str(bundle.path))


def test_a_bundle_that_claims_to_be_its_own_parent(runs: Path) -> None:
    weights = open_bundle(runs / NAME).weights_digest
    bundle = child(runs, "loop", {"parents": [{"name": "loop", "weights_sha256": weights}]})
    (parent,) = tree(str(bundle.path))["parents"]
    assert parent["repeated"] is True
    assert "see above" in shown(str(bundle.path))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "stages: 1",
        "stages: {a: 1, b: {outs: 1}, c: {outs: [1, {path: 2}, {path: runs}]}}",
        "stages: {other: {outs: [{path: runs/other, md5: x}]}}",
    ],
)
def test_lock_files_without_the_bundle(text: str) -> None:
    lock(text)
    assert tree()["dvc"] is None


@pytest.mark.parametrize("text", ["stages: {a: &x 1}", "a: [", "\x00"])
def test_lock_files_that_cannot_be_read(text: str) -> None:
    lock(text)
    assert "cannot read" in tree()["dvc"]["problem"]
    assert "dvc cannot read" in shown(MODEL)


def test_a_lock_file_of_dvc_itself(runs: Path) -> None:
    """DVC's own md5 of the folder: unchanged until a file of it changes."""

    def dvc(*arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "dvc", *arguments],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr

    shutil.move(runs / NAME, "made")
    dvc("init", "--no-scm", "-q")
    Path("dvc.yaml").write_text(
        "stages:\n  train:\n    matrix:\n      m: [gaussian]\n    cmd: mkdir -p out && cp -r made "
        "out/${item.m}\n    deps: [made]\n    outs:\n    - out/${item.m}\n"
    )
    dvc("repro", "-q")
    entry = dvc_entry(Path("out/gaussian"))
    assert entry is not None
    assert (entry.stage, entry.unchanged) == ("train@gaussian", True)
    path = Path("out/gaussian/recipe.yaml")
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content + b"\n")
    entry = dvc_entry(Path("out/gaussian"))
    assert entry is not None
    assert entry.unchanged is False
