"""`rszoo leaderboard --hub`: logs are fetched and checked, weights are not, troubles are named."""

import json
import shutil
from pathlib import Path

import pytest
from hub_server import RunningHub
from typer.testing import CliRunner, Result

from rszoo.errors import HubError, RszooError
from rszoo.hub import _client
from rszoo.hub.bundle import Bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.ids import HubId
from rszoo.hub.origin import Origin
from rszoo.hub.pull import pull
from rszoo.hub.push import push
from rszoo.smoothing.execution import Execution
from rszoo_cli import app, console

HEAVY = r"GET .*(model\.safetensors|resolve/.*README)"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(_client, "_WAITS", ())
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 80)


@pytest.fixture
def writer(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> RunningHub:
    """The hub, with a token that may write."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub


def own(name: str) -> Bundle:
    """Return a certified bundle of ours."""
    return find(shutil.copytree(find(f"builtin/{name}").path, Path("own", name)))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["leaderboard", *arguments])


def models(result: Result) -> list[list[str]]:
    assert result.exit_code == 0, (result.output, result.exception)
    groups = json.loads(result.stdout)
    return [[one["model"] for one in group["entries"]] for group in groups]


def complaints(result: Result) -> str:
    return " ".join(result.stderr.split())


def test_the_models_on_the_hub(writer: RunningHub, constant_bundle: Path) -> None:
    push(own("digits-cat_rs-0.50"), HubId("team/cat"))
    push(own("digits-gaussian-0.50"), HubId("other/plain"))
    push(find(constant_bundle), HubId("team/bare"), uncertified=True)
    before = len(writer.faults.requests)
    result = run("--hub", "--json")
    assert models(result) == [["team/cat", "other/plain"]]
    assert result.stderr == ""
    asked = writer.faults.requests[before:]
    assert [one for one in asked if "certificates.tsv" in one]
    assert not [one for one in asked if "safetensors" in one]
    local = run("own/digits-cat_rs-0.50", "own/digits-gaussian-0.50", "--json")
    for mine, theirs in zip(
        json.loads(local.stdout)[0]["entries"],
        json.loads(result.stdout)[0]["entries"],
        strict=True,
    ):
        assert {**mine, "model": ""} == {**theirs, "model": ""}


def test_of_somebody_of_a_name_and_beside_what_is_here(writer: RunningHub) -> None:
    push(own("digits-cat_rs-0.50"), HubId("team/cat"))
    push(own("digits-gaussian-0.25"), HubId("other/plain"))
    assert models(run("--hub", "--author", "team", "--json")) == [["team/cat"]]
    assert models(run("--hub", "--search", "plain", "--json")) == [["other/plain"]]
    assert models(run("--hub", "--sigma", "0.25", "--json")) == [["other/plain"]]
    here = "own/digits-cat_rs-0.50"
    assert models(run(here, "--hub", "--json")) == [["other/plain"], [here, "team/cat"]]
    alone = run("--author", "team")
    assert (alone.exit_code, alone.stdout) == (2, "")


def test_what_is_broken_is_named_and_the_rest_is_shown(writer: RunningHub) -> None:
    bundle = own("digits-gaussian-0.50")
    push(own("digits-cat_rs-0.50"), HubId("team/good"))
    broken = {
        "a-changed": ("certificates.tsv", b"nonsense"),
        "b-no-manifest": ("manifest.json", b"{}"),
        "c-config": ("config.json", b"{}"),
    }
    for name, (file, content) in broken.items():
        push(bundle, HubId(f"team/{name}"))
        writer.api.upload_file(path_or_fileobj=content, path_in_repo=file, repo_id=f"team/{name}")
    push(bundle, HubId("team/d-down"))
    writer.faults.fail("/api/models/team/d-down", times=99)
    result = run("--hub", "--json")
    assert models(result) == [["team/good"]]
    said = complaints(result)
    size = (bundle.path / "certificates.tsv").stat().st_size
    assert f"team/a-changed: certificates.tsv: expected {size} bytes, got 8" in said
    assert "team/b-no-manifest: manifest.json: expected a manifest of format 1" in said
    assert "team/c-config: config.json: expected" in said
    assert "team/d-down: " in said
    assert "503" in said


def test_a_log_of_other_weights_is_refused(writer: RunningHub) -> None:
    """Everything is what the manifest says, but the log is of another model."""
    from rszoo.hub.files import MANIFEST
    from rszoo.hub.manifest import Manifest

    bundle, other = own("digits-gaussian-0.50"), own("digits-cat_rs-0.50")
    for name in ("certificates.tsv", "certificates.json"):
        shutil.copyfile(other.path / name, bundle.path / name)
    text = Manifest.of(bundle.path, origin=Origin()).to_json()
    (bundle.path / MANIFEST).write_text(text)
    with pytest.raises(RszooError, match=f"expected weights {bundle.weights_digest}, got"):
        push(find(bundle.path), HubId("team/forged"))
    assert not list(writer.api.list_models()), "nothing is made for what is refused"
    card = card_files(own("digits-gaussian-0.25"), "team/forged")["README.md"]
    (bundle.path / "README.md").write_bytes(card)
    writer.api.create_repo("team/forged")
    writer.api.upload_folder(repo_id="team/forged", folder_path=bundle.path)
    result = run("--hub")
    assert isinstance(result.exception, RszooError)
    said = complaints(result)
    assert said.startswith("team/forged: ")
    assert f"expected weights {bundle.weights_digest}, got {other.weights_digest}" in said


def test_a_cached_log_that_broke_is_fetched_again(writer: RunningHub) -> None:
    push(own("digits-cat_rs-0.50"), HubId("team/cat"))
    first = run("--hub", "--json")
    (log,) = Path("hf-home").rglob("snapshots/*/certificates.tsv")
    log.resolve().write_bytes(b"x")
    assert run("--hub", "--json").stdout == first.stdout
    weights = classifier_of(pull(HubId("team/cat")), Execution(device="cpu")).sigma
    assert weights == 0.5  # a model that was read about can be fetched afterwards


def test_without_a_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    waits: list[float] = []  # of the client, which would take 23 s
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", waits.append)
    result = run("--hub")
    assert isinstance(result.exception, HubError)
    assert "cannot reach http://127.0.0.1:9" in str(result.exception)
    assert result.stdout == ""
    assert sum(waits) > 10  # it had tried again
