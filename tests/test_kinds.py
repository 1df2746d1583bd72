"""The kinds of certificates: found by their files, told apart by what logs state."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import kind, kind_of_columns, kinds, names, protocol_of
from rszoo.errors import DataError
from rszoo.evaluation.log import CertificationLog, read_log

ALL = (
    *(
        "cascade",
        "cascade_early",
        "chosen",
        "dual",
        "dual_early",
        "early",
        "early_runner_up",
        "extended",
        "fixed",
        "memory",
        "mixed",
        "mixed_early",
        "nominal",
        "original",
    ),
    *("runner_up", "top_k"),
)
EXPERTS = [{"sigma": 0.25}, {"sigma": 0.5}]
ROUTED = {"experts": EXPERTS, "router": {"sigma": 1.0}}


def test_the_folder_is_the_list_and_names_its_kinds() -> None:
    assert names() == ALL
    assert [one.name for one in kinds()] == list(ALL)


def test_no_two_kinds_have_the_same_columns() -> None:
    assert all(one.names != other.names for one, other in combinations(kinds(), 2))
    for one in kinds():
        assert kind_of_columns(one.names) is one
        assert kind_of_columns((*one.names, "input")) is one
    assert kind_of_columns(("idx", "label")) is None


@pytest.mark.parametrize(
    ("stated", "name"),
    [
        ({}, "fixed"),
        ({"sigma": 0.5}, "fixed"),
        ({"radii": [0.5]}, "early"),
        ({"n": 100, "n_max": 1000}, "extended"),
        ({"top_k": 3}, "top_k"),
        ({"alpha_mix": 0.7}, "mixed"),
        ({"experts": EXPERTS}, "cascade"),
        (ROUTED, "dual"),
        ({"per_input_sigma": "memory"}, "memory"),
        ({"per_input_sigma": "nominal"}, "nominal"),
    ],
)
def test_the_kind_of_an_old_log_follows_from_what_it_states(
    stated: dict[str, Any], name: str
) -> None:
    assert protocol_of(stated).kind == name
    assert protocol_of({"kind": name, **stated}) == protocol_of(stated)


@pytest.mark.parametrize(
    ("stated", "problem"),
    [
        ({"kind": "fixd"}, "expected a kind of certificate .*, got 'fixd'"),
        ({"per_input_sigma": "fixed"}, "per_input_sigma: "),
        ({"kind": 3}, "got 3"),
        # One part of a model that claims the radius of the whole.
        ({"kind": "fixed", "experts": EXPERTS}, "expected kind 'cascade' by what else is"),
        (
            {"kind": "cascade", "experts": EXPERTS, "router": {"sigma": 1.0}},
            "expected kind 'dual'",
        ),
        ({"kind": "fixed", "alpha_mix": 0.9}, "expected kind 'mixed'"),
        ({"kind": "fixed", "radii": [0.5]}, "expected kind 'early'"),
        ({"kind": "dual"}, "experts: Field required"),
        ({"kind": "early"}, "expected some radii"),
        ({"kind": "fixed", "tolerance": 0.05}, "expected no tolerance without radii, got 0.05"),
        ({"kind": "cascade", "experts": EXPERTS, "radii": [0.5]}, "expected no radii"),
        ({"kind": "cascade", "experts": EXPERTS[:1]}, "experts: "),
        ({"kind": "mixed"}, "alpha_mix: Field required"),
        ({"kind": "extended", "n": 100}, "expected an n_max"),
        ({"kind": "extended", "n": 100, "n_max": 100}, "expected n_max above n=100, got 100"),
        ({"kind": "fixed", "n": 100, "n_max": 1000}, "expected kind 'extended'"),
        ({"kind": "top_k"}, "expected a top_k"),
        ({"kind": "fixed", "top_k": 3}, "expected kind 'top_k'"),
        ({"sigma": None}, "expected a noise level sigma, got null"),
        ({"sigma": 0.0}, "sigma: "),
        ({"alpha": 1.0}, "alpha: "),
        ({"n": 0}, "n: "),
    ],
)
def test_what_no_kind_states(stated: dict[str, Any], problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        protocol_of(stated)


def test_a_log_says_its_kind_and_another_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    with CertificationLog.open(path, protocol_of({"sigma": 0.5}), resume=False) as log:
        given = certificate_from_votes(3, 990, n0=9, n=1000, alpha=0.001, sigma=0.5)
        log.append(0, 3, given, 0.1)
    stored = json.loads((tmp_path / "a.json").read_text())
    assert stored == {"kind": "fixed", "sigma": 0.5}
    assert read_log(path).kind is kind("fixed")
    (tmp_path / "a.json").write_text(json.dumps({**stored, "kind": "early", "radii": [0.5]}))
    with pytest.raises(DataError, match=r"expected the columns .* draws spent by its protocol"):
        read_log(path)
    (tmp_path / "a.json").write_text(json.dumps({**stored, "kind": "best_of_three"}))
    with pytest.raises(DataError, match=r"got 'best_of_three'; the log may come from a newer"):
        read_log(path)


def test_what_a_newer_rszoo_states_beside_is_kept() -> None:
    stated = {"kind": "fixed", "sigma": 0.5, "weather": {"rain": True}}
    assert protocol_of(stated).values() == stated
