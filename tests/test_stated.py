"""Rows that claim another noise, budget or other parts than the protocol of their log."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rszoo.certificates.base import applied_sigma
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import DataError
from rszoo.evaluation.certify import certify_inputs
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.evaluation.verify import recertify
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.dual import DualClassifier
from rszoo.smoothing.interface import Budget, Classifier

BUDGET: dict[str, Any] = {"n0": 20, "n": 500, "alpha": 0.01, "seed": 0}
INPUTS = [Input(0, 0, lambda: torch.zeros(2)), Input(1, 0, lambda: torch.ones(2) / 9)]


def constant(classes: int, sigma: float, answer: int = 0) -> SmoothedClassifier:
    network = nn.Linear(2, classes)
    with torch.no_grad():
        network.weight.zero_()
        network.bias.copy_(torch.eye(classes)[answer])
    return SmoothedClassifier(network, sigma=sigma, num_classes=classes, device="cpu")


PLAIN = constant(3, 0.12)
DUAL = DualClassifier([constant(3, 0.25), constant(3, 0.5)], constant(2, 1.0, answer=1))


def logged(path: Path, classifier: Classifier) -> None:
    protocol = {**classifier.protocol_entries, **BUDGET}
    with CertificationLog.open(path, protocol_of(protocol), resume=False) as log:
        list(certify_inputs(classifier, INPUTS, Budget(**BUDGET), log=log))


def edited(path: Path, change: Callable[[dict[str, str]], None]) -> None:
    """Change the last row."""
    header, *rows = path.read_text().splitlines()
    row = dict(zip(header.split("\t"), rows[-1].split("\t"), strict=True))
    change(row)
    path.write_text("\n".join([header, *rows[:-1], "\t".join(row.values())]) + "\n")


def ten_times(*names: str) -> Callable[[dict[str, str]], None]:
    def change(row: dict[str, str]) -> None:
        for name in names:
            row[name] = repr(10 * float(row[name]))

    return change


def test_true_logs_are_read(tmp_path: Path) -> None:
    for name, classifier in (("plain", PLAIN), ("dual", DUAL)):
        logged(tmp_path / name, classifier)
        assert len(read_log(tmp_path / name)) == 2
    assert read_log(tmp_path / "plain").sigma.tolist() == [applied_sigma(0.12)] * 2  # type: ignore[union-attr]


def test_more_noise_than_there_was_would_give_larger_radii(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    logged(path, PLAIN)
    edited(path, ten_times("sigma", "radius"))
    with pytest.raises(DataError, match=r"a\.tsv, line 3: expected sigma=0\.11.* by its protocol"):
        read_log(path)
    with pytest.raises(DataError, match="by its protocol"):
        CertificationLog.open(path, protocol_of({**PLAIN.protocol_entries, **BUDGET}), resume=True)


@pytest.mark.parametrize(
    "names",
    [
        ("sigma", "radius", "expert_radius", "router_sigma", "router_radius"),
        ("router_sigma", "router_radius"),
    ],
)
def test_more_noise_of_a_part(tmp_path: Path, names: tuple[str, ...]) -> None:
    path = tmp_path / "a.tsv"
    logged(path, DUAL)
    edited(path, ten_times(*names))
    with pytest.raises(DataError, match=r"expected (router_)?sigma=.* by its protocol"):
        read_log(path)


def test_a_dual_row_without_its_router(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    logged(path, DUAL)

    def alone(row: dict[str, str]) -> None:
        row |= {"experts": "1", "lowest_level": "0", "highest_level": "0", "expert_level": "0"}
        row |= {"others": "", "radius": row["expert_radius"]}

    edited(path, alone)
    with pytest.raises(DataError, match="expected experts=2 by its protocol, got 1"):
        read_log(path)


@pytest.mark.parametrize("experts", [[], [{}, {}], "two", [1, 2]])
def test_a_protocol_that_names_no_experts(tmp_path: Path, experts: object) -> None:
    path = tmp_path / "a.tsv"
    logged(path, DUAL)
    protocol = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps(protocol | {"experts": experts}))
    with pytest.raises(DataError, match="expected "):
        read_log(path)


@pytest.mark.parametrize(("right", "wrong"), [(PLAIN, constant(3, 1.2)), (DUAL, DUAL)])
def test_verify_takes_the_noise_from_the_model(
    tmp_path: Path, right: Classifier, wrong: Classifier
) -> None:
    path = tmp_path / "a.tsv"
    logged(path, right)
    (tmp_path / "a.json").unlink()  # nothing but the rows says what they are about
    if wrong is right:
        edited(path, ten_times("sigma", "expert_radius"))
        edited(path, lambda row: row.update(radius=row["router_radius"]))
    with pytest.raises(DataError, match="that of the model"):
        list(recertify(wrong, read_log(path), INPUTS, draws=100, level=0.001, seed=1))


@pytest.mark.parametrize("column", ["votes", "n", "idx", "router_votes"])
def test_numbers_too_large_for_a_column(tmp_path: Path, column: str) -> None:
    path = tmp_path / "a.tsv"
    logged(path, DUAL)
    edited(path, lambda row: row.update({column: "1" + 400 * "0"}))
    with pytest.raises(DataError, match=f"line 3: expected {column} to be an integer"):
        read_log(path)
