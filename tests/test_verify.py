"""A true log is confirmed; a false one is found out, and its inputs are named."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kind import NETWORK
from rszoo.certificates.kinds import kind
from rszoo.errors import DataError
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog, LogTable, read_log
from rszoo.evaluation.replay import Replay
from rszoo.evaluation.verify import counted, recertify
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.classifiers import classifier_of
from rszoo.hub.verification import Verification
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.noise import Stream
from rszoo.theory.agreement import PARTS, together
from rszoo.theory.bounds import binomial_lower_tail, same_proportion_p_value
from rszoo.theory.radii import needed_probability
from rszoo_cli import main

Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verify(capsys: pytest.CaptureFixture[str]) -> Verify:
    def run(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            main(["verify", *arguments])
        captured = capsys.readouterr()
        return int(caught.value.code or 0), captured.out, captured.err

    return run


def certify(model: Path, out: Path, *arguments: str) -> Path:
    with pytest.raises(SystemExit) as caught:
        main(["certify", "--model", str(model), "--limit", "8", "--out", str(out), *arguments])
    assert not caught.value.code
    return out


def rewritten(log: Path, votes: Callable[[int], int]) -> Path:
    """Write a log whose rows claim other votes, and the radii that follow from them."""
    table = read_log(log)
    out = log.with_name("rewritten.tsv")
    assert table.protocol is not None
    with CertificationLog.open(out, table.protocol, resume=False) as new:
        for row, (idx, label) in enumerate(zip(table.idx, table.label, strict=True)):
            old = table.certificate(row)
            given = certificate_from_votes(
                old.candidate,
                min(old.n, votes(old.votes)),
                n0=old.n0,
                n=old.n,
                alpha=old.alpha,
                sigma=old.sigma,
            )
            new.append(idx, label, given, 0.1)
    return out


def test_a_true_log(verify: Verify, bundle_folder: Path, tmp_path: Path) -> None:
    log = certify(bundle_folder, tmp_path / "a.tsv", "--n", "2000")
    code, out, _ = verify(str(log), "--model", str(bundle_folder), "--seed", "5")
    assert code == 0
    first, about, replayed, alone, together, power, never = out.splitlines()
    assert first == f"{log}: 8 rows, every radius follows from its counts"
    assert about.startswith("about digits, test (images ")
    assert about.endswith("): 8 inputs; alpha 0.001, n0 100, n 2,000, seed 0")
    assert replayed == "8 of 8 rows drawn again under the log's seed 0: the same certificates"
    assert alone == (
        "8 inputs certified again, with seed 5: all agree "
        "(a true log fails with probability 0.001)"
    )
    assert together.startswith("8 rows together: ")
    assert power.startswith("votes too high in every row would have been found: 0.1 % with ")
    assert "chosen after a look at the votes" in never


def test_votes_that_were_never_cast(verify: Verify, bundle_folder: Path, tmp_path: Path) -> None:
    log = certify(bundle_folder, tmp_path / "a.tsv", "--n", "2000")
    false = rewritten(log, lambda votes: votes + 200)
    fresh = ("--model", str(bundle_folder), "--seed", "5", "--replay", "0")
    code, out, _ = verify(str(false), *fresh)
    assert code == 1
    assert "no rows drawn again under the log's seed: " in out
    assert "all rows together disagree: " in out
    assert "disagrees: 2,000 of 2,000 draws in the log, " in out
    assert "all agree" not in out
    code, out, _ = verify(
        str(false), "--model", str(bundle_folder), "--sample", "3", "--seed", "5", "--json"
    )
    found = json.loads(out)
    assert (code, found["agrees"], len(found["findings"])) == (1, False, 3)


def test_a_log_that_was_decided_early(verify: Verify, bundle_folder: Path, tmp_path: Path) -> None:
    log = certify(bundle_folder, tmp_path / "a.tsv", "--radii", "0.1,0.25,0.7", "--limit", "16")
    code, out, _ = verify(str(log), "--model", str(bundle_folder), "--n", "3000")
    assert code == 0
    assert "no row rests on all of its draws: nothing is tested of all rows together" in out
    text = log.read_text().splitlines()
    columns = text[0].split("\t")
    weakest = int(np.argmin(read_log(log).radius))
    row = text[1 + weakest].split("\t")
    for name, value in {
        "predict": row[columns.index("candidate")],
        "radius": "0.7",
        "votes": "100000",
        "draws": "100000",
        "spent": "100000",
        "correct": str(int(row[columns.index("candidate")] == row[1])),
        "p_lower": repr(needed_probability(0.7, 0.25)),
    }.items():
        row[columns.index(name)] = value
    text[1 + weakest] = "\t".join(row)
    log.write_text("\n".join([*text, ""]))
    arguments = ("--model", str(bundle_folder), "--n", "3000", "--sample", "16")
    code, out, err = verify(str(log), *arguments)
    assert (code, err) == (1, "")
    assert f"input {weakest} disagrees: 100,000 of 100,000 draws in the log" in out


def test_a_bundle_and_its_own_log(verify: Verify) -> None:
    code, out, _ = verify("builtin/digits-gaussian-0.25", "--sample", "2", "--n", "500")
    assert code == 0
    assert "360 rows" in out
    assert "2 inputs certified again" in out
    assert "2 of 360 rows drawn again under the log's seed 0: the same votes, but for 0 of" in out
    assert "its machine is not stated" in out


def test_a_log_of_other_weights(verify: Verify, bundle_folder: Path, tmp_path: Path) -> None:
    log = certify(bundle_folder, tmp_path / "a.tsv", "--n", "100")
    code, _, err = verify(str(log), "--model", "builtin/digits-gaussian-0.25")
    assert code == 1
    assert f"{log} is not about " in err
    assert "expected weights " in err


def test_inputs_of_somebodys_own(verify: Verify, bundle_folder: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "two.npy", np.zeros((2, 1, 8, 8), np.float32))
    log = tmp_path / "a.tsv"
    own = str(tmp_path / "two.npy")
    with pytest.raises(SystemExit):
        main(["certify", "--model", str(bundle_folder), own, "--out", str(log), "--n", "100"])
    code, _, err = verify(str(log), "--model", str(bundle_folder))
    assert code == 1
    assert "--sample 0 checks the rest" in err
    assert verify(str(log), "--model", str(bundle_folder), "--sample", "0")[0] == 0


def test_the_logs_own_noise_proves_nothing(
    verify: Verify, bundle_folder: Path, tmp_path: Path
) -> None:
    log = certify(bundle_folder, tmp_path / "a.tsv", "--n", "100")
    code, _, err = verify(str(log), "--model", str(bundle_folder), "--seed", "0")
    assert code == 2
    assert "expected another --seed than the log's, got 0" in err


def test_wrong_usage(verify: Verify, bundle_folder: Path) -> None:
    assert "is not certified" in verify(str(bundle_folder))[2]
    assert "--model is for logs" in verify(str(bundle_folder), "--model", "b")[2]


def test_a_log_names_its_model(
    verify: Verify, bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    certify(bundle_folder, tmp_path / "a.tsv", "--n", "100")
    code, out, err = verify("a.tsv", "--sample", "0")
    assert (code, err) == (0, f"model: runs/{bundle_folder.name}\n")
    assert out == verify("a.tsv", "--model", str(bundle_folder), "--sample", "0")[1]

    stated = json.loads(Path("a.json").read_text())
    for model in ({**stated["model"], "weights_sha256": "0" * 64}, {"name": "../runs/x"}, None):
        Path("a.json").write_text(json.dumps({**stated, "model": model}))
        code, _, err = verify("a.tsv", "--sample", "0")
        assert (code, "expected --model with a log" in " ".join(err.split())) == (2, True), err
    Path("a.json").write_text(json.dumps(stated))
    Path("runs").rename("elsewhere")
    code, _, err = verify("a.tsv", "--sample", "0")
    wanted = f"with a log of {bundle_folder.name}, which with these weights is neither in runs nor"
    assert (code, wanted in " ".join(err.replace("│", " ").split())) == (2, True), err
    builtin = find("builtin/digits-gaussian-0.50")
    assert builtin.evidence is not None
    code, _, err = verify(str(builtin.evidence), "--sample", "0", "--replay", "0")
    assert (code, err) == (0, "model: builtin/digits-gaussian-0.50\n")


def test_the_test_of_two_samples_by_hand() -> None:
    # 3 of 3 against 0 of 3: one of the 20 ways to choose three successes, doubled.
    assert same_proportion_p_value(3, 3, 0, 3) == pytest.approx(0.1)
    assert same_proportion_p_value(5, 10, 50, 100) == 1.0
    with pytest.raises(ValueError, match="got 4 of 3"):
        same_proportion_p_value(4, 3, 0, 3)


@pytest.mark.parametrize("p", [0.5, 0.9, 0.999])
def test_true_samples_are_suspected_as_rarely_as_the_level_says(p: float) -> None:
    rng = np.random.default_rng(0)
    runs, level = 4000, 0.05
    pairs = zip(rng.binomial(2000, p, runs), rng.binomial(500, p, runs), strict=True)
    suspected = np.mean([same_proportion_p_value(a, 2000, b, 500) < level for a, b in pairs])
    assert suspected <= level + 3 * np.sqrt(level / runs)
    tails = [binomial_lower_tail(k, 500, p) < level for k in rng.binomial(500, p, runs)]
    assert np.mean(tails) <= level + 3 * np.sqrt(level / runs)


def test_labels_that_are_not_those_of_the_data(
    verify: Verify, bundle_folder: Path, tmp_path: Path
) -> None:
    log = certify(bundle_folder, tmp_path / "a.tsv", "--n", "500")
    header, first, *rest = log.read_text().splitlines()
    values = dict(zip(header.split("\t"), first.split("\t"), strict=True))
    true = int(values["label"])
    values["label"] = str((true + 1) % 10)
    values["correct"] = str(int(values["label"] == values["predict"]))
    log.write_text("\n".join([header, "\t".join(values.values()), *rest]) + "\n")
    code, _, err = verify(str(log), "--model", str(bundle_folder))
    assert code == 1
    assert f"expected label={true} of input {values['idx']}, got {(true + 1) % 10}" in err


def test_a_model_of_several_networks_is_verified_as_it_was_certified(
    verify: Verify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = certify(Path("builtin/digits-cascade-0.50"), tmp_path / "a.tsv", "--n", "500", "--sound")
    sound: list[object] = []

    def spy(bundle: Bundle, execution: Execution) -> object:
        sound.append(execution.sound)
        return classifier_of(bundle, execution)

    monkeypatch.setattr("rszoo.hub.verification.classifier_of", spy)
    assert verify(str(log), "--model", "builtin/digits-cascade-0.50")[0] == 0
    assert sound == [True]


def test_json_says_what_was_tested(verify: Verify, bundle_folder: Path, tmp_path: Path) -> None:
    log = certify(bundle_folder, tmp_path / "a.tsv", "--n", "500")
    code, out, _ = verify(str(log), "--model", str(bundle_folder), "--n", "500", "--json")
    found = json.loads(out)
    assert code == 0
    assert {name: found[name] for name in ("alpha", "n", "n0", "log_seed")} == {
        "alpha": 0.001,
        "n": 500,
        "n0": 100,
        "log_seed": 0,
    }
    assert found["inputs"]["name"] == "digits"
    assert (found["replay"]["rows"], found["replay"]["draws"]) == (8, 8 * 600)
    assert (found["replay"]["flips"], found["replay"]["because"]) == (0.0, "")
    assert found["together"]["rows"] == 8
    assert not found["together"]["too_high"]
    assert [one["excess"] for one in found["power"]] == [0.001, 0.005, 0.01]


# --- honest and forged logs of a classifier whose proportions are known, without a network


class Known:
    """A classifier of two classes; the proportion of class 1 is the image's only pixel."""

    num_classes = 2

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.applied_sigma = 0.5
        self.voters = {NETWORK: (self, Stream.ESTIMATION)}

    def votes(self, x: torch.Tensor, *, n: int, **_: object) -> list[int]:
        count = int(self.rng.binomial(n, float(x.double())))
        return [n - count, count]


def known_log(p: NDArray[np.float64], votes: NDArray[np.int64], n: int) -> LogTable:
    rows = len(p)
    whole = {name: np.full(rows, n) for name in ("n", "draws", "spent")}
    return LogTable(
        name="known",
        path=Path("known.tsv"),
        kind=kind("fixed"),
        protocol=None,
        unfinished=False,
        idx=np.arange(rows),
        label=np.ones(rows, dtype=np.int64),
        predict=np.ones(rows, dtype=np.int64),
        radius=np.zeros(rows),
        correct=np.ones(rows, dtype=np.bool_),
        details={},
        candidate=np.ones(rows, dtype=np.int64),
        votes=votes,
        n0=np.full(rows, 100),
        alpha=np.full(rows, 0.001),
        sigma=np.full(rows, 0.5),
        p_lower=np.full(rows, 0.5),
        **whole,
    )


def alarm(
    p: NDArray[np.float64], votes: NDArray[np.int64], n: int, *, m: int, level: float, seed: int
) -> bool:
    """Verify a log as `verify_log` does, but for what needs its bundle and its seed."""
    images = [torch.tensor([share], dtype=torch.float64) for share in p]
    inputs = [Input(i, 1, lambda i=i: images[i]) for i in range(len(p))]
    log, rng = known_log(p, votes, n), np.random.default_rng([seed, 9])
    classifier: Any = Known(rng)
    part = level / PARTS
    findings = recertify(classifier, log, inputs, draws=m, level=part, seed=seed)
    both = together(counted(log, inputs, findings), level=part, seed=seed)
    found = Verification(
        log=log, level=level, seed=seed, replay=Replay(), findings=tuple(findings), together=both
    )
    return not found.agrees


#: Many near 1, some with few misses, some undecided: of no two inputs the same.
KNOWN = np.concatenate([1 - np.geomspace(1e-5, 0.05, 8), np.linspace(0.5, 0.9, 4)])


def test_true_logs_are_suspected_as_rarely_as_the_level_says() -> None:
    rng, alarms = np.random.default_rng(0), 0
    for seed in range(1000):
        votes = rng.binomial(2000, KNOWN)
        alarms += alarm(KNOWN, votes, 2000, m=500, level=0.05, seed=seed)
    assert alarms <= 72  # 50, and three standard errors
    assert alarms >= 5  # Fisher's test is careful with small counts, and no more than that


def test_forged_logs_are_suspected() -> None:
    p, rng = np.tile(KNOWN, 6) - np.arange(72) * 1e-7, np.random.default_rng(1)
    n = 10_000
    forged = {
        "half a percent too high": rng.binomial(n, np.minimum(1.0, 1.005 * p)),
        "the best of a hundred seeds": rng.binomial(n, p, size=(100, len(p))).max(0),
        "one row": np.where(np.arange(len(p)) == 11, n, rng.binomial(n, p)),
    }
    for votes in forged.values():
        assert alarm(p, votes, n, m=10_000, level=0.001, seed=1)
    assert alarm(p, 10 * rng.binomial(n, p), 10 * n, m=10_000, level=0.001, seed=1)
    assert not alarm(p, rng.binomial(n, p), n, m=10_000, level=0.001, seed=1)


def test_equal_images_are_counted_once() -> None:
    p = np.array([0.7, 0.7, 0.8])
    images = [torch.tensor([share]) for share in p]
    inputs = [Input(i, 1, lambda i=i: images[i]) for i in range(3)]
    log = known_log(p, np.array([1400, 1400, 1600]), 2000)
    classifier: Any = Known(np.random.default_rng(0))
    findings = recertify(classifier, log, inputs, draws=500, level=0.05, seed=1)
    assert counted(log, inputs, findings).votes.tolist() == [1400, 1600]
    assert len(findings) == 3


def test_a_candidate_that_no_class_is() -> None:
    log = replace(known_log(KNOWN, np.full(12, 500), 1000), candidate=np.full(12, 9))
    inputs = [Input(0, 1, lambda: torch.tensor([0.5]))]
    classifier: Any = Known(np.random.default_rng(0))
    with pytest.raises(DataError, match="expected a candidate of 2 classes, got 9"):
        recertify(classifier, log, inputs, draws=10, level=0.05, seed=1)
