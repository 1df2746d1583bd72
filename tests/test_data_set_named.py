"""What the inputs of a log are called is checked by digest, or said to be its author's word."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.data import known_set
from rszoo.errors import DataError
from rszoo.evaluation.data_set import data_set
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo_cli import app

GIVEN = certificate_from_votes(3, 990, n0=100, n=1000, alpha=0.001, sigma=0.5)


def digest_of(name: str, split: str) -> str:
    known = known_set(name)
    assert known is not None
    return known.digests[split]


TRUE = {"name": "digits", "split": "test", "digest": digest_of("digits", "test")}


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (TRUE, "digits, test"),
        ({**TRUE, "name": "mine"}, "mine, test (so called by its author)"),
        ({"name": "digits", "split": "test"}, "digits, test (so called by its author)"),
        ({"name": "cifar10", "digest": "ab"}, "cifar10 (so called by its author)"),
        ({"name": "a\x1b[2J"}, "a\\x1b[2J (so called by its author)"),
        ({"own": "3", "digest": "ab"}, "data set not stated"),
        (None, "data set not stated"),
    ],
)
def test_what_the_inputs_are_called(inputs: dict[str, str] | None, text: str) -> None:
    stated = protocol_of({"n": 1000, **({} if inputs is None else {"inputs": inputs})})
    assert str(data_set(stated)) == text
    assert str(data_set(None)) == "data set not stated"


@pytest.mark.parametrize(
    "inputs",
    [
        {**TRUE, "digest": "ab"},
        {**TRUE, "digest": digest_of("digits", "train")},
        {**TRUE, "split": "train"},
        {**TRUE, "name": "mnist"},
        {"name": "digits", "digest": TRUE["digest"]},  # no split has it
    ],
)
def test_other_images_under_a_known_name(tmp_path: Path, inputs: dict[str, str]) -> None:
    path = tmp_path / "a.tsv"
    with CertificationLog.open(path, protocol_of({"n": 1000}), resume=False) as log:
        log.append(0, 3, GIVEN, 0.1)
    assert len(read_log(path)) == 1
    path.with_suffix(".json").write_text(json.dumps({"n": 1000, "inputs": inputs}))
    with pytest.raises(DataError, match=r"a\.tsv: expected the images of (digits|mnist), "):
        read_log(path)


def test_easy_images_in_a_file_named_digits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant_bundle: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    images = np.zeros((10, 1, 8, 8), dtype=np.uint8)
    names = np.array([str(label) for label in range(10)])
    np.savez("digits.npz", images=images, labels=np.arange(10), class_names=names)
    certify = ["certify", "--model", str(constant_bundle), "--dataset", "digits.npz", "--n", "500"]
    made = CliRunner().invoke(app, [*certify, "--attach"])
    assert made.exit_code == 0, made.output
    card = card_files(find(str(constant_bundle)), "org/name")["README.md"].decode()
    assert "name: own-digits\n" in card
    assert "10 images of own-digits, test \\(so called by its author\\)" in card
    assert "name: digits\n" not in card


def test_the_card_of_a_shipped_model_names_what_was_certified() -> None:
    bundle = find("builtin/digits-cat_rs-0.50")
    card = card_files(bundle, "org/name")["README.md"].decode()
    assert "robustness for digits, made with `cat_rs`" in card
    assert "360 images of digits, test; one-sided bound, n = " in card
