"""What commit 34f3b01 made is still opened, and said to be what it was; see fixtures/34f3b01."""

import gzip
import hashlib
import json
import math
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import Server
from log_tables import table_digest
from safetensors.torch import load_file
from stores import replace_in_store
from typer.testing import CliRunner

import rszoo
from rszoo.evaluation.log import CertificationLog, protocol_path, read_log
from rszoo.hub.bundle import open_bundle
from rszoo_cli import app

ROOT = Path(__file__).parents[1]
MADE = Path(__file__).parent / "fixtures/34f3b01"
MADE_IN = "/rszoo-34f3b01"
ANSWERS: dict[str, Any] = json.loads((MADE / "answers.json").read_text())
DIGESTS: dict[str, dict[str, str]] = json.loads((MADE / "digests.json").read_text())
PUSHED: dict[str, str] = json.loads((MADE / "pushed.json").read_text())
LOGS = [
    *(ROOT / name for name in DIGESTS["shipped"]),
    *(MADE / name for name in DIGESTS["here"]),
]
#: Of `certify`, as in make.py.
WHERE = ["--device", "cpu", "--precision", "float32"]
DRAWS = ["--n", "1000", "--n0", "50", *WHERE]
CONTINUED = {
    "fixed": ("bundles/digits-gaussian-0.50", []),
    "radii": ("bundles/digits-gaussian-0.50", ["--radii", "0,0.1,0.25,0.5"]),
    "adaptive": ("bundles/digits-gaussian-0.50", ["--adaptive", "--radius-tol", "0.1"]),
    "sound": ("bundles/digits-gaussian-0.50", ["--sound"]),
    "cascade": ("bundles/cascade", []),
    "cascade-levels": ("bundles/cascade-levels", []),
    "dual": ("bundles/dual", []),
    "dual-levels": ("bundles/dual-levels", []),
    "dual-sound": ("bundles/dual", ["--sound"]),
    "mixed": ("bundles/mixed", []),
    "mixed-learned": ("bundles/mixed-learned", []),
    "nominal": ("bundles/digits-insta_rs-0.25", ["--per-input-sigma", "nominal"]),
    "memory": ("bundles/digits-insta_rs-0.25", ["--per-input-sigma", "memory"]),
    "shard-2": ("bundles/digits-gaussian-0.50", ["--shard", "2/2"]),
    "merged": ("bundles/digits-gaussian-0.50", []),
}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@contextmanager
def opened(folder: Path) -> Iterator[Path]:
    """Unpack the folder of make.py, and be in it."""
    from mlflow.tracking._tracking_service import utils

    shutil.copytree(MADE, folder)
    packed, store = folder / "runs/mlflow.db.gz", folder / "runs/mlflow.db"
    store.write_bytes(gzip.decompress(packed.read_bytes()))
    packed.unlink()
    replace_in_store(store, MADE_IN, str(folder))
    utils._artifact_repos_cache.clear()  # MLflow remembers for each id where its artifacts lie
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        yield folder
    utils._artifact_repos_cache.clear()


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of make.py, not to be changed."""
    with opened(tmp_path_factory.mktemp("before") / "here") as folder:
        yield folder


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Path]:
    """The folder of make.py, to do with as one likes."""
    with opened(tmp_path / "here") as folder:
        yield folder


def run(*arguments: str) -> str:
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def differing(was: Any, now: Any, at: str = "") -> list[str]:  # noqa: ANN401 (JSON)
    """Return where a JSON value is another than it was.

    The last digits of a number may differ, and keys that there were not may be there now.
    """
    if isinstance(was, dict) and isinstance(now, dict):
        gone = sorted(was.keys() - now.keys())
        both = [(f"{at}.{key}", was[key], now[key]) for key in was if key in now]
        found = [f"{at}: {', '.join(gone)} no more"] if gone else []
        return found + [line for key, *pair in both for line in differing(*pair, key)]
    if isinstance(was, list) and isinstance(now, list) and len(was) == len(now):
        pairs = enumerate(zip(was, now, strict=True))
        return [line for i, pair in pairs for line in differing(*pair, f"{at}[{i}]")]
    if isinstance(was, float) and isinstance(now, float):
        return [] if math.isclose(was, now, rel_tol=1e-9) else [f"{at}: {was}, {now} now"]
    same = was == now and type(was) is type(now)
    return [] if same else [f"{at}: {was!r}, {now!r} now"]


def without_p_of_several(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what reports said, but for p of several noise levels, which depends on n."""
    why = "the votes are under several noise levels, and which one answers depends on n"
    several = {"p": None, "without_p": why}
    return [row | several if row["sigma"] is None and row["n"] else row for row in rows]


#: What `verify` says since then as well.
ADDED = {"alpha", "coverage", "inputs", "log_seed", "n", "n0", "power", "replay", "together"}

#: Their rows are since tested against the bound that their votes give, whatever alpha is.
DECIDED_EARLY = ("logs/radii.tsv --model", "logs/adaptive.tsv --model")


def without_p_values(said: dict[str, Any]) -> dict[str, Any]:
    findings = [{**one, "p_value": None} for one in said["findings"]]
    return {**said, "findings": findings}


SAID = [command for command in ANSWERS if "--memory" not in command]


@pytest.mark.parametrize("command", SAID, ids=SAID)
def test_a_command_says_what_it_said(
    unchanged: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(unchanged)
    said = json.loads(run(*command.split(), "--json").replace(str(unchanged), MADE_IN))
    if command.startswith("ls "):
        said = [row for row in said if "builtin/" not in row["id"]]
    was = ANSWERS[command]
    if command.startswith("report "):
        was = without_p_of_several(was)
    if command.startswith("verify "):
        said = {key: value for key, value in said.items() if key not in ADDED}
    if any(log in command for log in DECIDED_EARLY):
        was, said = without_p_values(was), without_p_values(said)
    assert differing(was, said) == []


def test_a_memory_remembers_what_it_answered(here: Path) -> None:
    (command,) = [command for command in ANSWERS if "--memory" in command]
    for _ in range(2):  # the second time it is asked what it knows
        assert differing(ANSWERS[command], json.loads(run(*command.split(), "--json"))) == []


def test_differences_are_found() -> None:
    assert differing({"a": [1, 2.0]}, {"a": [1, 2.0 + 1e-12]}) == []
    assert differing({"a": [1, 2.0]}, {"a": [1, 2.1]}) == [".a[1]: 2.0, 2.1 now"]
    assert differing({"a": 1, "b": 2}, {"a": 1}) == [": b no more"]
    assert differing({"a": 1}, {"a": 1, "b": 2}) == []
    assert differing({"a": 1}, {"a": True}) == [".a: 1, True now"]
    assert differing([1], []) == [": [1], [] now"]


@pytest.mark.parametrize("path", LOGS, ids=name_of)
def test_a_log_is_read_to_the_same_table(path: Path) -> None:
    name = str(path.relative_to(MADE if path.is_relative_to(MADE) else ROOT))
    known = DIGESTS["shipped"] | DIGESTS["here"]
    assert table_digest(read_log(path, nominal=True)) == known[name]


def test_the_shipped_logs_are_all_there() -> None:
    found = [*ROOT.glob("zoo/rszoo/builtin/*/*.tsv"), *ROOT.glob("bench/results/**/*.tsv")]
    assert {*DIGESTS["shipped"]} <= {str(path.relative_to(ROOT)) for path in found}


@pytest.mark.parametrize("path", [path for path in LOGS if path.stem != "original"], ids=name_of)
def test_a_log_is_written_back_byte_for_byte(path: Path, tmp_path: Path) -> None:
    table = read_log(path, nominal=True)
    assert table.protocol is not None
    times = [line.split("\t")[5] for line in path.read_text().splitlines()[1:]]
    copy = tmp_path / path.name
    with CertificationLog.open(copy, table.protocol, resume=False) as log:
        for row, time in enumerate(times):
            log.append(
                int(table.idx[row]),
                int(table.label[row]),
                table.certificate(row),
                seconds(time),
                None if table.input is None else table.input[row],
            )
    assert copy.read_bytes() == path.read_bytes()
    before = json.loads(protocol_path(path).read_text())
    kind = {"kind": table.protocol.kind}
    assert json.loads(protocol_path(copy).read_text()) == {**before, **kind}


def seconds(time: str) -> float:
    """Return the seconds of `str(timedelta)`."""
    match = re.fullmatch(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d{6})?)", time)
    assert match, time
    days, hours, minutes, rest = (float(part or 0) for part in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=rest).total_seconds()


@pytest.mark.parametrize("name", DIGESTS["manifests"])
def test_a_bundle_that_comes_with_rszoo_is_what_it_was(name: str) -> None:
    folder = ROOT / "zoo/rszoo/builtin" / name
    manifest = (folder / "manifest.json").read_bytes()
    assert hashlib.sha256(manifest).hexdigest() == DIGESTS["manifests"][name]
    assert open_bundle(folder).config.name == name  # its files are those of the manifest


def cells(path: Path) -> list[list[str]]:
    """Return the cells of a log, without the time that each row took."""
    lines = [line.split("\t") for line in path.read_text().splitlines()]
    return [line[:5] + line[6:] for line in lines]


def by_this_version(protocol: Path) -> None:
    """Have a log say that this version began it: no other may continue it."""
    content = json.loads(protocol.read_text())
    versions = {"rszoo": rszoo.__version__, "torch": torch.__version__}
    protocol.write_text(json.dumps(content | {"versions": versions}))


@pytest.mark.parametrize("name", CONTINUED)
def test_a_log_that_was_begun_is_continued(here: Path, name: str) -> None:
    log, (bundle, options) = here / f"logs/{name}.tsv", CONTINUED[name]
    whole = cells(log)
    if name == "memory":  # its file has the answers of the rows there are
        for suffix in ("tsv", "json", "memory"):
            shutil.copy(f"logs/memory-begun.{suffix}", f"logs/memory.{suffix}")
    else:
        log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:4]) + b"7\t")
    begun = log.read_bytes().rpartition(b"\n")[0]
    by_this_version(protocol_path(log))
    again = ["--out", f"logs/{name}.tsv", "--resume"]
    run("certify", "--model", bundle, *DRAWS, "--skip", "23", *again, *options)
    assert log.read_bytes().startswith(begun)
    assert cells(log) == whole


def test_shards_are_merged(here: Path) -> None:
    run("merge", "logs/shard-2.tsv", "logs/shard-1.tsv", "--out", "again.tsv")
    assert Path("again.tsv").read_bytes() == Path("logs/merged.tsv").read_bytes()


def test_a_training_that_was_begun_is_continued(here: Path) -> None:
    before = listed()
    (begun,) = [row for row in before if row["status"] == "KILLED"]
    run(*TRAINING)
    (finished,) = [row for row in listed() if row["id"] == begun["id"]]
    assert finished["status"] == "FINISHED"
    assert len(listed()) == len(before)
    weights = load_file("runs/digits-mixing-0.50/model.safetensors")
    whole = load_file("bundles/digits-mixing-0.50/model.safetensors")
    assert weights.keys() == whole.keys()
    assert all(torch.allclose(weights[key], whole[key], atol=1e-4) for key in whole)


TRAINING = [
    *["train", "mixing", "--sigma", "0.5", "train.epochs=2", "weights.attack_steps=2"],
    "parts.standard=bundles/digits-standard-0.00",
    "parts.robust=bundles/digits-gaussian-0.50",
    *[*WHERE, "--out", "runs", "--resume"],
]


def listed() -> list[dict[str, Any]]:
    return json.loads(run("runs", "ls", "--runs", "runs", "--json"))


def test_a_finished_training_is_kept(here: Path) -> None:
    before = [path.read_bytes() for path in sorted(Path("runs/digits-gaussian-0.50").iterdir())]
    short = ["--sigma", "0.5", "train.epochs=3", *WHERE, "--out", "runs", "--resume"]
    done = CliRunner().invoke(app, ["train", "gaussian", *short], catch_exceptions=False)
    assert "runs/digits-gaussian-0.50 is finished: kept" in done.stderr
    after = [path.read_bytes() for path in sorted(Path("runs/digits-gaussian-0.50").iterdir())]
    assert after == before


def test_certificates_go_into_the_old_store(here: Path) -> None:
    more = ["--skip", "60", "--attach", "--overwrite", "--out", "more.tsv"]
    certify = ["certify", "--model", "runs/digits-gaussian-0.50", *DRAWS, *more]
    done = CliRunner().invoke(app, certify, catch_exceptions=False)
    assert "in MLflow's registry: digits-0.50 version 1" in done.stderr


@pytest.mark.parametrize("which", PUSHED)
def test_the_hub_that_was_served_is_served(
    here: Path, hub_server: Server, hub_client: Callable[[str], None], which: str
) -> None:
    with hub_server.hub(here / "hub") as hub:
        hub_client(hub.url)
        pulled = json.loads(run("pull", PUSHED[which], "--json"))
        assert pulled["id"] == PUSHED[which]
        report = run("report", PUSHED[which], "--json") if which != "composed" else "[]"
    # What is fetched is there without the hub.
    assert [row["n"] for row in json.loads(report)] == DRAWN[which]
    model = ["--model", PUSHED[which], "inputs/two.npy"]
    assert len(json.loads(run("certify", *model, *DRAWS, "--json"))) == 2


DRAWN = {"first": [1000], "second": [2000], "composed": []}
