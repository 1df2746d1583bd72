"""Finished models in MLflow's registry: what is registered, and who is the champion."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pytest
import torch
from stores import moved_store
from typer.testing import CliRunner

import rszoo
from rszoo.errors import DataError, RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.evidence import add_evidence
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.training.tracking.recording import record_certificates
from rszoo.training.tracking.registry import _champion, registered_name
from rszoo_cli import app

NAME = "digits-gaussian-0.25"
MODEL = "digits-0.25"


@pytest.fixture(autouse=True)
def runs(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    with moved_store(trained, tmp_path / "output" / "runs") as folder:
        yield folder


@pytest.fixture
def client(runs: Path) -> mlflow.MlflowClient:
    uri = f"sqlite:///{runs / 'mlflow.db'}"
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def aliases(client: mlflow.MlflowClient, name: str = MODEL) -> dict[str, int]:
    found = client.get_registered_model(name).aliases
    return {alias: int(version) for alias, version in found.items()}


def another(runs: Path, name: str, **config: Any) -> Bundle:
    """Write a bundle whose weights no other has."""
    first = open_bundle(runs / NAME)
    network = first.network()
    with torch.no_grad():
        next(network.parameters()).add_(float(len(list(runs.iterdir()))))
    return write_bundle(
        runs / name,
        config=first.of_network.model_copy(update={"name": name, **config}),
        network=network,
        recipe="",
        origin=Origin(),
    )


def certify(bundle: Bundle, *arguments: str) -> str:
    """Certify by the command line; return what it said."""
    log = f"certificates/{bundle.config.name}-{len(list(Path().rglob('*.tsv')))}.tsv"
    done = CliRunner().invoke(
        app, ["certify", "--model", str(bundle.path), "--attach", "--out", log, *arguments]
    )
    assert done.exit_code == 0, done.output
    return done.stderr


def test_a_training_is_registered_as_the_candidate(
    client: mlflow.MlflowClient, runs: Path
) -> None:
    bundle = open_bundle(runs / NAME)
    (version,) = client.search_model_versions(f"name = '{MODEL}'")
    assert aliases(client) == {"candidate": 1}
    assert version.run_id == bundle.manifest.origin.mlflow_run
    assert version.tags["rszoo.weights_sha256"] == bundle.weights_digest
    assert version.tags["rszoo.method"] == "gaussian"
    assert client.get_model_version_by_alias(MODEL, "candidate").source.startswith("models:/m-")


def test_a_certificate_goes_to_the_run_the_model_and_the_registry(
    client: mlflow.MlflowClient, runs: Path, tmp_path: Path
) -> None:
    said = certify(open_bundle(runs / NAME), "--n", "1000", "--limit", "10")
    assert f"in MLflow's registry: {MODEL} version 1 (candidate, champion)" in said
    bundle = open_bundle(runs / NAME)
    run = client.get_run(bundle.manifest.origin.mlflow_run)
    assert run.info.status == "FINISHED"
    facts = json.loads(CliRunner().invoke(app, ["show", str(runs / NAME), "--json"]).stdout)
    assert run.data.metrics["certified/acr"] == facts["certified"]["acr"]
    assert 0.0 <= run.data.metrics["certified/accuracy_at_0.00"] <= 1.0
    assert run.data.tags["rszoo.certified"] == "10 images, n = 1000, alpha = 0.001"
    files = [file.path for file in client.list_artifacts(run.info.run_id, "certificates")]
    assert files == [
        f"certificates/{n}" for n in ("certificates.json", "certificates.tsv", "curve.png")
    ]
    mlflow.set_tracking_uri(f"sqlite:///{runs / 'mlflow.db'}")
    try:
        folder = mlflow.artifacts.download_artifacts(
            f"models:/{MODEL}@champion", dst_path=str(tmp_path / "champion")
        )
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]
    assert rszoo.load(folder).sigma == 0.25
    assert open_bundle(folder).evidence is not None


def test_the_champion_has_the_highest_acr_of_those_certified_alike(
    client: mlflow.MlflowClient, runs: Path
) -> None:
    first, second = open_bundle(runs / NAME), another(runs, "digits-cat_rs-0.25")
    usual = ("--n", "200", "--limit", "8")
    certify(second, *usual)  # a network that was shaken: registered now, worse than the first
    assert aliases(client) == {"candidate": 2, "champion": 2}
    certify(first, *usual)
    assert aliases(client) == {"candidate": 2, "champion": 1}
    # More inputs: the others do not compare with it until they are certified on as many.
    certify(second, "--n", "200", "--limit", "9", "--overwrite")
    assert aliases(client) == {"candidate": 2, "champion": 2}
    # More draws count less than more inputs.
    certify(first, "--n", "2000", "--limit", "8", "--overwrite")
    assert aliases(client) == {"candidate": 2, "champion": 2}
    certify(first, "--n", "2000", "--limit", "9", "--overwrite")
    assert aliases(client) == {"candidate": 2, "champion": 1}
    # One that tests a few radii comes after any that knows them all, however many its inputs.
    certify(second, "--n", "2000", "--limit", "20", "--radii", "0.1", "--overwrite")
    assert aliases(client) == {"candidate": 2, "champion": 1}


def test_a_collapsed_model_is_no_champion() -> None:
    rest = {
        "images": "360",
        "n": "1000",
        "alpha": "0.001",
        "every_radius": "True",
        "protocol": "p",
    }
    tags = [
        {"acr": "0.2", "collapsed": "True"},
        {"acr": "0.1", "collapsed": "False"},
        {"acr": "0"},
    ]
    versions: list[Any] = [
        SimpleNamespace(tags={f"rszoo.{key}": value for key, value in (rest | own).items()})
        for own in tags
    ]
    assert _champion(versions) is versions[1]
    assert _champion(versions[:1]) is None


def test_of_equals_the_older_is_champion(client: mlflow.MlflowClient, runs: Path) -> None:
    usual = ("--n", "10", "--limit", "3", "--alpha", "0.0001")  # certifies nothing: ACR 0
    second, third = (another(runs, f"digits-m{i}-0.25") for i in (2, 3))
    certify(third, *usual)
    certify(second, *usual)
    assert aliases(client) == {"candidate": 3, "champion": 2}
    certify(open_bundle(runs / NAME), *usual)
    assert aliases(client) == {"candidate": 3, "champion": 1}


def test_other_data_and_noise_levels_are_other_models(runs: Path) -> None:
    named = {
        registered_name(another(runs, f"b{i}", **config)): config
        for i, config in enumerate(
            (
                {"sigma": 0.5},
                {"sigma": 0.125},
                {"dataset": "/data/my set"},
                {"kind": "router"},
                {"kind": "weight"},
            )
        )
    }
    assert list(named) == ["digits-0.50", "digits-0.125", "my_set-0.25", None]


def test_what_others_wrote_into_the_registry_is_no_champion(
    client: mlflow.MlflowClient, runs: Path
) -> None:
    client.create_model_version(MODEL, source=str(runs))
    tags = {"acr": "9", "images": "many", "n": "1", "alpha": "x", "every_radius": "True"}
    for key, value in tags.items():
        client.set_model_version_tag(MODEL, "2", f"rszoo.{key}", value)
    certify(open_bundle(runs / NAME), "--n", "100", "--limit", "3")
    assert aliases(client) == {"candidate": 2, "champion": 1}


def test_a_registry_that_fails_loses_no_certificate(runs: Path) -> None:
    (runs / "mlflow.db").write_bytes(b"not a database" * 1000)
    said = certify(open_bundle(runs / NAME), "--n", "100", "--limit", "3")
    assert "the log is now in" in said
    assert "warning: expected an MLflow store at" in said
    assert "file is not a database" in said
    assert open_bundle(runs / NAME).evidence is not None


def test_a_registry_that_fails_loses_no_training(runs: Path, client: mlflow.MlflowClient) -> None:
    shutil.rmtree(runs / NAME)
    with closing(sqlite3.connect(runs / "mlflow.db")) as store, store:
        store.execute("DROP TABLE model_versions")
    arguments = ["train", "gaussian", "--sigma", "0.25", "train.epochs=1", "--out", str(runs)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert f"warning: MLflow's registry did not take {runs / NAME}: " in done.stderr
    run = client.get_run(open_bundle(runs / NAME).manifest.origin.mlflow_run)
    assert run.info.status == "FINISHED"


def test_without_a_store_nothing_is_registered(bundle_folder: Path, tmp_path: Path) -> None:
    alone = Path(shutil.copytree(bundle_folder, tmp_path / "alone" / NAME))
    assert "registry" not in certify(open_bundle(alone), "--n", "100", "--limit", "3")
    assert [path.name for path in alone.parent.iterdir()] == [NAME]


def test_an_uncertified_bundle_has_nothing_to_tell(runs: Path) -> None:
    assert record_certificates(open_bundle(runs / NAME)) is None


def test_a_log_that_states_no_model_is_no_evidence(runs: Path) -> None:
    bundle, log = another(runs, "imported"), runs / "log.tsv"
    log.write_text("idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t5.0\t1\t0:00:00\n")
    content = {"model": {"weights_sha256": bundle.weights_digest}}
    log.with_suffix(".json").write_text(json.dumps(content))
    with pytest.raises(DataError, match="expected its protocol beside it, got none"):
        add_evidence(bundle, log)
    assert open_bundle(bundle.path).evidence is None


def test_a_store_that_cannot_be_reached(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (runs / "mlruns").as_uri())
    with pytest.raises(RszooError, match="expected an MLflow store at"):
        record_certificates(open_bundle(runs / NAME))
