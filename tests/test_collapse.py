"""Collapsed models: what is marked, by hand and among the models that come with rszoo."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rszoo.evaluation.collapse import why_collapsed
from rszoo.evaluation.data_set import data_set
from rszoo.evaluation.log import LogTable, read_log
from rszoo.evaluation.metrics import summary
from rszoo.hub.card import card_files
from rszoo.hub.card_results import results_text
from rszoo.hub.catalog import builtin_names, find
from rszoo.hub_server.certified import computed
from rszoo.hub_server.tables import Row, numbers_table
from rszoo_cli import app

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
TEN = list(range(10)) * 10


def original(path: Path, labels: Sequence[int], answers: Sequence[int]) -> LogTable:
    rows = [
        f"{i}\t{label}\t{answer}\t0.5\t{int(label == answer)}\tt\n"
        if answer >= 0
        else f"{i}\t{label}\t{answer}\t0.0\t0\tt\n"
        for i, (label, answer) in enumerate(zip(labels, answers, strict=True))
    ]
    path.write_text(HEADER + "".join(rows))
    return read_log(path)


def why(path: Path, labels: Sequence[int], answers: Sequence[int]) -> str | None:
    return why_collapsed(original(path / "log", labels, answers))


def test_of_the_models_that_come_with_rszoo_two_have_collapsed() -> None:
    found = {}
    for name in builtin_names():
        evidence = find(name).evidence
        if evidence is not None:
            found[name] = summary(read_log(evidence)).collapsed
    assert {name: reason for name, reason in found.items() if reason is not None} == {
        "builtin/digits-macer-1.00": (
            "89.8 % of its certificates are of one class, 7.8 % of the inputs are"
        ),
        "builtin/digits-stability-1.00": (
            "100.0 % of its certificates are of one class, 7.8 % of the inputs are"
        ),
    }
    assert len(found) > 30


def test_who_answers_rightly_has_not_collapsed(tmp_path: Path) -> None:
    assert why(tmp_path, TEN, TEN) is None
    unsure = [label if i % 3 == 0 else -1 for i, label in enumerate(TEN)]
    assert why(tmp_path, TEN, unsure) is None  # right for 34 of 100


@pytest.mark.parametrize(("others", "collapsed"), [(22, True), (24, False)])
def test_one_class_in_three_quarters_of_what_is_not_its_own(
    tmp_path: Path, others: int, collapsed: bool
) -> None:
    # Of ten equal classes, 77.5 % of the certificates; the others are right, 20 to 30 % in all.
    answers = [0] * 100
    for i in [i for i, label in enumerate(TEN) if label != 0][:others]:
        answers[i] = TEN[i]
    assert (why(tmp_path, TEN, answers) is not None) == collapsed


@pytest.mark.parametrize(("right", "reason"), [(19, True), (20, False)])
def test_less_than_twice_chance(tmp_path: Path, right: int, reason: bool) -> None:
    answers = [label if i < right else (label + 1) % 10 for i, label in enumerate(TEN)]
    found = why(tmp_path, TEN, answers)
    assert found == ("it is right for 19.0 % of the inputs, chance is 10.0 %" if reason else None)


def test_who_always_abstains_has_collapsed(tmp_path: Path) -> None:
    found = why(tmp_path, TEN, [-1] * 100)
    assert found == "it is right for 0.0 % of the inputs, chance is 10.0 %"


def test_two_classes_are_not_asked_for_all(tmp_path: Path) -> None:
    labels = [0, 1] * 50
    good = [label if i % 5 else -1 for i, label in enumerate(labels)]
    assert why(tmp_path, labels, good) is None  # right for 80 %, twice chance is 100
    guess = [0 if i % 4 < 2 else 1 for i in range(100)]
    assert why(tmp_path, labels, guess) == "it is right for 50.0 % of the inputs, chance is 50.0 %"


def test_a_class_that_most_inputs_have_is_no_collapse(tmp_path: Path) -> None:
    labels = [0] * 90 + [1] * 10
    assert why(tmp_path, labels, labels) is None
    assert why(tmp_path, labels, [0] * 100) is not None


def test_of_few_inputs_and_of_one_class_nothing_is_said(tmp_path: Path) -> None:
    assert why(tmp_path, TEN[:19], [3] * 19) is None
    assert why(tmp_path, [3] * 100, [3] * 100) is None
    assert why(tmp_path, [-1] * 100, [3] * 100) is None  # inputs without labels


def test_at_large_radii_only_the_selected_classes_count() -> None:
    evidence = find("builtin/digits-gaussian-0.25").evidence
    assert evidence is not None
    log = read_log(evidence)
    assert log.protocol is not None
    far = log.protocol.model_copy(update={"radii": (0.75,)})
    log = replace(log, protocol=far, predict=log.predict * 0 - 1, correct=log.correct & False)
    assert why_collapsed(log) is None


def test_the_card_says_so() -> None:
    name = "builtin/digits-stability-1.00"
    card = card_files(find(name), "org/name")["README.md"].decode()
    assert "**Collapsed**: 100.0 % of its certificates are of one class" in card
    fine = card_files(find("builtin/digits-gaussian-1.00"), "org/name")["README.md"].decode()
    assert "ollapsed" not in fine


def test_report_says_so() -> None:
    result = CliRunner().invoke(app, ["report", "builtin/digits-stability-1.00"])
    line = (
        "digits-stability-1.00: collapsed: 100.0 % of its certificates are of one class, "
        "7.8 % of the inputs are"
    )
    assert line in result.stdout.splitlines()


def test_the_page_of_a_hub_says_so_and_puts_it_last() -> None:
    rows = []
    for name in ("digits-stability-1.00", "digits-gaussian-1.00"):
        evidence = find(f"builtin/{name}").evidence
        assert evidence is not None
        log = read_log(evidence)
        rows.append(Row(f"org/{name}", "-", computed(summary(log), data_set(log.protocol))))
    page = numbers_table(rows, by_model=True)
    assert "0.248 collapsed" in page
    assert page.index("org/digits-gaussian-1.00") < page.index("org/digits-stability-1.00")


def test_the_card_says_at_least_where_some_radii_were_tested() -> None:
    evidence = find("builtin/digits-gaussian-0.25").evidence
    assert evidence is not None
    log = read_log(evidence)
    known = summary(log)
    assert "Average certified radius 0.557," in results_text(log, known)
    assert "radius at least 0.557," in results_text(log, replace(known, undecided=0.1))
