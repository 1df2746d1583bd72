"""A log may not claim a radius above what its votes give, and logs of another scipy are read."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from rszoo.certificates.base import (
    ABSTAIN,
    Certificate,
    certificate_from_bound,
    certificate_from_votes,
)
from rszoo.certificates.kind import agrees
from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.kinds.mixed import mixed_certificate
from rszoo.certificates.kinds.nominal import Nominal
from rszoo.errors import DataError
from rszoo.evaluation.log import CertificationLog, read_log
from rszoo.smoothing.cascade import CascadeClassifier
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.decisions import RadiusTests
from rszoo.smoothing.memory import Memory
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.mixing import mixed_radius
from rszoo.theory.radii import certified_radius

SIGMA, N, ALPHA = 0.5, 100_000, 0.001

#: By how much a value differs with the version of scipy (1.13 to 1.17), as a share of it.
OTHER = 1.2e-14


def given(votes: int) -> Certificate:
    return certificate_from_votes(1, votes, n0=100, n=N, alpha=ALPHA, sigma=SIGMA)


def nominal(votes: int) -> Certificate:
    found = given(votes)
    details = Nominal(nominal_radius=found.radius)
    return Certificate(**{**vars(found), "radius": 0.0, "details": details})


def mixed(votes: int) -> Certificate:
    return mixed_certificate(given(votes), alpha_mix=0.8)


KINDS: dict[str, tuple[Callable[[int], Certificate], dict[str, object], str]] = {
    "fixed": (given, {}, "radius"),
    "nominal": (nominal, {"per_input_sigma": "nominal"}, "nominal_radius"),
    "mixed": (mixed, {"alpha_mix": 0.8}, "radius"),
}


def edited(path: Path, **changes: Callable[[float], float]) -> None:
    header, row = (line.split("\t") for line in path.read_text().splitlines())
    for column, change in changes.items():
        place = header.index(column)
        row[place] = repr(change(float(row[place])))
    path.write_text("\t".join(header) + "\n" + "\t".join(row) + "\n")


@pytest.fixture(params=KINDS)
def log(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    return request.param, tmp_path / "a.tsv"


def write(kind: str, path: Path, votes: int) -> str:
    """Write a log of one row; return the column that holds what the votes give."""
    certificate, stated, column = KINDS[kind]
    with CertificationLog.open(path, protocol_of(stated), resume=False) as log:
        log.append(0, 1, certificate(votes), 0.1)
    read_log(path, nominal=True)
    return column


@pytest.mark.parametrize("votes", [70_000, 99_000, 99_990, N])
@pytest.mark.parametrize("more", [2e-12, 1e-10])
def test_a_radius_a_little_above_the_votes(log: tuple[str, Path], votes: int, more: float) -> None:
    kind, path = log
    column = write(kind, path, votes)
    edited(path, **{column: lambda radius: radius * (1 + more)})
    with pytest.raises(DataError, match=rf"line 2: expected {column}="):
        read_log(path, nominal=True)


@pytest.mark.parametrize("votes", [70_000, 99_000, 99_990, N])
def test_a_bound_a_little_above_the_votes(log: tuple[str, Path], votes: int) -> None:
    kind, path = log
    write(kind, path, votes)
    edited(path, p_lower=lambda bound: bound * (1 + 5e-13))
    with pytest.raises(DataError, match=r"line 2: expected p_lower="):
        read_log(path, nominal=True)


@pytest.mark.parametrize("votes", [70_000, 99_000, 99_990, N])
@pytest.mark.parametrize("share", [OTHER, -OTHER])
def test_the_same_of_another_scipy(log: tuple[str, Path], votes: int, share: float) -> None:
    """Near 1 a bound that differs in its 14th digit gives a radius that does in its 11th."""
    kind, path = log
    column = write(kind, path, votes)
    bound = given(votes).p_lower * (1 + share)
    radius = mixed_radius(bound, SIGMA, 0.8) if kind == "mixed" else certified_radius(bound, SIGMA)
    changes: dict[str, Callable[[float], float]] = {column: lambda _: radius}
    edited(path, p_lower=lambda _: bound, **changes)
    assert float(read_log(path, nominal=True).p_lower[0]) == bound  # type: ignore[index]


def test_the_largest_difference_matters_near_1() -> None:
    """What the test before this one is about: more than the tolerance of a radius by itself."""
    one, other = (given(N).p_lower * (1 + share) for share in (0.0, OTHER))
    assert certified_radius(other, SIGMA) > certified_radius(one, SIGMA) * (1 + 1e-11)


@pytest.mark.parametrize("votes", [501, 700, 990, 999, 1000])
def test_whatever_agrees_is_at_most_the_exact_value(votes: int) -> None:
    bound = clopper_pearson_lower(votes, 1000, ALPHA)
    exact = bound / (1 - 2.0**-40)  # before it was rounded down; 1e-14 wrong at most
    largest = bound * (1 + 0.999e-13)
    assert agrees(largest, bound)
    assert largest < exact * (1 - 5e-13)
    assert not agrees(bound * (1 + 1.001e-13), bound)
    assert agrees(-1, -1)
    assert not agrees(1, -1)
    assert agrees(0.0, 0.0)
    assert not agrees(1e-300, 0.0)


def test_a_radius_that_was_not_asked_for(tmp_path: Path) -> None:
    tests = RadiusTests.of([0.1, 0.25], sigma=SIGMA, n=1000, alpha=ALPHA)
    found = tests.certificate(1, tests.looks.tolist(), n0=9)
    path = tmp_path / "a.tsv"
    with CertificationLog.open(path, protocol_of({"radii": [0.1, 0.25]}), resume=False) as log:
        log.append(0, 1, found, 0.1)
    edited(path, radius=lambda radius: radius * (1 + 1e-9))
    with pytest.raises(
        DataError, match=r"line 2: expected radius=0\.25 by its protocol, got 0\.2"
    ):
        read_log(path)


def test_the_radius_of_an_expert(tmp_path: Path) -> None:
    experts = [
        SmoothedClassifier(nn.Linear(2, 2), sigma=sigma, num_classes=2, device="cpu")
        for sigma in (0.25, 0.5)
    ]
    cascade = CascadeClassifier(experts)
    found = cascade.certify(torch.tensor([3.0, -5.0]), n=2000, alpha=0.1, seed=0)
    assert isinstance(found, Certificate)
    assert found.radius > 0
    path = tmp_path / "a.tsv"
    stated = protocol_of(cascade.protocol_entries)
    with CertificationLog.open(path, stated, resume=False) as log:
        log.append(0, 1, found, 0.1)
    edited(path, expert_radius=lambda r: r * (1 + 2e-12), radius=lambda r: r * (1 + 2e-12))
    with pytest.raises(DataError, match=r"line 2: expected expert_radius="):
        read_log(path)


def test_a_memory_is_read_as_strictly(tmp_path: Path) -> None:
    path = tmp_path / "a.memory"
    with Memory.open(path) as memory:
        answer = memory.answer(torch.zeros(2), lambda: given(99_000))
    data = path.read_bytes()
    for more, fine in ((0.0, True), (2e-12, False)):
        text, other = repr(answer.radius).encode(), repr(answer.radius * (1 + more)).encode()
        assert len(text) == len(other)
        path.write_bytes(data.replace(text, other))
        if fine:
            Memory.open(path).close()
        else:
            with pytest.raises(DataError, match="answer 0, which does not follow from its votes"):
                Memory.open(path)


def test_votes_decide_at_looks_alone(tmp_path: Path) -> None:
    """Between two looks nothing was counted, however many votes there are."""
    tests = RadiusTests.of([0.1, 0.25], sigma=SIGMA, n=1000, alpha=ALPHA)
    found = tests.certificate(1, tests.looks.tolist(), n0=9)
    assert found.draws in tests.looks
    path = tmp_path / "a.tsv"
    for draws, fine in ((found.draws, True), (found.draws - 1, False)):
        path.unlink(missing_ok=True)
        stated = protocol_of({"radii": [0.1, 0.25]})
        with CertificationLog.open(path, stated, resume=False) as log:
            log.append(0, 1, replace(found, votes=draws, draws=draws), 0.1)
        with nullcontext() if fine else pytest.raises(DataError, match=r"expected predict=-1"):
            read_log(path)


def test_a_bound_of_one_half_is_enough_for_a_label_and_for_no_radius() -> None:
    claims: dict[str, Any] = {
        "candidate": 1,
        "votes": 1,
        "n0": 1,
        "n": 2,
        "alpha": ALPHA,
        "sigma": SIGMA,
    }
    for bound, label in ((0.5, 1), (math.nextafter(0.5, 0.0), ABSTAIN)):
        found = certificate_from_bound(bound, **claims)
        assert (found.label, found.radius) == (label, 0.0)
