"""`kill -9` in the middle: what is resumed ends where the uninterrupted run ends."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryFile

import mlflow
import pytest
from forks import Forks, kill_when

from rszoo.evaluation.log import read_log
from rszoo_cli import main

NAME = "digits-gaussian-0.25"
DEADLINE = 300.0


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def rszoo(*arguments: str) -> None:
    """Run a command in this process, to its end."""
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert not caught.value.code


def started(*arguments: str) -> "subprocess.Popen[bytes]":
    """Start a command in an interpreter of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "rszoo_cli", *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def test_training(trained: Path, forks: Forks) -> None:
    training = ["train", "gaussian", "--sigma", "0.25", "train.epochs=8"]
    shutil.copytree(trained, "runs")
    shutil.rmtree(Path("runs", NAME))
    rszoo(*training, "--out", "whole")

    checkpoint = Path("runs", ".state", NAME, "checkpoint.pt")
    kill_when(checkpoint.exists, forks.start("-m", "rszoo_cli", *training))
    assert not Path("runs", NAME).exists()
    assert checkpoint.exists()
    rszoo(*training, "--resume")

    for name in ("model.safetensors", "recipe.yaml", "config.json"):
        assert Path("runs", NAME, name).read_bytes() == Path("whole", NAME, name).read_bytes()
    client = mlflow.MlflowClient(f"sqlite:///{Path('runs', 'mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("rszoo")
    assert experiment is not None
    (run,) = client.search_runs(
        [experiment.experiment_id],
        f"attributes.run_name = '{NAME}' and params.`train.epochs` = '8'",
    )
    assert run.info.status == "FINISHED"
    losses = client.get_metric_history(run.info.run_id, "loss")
    assert [entry.step for entry in losses] == list(range(1, 9))


def rows(path: str) -> list[list[str]]:
    """Return the cells of a log, without the time that each row took."""
    cells = [line.split("\t") for line in Path(path).read_text().splitlines()]
    time_column = cells[0].index("time")
    return [line[:time_column] + line[time_column + 1 :] for line in cells]


def certifying(bundle: Path, out: str) -> list[str]:
    options = ["--n", "5000", "--limit", "60", "--skip", "1", "--seed", "0", "--out", out]
    return ["certify", "--model", str(bundle), *options]


def test_certification(bundle_folder: Path, forks: Forks) -> None:
    rszoo(*certifying(bundle_folder, "whole.tsv"))
    log = Path("killed.tsv")

    def has(count: int) -> bool:
        return log.exists() and log.read_bytes().count(b"\n") > count

    certify = certifying(bundle_folder, "killed.tsv")
    kill_when(lambda: has(3), started(*certify))
    first = log.read_bytes()
    assert 3 < first.count(b"\n") < 60
    more = first.count(b"\n") + 2
    kill_when(lambda: has(more), forks.start("-m", "rszoo_cli", *certify, "--resume"))
    second = log.read_bytes()
    assert second.startswith(first[: first.rfind(b"\n") + 1])
    assert first.count(b"\n") < second.count(b"\n") < 60
    log.write_bytes(second + b"59\t3\t")  # a row that did not get to its end
    rszoo(*certify, "--resume")

    assert log.read_bytes().startswith(second[: second.rfind(b"\n") + 1])
    assert rows("killed.tsv") == rows("whole.tsv")
    assert read_log(log).idx.tolist() == list(range(60))
    assert Path("killed.json").read_bytes() == Path("whole.json").read_bytes()


# No file of this process may grow beyond it.
SMALL_DISK = """
import resource, sys
from rszoo_cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
main(sys.argv[1:])
"""


def test_a_full_disk_costs_one_row_at_most(bundle_folder: Path, forks: Forks) -> None:
    rszoo(*certifying(bundle_folder, "whole.tsv"))
    certify = certifying(bundle_folder, "full.tsv")
    with TemporaryFile() as told:
        process = forks.start("-c", SMALL_DISK, *certify, stderr=told)
        assert process.wait(timeout=DEADLINE) == 1
        told.seek(0)
        said = "error: cannot write 'full.tsv': File too large; once that is mended, continue with"
        assert said in told.read().decode()
    assert Path("full.tsv").stat().st_size == 2000
    assert 0 < len(read_log("full.tsv")) < 60
    rszoo(*certify, "--resume")
    assert rows("full.tsv") == rows("whole.tsv")


def test_an_interrupted_certification_says_how_to_go_on(
    bundle_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rszoo.evaluation.log import CertificationLog

    append, written = CertificationLog.append, []

    def interrupting(self: CertificationLog, *arguments: object, **rest: object) -> None:
        append(self, *arguments, **rest)  # type: ignore[arg-type]
        written.append(arguments[0])
        if len(written) == 4:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(CertificationLog, "append", interrupting)
        with pytest.raises(SystemExit) as caught:
            main(certifying(bundle_folder, "log.tsv"))
    assert caught.value.code == 130
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "interrupted; continue with --resume\n")
    assert read_log("log.tsv").idx.tolist() == [0, 1, 2, 3]
