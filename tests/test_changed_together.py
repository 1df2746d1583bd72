"""What changes a bundle does so alone, and replaces nothing that it has not seen."""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from forks import Fork, Forks
from typer.testing import CliRunner

from rszoo import _folders, _locks
from rszoo._folders import alone_with
from rszoo._locks import exclusive, is_held
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import find
from rszoo.hub.evidence import add_evidence
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo_cli import app

DEADLINE = 120.0
MODEL = "runs/digits-gaussian-0.25"


@pytest.fixture(autouse=True)
def _here(constant_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def certifying(log: str, *options: str, inputs: int = 3, n: int = 200) -> list[str]:
    where = ["--device", "cpu", "--precision", "float32", "--batch-size", "500"]
    return ["certify", "--model", MODEL, "--out", log, "--limit", str(inputs), "--n", str(n),
            *where, *options]  # fmt: skip


def certify(log: str, *options: str, inputs: int = 3, n: int = 200) -> None:
    done = CliRunner().invoke(app, certifying(log, *options, inputs=inputs, n=n))
    assert done.exit_code == 0, done.output


def attach(bundle: Bundle, log: str, *, overwrite: bool = False) -> Bundle:
    path = Path(log)
    return add_evidence(bundle, path, overwrite=overwrite)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def evidence() -> bytes:
    path = find(MODEL).evidence
    assert path is not None
    return path.read_bytes()


def test_of_two_certifications_of_one_bundle_the_slower_one_replaces_nothing(forks: Forks) -> None:
    with TemporaryFile() as said:
        slow = forks.start(
            "-m", "rszoo_cli", *certifying("slow.tsv", "--attach", inputs=6, n=20_000),
            stderr=said,
        )  # fmt: skip
        wait_for(Path("slow.tsv").exists)
        slow.send_signal(signal.SIGSTOP)
        quick = forks.start("-m", "rszoo_cli", *certifying("quick.tsv", "--attach"))
        assert quick.wait(DEADLINE) == 0
        slow.send_signal(signal.SIGCONT)
        assert slow.wait(DEADLINE) == 1
        said.seek(0)
        message = " ".join(said.read().decode().split())
    assert "another log of 3 inputs was put into the bundle while this one was being" in message
    assert "run rszoo certify again with --resume --attach" in message
    assert evidence() == Path("quick.tsv").read_bytes()
    assert len(Path("slow.tsv").read_text().splitlines()) == 7, "the log is finished, and stays"
    certify("slow.tsv", "--resume", "--attach", inputs=6, n=20_000)
    assert evidence() == Path("slow.tsv").read_bytes()


def test_what_came_into_the_bundle_is_replaced_by_a_log_that_holds_it() -> None:
    begun = find(MODEL)
    certify("first.tsv", "--attach", inputs=2)
    certify("more.tsv", inputs=3)
    certify("others.tsv", inputs=3, n=300)
    certify("same.tsv", inputs=2)
    with pytest.raises(RszooError, match=r"another log of 2 inputs was put into the bundle"):
        attach(begun, "others.tsv")
    with pytest.raises(RszooError, match=r"another log of 2 inputs was put into the bundle"):
        attach(begun, "others.tsv", overwrite=True)
    assert evidence() == Path("first.tsv").read_bytes()
    attach(begun, "same.tsv")
    attach(begun, "more.tsv")
    assert evidence() == Path("more.tsv").read_bytes()
    with pytest.raises(RszooError, match=r"another log of 3 inputs was put into the bundle"):
        attach(begun, "same.tsv", overwrite=True)
    attach(find(MODEL), "same.tsv", overwrite=True)
    assert evidence() == Path("same.tsv").read_bytes()


def test_a_bundle_that_was_trained_again_takes_no_log_of_before() -> None:
    import torch

    begun = find(MODEL)
    certify("a.tsv")
    network = begun.network()
    with torch.no_grad():
        next(network.parameters()).add_(1.0)
    write_bundle(
        MODEL, config=begun.config, network=network, recipe="", origin=Origin(), replace=True
    )
    with pytest.raises(RszooError, match=r"is not about .*: expected weights"):
        attach(begun, "a.tsv")
    assert find(MODEL).evidence is None


HOLDING = """
import sys, time
from pathlib import Path
from rszoo._folders import alone_with
from rszoo._locks import exclusive, is_held
with alone_with(Path(sys.argv[1])):
    if sys.argv[2:]:
        Path(sys.argv[1]).rename(sys.argv[2])
        Path(sys.argv[2]).with_suffix(".new").mkdir()  # what is to take its place
    Path("held").touch()
    time.sleep(600)
"""


@contextmanager
def another_process(forks: Forks, *arguments: str) -> Iterator[Fork]:
    """Run a process that is at work on a folder, and does not end by itself."""
    process = forks.start("-c", HOLDING, *arguments)
    try:
        wait_for(Path("held").exists)
        yield process
    finally:
        process.kill()
        process.wait(DEADLINE)


def test_a_process_at_work_is_waited_for_and_a_killed_one_is_not(
    forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    certify("a.tsv")
    monkeypatch.setattr(_folders, "_PATIENCE", 0.1)
    bundle = find(MODEL)
    with another_process(forks, MODEL) as holder:
        with pytest.raises(RszooError, match=f"^{MODEL} is being changed by another process"):
            attach(bundle, "a.tsv")
        assert find(MODEL).evidence is None, "reading waits for nobody"
        holder.kill()
        holder.wait(DEADLINE)
        attach(bundle, "a.tsv")
    assert evidence() == Path("a.tsv").read_bytes()


def test_a_reader_does_not_disturb_who_is_replacing_the_bundle(forks: Forks) -> None:
    aside = MODEL.replace("digits-", ".digits-") + ".0123abcd.old"
    with another_process(forks, MODEL, aside) as holder:
        found: list[Bundle] = []
        reader = threading.Thread(target=lambda: found.append(open_bundle(MODEL)))
        reader.start()
        reader.join(0.3)
        assert reader.is_alive()
        assert Path(aside).is_dir()
        holder.kill()
        reader.join(DEADLINE)
    assert [bundle.path for bundle in found] == [Path(MODEL)]


ATTACHING = """
import os, signal, sys
from pathlib import Path
from rszoo import _folders
from rszoo.hub.catalog import find
from rszoo.hub.evidence import add_evidence

def killed(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def killed_at_second(source, target):
    os.rename(source, target)
    _folders.os.replace = killed

model, log, step = sys.argv[1:]
match step:
    case "first":
        os.replace = killed
    case "second":
        os.replace = killed_at_second
    case "clean-up":
        _folders.shutil.rmtree = killed
add_evidence(find(model), Path(log))
"""


@pytest.mark.parametrize("step", ["first", "second", "clean-up"])
def test_a_killed_attach_leaves_one_bundle_and_nothing_that_stays(forks: Forks, step: str) -> None:
    certify("a.tsv")
    other = Path("runs/.digits-gaussian-0.25.more.0123abcd.new")  # of another bundle
    other.mkdir()
    process = forks.start("-c", ATTACHING, MODEL, "a.tsv", step)
    assert process.wait(DEADLINE) == -signal.SIGKILL
    left = {path.name for path in Path("runs").iterdir()} - {other.name, Path(MODEL).name}
    assert any(name.endswith((".new", ".old")) for name in left)
    assert (find(MODEL).evidence is None) == (step != "clean-up")
    attach(find(MODEL), "a.tsv")
    assert {path.name for path in Path("runs").iterdir()} == {other.name, Path(MODEL).name}


def test_what_a_kill_left_does_not_come_back_when_the_bundle_is_deleted(forks: Forks) -> None:
    certify("a.tsv")
    process = forks.start("-c", ATTACHING, MODEL, "a.tsv", "clean-up")
    assert process.wait(DEADLINE) == -signal.SIGKILL
    shutil.rmtree(MODEL)
    with pytest.raises(RszooError, match="no such folder"):
        find(MODEL)


def test_a_bundle_behind_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    certify("a.tsv")
    Path("link").symlink_to(tmp_path / MODEL)
    add_evidence(open_bundle("link"), Path("a.tsv"))
    assert Path("link").is_symlink()
    assert evidence() == Path("a.tsv").read_bytes()


def test_of_two_that_write_a_new_bundle_the_second_is_refused() -> None:
    bundle, new = find(MODEL), Path("runs/new")
    refused: list[RszooError] = []

    def write() -> None:
        try:
            write_bundle(new, config=bundle.config, network=bundle.network(), origin=Origin())
        except RszooError as error:
            refused.append(error)

    with alone_with(new):
        second = threading.Thread(target=write)
        second.start()
        second.join(0.2)
        assert second.is_alive()
        shutil.copytree(MODEL, new)
    second.join(DEADLINE)
    assert [str(error) for error in refused] == [
        "expected a new folder, got 'runs/new', which exists; name another one, or replace it "
        "(--overwrite, overwrite=True)"
    ]


def test_no_lock_where_nothing_can_be_written(tmp_path: Path) -> None:
    Path("file").touch()
    with pytest.raises(RszooError, match=r"cannot write 'file/x'"), alone_with(Path("file/x")):
        pass


def test_locks_that_are_taken_away_keep_all_but_one_out() -> None:
    lock, inside, most = Path("state/a.lock"), [0], [0]

    def work() -> None:
        for _ in range(50):
            with exclusive(lock):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE)
    assert (most, inside) == ([1], [0])
    assert not lock.exists()
    with exclusive(lock):
        assert is_held(lock)
        with pytest.raises(TimeoutError), exclusive(lock, patience=0):
            pass
    assert not is_held(lock)


def test_a_lock_file_that_its_holder_has_just_taken_away_guards_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lock, locked = Path("a.lock"), _locks._locked
    with ExitStack() as another:

        def late(descriptor: int) -> bool:
            monkeypatch.setattr(_locks, "_locked", locked)
            lock.unlink()  # who held it has ended, and another one has made its own
            another.enter_context(exclusive(lock))
            return locked(descriptor)

        monkeypatch.setattr(_locks, "_locked", late)
        with pytest.raises(TimeoutError), exclusive(lock, patience=0):
            pass
