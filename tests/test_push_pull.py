"""Bundles travel to a hub and back unchanged, by the real client over HTTP, whatever fails."""

import json
import logging
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import Result
from hub_server import RunningHub
from huggingface_hub import CommitOperationAdd, ModelCard, constants, hf_hub_download
from typer.testing import CliRunner

import rszoo
from rszoo import data
from rszoo.errors import HubError, IntegrityError, RszooError
from rszoo.hub import _client, remote
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.ids import HubId
from rszoo.hub.listing import listed
from rszoo.hub.manifest import Manifest
from rszoo.hub.pull import pull
from rszoo.hub.push import Pushed, push
from rszoo.smoothing.execution import Execution
from rszoo_cli import app

MODEL = HubId("org/digits")
BUDGET = {"n0": 100, "n": 1000, "alpha": 0.001}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_client, "_WAITS", (0.0, 0.0, 0.0))


@pytest.fixture
def certified(tmp_path: Path) -> Bundle:
    """A certified bundle in a folder."""
    source = find("builtin/digits-cat_rs-0.50").path
    return find(shutil.copytree(source, tmp_path / "runs" / source.name))


@pytest.fixture
def writer(hub: RunningHub, monkeypatch: pytest.MonkeyPatch) -> RunningHub:
    """The hub, with a token that may write."""
    monkeypatch.setenv("HF_TOKEN", hub.token)
    return hub


def empty_cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))


def votes(bundle: Bundle) -> list[object]:
    images = data.load("digits", "test").images(torch.arange(3))
    return [
        *classifier_of(bundle, Execution(device="cpu", precision="float32")).certify_batch(
            images, **BUDGET
        )
    ]


# --- the round trip


def test_the_round_trip(
    writer: RunningHub, certified: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = votes(certified)
    first = push(certified, MODEL, tag="v1")
    assert first.changed
    assert first.url == f"{writer.url}/org/digits"
    again = push(certified, MODEL, tag="v1")
    assert again == Pushed(first.id, first.url, changed=False)
    assert writer.faults.count(r"POST .*/commit/") == 1

    for i, asked in enumerate((MODEL, HubId(MODEL.repo, "v1"), first.id)):
        empty_cache(monkeypatch, tmp_path / f"cache{i}")
        bundle = pull(asked)
        assert bundle.id == str(first.id)
        assert bundle.manifest == certified.manifest
        assert votes(bundle) == before
    requests = len(writer.faults.requests)
    assert pull(first.id).id == str(first.id)
    assert len(writer.faults.requests) == requests, "a cached commit needs no hub"


def test_a_second_version_leaves_the_first_where_it_was(
    writer: RunningHub, certified: Bundle, constant_bundle: Path
) -> None:
    first = push(certified, MODEL, tag="v1")
    second = push(find(constant_bundle), MODEL, uncertified=True, replace=True)
    assert second.changed
    assert pull(HubId(MODEL.repo, "v1")).weights_digest == certified.weights_digest
    newest = pull(MODEL)
    assert newest.id == str(second.id)
    assert newest.evidence is None
    names = {entry.rfilename for entry in writer.api.model_info(MODEL.repo).siblings or ()}
    assert not names & {"certificates.tsv", "certificates.json", "curve.png"}
    with pytest.raises(HubError, match=f"expected a new tag, got 'v1', .* at {first.id.revision}"):
        push(find(constant_bundle), MODEL, tag="v1", uncertified=True)


def test_without_the_hub(
    writer: RunningHub,
    certified: Bundle,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pushed = push(certified, MODEL, tag="v1")
    pull(MODEL)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with caplog.at_level(logging.WARNING):
        assert pull(MODEL).id == str(pushed.id)
    assert f"cannot reach http://127.0.0.1:9: using {pushed.id} from the cache" in caplog.text
    assert rszoo.load(str(pushed.id)).sigma == 0.5
    for uncached in (HubId(MODEL.repo, "v2"), HubId("org/other")):
        with pytest.raises(HubError, match=rf"^cannot reach .* {uncached} is not in the cache$"):
            pull(uncached)


# --- what others see


def test_the_card_and_the_results(writer: RunningHub, certified: Bundle, tmp_path: Path) -> None:
    push(certified, MODEL, license="mit")
    card = ModelCard.load(MODEL.repo)
    card.validate()
    assert card.data.library_name == "rszoo"
    assert card.data.license == "mit"
    assert {"rszoo", "cat_rs", "sigma:0.5"} <= set(card.data.tags or ())
    assert 'rszoo.load("org/digits")' in card.text
    results = {
        (result.metric_type, (result.metric_args or {}).get("radius")): result
        for result in card.data.eval_results or ()
    }
    at_half = results["certified_accuracy", 0.5]
    assert at_half.metric_args == {
        "norm": "l2", "radius": 0.5, "sigma": 0.5, "n": 10_000, "alpha": 0.001,
        "bound": "one-sided", "images": 360,
        "data_set_checked": True,
    }  # fmt: skip
    log = certified.path / "certificates.tsv"
    rows = [line.split("\t") for line in log.read_text().splitlines()[1:]]
    gained = [float(row[3]) * int(row[4]) for row in rows]
    reached = sum(
        radius >= 0.5 and row[4] == "1" for radius, row in zip(gained, rows, strict=True)
    )
    assert at_half.metric_value == reached / 360
    acr = results["average_certified_radius", None].metric_value
    assert 0.0 <= sum(gained) / 360 - acr < 1e-6
    stored = hf_hub_download(MODEL.repo, ".eval_results/certified.yaml")
    entries = yaml.safe_load(Path(stored).read_text())
    assert {"id": "digits", "task_id": "certified_accuracy_l2_0.5"} in [
        entry["dataset"] for entry in entries
    ]
    assert Path(hf_hub_download(MODEL.repo, "curve.png")).read_bytes().startswith(b"\x89PNG")


def test_the_hf_command_reads_what_was_pushed(
    writer: RunningHub, certified: Bundle, tmp_path: Path
) -> None:
    push(certified, MODEL)
    hf = Path(sys.executable).parent / "hf"
    subprocess.run(
        [hf, "download", MODEL.repo, "--local-dir", tmp_path / "got"],
        check=True,
        capture_output=True,
        env={**os.environ, "HF_ENDPOINT": writer.url},
    )
    for name in certified.manifest.files:
        assert (tmp_path / "got" / name).read_bytes() == (certified.path / name).read_bytes()


def test_a_hostile_name_stays_text_on_the_card(
    writer: RunningHub, certified: Bundle, tmp_path: Path
) -> None:
    from dataclasses import replace

    from rszoo.hub.card import card_files

    named = certified.config.model_copy(
        update={"name": "<script>x", "dataset": "/home/me/secret/pets"}
    )
    text = card_files(replace(certified, config=named), "org/x")["README.md"].decode()
    assert "<script>" not in text.partition("---\n\n")[2]
    assert "secret" not in text
    assert yaml.safe_load(text.split("---")[1])["datasets"] == ["pets"]


# --- refusals


def test_what_is_not_certified_is_not_pushed(writer: RunningHub, constant_bundle: Path) -> None:
    with pytest.raises(RszooError, match=r"is not certified: rszoo certify --model .* --attach"):
        push(find(constant_bundle), MODEL)
    assert writer.faults.requests == []


def test_a_revision_to_push_to(writer: RunningHub, certified: Bundle) -> None:
    with pytest.raises(RszooError, match="expected org/name to push to, got org/digits@v1"):
        push(certified, HubId("org/digits", "v1"))


@pytest.mark.parametrize("token", ["", "hf_wrong", "hf_read_token"])
def test_a_token_that_may_not_write(
    hub: RunningHub, certified: Bundle, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(
        HubError, match=r"does not let you write org/digits: set HF_TOKEN to a tok"
    ):
        push(certified, MODEL)
    assert not list(hub.api.list_models())


def test_missing_private_and_gated(
    writer: RunningHub, certified: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HubError, match=r"has no model org/none, or it is private: set HF_TOKEN"):
        pull(HubId("org/none"))
    push(certified, MODEL, private=True)
    with pytest.raises(HubError, match=r"has no such revision: org/digits@v9"):
        pull(HubId(MODEL.repo, "v9"))
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match="has no model org/digits, or it is private"):
        pull(MODEL)


def test_gated(
    writer: RunningHub, certified: Bundle, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    push(certified, MODEL)
    writer.api.update_repo_settings(MODEL.repo, gated="auto")
    empty_cache(monkeypatch, tmp_path / "another")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(HubError, match=r"org/digits.* is gated: ask for access on its"):
        pull(MODEL)
    assert not list((tmp_path / "another").rglob("config.json"))


@pytest.mark.parametrize(
    "text",
    [
        "org",
        "../x",
        "org/..",
        "org/../x",
        "org/a..b",
        "org/x@a..b",
        "/etc/passwd",
        "a/b/c",
        "org/x@",
        "org/x@../y",
        "o/x\n",
    ],
)
def test_ids_that_are_none(text: str) -> None:
    assert not HubId.matches(text)
    with pytest.raises(RszooError, match="expected a hub id org/name or org/name@revision, got"):
        HubId.parse(text)


def head_of(hub: RunningHub) -> str | None:
    return hub.api.model_info(MODEL.repo).sha


def same_but(bundle: Bundle, folder: Path, **changes: object) -> Bundle:
    """Return an uncertified bundle whose config alone differs."""
    shutil.copytree(bundle.path, folder)
    for name in ("certificates.tsv", "certificates.json"):
        (folder / name).unlink()
    (folder / "config.json").write_text(bundle.config.model_copy(update=changes).to_json())
    Manifest.of(folder, origin=bundle.manifest.origin).write(folder)
    return find(folder)


def test_a_tag_that_is_taken_is_refused_before_anything_is_replaced(
    writer: RunningHub, certified: Bundle
) -> None:
    first = push(certified, MODEL, tag="v1")
    assert push(certified, MODEL, tag="v2") == Pushed(first.id, first.url, changed=False)
    commits = writer.faults.count("/commit/")
    with pytest.raises(HubError, match=f"expected a new tag, got 'v1', .* at {first.id.revision}"):
        push(certified, MODEL, tag="v1", license="mit")
    assert head_of(writer) == first.id.revision
    assert writer.faults.count("/commit/") == commits
    second = push(certified, MODEL, tag="v3", license="mit")
    assert second.changed
    with pytest.raises(HubError, match="expected a new tag, got 'v1'"):
        push(certified, MODEL, tag="v1", license="mit")
    for name in ("a..b", "-x", "x y", "0" * 40, "@"):
        with pytest.raises(RszooError, match=r"expected a tag of letters, digits, .* got "):
            push(certified, MODEL, tag=name)
    for license in ("mit", "bsd"):  # with and without a commit
        with pytest.raises(HubError, match=r"'main', which is a branch of org/digits"):
            push(certified, MODEL, tag="main", license=license)
    assert head_of(writer) == second.id.revision
    refs = writer.api.list_repo_refs(MODEL.repo)
    assert {ref.name: ref.target_commit for ref in refs.tags} == {
        "v1": first.id.revision, "v2": first.id.revision, "v3": second.id.revision,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("license", "meant"),
    [("apache2", "apache-2.0"), ("MIT", "mit"), ("CC-BY-4", "cc-by-4.0"), ("gpl-v3.0", "gpl-3.0")],
)
def test_a_licence_has_to_be_one(
    writer: RunningHub, certified: Bundle, license: str, meant: str
) -> None:
    before = writer.faults.count("POST")
    with pytest.raises(RszooError, match=rf"got '{license}' \(did you mean '{meant}'\?\)"):
        push(certified, MODEL, license=license)
    with pytest.raises(RszooError, match="got 'my own'; any other licence is 'other' there"):
        push(certified, MODEL, license="my own")
    assert writer.faults.count("POST") == before, "nothing is asked of the hub"


def test_a_tag_that_somebody_makes_meanwhile(
    writer: RunningHub, certified: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = push(certified, MODEL)
    committed = remote.commit

    def commit(*arguments: Any, **options: Any) -> str:
        writer.api.create_tag(MODEL.repo, tag="v1", revision=first.id.revision)
        return committed(*arguments, **options)

    monkeypatch.setattr(remote, "commit", commit)
    with pytest.raises(HubError) as caught:
        push(certified, MODEL, tag="v1", license="mit")
    now = head_of(writer)
    assert now != first.id.revision
    assert str(caught.value) == (
        f"org/digits@{now} is published, but has no tag 'v1': expected a new tag, got 'v1', which "
        f"org/digits has at {first.id.revision}; push again, with a tag that is free"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"method": "gaussian"}, "gaussian for digits at sigma 0.5"),
        ({"sigma": 0.25}, "cat_rs for digits at sigma 0.25"),
        ({"dataset": "mnist"}, "cat_rs for mnist at sigma 0.5"),
        ({"kind": "router"}, "a router model by cat_rs for digits at sigma 0.5"),
    ],
)
def test_another_model_is_not_replaced(
    writer: RunningHub, certified: Bundle, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    first = push(certified, MODEL)
    other = same_but(certified, tmp_path / "runs/other", **changes)
    with pytest.raises(RszooError) as caught:
        push(other, MODEL, uncertified=True)
    message = str(caught.value)
    there = "org/digits holds a smoothed model by cat_rs for digits at sigma 0.5, and "
    assert message.startswith(there)
    assert said in message
    assert message.endswith("push it to another place, or replace what is there with --replace")
    assert head_of(writer) == first.id.revision
    assert push(other, MODEL, uncertified=True, replace=True).changed


def test_a_new_version_replaces_the_old_one(
    writer: RunningHub, certified: Bundle, tmp_path: Path
) -> None:
    here = same_but(certified, tmp_path / "runs/here", dataset="/home/me/pets")
    there = same_but(certified, tmp_path / "runs/there", dataset="/mnt/pets", name="renamed")
    push(here, MODEL, uncertified=True)
    assert push(there, MODEL, uncertified=True).changed


def test_certificates_are_not_lost(writer: RunningHub, certified: Bundle, tmp_path: Path) -> None:
    from rszoo.hub.evidence import add_evidence

    first = push(certified, MODEL)
    bare = same_but(certified, tmp_path / "runs/bare")
    assert bare.weights_digest == certified.weights_digest
    lost = rf"of 360 inputs of which {bare.id} has none from as many draws: push it to"
    with pytest.raises(RszooError, match=lost):
        push(bare, MODEL, uncertified=True)
    shutil.copy(certified.path / "certificates.json", tmp_path / "few.json")
    lines = (certified.path / "certificates.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "few.tsv").write_text("".join(lines[:301]))
    few = add_evidence(bare, tmp_path / "few.tsv")
    with pytest.raises(RszooError, match=r"has certificates of 60 inputs of which "):
        push(few, MODEL)
    assert head_of(writer) == first.id.revision
    assert push(few, MODEL, replace=True).changed
    assert push(certified, MODEL).changed


def test_what_cannot_be_read_is_not_replaced(writer: RunningHub, certified: Bundle) -> None:
    push(certified, MODEL)
    replaced(writer, "certificates.tsv", b"nonsense")
    with pytest.raises(RszooError, match=r"holds what cannot be read \(certificates\.tsv: expec"):
        push(certified, MODEL)
    assert push(certified, MODEL, replace=True).changed
    foreign = HubId("org/foreign")
    writer.api.create_repo(foreign.repo)
    for name in ("LICENSE", "model.safetensors"):
        add = [CommitOperationAdd(name, b"x")]
        writer.api.create_commit(foreign.repo, add, commit_message="by hand")
        if name == "LICENSE":
            assert not push(certified, MODEL).changed
            continue
        with pytest.raises(RszooError, match=r"holds another model, with model\.safetensors"):
            push(certified, foreign)
    assert push(certified, foreign, replace=True).changed


# --- faults


@pytest.mark.parametrize(
    "call",
    ["repos/create", r"api/models/org/digits", "preupload", "info/lfs", "PUT", "/commit/",
     "validate-yaml", "/tag/", "/refs"],
)  # fmt: skip
def test_a_hub_that_is_busy_while_pushing(
    writer: RunningHub, certified: Bundle, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    writer.faults.fail(call, times=2)
    pushed = push(certified, MODEL, tag="v1")
    assert writer.faults.count(call) >= 3
    assert pull(HubId(MODEL.repo, "v1")).id == str(pushed.id)


def test_a_write_whose_answer_is_lost_has_been_made(
    writer: RunningHub, certified: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    for call in ("/commit/", "/tag/"):
        writer.faults.lose(call)
    pushed = push(certified, MODEL, tag="v1")
    assert writer.faults.count("/commit/") == 2
    assert writer.faults.count("/tag/") == 2
    assert pushed.changed
    assert pull(HubId(MODEL.repo, "v1")).id == str(pushed.id)
    assert len(writer.api.list_repo_commits(MODEL.repo)) == 2  # that of the creation, and this one


def test_a_hub_that_has_changed_meanwhile_is_still_refused(
    writer: RunningHub, certified: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(certified, MODEL)
    head = remote.head(MODEL)
    writer.api.upload_file(path_or_fileobj=b"x", path_in_repo="other.txt", repo_id=MODEL.repo)
    with pytest.raises(HubError, match="somebody pushed at the same time"):
        remote.commit(head.id, {"mine.txt": b"y"}, stale=[], message="late")


@pytest.mark.parametrize(
    "call", ["api/models/org/digits/revision", "/tree/", "HEAD", "GET .*/resolve"]
)
def test_a_hub_that_is_busy_while_pulling(
    writer: RunningHub, certified: Bundle, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(certified, MODEL, tag="v1")
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    writer.faults.fail(call, times=2)
    assert pull(HubId(MODEL.repo, "v1")).id == str(pushed.id)
    assert writer.faults.count(call) >= 3


def test_a_connection_that_breaks_in_the_middle_of_the_weights(
    writer: RunningHub, certified: Bundle
) -> None:
    pushed = push(certified, MODEL)
    writer.faults.cut(r"GET .*model\.safetensors", after=50_000)
    assert pull(MODEL).id == str(pushed.id)
    assert writer.faults.count(r"GET .*model\.safetensors") == 2


def replaced(hub: RunningHub, name: str, content: bytes) -> None:
    """Put another file into the model by hand."""
    hub.api.create_commit(
        MODEL.repo, [CommitOperationAdd(name, content)], commit_message="by hand"
    )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.safetensors", b"<html><body>Please log in</body></html>"),
        ("model.safetensors", bytes(155_760)),
        ("certificates.tsv", b"idx\tlabel\n"),
        ("config.json", b"{}"),
    ],
)
def test_files_that_are_not_what_the_manifest_says(
    writer: RunningHub, certified: Bundle, name: str, content: bytes
) -> None:
    push(certified, MODEL)
    replaced(writer, name, content)
    with pytest.raises(IntegrityError, match=rf"^{name}: expected .*, got "):
        pull(MODEL)


@pytest.mark.parametrize("name", ["../../evil", "a/b", "/etc/passwd", ".hidden", "x\\..\\y"])
def test_a_manifest_with_names_that_lead_away(
    writer: RunningHub, certified: Bundle, name: str
) -> None:
    push(certified, MODEL)
    manifest = json.loads((certified.path / "manifest.json").read_text())
    manifest["files"][name] = manifest["files"]["config.json"]
    replaced(writer, "manifest.json", json.dumps(manifest).encode())
    with pytest.raises(IntegrityError, match=r"^manifest\.json: expected plain file names, got "):
        pull(MODEL)


def test_another_kind_of_model(writer: RunningHub) -> None:
    writer.api.create_repo(MODEL.repo)
    replaced(writer, "model.safetensors", b"x")
    with pytest.raises(HubError, match="expected a bundle of rszoo, got a model without manifest"):
        pull(MODEL)


def test_a_pickle_beside_the_bundle_is_neither_fetched_nor_run(
    writer: RunningHub, certified: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    pushed = push(certified, MODEL)
    replaced(writer, "pytorch_model.bin", b"cos\nsystem\n(S'touch /tmp/rszoo-evil'\ntR.")
    bundle = pull(MODEL)
    assert bundle.id != str(pushed.id)
    assert not (bundle.path / "pytorch_model.bin").exists()
    assert writer.faults.count(r"resolve/.*pytorch_model") == 0
    assert "ignored what its manifest does not list: pytorch_model.bin" in caplog.text


def test_a_cached_file_that_broke_is_fetched_again(
    writer: RunningHub, certified: Bundle, tmp_path: Path
) -> None:
    pushed = push(certified, MODEL)
    weights = (pull(MODEL).path / "model.safetensors").resolve()
    content = bytearray(weights.read_bytes())
    content[1000] ^= 1
    weights.write_bytes(content)
    with pytest.raises(IntegrityError, match=r"^model\.safetensors: expected sha256 "):
        pull(pushed.id)  # nothing says that there is a hub to ask
    assert pull(MODEL).weights_digest == certified.weights_digest


def test_a_link_in_the_cache_that_leads_away(
    writer: RunningHub, certified: Bundle, tmp_path: Path
) -> None:
    pushed = push(certified, MODEL)
    link = pull(MODEL).path / "recipe.yaml"
    outside = tmp_path / "outside.yaml"
    outside.write_bytes(link.read_bytes())
    link.unlink()
    link.symlink_to(outside)
    with pytest.raises(IntegrityError, match=r"^recipe\.yaml: expected a file, got a link"):
        pull(pushed.id)


def test_two_pushes_at_once(
    writer: RunningHub, certified: Bundle, constant_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(certified, MODEL)
    both_know_the_head = threading.Barrier(2)
    found, looked = remote.head, set[threading.Thread]()

    def head(model: HubId, **kind: Any) -> remote.Head:
        known = found(model, **kind)
        if threading.current_thread() not in looked:  # the loser looks again
            looked.add(threading.current_thread())
            both_know_the_head.wait()
        return known

    monkeypatch.setattr(remote, "head", head)
    other = find(constant_bundle)
    ends: list[object] = []

    def pushing(license: str) -> None:
        try:
            done = push(other, MODEL, license=license, uncertified=True, replace=True)
            ends.append(done)
        except HubError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=pushing, args=(name,)) for name in ("mit", "bsd")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (lost,) = [end for end in ends if isinstance(end, str)]
    assert "somebody pushed at the same time; look at what is there, then push again" in lost
    (won,) = [end for end in ends if isinstance(end, Pushed)]
    assert writer.api.model_info(MODEL.repo).sha == won.id.revision


@pytest.mark.filterwarnings("ignore:Not enough free disk space:UserWarning")
def test_no_space_left(
    writer: RunningHub, certified: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(certified, MODEL)
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "none", small], check=False
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        empty_cache(monkeypatch, small / "hub")
        with pytest.raises(HubError, match=r"cannot use .* org/digits.*: No space left on"):
            pull(MODEL)
    finally:
        subprocess.run(["umount", small], check=True)


# --- the list


def test_the_list_takes_cards_as_they_come(writer: RunningHub, certified: Bundle) -> None:
    push(certified, MODEL)
    card = ModelCard.load(MODEL.repo)
    for i, change in enumerate(
        (
            {"eval_results": None},
            {"tags": ["rszoo", "no_method"]},
            {"model_name": "<b>"},
        )
    ):
        repo = f"other/model{i}"
        writer.api.create_repo(repo)
        for key, value in change.items():
            setattr(card.data, key, value)
        content = str(card).encode()
        writer.api.upload_file(repo_id=repo, path_in_repo="README.md", path_or_fileobj=content)
    writer.api.create_repo("other/foreign")
    found = {one.id: one for one in listed()}
    assert sorted(found) == ["org/digits", "other/model0", "other/model1", "other/model2"]
    first = found["org/digits"]
    assert (first.dataset, first.method, first.sigma, first.n) == ("digits", "cat_rs", 0.5, 10_000)
    assert first.acr is not None
    assert set(first.certified_accuracy) >= {0.0, 0.25, 0.5, 0.75, 1.0}
    assert found["other/model0"].acr is None
    assert found["other/model1"].method is None
    assert [one.id for one in listed(author="org")] == ["org/digits"]
    assert rszoo.list_models("*gits", hub=True) == ["org/digits"]


# --- the command line


def test_by_the_command_line(
    writer: RunningHub, certified: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, arguments, catch_exceptions=False)

    pushed = run("push", f"runs/{certified.path.name}", "org/digits", "--tag", "v1")
    assert pushed.exit_code == 0, pushed.stderr
    model = pushed.stdout.strip()
    assert model.startswith("org/digits@")
    assert f"pushed: {writer.url}/org/digits" in pushed.stderr
    again = json.loads(run("push", f"runs/{certified.path.name}", "org/digits", "--json").stdout)
    assert again == {"id": model, "url": f"{writer.url}/org/digits", "changed": False}

    empty_cache(monkeypatch, tmp_path / "second-machine")
    monkeypatch.delenv("HF_TOKEN")
    assert run("pull", "org/digits@v1").stdout.strip() == model
    budget = ["--n", "200", "--limit", "2", "--json", "--device", "cpu"]
    fetched = run("certify", "--model", "org/digits@v1", *budget, "--out", "hub.tsv")
    local = run("certify", "--model", f"runs/{certified.path.name}", *budget, "--out", "own.tsv")
    assert fetched.exit_code == local.exit_code == 0, fetched.stderr
    rows = [
        [line.split("\t")[:5] for line in Path(name).read_text().splitlines()]
        for name in ("hub.tsv", "own.tsv")
    ]
    assert rows[0] == rows[1]
    assert json.loads(Path("hub.json").read_text())["model"]["id"] == model
    assert "id" not in json.loads(Path("own.json").read_text())["model"]
    listed = run("ls", "--hub", "--dataset", "digits", "--method", "cat_rs", "--sigma", "0.5")
    assert "org/digits  digits  cat_rs" in listed.stdout
    for nothing in (("--sigma", "0.25"), ("--method", "macer"), ("--author", "me")):
        assert run("ls", "--hub", *nothing, "--json").stdout.strip() == "[]"
    assert "builtin/digits-macer-0.25" in run("ls", "--method", "macer").stdout
    assert "org/digits  " in run("show", "org/digits").stdout
    assert run("verify", "org/digits", "--sample", "2", "--n", "200").exit_code == 0
    refused = run("certify", "--model", "org/digits", "--attach", "--limit", "1")
    assert refused.exit_code == 2
    assert "--attach is for bundles in a folder of your own" in " ".join(refused.stderr.split())
    monkeypatch.setenv("HF_TOKEN", writer.token)
    other = ["push", "builtin/digits-gaussian-0.50", "org/digits"]
    with pytest.raises(RszooError, match="replace what is there with --replace"):
        run(*other)
    assert run(*other, "--replace").exit_code == 0
