"""Who has a place on a leaderboard: forged and flattering logs have none, in no output."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.data import known_set
from rszoo.evaluation.leaderboard.board import Group, grouped
from rszoo.evaluation.leaderboard.columns import columns, labels
from rszoo.evaluation.leaderboard.data import as_data
from rszoo.evaluation.leaderboard.entry import Entry, entry_of_log
from rszoo.evaluation.leaderboard.markdown import as_markdown
from rszoo.evaluation.leaderboard.page import as_page
from rszoo.evaluation.leaderboard.published import published_entries
from rszoo.evaluation.log import CertificationLog, read_log

DIGITS = known_set("digits")
assert DIGITS is not None
TEST = {"name": "digits", "split": "test", "digest": DIGITS.digests["test"], "size": 360}
HONEST = range(360)


def entry(
    path: Path,
    *,
    share: float = 0.95,
    idx: Sequence[int] = HONEST,
    n: int = 100_000,
    alpha: float = 0.001,
    inputs: dict[str, Any] | None = None,
    owner: str = "",
) -> Entry:
    """Certify some images with these votes for their own classes, and return the log's entry."""
    stated = TEST | {"step": 1, "count": len(idx)} if inputs is None else inputs
    with CertificationLog.open(path, protocol_of({"inputs": stated}), resume=False) as log:
        for one in idx:
            label, votes = one % 10, round(share * n)
            given = certificate_from_votes(label, votes, n0=9, n=n, alpha=alpha, sigma=0.25)
            log.append(one, label, given, 0.1)
    return entry_of_log(read_log(path), model=path.stem, owner=owner)


def places(entries: Sequence[Entry]) -> dict[str, int | None]:
    (group,) = grouped(entries)
    return {row.entry.model: row.place for row in group.rows}


def honest(folder: Path) -> list[Entry]:
    return [entry(folder / "good.tsv", share=0.9), entry(folder / "better.tsv", share=0.95)]


def flattering(folder: Path, kind: str, number: int) -> Entry:
    """Return the entry of a log that has a larger ACR than any honest one."""
    path = folder / f"{kind}-{number}.tsv"
    every = {key: value for key, value in TEST.items() if key != "size"}
    return {
        "one image": lambda: entry(path, share=1.0, idx=[0]),
        "chosen images": lambda: entry(path, share=1.0, idx=range(3, 360, 7), inputs=every),
        "every third image": lambda: entry(
            path, share=1.0, idx=range(0, 360, 3), inputs=TEST | {"step": 3, "count": 120}
        ),
        "rows deleted": lambda: entry(
            path, share=1.0, idx=range(120), inputs=TEST | {"step": 1, "count": 360}
        ),
        "a large alpha": lambda: entry(path, share=0.99, alpha=0.999),
        "many draws": lambda: entry(path, share=0.99, n=1_000_000),
        "no digest": lambda: entry(path, share=1.0, inputs={"name": "digits", "split": "test"}),
    }[kind]()


KINDS = {
    "one image": "fewer than 100 inputs",
    "chosen images": "51 of at least 354 inputs: missing 0, 1, 2, ...",
    "every third image": "120 inputs, not 360",
    "rows deleted": "120 of 360 inputs: missing 120, 121, 122, ...",
    "a large alpha": "alpha = 0.999, above 0.001",
    "many draws": "n = 1,000,000, not 100,000",
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_flatters_has_no_place_however_often_it_is_published(
    tmp_path: Path, kind: str
) -> None:
    made = [*honest(tmp_path), *(flattering(tmp_path, kind, i) for i in range(5))]
    assert max(made, key=lambda one: one.summary.acr).model.startswith(kind)
    found = places(made)
    assert (found.pop("better"), found.pop("good")) == (1, 2)
    assert set(found.values()) == {None}
    (group,) = grouped(made)
    assert [row.entry.model for row in group.rows][:2] == ["better", "good"]
    for row in group.rows[2:]:
        assert KINDS[kind] in row.notes


def test_all_outputs_say_the_same(tmp_path: Path) -> None:
    made = [*honest(tmp_path), *(flattering(tmp_path, kind, 0) for kind in KINDS)]
    (group,) = groups = grouped(made)
    expected = [1, 2] + [None] * 6
    assert [one["place"] for one in as_data(groups)[0]["entries"]] == expected
    shown = columns(group)[0]
    assert (shown.head, [cell.text for cell in shown.cells]) == ("place", ["1", "2", *"------"])
    assert labels(group) == ["1", "2", *"abcdef"]
    assert [line.split(" | ")[2] for line in as_markdown(groups).splitlines()[8:16]] == [
        cell.text for cell in shown.cells
    ]
    page = as_page(groups)
    assert page.count('data-part="0"') == 2
    assert page.count('data-part="1"') == 6
    json.dumps(as_data(groups), allow_nan=False)


def test_published_numbers_have_no_place(tmp_path: Path) -> None:
    one = replace(entry(tmp_path / "a.tsv"), dataset="mnist")
    one = replace(one, summary=replace(one.summary, sigma=0.25))
    (group,) = grouped([one], published_entries())
    first, *others = group.rows
    assert first.place == 1
    assert others
    assert {row.place for row in others} == {None}


def test_equal_ones_share_a_place(tmp_path: Path) -> None:
    made = [entry(tmp_path / f"{name}.tsv") for name in "ab"] + [
        entry(tmp_path / "c.tsv", share=0.9)
    ]
    assert places(made) == {"a": 1, "b": 1, "c": 3}


def test_the_protocol_is_that_of_most_owners(tmp_path: Path) -> None:
    few = [entry(tmp_path / f"{i}.tsv", n=10_000, owner=f"org-{i}") for i in range(2)]
    many = [entry(tmp_path / f"x{i}.tsv", share=0.99, owner="mallory") for i in range(4)]
    found = places([*few, *many])
    assert [found[name] for name in ("0", "1", "x0", "x3")] == [1, 1, None, None]
    assert places([few[0], *many])["x0"] == 1  # one owner each: the usual n


def test_train_images_are_not_ranked_though_there_are_more(tmp_path: Path) -> None:
    assert DIGITS is not None
    inputs = TEST | {"split": "train", "digest": DIGITS.digests["train"], "size": 1437}
    train = entry(tmp_path / "t.tsv", idx=range(1437), inputs=inputs | {"step": 1, "count": 1437})
    found = places([*honest(tmp_path), train])
    assert (found["better"], found["t"]) == (1, None)
    assert places([train]) == {"t": None}


def test_who_states_no_digest_has_no_place_even_alone(tmp_path: Path) -> None:
    (group,) = grouped([flattering(tmp_path, "no digest", 0)])
    (row,) = group.rows
    assert (row.place, row.notes[0]) == (None, "the digest of the images is not stated")


def decided(path: Path, radii: tuple[float, ...], tolerance: float = 0.0) -> Entry:
    """Return the entry of a log as if it had been certified at these radii, up to a tolerance."""
    log = entry(path, share=0.97).log
    assert log is not None
    assert log.protocol is not None
    stated = {"radii": radii, "tolerance": tolerance}
    protocol = log.protocol.model_copy(update=stated)
    return entry_of_log(replace(log, protocol=protocol), model=path.stem)


def test_one_set_of_radii_is_ranked(tmp_path: Path) -> None:
    fine = decided(tmp_path / "fine.tsv", (0.0, 0.25), tolerance=0.1)
    other = decided(tmp_path / "other.tsv", (0.25,), tolerance=0.1)
    assert places([*honest(tmp_path), fine]) == {"better": 1, "good": 2, "fine": None}
    assert set(places([fine, other]).values()) == {1, None}
    coarse = decided(tmp_path / "coarse.tsv", (0.0, 0.25), tolerance=0.5)
    assert set(places([fine, coarse]).values()) == {1, None}
    given = [decided(tmp_path / f"{name}.tsv", (0.0, 0.25)) for name in ("a", "b")]
    assert places(given) == {"a": 1, "b": 1}


def constant(path: Path) -> Entry:
    """Return the entry of a model that gives every image class 3, with all votes."""
    stated = TEST | {"step": 1, "count": 360}
    with CertificationLog.open(path, protocol_of({"inputs": stated}), resume=False) as log:
        for one in HONEST:
            given = certificate_from_votes(3, 100_000, n0=9, n=100_000, alpha=0.001, sigma=0.25)
            log.append(one, one % 10, given, 0.1)
    return entry_of_log(read_log(path), model=path.stem)


def test_a_collapsed_model_has_no_place_and_sets_no_protocol(tmp_path: Path) -> None:
    made = [entry(tmp_path / "bad.tsv", share=0.6, n=10_000), constant(tmp_path / "constant.tsv")]
    assert made[1].summary.acr > made[0].summary.acr
    group: Group
    (group,) = grouped(made)
    assert [row.place for row in group.rows] == [1, None]
    assert group.n == 10_000
    assert group.rows[1].notes[0] == (
        "collapsed: 100.0 % of its certificates are of one class, 10.0 % of the inputs are"
    )
    assert as_data([group])[0]["entries"][1]["collapsed"] == group.rows[1].notes[0][11:]
