"""Rows are drawn again from their log's own seed: equal where they must be, near elsewhere."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from edited_logs import edited, stated, votes
from typer.testing import CliRunner, Result

from rszoo.certificates.kinds import protocol_of
from rszoo.certificates.protocol import Protocol
from rszoo.evaluation import repetition
from rszoo.evaluation.log import protocol_path, read_log, read_protocol
from rszoo.evaluation.machine import this_machine
from rszoo.evaluation.merge import merge_logs
from rszoo.hub.catalog import find
from rszoo.hub.verification import Recheck, verify_log
from rszoo_cli import app
from rszoo_cli.verify_shown import as_json, lines

MODEL, NOISIER = "builtin/digits-gaussian-0.50", "builtin/digits-gaussian-1.00"
ON_CPU = ("--device", "cpu", "--precision", "float32")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def certified(out: Path, *options: str, model: str = MODEL) -> Path:
    draws = ("--n", "400", "--limit", "6", "--seed", "3")
    done = run("certify", "-m", model, *draws, *ON_CPU, "--out", str(out), *options)
    assert done.exit_code == 0, done.output
    return out


def verified(
    log: Path, *, model: str = MODEL, draws: int = 10_000
) -> tuple[bool, str, dict[str, Any]]:
    """Return whether all agree, what is printed, and what is said of the replay."""
    recheck = Recheck(draws=50, replayed=draws, level=1e-6, seed=5)
    found = verify_log(read_log(log), find(model), recheck, device="cpu")
    return found.agrees, "\n".join(lines(found)), as_json(found)["replay"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certified(tmp_path_factory.mktemp("made") / "a.tsv")


@pytest.fixture
def log(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "a.tsv"
    copy.write_bytes(made.read_bytes())
    protocol_path(copy).write_bytes(protocol_path(made).read_bytes())
    return copy


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_log_says_where_it_was_made(log: Path) -> None:
    machine = json.loads(protocol_path(log).read_text())["machine"]
    assert machine == this_machine()
    assert set(machine) == {"processor", "cpu_capability", "threads"}
    assert machine["threads"] >= 1


def test_one_vote_of_one_row_is_enough(log: Path) -> None:
    assert verified(log)[0]
    edited(log, votes(-1))
    agrees, text, replay = verified(log)
    assert not agrees
    assert replay["rows"] == 6
    assert "disagrees: votes " in text
    assert "when seed 3 is drawn again" in text
    assert "all agree" not in text


def test_another_precision_than_the_stated(tmp_path: Path) -> None:
    draws = ("--n", "3000", "--precision", "bfloat16")
    log = certified(tmp_path / "b.tsv", *draws, model=NOISIER)
    agrees, _, replay = verified(log, model=NOISIER, draws=100_000)
    assert (agrees, replay["flips"]) == (True, 0.0)
    stated(log, precision="float32")
    agrees, text, replay = verified(log, model=NOISIER, draws=100_000)
    assert (agrees, replay["flips"]) == (False, 0.0)
    assert "disagrees: votes" in text


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize("name", ["candidate", "seed", "n0"])
def test_what_else_does_not_come_out_again(log: Path, name: str, near: bool) -> None:
    if name == "candidate":  # chosen for something else than its draws
        edited(log, lambda row: row.update(candidate="0" if row["candidate"] != "0" else "1"))
    elif name == "seed":
        stated(log, seed=4)
    else:  # one draw chose the candidate, not the hundred that are stated
        log = certified(log.with_name("one.tsv"), "--n0", "1", "--limit", "20", model=NOISIER)
        for row in range(20):
            edited(log, lambda row: row.update(n0="100"), row=row)
        stated(log, n0=100)
    if near:
        stated(log, machine=None)
    agrees, text, replay = verified(log, model=NOISIER if name == "n0" else MODEL)
    assert not agrees
    assert replay["disagreeing"]
    assert "disagrees: candidate" in text or name == "seed" or near


def test_another_machine_may_flip_a_few(log: Path) -> None:
    stated(log, machine=this_machine() | {"threads": 77})
    agrees, text, replay = verified(log)
    assert (agrees, replay["flips"]) == (True, repetition.FLIPS["float32"])
    assert '"threads":77}, is {' in text
    edited(log, votes(-1))
    assert verified(log)[0]  # one of 400 draws: 0.04 is not unlikely enough
    edited(log, votes(-20))
    agrees, text, _ = verified(log)
    assert not agrees
    assert "disagrees: votes " in text


def test_few_flips_in_each_row_are_many_in_all(log: Path) -> None:
    stated(log, versions={"rszoo": "0", "torch": "1"})
    for row in range(6):
        edited(log, votes(-2), row=row)
    agrees, text, replay = verified(log)
    assert not agrees
    assert replay["disagreeing"] == []
    assert "the votes disagree with seed 3, all together" in text


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"noise": "another"}, "its noise has noise 'another', here it is 'sha256"),
        ({"seed": None}, "its protocol does not state n0, n, alpha and seed"),
        ({"device": "cuda"}, "its noise has device 'cuda', here it is 'cpu'"),
        ({"device": "meta"}, "its noise has device 'meta', here it is 'cpu'"),
    ],
)
def test_what_cannot_be_drawn_here_is_judged_by_fresh_draws_alone(
    log: Path, changes: dict[str, object], because: str
) -> None:
    stated(log, **changes)
    edited(log, votes(-1))
    agrees, text, replay = verified(log)
    assert agrees
    assert f"no rows drawn again under the log's seed: {because}" in text
    assert (replay["rows"], str(replay["because"])[: len(because)]) == (0, because)
    assert "6 inputs certified again" in text


def test_another_gpu_has_other_noise_if_it_has_more_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def on(gpu_threads: int | None) -> Protocol:
        return protocol_of({"device": "cuda", "machine": {"gpu_threads": gpu_threads}})

    h100, a100 = on(132 * 2048), on(108 * 2048)
    assert repetition._hindrance(h100, h100) == ""
    assert repetition._hindrance(h100, a100) == (
        "its noise is of a GPU with 270336 threads, here are 221184"
    )
    for unknown in (on(None), protocol_of({"device": "cuda"})):
        assert "does not state how many threads that has" in repetition._hindrance(unknown, h100)
    for threads, blocks in ((2048, 2048), (1536, 1536), (1100, 1024)):
        card = SimpleNamespace(multi_processor_count=132, max_threads_per_multi_processor=threads)
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, card=card: card)
        assert this_machine(torch.device("cuda"))["gpu_threads"] == 132 * blocks
    assert "gpu_threads" not in this_machine(torch.device("cpu"))


def test_what_a_log_states_is_on_one_line(log: Path) -> None:
    said = "1\n6 inputs certified again, with seed 5: all agree"
    stated(log, versions={"rszoo": said, "torch": "1"})
    _, text, _ = verified(log)
    assert text.count("\n6 inputs certified again") == 1


def test_an_old_log_says_nothing_of_its_machine(log: Path) -> None:
    path = protocol_path(log)
    old = json.loads(path.read_text())
    del old["machine"]
    path.write_text(json.dumps(old))
    agrees, text, replay = verified(log)
    assert (agrees, replay["because"]) == (True, "its machine is not stated")
    assert "the same votes, but for 0 of 3,000 draws" in text


def test_as_many_rows_as_the_draws_allow(log: Path) -> None:
    assert verified(log, draws=1600)[2]["rows"] == 3  # of 100 + 400 draws each
    agrees, text, replay = verified(log, draws=499)
    assert (agrees, replay["rows"]) == (True, 0)
    assert "every row takes more draws" in text


@pytest.mark.parametrize("near", [False, True])
@pytest.mark.parametrize(
    ("model", "options"),
    [
        (MODEL, ("--radii", "0.1,0.25")),
        ("builtin/digits-cascade-0.50", ()),
        ("builtin/digits-dual-0.50", ()),
        (MODEL, ("--sound",)),
    ],
)
def test_every_kind_comes_out_again(
    tmp_path: Path, model: str, options: tuple[str, ...], near: bool
) -> None:
    log = certified(tmp_path / "b.tsv", *options, model=model)
    if near:
        stated(log, machine=None)
    agrees, _, replay = verified(log, model=model)
    assert (agrees, replay["rows"], replay["disagreeing"]) == (True, 6, [])
    assert bool(replay["flips"]) == near
    stated(log, seed=99)
    assert not verified(log, model=model)[0]


def test_searched_noise_is_not_drawn_again(tmp_path: Path) -> None:
    memory = ("--per-input-sigma", "memory", "--memory", "m.memory")
    log = certified(tmp_path / "c.tsv", *memory)
    agrees, text, replay = verified(log)
    assert (agrees, replay["rows"]) == (True, 0)
    assert "certificates of kind 'memory' rest on more than their seed" in text


def test_a_log_that_is_continued_elsewhere(log: Path) -> None:
    again = ("--limit", "7", "--resume", "--n", "400", "--seed", "3", *ON_CPU, "--out", str(log))
    assert run("certify", "-m", MODEL, *again).exit_code == 0
    assert json.loads(protocol_path(log).read_text())["machine"] == this_machine()
    stated(log, machine=this_machine() | {"threads": 77})
    assert run("certify", "-m", MODEL, "--limit", "8", *again[2:]).exit_code == 0
    assert len(read_log(log)) == 8
    assert read_protocol(protocol_path(log)).machine is None
    assert verified(log)[2]["because"] == "its machine is not stated"


def test_shards_of_several_machines(tmp_path: Path) -> None:
    shards = [certified(tmp_path / f"{i}.tsv", "--shard", f"{i}/2") for i in (1, 2)]
    merge_logs(shards, tmp_path / "one.tsv")
    assert read_protocol(tmp_path / "one.json").machine is not None
    stated(shards[0], machine=this_machine() | {"processor": "another"})
    merge_logs(shards, tmp_path / "both.tsv")
    assert read_protocol(tmp_path / "both.json").machine is None
