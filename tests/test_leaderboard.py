"""Entries, groups and notes of the leaderboard, and its outputs as text and data."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from rszoo import methods
from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import DataError
from rszoo.evaluation.leaderboard.board import Group, grouped, selected
from rszoo.evaluation.leaderboard.columns import columns, heading, marks, protocol
from rszoo.evaluation.leaderboard.data import as_data
from rszoo.evaluation.leaderboard.entry import Entry, entry_of_log
from rszoo.evaluation.leaderboard.markdown import as_markdown
from rszoo.evaluation.leaderboard.published import published_entries
from rszoo.evaluation.log import CertificationLog, LogTable, read_log
from rszoo.hub.catalog import find
from rszoo.theory.bounds import clopper_pearson_interval
from rszoo.theory.radii import largest_radius

DIGITS = "0e28a7edd0034030decf95dda9e7ccbb5910e449518ff1fe354b2dfd92dee9d1"
TRAIN = {
    "split": "train",
    "digest": "15975307d04afa8f8796d0c19b3b28e93eccd4ace6a4a52b5891f65a96dcc492",
}
INPUTS = {"name": "digits", "split": "test", "digest": DIGITS}
FIVE = (1.0, 0.99, 0.9, 0.7, 0.3)
SHARES = FIVE * 20  # enough for a place


def entry(
    path: Path,
    *,
    shares: Sequence[float] = SHARES,
    n: int = 1000,
    alpha: float = 0.001,
    sigma: float = 0.25,
    first: int = 0,
    inputs: object = INPUTS,
    **facts: Any,
) -> Entry:
    """Certify class 1 in images of class 1, and return the entry of the log."""
    protocol = {"model": {"name": "digits-macer-0.25"}, "inputs": inputs}
    with CertificationLog.open(path, protocol_of(protocol), resume=False) as opened:
        for idx, share in enumerate(shares, start=first):
            votes = round(share * n)
            given = certificate_from_votes(1, votes, n0=9, n=n, alpha=alpha, sigma=sigma)
            opened.append(idx, 1, given, 0.1)
    return entry_of_log(read_log(path), model=path.stem, **facts)


def adaptive(path: Path, radii: Sequence[float]) -> LogTable:
    """Return a log as if it had been decided on this grid of radii, to save draws."""
    log = read_log(path)
    assert log.protocol is not None
    stated = {"radii": tuple(radii), "tolerance": 0.1}
    return replace(log, protocol=log.protocol.model_copy(update=stated))


def only(groups: list[Group]) -> Group:
    (group,) = groups
    return group


def notes(group: Group) -> dict[str, tuple[str, ...]]:
    return {row.entry.model: row.notes for row in group.rows}


def test_an_entry_by_hand(tmp_path: Path) -> None:
    one = entry(tmp_path / "a.tsv", network="lenet")
    assert (one.model, one.dataset, one.method, one.network) == ("a", "digits", "macer", "lenet")
    group = only(grouped([one]))
    (row,) = group.rows
    assert (group.dataset, group.sigma, group.n, group.alpha) == ("digits", 0.25, 1000, 0.001)
    # 1000 of 1000 votes certify 0.615, 990 0.494, 900 0.278, 700 0.098; 300 abstain.
    assert one.log is not None
    assert one.log.radius[:5] == pytest.approx([0.6158, 0.4945, 0.2786, 0.0987, 0.0], abs=1e-4)
    assert group.radii == (0.0, 0.25, 0.5)
    assert row.accuracies == (0.8, 0.6, 0.2)
    assert row.intervals[0] == pytest.approx(clopper_pearson_interval(80, 100, 0.05))
    assert (row.place, row.notes) == (1, ())


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("mnist-cat_rs-0.50", "cat_rs"),
        ("my-own-data-gaussian-0.25", "gaussian"),
        ("mnist-zebra-0.50", None),
        ("gaussian", None),
        ("mnist-gaussian-0.50-better", None),
    ],
)
def test_the_method_of_a_log_comes_from_a_name_that_rszoo_gives(
    tmp_path: Path, name: str, method: str | None
) -> None:
    entry(tmp_path / "a.tsv")
    (tmp_path / "a.json").write_text(json.dumps({"model": {"name": name}, "inputs": {}}))
    one = entry_of_log(read_log(tmp_path / "a.tsv"), model="a")
    assert (one.method, one.dataset) == (method, None)


def test_groups_are_data_sets_and_noise_levels_by_falling_acr(tmp_path: Path) -> None:
    made = [
        entry(tmp_path / "low.tsv", shares=[0.9] * 100),
        entry(tmp_path / "high.tsv", shares=[1.0] * 100),
        entry(tmp_path / "loud.tsv", sigma=1.0),
        entry(tmp_path / "mnist.tsv", inputs={"name": "another"}),
    ]
    groups = grouped(made)
    assert [heading(group) for group in groups] == [
        "another (so called by its author), sigma = 0.25",
        "digits, sigma = 0.25",
        "digits, sigma = 1",
    ]
    assert [(row.place, row.entry.model) for row in groups[1].rows] == [(1, "high"), (2, "low")]


def test_a_group_states_the_protocol_of_most_and_marks_the_others(tmp_path: Path) -> None:
    made = [
        entry(tmp_path / "a.tsv"),
        entry(tmp_path / "b.tsv"),
        entry(tmp_path / "fewer-draws.tsv", n=500),
        entry(tmp_path / "less-sure.tsv", alpha=0.01),
        entry(tmp_path / "fewer.tsv", shares=SHARES[:60]),
        entry(tmp_path / "shifted.tsv", first=7),
        entry(tmp_path / "other-files.tsv", inputs=INPUTS | TRAIN),
    ]
    group = only(grouped(made))
    assert protocol(group) == "n = 1,000, alpha = 0.001, one-sided bound, inputs: 100"
    assert notes(group) == {
        "a": (),
        "b": (),
        "fewer-draws": ("n = 500, not 1,000",),
        "less-sure": ("alpha = 0.01, above 0.001",),
        "fewer": ("fewer than 100 inputs", "60 inputs, not 100"),
        "shifted": (
            "100 of at least 107 inputs: missing 0, 1, 2, ...",
            "other inputs, if as many (100)",
        ),
        "other-files": ("no test images", "other inputs, if as many (100)"),
    }
    given, said = marks(group)
    assert len(said) == 5  # each once
    assert [bool(mark) for mark in given] == [bool(row.notes) for row in group.rows]
    for mark, row in zip(given, group.rows, strict=True):
        assert not mark or f"{mark} {'; '.join(row.notes)}" in said


def test_of_equally_many_owners_the_n_nearest_to_the_usual_is_the_protocol(tmp_path: Path) -> None:
    made = [entry(tmp_path / "z.tsv"), entry(tmp_path / "a.tsv", n=10_000)]
    group = only(grouped(made))
    assert group.n == 10_000
    assert notes(group)["z"] == ("n = 1,000, not 10,000",)


def test_an_early_log_is_a_lower_bound(tmp_path: Path) -> None:
    made = [entry(tmp_path / "a.tsv"), entry(tmp_path / "b.tsv"), entry(tmp_path / "c.tsv")]
    made[2] = entry_of_log(adaptive(tmp_path / "c.tsv", [0.0, 0.25]), model="early")
    group = only(grouped(made))
    assert notes(group)["early"] == (
        "decided at 2 radii only: between them everything is a lower bound",
        "up to 0.10 of a radius was given up to save draws",
        "p is not known: the draws stopped early, and where they stop depends on the votes",
    )
    (acr,) = (column.cells for column in columns(group) if column.head == "ACR")
    assert {cell.text for cell in acr} == {"0.297", ">= 0.297"}
    alone = only(grouped(made[2:]))
    assert alone.radii == (0.0, 0.25, 0.5)
    assert [note for note in alone.rows[0].notes if "radii" in note] == []


def test_a_model_of_several_noise_levels_says_so() -> None:
    evidence = find("builtin/digits-cascade-0.50").evidence
    assert evidence is not None
    group = only(grouped([entry_of_log(read_log(evidence), model="cascade")]))
    assert heading(group).endswith(", sigma = several")


def test_old_logs_say_what_they_do_not_say(tmp_path: Path) -> None:
    old = tmp_path / "cohen"
    old.write_text(
        "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.529\t1\tt\n1\t1\t-1\t0.0\t0\t"
    )
    group = only(grouped([entry_of_log(read_log(old), model="cohen")]))
    assert heading(group) == "data set not stated, sigma not stated"
    assert protocol(group) == (
        "n not stated, alpha not stated, one-sided bound, inputs: 2; no entry has a place"
    )
    assert notes(group)["cohen"][-1] == "p is not known: the log holds no counts"
    shown = {column.head: column.cells[0].text for column in columns(group)}
    assert shown == {
        "place": "-",
        "ACR": "0.264",
        "n": "-",
        "alpha": "-",
        "inputs": "2",
        "abstain %": "50.0",
        "r 0.00": "50.0",
        "r 0.25": "50.0",
        "r 0.50": "50.0",
        "draws": "-",
    }
    assert as_data([group])[0]["entries"][0]["without_p"] == "the log holds no counts"


def test_no_table_grows_without_end(tmp_path: Path) -> None:
    group = only(grouped([entry(tmp_path / "a.tsv", sigma=50.0)]))
    assert len(group.radii) <= 20
    largest = largest_radius(1000, 0.001, 50.0)
    assert group.radii[-1] <= largest < group.radii[-1] + group.radii[1]


def test_rows_that_are_no_comparison_are_refused(tmp_path: Path) -> None:
    entry(tmp_path / "a.tsv")
    header = (tmp_path / "a.tsv").read_text().splitlines(keepends=True)[0]
    (tmp_path / "a.tsv").write_text(header)
    with pytest.raises(DataError, match="expected at least one row"):
        entry_of_log(read_log(tmp_path / "a.tsv"), model="a")


def test_selected(tmp_path: Path) -> None:
    made = [entry(tmp_path / "a.tsv"), entry(tmp_path / "b.tsv", sigma=1.0, method="gaussian")]
    assert selected(made) == made
    assert selected(made, dataset="digits", sigma=1.0) == made[1:]
    assert selected(made, method="macer") == made[:1]
    assert selected(made, dataset="mnist") == []


def test_published_numbers_are_sane() -> None:
    found = published_entries()
    assert {one.dataset for one in found} == {"mnist", "cifar10", "cifar100", "imagenet"}
    assert {one.method for one in found} <= set(methods.names())
    keys = [(one.dataset, one.summary.sigma, one.method, one.model) for one in found]
    assert len(set(keys)) == len(keys)
    for one in found:
        numbers = one.summary
        assert numbers.n is not None
        assert numbers.alpha is not None
        assert numbers.sigma is not None
        cap = largest_radius(numbers.n, numbers.alpha, numbers.sigma)
        assert len(numbers.radii) == math.floor(cap / 0.25) + 1
        shares = list(numbers.by_radius().values())
        assert shares == sorted(shares, reverse=True)
        assert shares[0] + numbers.abstained <= 1.0005
        # The area under the curve lies between its lower and its upper sum.
        assert 0.25 * sum(shares[1:]) <= numbers.acr <= 0.25 * sum(shares) + 0.001
        assert one.paper


def test_published_numbers_that_are_quoted_everywhere() -> None:
    def acr(dataset: str, sigma: float, method: str, model: str) -> float:
        (one,) = [
            one
            for one in selected(published_entries(), dataset=dataset, sigma=sigma, method=method)
            if one.model == model
        ]
        return one.summary.acr

    assert acr("cifar10", 0.5, "cat_rs", "alinlab/smoothing-catrs") == 0.7571
    assert acr("cifar10", 0.25, "gaussian", "alinlab/smoothing-catrs") == 0.4240
    assert acr("cifar10", 0.25, "gaussian", "eth-sri/acr-weakness") == 0.4867
    assert acr("mnist", 0.5, "stability", "jh-jeong/smoothmix") == 1.5719
    assert acr("imagenet", 1.0, "cat_rs", "alinlab/smoothing-catrs") == 1.0715


def test_published_rows_stand_below_and_only_beside_models_at_hand(tmp_path: Path) -> None:
    one = entry(tmp_path / "a.tsv", sigma=0.5, inputs={"name": "mnist"}, n=100)
    group = only(grouped([one], published_entries()))
    first, *others = group.rows
    assert first.entry is one
    assert len(others) == 7
    acrs = [row.entry.summary.acr for row in others]
    assert acrs == sorted(acrs, reverse=True)
    assert others[0].notes == ("10,000 inputs, not 100", "n = 100,000, not 100")
    assert {row.place for row in others} == {None}
    assert others[0].accuracies[:2] == (0.986, 0.98)
    assert set(others[0].intervals) == {None}
    assert len(columns(group)[0].cells) == 8


def test_published_accuracy_beyond_its_radii_is_zero(tmp_path: Path) -> None:
    one = entry(tmp_path / "a.tsv", sigma=0.5, inputs={"name": "mnist"}, n=10**9, shares=[1.0])
    _, published, *_ = only(grouped([one], published_entries())).rows
    radii = published.entry.summary.radii
    assert published.accuracies[: len(radii)] == published.entry.summary.certified_accuracy
    assert set(published.accuracies[len(radii) :]) == {0.0}


HOSTILE = "<b>|x|</b> [a](http://evil.example) `rm` *b* _c_ $d$ www.evil.example \n# e \x1b[31m ‮"


def test_hostile_names_stay_text_in_markdown(tmp_path: Path) -> None:
    read = read_log(entry(tmp_path / "a.tsv").log.path)  # type: ignore[union-attr]
    one = entry_of_log(read, model=HOSTILE, method=HOSTILE, network=HOSTILE, profile=HOSTILE)
    assert one.model.isprintable()
    text = as_markdown(grouped([one]))
    (row,) = [line for line in text.splitlines() if "evil" in line]
    assert "http:" not in row
    assert "www." not in row
    html = MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(text)
    assert set(re.findall(r"</?(\w+)", html)) == set(
        "h1 h2 p ul li table thead tbody tr th td".split()
    )
    assert f"<td>{escape(one.model, quote=False)}</td>" in html


MARKDOWN = """\
# Leaderboard

## digits, sigma = 0.25

n = 1,000, alpha = 0.001, one-sided bound, inputs: 100.

| model | method | place | ACR | n | alpha | inputs | abstain % | r 0.00 | r 0.25 | r 0.50 \
| p 0.5 | p 0.9 | p 0.99 | p 0.999 | p 1-1/n | draws |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: \
| ---: | ---: | ---: | ---: | ---: | ---: |
| a | macer, lenet | 1 | 0.297 (± 0.024) | 1,000 | 0.001 | 100 | 20.0 \
| 80.0 (70.8-87.4) | 60.0 (49.7-69.7) | 20.0 (12.6-29.2) \
| 80.0 (80.0) | 60.0 (60.0) | 40.0 (40.0) | 20.0 (20.0) | 20.0 (20.0) | 1,000 (100,000) |
| b \\[1\\] | macer | - | 0.094 (± 0.095) | 100 | 0.001 | 2 | 50.0 \
| 50.0 (1.2-98.8) | 0.0 (0.0-84.2) | 0.0 (0.0-84.2) \
| 50.0 (50.0) | 50.0 (50.0) | 0.0 (0.0) | - | 0.0 (0.0) | 100 (200) |

\\[1\\] fewer than 100 inputs; 2 inputs, not 100; n = 100, not 1,000

"""


def test_markdown(tmp_path: Path) -> None:
    made = [
        entry(tmp_path / "a.tsv", network="lenet"),
        entry(tmp_path / "b.tsv", shares=[0.9, 0.3], n=100),
        entry(tmp_path / "c.tsv", network="lenet"),
    ]
    text = as_markdown(grouped(made[:2]))
    assert text.startswith(MARKDOWN)


def test_data_is_json_and_holds_everything(tmp_path: Path) -> None:
    group = only(grouped([entry(tmp_path / "a.tsv", profile="short")]))
    (found,) = json.loads(json.dumps(as_data([group]), allow_nan=False))
    (one,) = found.pop("entries")
    assert found == {
        "dataset": "digits",
        "sigma": 0.25,
        "bound": "one-sided",
        "given_radii": None,
        "images": 100,
        "n": 1000,
        "alpha": 0.001,
        "radii": [0.0, 0.25, 0.5],
    }
    assert one["acr"] == pytest.approx(0.29752, abs=1e-5)
    assert one["acr_se"] == pytest.approx(0.02329, abs=1e-5)
    assert one["certified_accuracy"] == [0.8, 0.6, 0.2]
    assert one["intervals"][0] == pytest.approx(clopper_pearson_interval(80, 100, 0.05))
    assert one["p"]["shares"] == [0.8, 0.6, 0.4, 0.2]
    wanted = (
        "place",
        "collapsed",
        "model",
        "method",
        "profile",
        "clean",
        "abstained",
        "draws",
        "notes",
        "published",
    )
    assert {key: one[key] for key in wanted} == {
        "place": 1,
        "collapsed": None,
        "model": "a",
        "method": "macer",
        "profile": "short",
        "clean": 0.8,
        "abstained": 0.2,
        "draws": 1000.0,
        "notes": [],
        "published": None,
    }
