"""`rszoo data`: what is in a data set, with the digests that go into bundles."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rszoo import data
from rszoo_cli import main


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rszoo(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["data", *arguments])
    return int(caught.value.code or 0)


def test_digits(capsys: pytest.CaptureFixture[str]) -> None:
    train, test = data.load("digits", "train"), data.load("digits", "test")
    assert rszoo("digits", "--out", "prepared/digits.json", "--json") == 0
    captured = capsys.readouterr()
    assert captured.err == "wrote prepared/digits.json\n"
    digests: dict[str, Any] = {
        "dataset": "digits",
        "shape": [1, 8, 8],
        "class_names": list("0123456789"),
        "splits": {
            "train": {"images": 1437, "digest": train.digest},
            "test": {"images": 360, "digest": test.digest},
        },
    }
    assert json.loads(Path("prepared/digits.json").read_text()) == digests
    shown = json.loads(captured.out)
    for images in (train, test):
        counts = torch.bincount(images.labels).tolist()
        more = {"shape": [1, 8, 8], "counts": counts}
        digests["splits"][images.split] |= more
    assert shown == {**digests, "doubts": []}
    assert rszoo("digits") == 0
    assert "digits: images of 1x8x8 in 10 classes" in (shown := capsys.readouterr().out)
    assert train.digest in shown
    assert test.digest in shown
    assert re.search(r"^5 +5 +143 +39 *$", shown, re.MULTILINE), shown  # label, class, images


def test_the_digest_follows_the_content(capsys: pytest.CaptureFixture[str]) -> None:
    images = np.zeros((20, 1, 4, 4), np.uint8)
    digests = []
    for value in (0, 0, 1):
        images[7] = value
        np.savez("own.npz", images=images, labels=np.arange(20) % 2)
        assert rszoo("own.npz", "--json") == 0
        digests.append(json.loads(capsys.readouterr().out)["splits"]["train"]["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert rszoo("mnist", "--data-root", "data", "--out", "mnist.json") == 1
    assert "expected torchvision's files in data/MNIST/raw" in capsys.readouterr().err
    assert not Path("mnist.json").exists()
