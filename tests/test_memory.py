"""A memory of answers: no two contradict each other, whatever is put into it."""

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rszoo.certificates.base import ABSTAIN, Certificate, certificate_from_votes
from rszoo.certificates.kinds.memory import Remembered
from rszoo.errors import DataError, RszooError
from rszoo.smoothing.memory import Memory

Answer = tuple[Tensor, Certificate]


def own(label: int, votes: int = 990, *, sigma: float = 0.5) -> Certificate:
    """A certificate at a noise level of its own: 990 of 1000 votes are a radius of 0.97."""
    return certificate_from_votes(label, votes, n0=10, n=1000, alpha=0.001, sigma=sigma)


def place(answer: Certificate) -> Remembered:
    assert answer.details is not None
    return answer.details


def line(first: float) -> Tensor:
    return torch.tensor([first, 0.25])


def squared(x: Tensor, y: Tensor) -> Fraction:
    """The squared distance in exact arithmetic."""
    pairs = zip(x.flatten().tolist(), y.flatten().tolist(), strict=True)
    return sum(((Fraction(a) - Fraction(b)) ** 2 for a, b in pairs), Fraction(0))


def contradictions(answers: Sequence[Answer]) -> int:
    """Return how many pairs there are in which one lies within the other, with another label."""
    given = [(x, one) for x, one in answers if one.label != ABSTAIN]
    return sum(
        a.label != b.label and squared(x, y) < Fraction(max(a.radius, b.radius)) ** 2
        for i, (x, a) in enumerate(given)
        for y, b in given[:i]
    )


def random_answers(memory: Memory, seed: int, *, count: int = 40) -> list[Answer]:
    """Answers to inputs that crowd, some of them on others' borders, with random certificates."""
    rng = np.random.default_rng(seed)
    answers: list[Answer] = []
    for _ in range(count):
        x = torch.tensor(rng.normal(size=2), dtype=torch.float32)
        if answers and rng.random() < 0.4:
            other, given = answers[rng.integers(len(answers))]
            angle = rng.uniform(0, 2 * np.pi)
            step = torch.tensor([np.cos(angle), np.sin(angle)]) * given.radius
            x = (other.double() + step).float()
        votes = int(rng.choice([400, 700, 900, 990, 1000]))
        proposed = own(int(rng.integers(3)), votes, sigma=float(rng.uniform(0.1, 0.6)))
        answers.append((x, memory.answer(x, lambda proposed=proposed: proposed)))
    return answers


def test_no_two_answers_contradict_each_other_whatever_is_proposed() -> None:
    changed = abstained = inherited = cut = 0
    for seed in range(60):
        with Memory.open() as memory:
            answers = random_answers(memory, seed)
        assert contradictions(answers) == 0
        given = [place(one) for _, one in answers]
        abstained += sum(one.label == ABSTAIN for _, one in answers)
        inherited += sum(one.source != one.order for one in given)
        cut += sum(
            0 < one.radius < one.details.nominal_radius  # type: ignore[union-attr]
            for _, one in answers
        )
        changed += contradictions(
            [(x, own(one.candidate, one.votes, sigma=one.sigma)) for x, one in answers]
        )
    # The inputs are such that everything happens, and without a memory they would contradict.
    assert min(abstained, inherited, cut, changed) > 100


def test_radii_do_not_exceed_the_evidence() -> None:
    with Memory.open() as memory:
        for _, answer in random_answers(memory, 3, count=60):
            counts = {name: getattr(answer, name) for name in ("n0", "n", "alpha", "sigma")}
            given = certificate_from_votes(answer.candidate, answer.votes, **counts)
            assert place(answer).nominal_radius == given.radius
            assert answer.radius <= given.radius
            assert answer.label in (given.label, ABSTAIN)


def test_regions_of_different_labels_do_not_meet() -> None:
    with Memory.open() as memory:
        answers = random_answers(memory, 7, count=60)
    regions = [(x, one) for x, one in answers if place(one).source == place(one).order]
    regions = [(x, one) for x, one in regions if one.label != ABSTAIN]
    assert len(regions) > 10
    for i, (x, a) in enumerate(regions):
        for y, b in regions[:i]:
            if a.label != b.label:
                assert squared(x, y) >= (Fraction(a.radius) + Fraction(b.radius)) ** 2


def test_the_arithmetic_by_hand() -> None:
    full = own(0).radius
    assert 0.95 < full < 1.0
    with Memory.open() as memory:
        first = memory.answer(line(0.0), lambda: own(0))
        assert (first.label, first.radius, place(first)) == (0, full, Remembered(
            nominal_radius=full, order=0, source=0))  # fmt: skip
        # Outside, of another label: up to the region. 1.5 - full is less than its own radius.
        second = memory.answer(line(1.5), lambda: own(1))
        assert second.radius == pytest.approx(1.5 - full)
        assert second.radius <= 1.5 - full
        assert place(second) == Remembered(nominal_radius=full, order=1, source=1)
        # Outside, of the same label: not cut by it, but by the other.
        third = memory.answer(line(-1.0), lambda: own(0))
        assert third.radius == full
        # Within, of another label, and of none: what the region says, up to its border.
        for x, votes in ((0.5, 990), (0.25, 600)):
            inside = memory.answer(line(x), lambda votes=votes: own(2, votes))
            assert (inside.label, inside.votes) == (0, first.votes)
            assert inside.radius == pytest.approx(full - x)
            assert inside.radius < full - x
            assert (place(inside).source, place(inside).nominal_radius) == (0, full)
        # Within, of the same label: its own radius, cut by the other, where that is longer.
        inside = memory.answer(line(0.05), lambda: own(0))
        assert inside.radius == pytest.approx(1.45 - second.radius)
        assert place(inside).source == place(inside).order == 5
        assert len(memory) == 6


def test_on_the_border_it_abstains() -> None:
    with Memory.open() as memory:
        first = memory.answer(torch.tensor([0.0], dtype=torch.float64).float(), lambda: own(0))
        edge = torch.tensor([first.radius])  # in float32, within 1e-7 of it: both sides are tried
        for x in (edge, torch.nextafter(edge, torch.zeros(1)), torch.nextafter(edge, edge + 1)):
            given = memory.answer(x, lambda: own(1))
            assert given.label in (0, 1, ABSTAIN)
            inside = Fraction(x.item()) < Fraction(first.radius)
            assert given.label in ((0, ABSTAIN) if inside else (1, ABSTAIN))


def test_an_input_that_was_answered_gets_the_same_answer() -> None:
    with Memory.open() as memory:
        before = [memory.answer(line(x), lambda x=x: own(int(x > 0), 900)) for x in (0.0, 2.0)]
        none = memory.answer(line(5.0), lambda: own(0, 400))
        assert none.label == ABSTAIN

        def never() -> Certificate:
            raise AssertionError("it is known")

        assert memory.answer(line(0.0), never) == before[0]
        assert memory.answer(line(2.0), never) == before[1]
        assert memory.answer(line(5.0), never) == none
        assert len(memory) == 3


def test_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.memory"
    with Memory.open() as whole:
        expected = random_answers(whole, 11)
    for x, one in expected:
        with Memory.open(path) as memory:  # another process for each
            own_one = own(one.candidate, one.votes, sigma=one.sigma)
            proposed = own_one if place(one).source == place(one).order else own(7, 400)
            assert memory.answer(x, lambda proposed=proposed: proposed) == one


def test_an_answer_is_in_the_file_when_it_is_given(tmp_path: Path) -> None:
    script = (
        "import os, sys, torch\n"
        "from rszoo.certificates.base import certificate_from_votes as votes\n"
        "from rszoo.smoothing.memory import Memory\n"
        "memory = Memory.open(sys.argv[1])\n"
        "for i in range(3):\n"
        "    own = votes(0, 990, n0=10, n=1000, alpha=0.001, sigma=0.5)\n"
        "    memory.answer(torch.full((2,), float(i)), lambda: own)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a")], check=False)
    assert done.returncode == -9
    with Memory.open(tmp_path / "a") as memory:
        assert len(memory) == 3
        assert memory.region_of(torch.full((2,), 2.0)) is not None


def test_one_process_at_a_time(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a"):
        with pytest.raises(RszooError, match="if another process has it open, wait for it to end"):
            Memory.open(tmp_path / "a")
    Memory.open(tmp_path / "a").close()
    with pytest.raises(RszooError, match="cannot open the memory"):
        Memory.open(tmp_path)


def test_what_makes_the_answers_stays_the_same(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "a") as memory:
        memory.use_for({"n": 1000, "model": {"sha": "x"}})
    with Memory.open(tmp_path / "a") as memory:
        memory.use_for({"model": {"sha": "x"}, "n": 1000})
        with pytest.raises(RszooError, match=r"was made otherwise:\n  --n: 1000, 2000 now\n"):
            memory.use_for({"n": 2000, "model": {"sha": "x"}})
        with pytest.raises(RszooError, match="--alpha: none, 1 now"):
            memory.use_for({"n": 1000, "model": {"sha": "x"}, "alpha": 1})


def test_inputs_of_another_shape() -> None:
    with Memory.open() as memory:
        memory.answer(line(0.0), lambda: own(0))
        with pytest.raises(DataError, match=r"expected an input of shape \(2,\), as in the mem"):
            memory.answer(torch.zeros(3), lambda: own(0))


def test_files_that_are_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("idx\tlabel\tpredict\n" * 100)
    with pytest.raises(DataError, match=r"a: expected a memory of rszoo, got file is not a data"):
        Memory.open(path)
    path.unlink()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE answers (x)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(DataError, match="expected a memory of rszoo, got a database of another"):
        Memory.open(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("column", "key", "value"),
    [
        ("certificate", "radius", 0.99),
        ("certificate", "radius", -0.1),
        ("certificate", "radius", float("nan")),
        ("certificate", "votes", 1000),
        ("certificate", "votes", 2000),
        ("certificate", "votes", "many"),
        ("certificate", "label", 1),
        ("certificate", "sigma", 5.0),
        ("certificate", "extra", 1),
        ("certificate", "per_input", None),
        ("certificate", "per_input", {"nominal_radius": 5.0, "order": 0, "source": 0}),
        ("certificate", "per_input", {"nominal_radius": 0.97, "order": 1, "source": 1}),
        ("certificate", "shape", [3]),
        ("certificate", None, "no JSON"),
        ("certificate", None, "[]"),
        ("image", None, None),
        ("image", None, b"\0\0\0\0\0\0\0\0"),
        ("image", None, b"\0"),
        ("digest", None, b"\0"),
        ("position", None, 1),
    ],
)
def test_rows_that_do_not_follow_from_their_votes(
    tmp_path: Path, column: str, key: str | None, value: object
) -> None:
    path = tmp_path / "a"
    with Memory.open(path) as memory:
        assert memory.answer(line(0.5), lambda: own(0)).label == 0
    database = sqlite3.connect(path)
    if key is not None:
        (text,) = database.execute("SELECT certificate FROM answers").fetchone()
        value = json.dumps({**json.loads(text), key: value})
    database.execute(f"UPDATE answers SET {column} = ?", (value,))
    database.commit()
    database.close()
    with pytest.raises(DataError, match="expected a memory of rszoo, got "):
        Memory.open(path)


def test_regions_in_the_file_that_meet(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with Memory.open(path) as memory:
        memory.answer(line(0.0), lambda: own(0))
        cut = memory.answer(line(1.5), lambda: own(1))
    assert 0.0 < cut.radius < place(cut).nominal_radius
    database = sqlite3.connect(path)
    (text,) = database.execute("SELECT certificate FROM answers WHERE position = 1").fetchone()
    more = json.dumps({**json.loads(text), "radius": place(cut).nominal_radius})
    database.execute("UPDATE answers SET certificate = ? WHERE position = 1", (more,))
    database.commit()
    database.close()
    with pytest.raises(DataError, match="answer 1, which contradicts an earlier one"):
        Memory.open(path)
