"""Signatures of bundles on a hub, with real keys and the real model-signing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hub_server import RunningHub
from huggingface_hub import CommitOperationAdd, snapshot_download

from rszoo.errors import HubError, IntegrityError, RszooError
from rszoo.hub import remote
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.ids import HubId
from rszoo.hub.pull import check_signed, pull
from rszoo.hub.push import push
from rszoo_cli import main

# Of libraries below model-signing.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

MODEL = HubId("org/digits")


def keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Write a private and a public key."""
    key = generate_private_key(SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public.write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


@pytest.fixture
def certified(hub: RunningHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bundle:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    source = find("builtin/digits-gaussian-0.50").path
    return find(shutil.copytree(source, tmp_path / "runs" / source.name))


def test_a_signature_is_checked_and_kept(certified: Bundle, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "mine")
    first = push(certified, MODEL, sign=private)
    check_signed(pull(MODEL), key=public)
    assert push(certified, MODEL, sign=private) == type(first)(first.id, first.url, changed=False)
    _, foreign = keys(tmp_path, "foreign")
    with pytest.raises(IntegrityError, match=r"^model\.sig: expected a signature of org/digits@"):
        check_signed(pull(MODEL), key=foreign)
    other, public = keys(tmp_path, "other")
    assert push(certified, MODEL, sign=other).changed
    check_signed(pull(MODEL), key=public)


def test_other_files_than_those_that_were_signed(
    certified: Bundle, hub: RunningHub, constant_bundle: Path, tmp_path: Path
) -> None:
    private, public = keys(tmp_path, "mine")
    push(certified, MODEL, sign=private)
    signed = pull(MODEL)
    signature = snapshot_download(MODEL.repo, allow_patterns=["model.sig"])
    push(find(constant_bundle), MODEL, uncertified=True, replace=True)
    with pytest.raises(HubError, match=r"got a model without model\.sig"):
        check_signed(pull(MODEL), key=public)
    stolen = CommitOperationAdd("model.sig", Path(signature) / "model.sig")
    hub.api.create_commit(MODEL.repo, [stolen], commit_message="stolen")
    with pytest.raises(IntegrityError, match="Signature mismatch"):
        check_signed(pull(MODEL), key=public)
    check_signed(signed, key=public)
    broken = CommitOperationAdd("model.sig", b"{}")
    hub.api.create_commit(MODEL.repo, [broken], commit_message="broken")
    with pytest.raises(IntegrityError, match="do not trust this model"):
        check_signed(pull(MODEL), key=public)


def test_anybody_can_check_it_with_model_signing_alone(certified: Bundle, tmp_path: Path) -> None:
    private, public = keys(tmp_path, "mine")
    push(certified, MODEL, sign=private)
    folder = tmp_path / "fetched"
    snapshot_download(MODEL.repo, local_dir=folder)
    command = [sys.executable, "-m", "model_signing", "verify", "key", str(folder)]
    command += ["--signature", str(folder / "model.sig"), "--public_key", str(public)]
    command += ["--ignore_unsigned_files"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("content", [b"", b"nothing", b"-----BEGIN PRIVATE KEY-----\nx\n"])
def test_keys_that_are_none(certified: Bundle, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "none.pem"
    path.write_bytes(content)
    with pytest.raises(RszooError, match=r"none\.pem: expected the PEM file of an "):
        push(certified, MODEL, sign=path)
    with pytest.raises(RszooError, match="gone: expected the PEM file of an elliptic"):
        push(certified, MODEL, sign=tmp_path / "gone")
    with pytest.raises(HubError, match="has no model org/digits"):  # nothing was made
        remote.head(MODEL)
    private, _ = keys(tmp_path, "mine")
    push(certified, MODEL, sign=private)
    with pytest.raises(RszooError, match=r"none\.pem: expected the PEM file of an "):
        check_signed(pull(MODEL), key=path)
    for own in (certified, find("builtin/digits-gaussian-0.50")):
        with pytest.raises(RszooError, match="expected a model on a hub, where signatures"):
            check_signed(own, key=path)


def test_by_the_command_line(
    certified: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    private, public = keys(tmp_path, "mine")

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        return int(caught.value.code or 0)

    assert run("push", str(certified.path), "org/digits", "--sign", str(private)) == 0
    verify = ["verify", "org/digits", "--sample", "0", "--key"]
    assert run(*verify, str(public)) == 0
    assert f"signed by the owner of {public}" in capsys.readouterr().err
    assert run(*verify, str(keys(tmp_path, "foreign")[1])) == 1
    assert "do not trust this model" in capsys.readouterr().err
