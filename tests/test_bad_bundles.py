"""One bad bundle is told of by itself: the others are listed as ever."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import EvalResult, ModelCardData, ModelInfo
from typer.testing import CliRunner

from rszoo.errors import RszooError
from rszoo.hub import catalog, listing, remote
from rszoo.hub.bundle import open_bundle
from rszoo.hub.manifest import Manifest
from rszoo.training.entries import usual_entries
from rszoo_cli import app, console

BUILTIN = Path(__file__).parents[1] / "zoo/rszoo/builtin"
GOOD, BAD = "digits-gaussian-0.25", "digits-gaussian-0.50"


def with_config(folder: Path, **values: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | values))


def with_log(folder: Path, change: Callable[[bytes], bytes]) -> None:
    log = folder / "certificates.tsv"
    log.write_bytes(change(log.read_bytes()))


def stopped_early_by_nothing(folder: Path) -> None:
    """Make the log one of certificates decided early, with an alpha for which there is no test."""
    log = folder / "certificates.tsv"
    head, *rows = log.read_bytes().split(b"\n")[:3]
    names = head.split(b"\t")
    fields = dict(zip(names, rows[0].split(b"\t"), strict=True)) | {b"alpha": b"1e-12"}
    count = fields[b"n"]
    new = [b"\t".join([*names, b"draws", b"spent"])]
    new += [b"\t".join([*fields.values(), count, count])]
    log.write_bytes(b"\n".join([*new, b""]))


BROKEN: dict[str, Callable[[Path], object]] = {
    "markup": lambda folder: with_config(folder, method="[/red][bold]"),
    "no config": lambda folder: (folder / "config.json").write_text("{"),
    "config in another encoding": lambda folder: (folder / "config.json").write_bytes(b"\xff{}"),
    "a list": lambda folder: (folder / "config.json").write_text("[[[]]]"),
    "log without header": lambda folder: with_log(folder, lambda log: b"\x00\xff" + log),
    "row cut in two": lambda folder: with_log(folder, lambda log: log.replace(b"\t", b"\n", 30)),
    "empty log": lambda folder: with_log(folder, lambda log: b""),
    "no rows": lambda folder: with_log(folder, lambda log: log.split(b"\n")[0] + b"\n"),
    "a test that there is not": stopped_early_by_nothing,
    "protocol": lambda folder: (folder / "certificates.json").write_text('{"kind": ["fixed"]}'),
    "protocol with another n": lambda folder: (folder / "certificates.json").write_text(
        '{"kind": "fixed", "n": 1e400}'
    ),
    "recipe": lambda folder: (folder / "recipe.yaml").write_bytes(b"\xff\xfe: ["),
}


@pytest.fixture
def bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a good and a soon bad bundle, of the runs and of rszoo itself."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "_builtin_folder", lambda: tmp_path / "runs")
    monkeypatch.setattr(console.out, "width", 200)
    for name in (GOOD, BAD):
        shutil.copytree(BUILTIN / name, tmp_path / "runs" / name)
    return tmp_path / "runs"


def ls(*arguments: str) -> tuple[str, str]:
    result = CliRunner().invoke(app, ["ls", *arguments])
    assert result.exit_code == 0, result.output
    assert result.exception is None
    return result.stdout, result.stderr


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("sealed", [True, False])
def test_ls_lists_the_others(
    bundles: Path, change: Callable[[Path], object], sealed: bool
) -> None:
    folder = bundles / BAD
    origin = Manifest.read(folder).origin
    change(folder)
    if sealed:
        Manifest.of(folder, origin=origin).write(folder)
    shown, told = ls()
    for id in (f"runs/{GOOD}", f"builtin/{GOOD}"):
        assert f"{id} " in shown
        assert id not in told
    for id in (f"runs/{BAD}", f"builtin/{BAD}"):
        assert f"{id} " in shown or f"{id}: " in told
    assert "Error: " not in told  # each is refused on purpose
    ids = [row["id"] for row in json.loads(ls("--json")[0])]
    assert ids == [f"{where}/{name}" for where in ("runs", "builtin") for name in (GOOD, BAD)]


def test_what_nobody_foresaw_does_not_end_the_list(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = open_bundle

    def sometimes(path: Path, **kwargs: Any) -> object:
        if path.name == BAD:
            raise ZeroDivisionError("by zero")
        return opened(path, **kwargs)

    monkeypatch.setattr(catalog, "open_bundle", sometimes)
    shown, told = ls()
    assert f"runs/{GOOD} " in shown
    assert f"runs/{BAD}: " in told
    assert "expected a bundle, got ZeroDivisionError: by zero" in told
    entries = dict(usual_entries(bundles))
    assert isinstance(entries[f"builtin/{BAD}"], RszooError)
    assert not isinstance(entries[f"builtin/{GOOD}"], RszooError)


def test_a_log_that_fails_as_nobody_foresaw(
    bundles: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(bundle: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr("rszoo.hub.evidence.evidence_of", fails)
    shown, told = ls()
    assert f"runs/{GOOD} " in shown
    assert "expected a log of certificates, got ZeroDivisionError: by zero" in told


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read(bundles: Path) -> None:
    (bundles / BAD).chmod(0)
    try:
        shown, told = ls()
    finally:
        (bundles / BAD).chmod(0o755)
    assert f"runs/{GOOD} " in shown
    assert f"runs/{BAD}: " in told


def model(id: str, **result: object) -> ModelInfo:
    info = ModelInfo(id=id, tags=["rszoo"])
    values = {
        "task_type": "image-classification",
        "dataset_type": "digits",
        "dataset_name": "digits",
        "metric_type": "average_certified_radius",
        "metric_value": 0.5,
        **result,
    }
    info.card_data = ModelCardData(model_name=id, eval_results=[EvalResult(**values)])
    return info


@pytest.mark.parametrize(
    "odd",
    [
        {"metric_value": 10**400},
        {"metric_value": "0.5"},
        {"metric_args": ["sigma", 0.5]},
        {"metric_args": {"sigma": 10**400, "n": "many", "alpha": None}},
        {"metric_type": "certified_accuracy", "metric_args": "radius"},
        {"dataset_name": 7},
        {"dataset_name": ["digits"]},
    ],
    ids=str,
)
def test_an_odd_card_of_a_hub_does_not_end_the_list(
    odd: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        remote, "models", lambda **_: [model("a/odd", **odd), model("b/good", metric_value=0.5)]
    )
    first, second = listing.listed()
    assert (first.id, second.id, second.acr, second.dataset) == ("a/odd", "b/good", 0.5, "digits")
    shown, _ = ls("--hub")
    assert "a/odd" in shown
    assert "b/good" in shown
