"""The hub's pages and lists show what certificates give, and call what cards state by its name."""

import errno
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hub_server import RunningHub
from test_hub_pages import Page, card, publish
from typer.testing import CliRunner

from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.listing import listed
from rszoo.hub.manifest import Manifest
from rszoo.hub.origin import Origin
from rszoo.hub.stated import is_possible
from rszoo.hub_server import evidence
from rszoo.theory.rounding import as_acr
from rszoo_cli import app

GAUSSIAN, CAT = "digits-gaussian-0.50", "digits-cat_rs-0.50"
BUDGET = {"sigma": 0.5, "n": 100_000, "alpha": 0.001}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A certified bundle's files, to forge."""
    return Path(shutil.copytree(find(f"builtin/{GAUSSIAN}").path, tmp_path / "forged"))


def send(hub: RunningHub, repo: str, folder: Path, readme: str | None = None) -> None:
    """Upload a folder as it is, past what `rszoo push` refuses."""
    if readme is None:
        readme = card_files(find(f"builtin/{GAUSSIAN}"), repo)["README.md"].decode()
    files: dict[str, bytes | str] = {path.name: path.read_bytes() for path in folder.iterdir()}
    publish(hub, repo, files | {"README.md": readme})


def sealed(folder: Path) -> Path:
    """Give a forged folder a manifest that fits."""
    Manifest.of(folder, origin=Origin()).write(folder)
    return folder


def own_acr(name: str) -> float:
    """Work out the ACR from the file, without rszoo's reader."""
    text = (find(f"builtin/{name}").path / "certificates.tsv").read_text()
    rows = [line.split("\t") for line in text.splitlines()[1:]]
    return float(np.mean([float(row[3]) * int(row[4]) for row in rows]))


def lines(page: Page) -> dict[str, dict[str, str]]:
    """Return the lines of a page's tables by model."""
    found: dict[str, dict[str, str]] = {}
    heads: list[str] = []
    for row in page.rows:
        if row[:1] == ["model"]:
            heads = row
        elif heads and len(row) == len(heads):
            found[row[0]] = dict(zip(heads, row, strict=True))
    return found


def test_numbers_are_computed_whatever_the_card_states(hub: RunningHub, folder: Path) -> None:
    send(hub, "a/honest", Path(find(f"builtin/{CAT}").path))
    send(hub, "b/flattering", folder, card("MNIST", acr=1.9, radii=(0.0, 1.0)))
    publish(hub, "c/card-alone", {"README.md": card("digits", acr=1.9)})
    page = Page(hub.url)
    found = lines(page)
    best_first = sorted(
        ("a/honest", "b/flattering"), key=lambda one: -own_acr(CAT if one[0] == "a" else GAUSSIAN)
    )
    assert list(found) == [*best_first, "c/card-alone"]
    for repo, name in (("a/honest", CAT), ("b/flattering", GAUSSIAN)):
        line = found[repo]
        assert 0 <= own_acr(name) - float(line["ACR"]) < 0.001
        assert (line["data set"], line["images"], line["n"]) == ("digits, test", "360", "10,000")
    before, _, after = page.html.partition("<h2>Other models</h2>")
    assert "b/flattering" in before
    assert "c/card-alone" not in before
    assert "c/card-alone" in after
    assert "The numbers of each are stated by its author, not checked." in after
    model = Page(f"{hub.url}/b/flattering")
    assert model.rows[2][:2] == ["digits, test", "gaussian"]
    assert "MNIST" not in model.rows[2]
    assert "The card; what it says is stated by its author, not checked." not in model.text
    card_alone = Page(f"{hub.url}/c/card-alone")
    assert "Numbers stated by its author, not checked" in card_alone.text


def test_no_number_decides_the_order(hub: RunningHub) -> None:
    names = (GAUSSIAN, CAT, "digits-gaussian-1.00")
    for number, name in enumerate(names):
        send(hub, f"a/{number}", Path(find(f"builtin/{name}").path), card(acr=1.9 - number / 2))
    shown = lines(Page(hub.url))
    assert list(shown) == ["a/0", "a/1", "a/2"]
    acrs = [float(line["ACR"]) for line in shown.values()]
    assert acrs == [float(as_acr(own_acr(name))) for name in names]
    assert acrs[1] > acrs[0] > acrs[2]


def test_what_cannot_be_read_this_time_is_read_the_next(
    hub: RunningHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    send(hub, "a/one", folder)
    with monkeypatch.context() as during:
        during.setattr(evidence, "evidence_of", full)
        assert "they cannot be read" in Page(f"{hub.url}/a/one").text
    assert "they cannot be read" not in Page(f"{hub.url}/a/one").text
    assert lines(Page(hub.url))["a/one"]["ACR"] == as_acr(own_acr(GAUSSIAN))


def test_what_cannot_be_true_is_not_shown(hub: RunningHub) -> None:
    publish(hub, "a/first", {"README.md": card(acr=99.9)})
    publish(hub, "b/radii", {"README.md": card(acr=1.0, radii=(0.0, 1.9, 2.0))})
    publish(hub, "c/fine", {"README.md": card(acr=1.9)})
    found = lines(Page(hub.url))
    assert [found[repo]["ACR"] for repo in ("a/first", "b/radii", "c/fine")] == ["-", "-", "1.900"]
    assert list(found) == ["c/fine", "a/first", "b/radii"]
    assert "99.9" not in Page(f"{hub.url}/a/first").text


def replaced(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder


def changed_log(folder: Path, **changes: object) -> Path:
    """Change the protocol of a folder's log."""
    path = folder / "certificates.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return sealed(folder)


def of_other_weights(folder: Path) -> Path:
    for name in ("certificates.tsv", "certificates.json"):
        shutil.copy(find(f"builtin/{CAT}").path / name, folder / name)
    return sealed(folder)


FORGERIES = {
    "other weights": (of_other_weights, "is not about this model: expected weights"),
    "weights changed by hand": (
        lambda folder: replaced(folder, "model.safetensors", b"x"),
        "model.safetensors is not what the manifest says",
    ),
    "log changed by hand": (
        lambda folder: replaced(folder, "certificates.tsv", b"idx\n"),
        "certificates.tsv is not what the manifest says",
    ),
    "no log at all": (
        lambda folder: sealed(replaced(folder, "certificates.tsv", b"\x00\xff")),
        "certificates.tsv",
    ),
    "another sigma": (lambda folder: changed_log(folder, sigma=0.25), "certificates.tsv"),
    "another alpha": (lambda folder: changed_log(folder, alpha=0.5), "certificates.tsv"),
    "a protocol that is none": (
        lambda folder: sealed(replaced(folder, "certificates.json", b"[" * 100_000)),
        "",
    ),
    "no manifest": (
        lambda folder: replaced(folder, "manifest.json", b"{}"),
        "manifest.json: expected a manifest of format 1",
    ),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_certificates_that_are_not_of_the_model(hub: RunningHub, folder: Path, name: str) -> None:
    forge, said = FORGERIES[name]
    send(hub, "a/forged", forge(folder))
    send(hub, "z/good", Path(find(f"builtin/{CAT}").path))
    page = Page(hub.url)
    assert list(lines(page)) == ["z/good", "a/forged"]
    assert "a/forged" not in page.html.partition("<h2>Other models</h2>")[0]
    model = Page(f"{hub.url}/a/forged")
    assert "Its certificates are not used: " in model.text
    assert said in model.text
    assert "/tmp" not in model.text.replace(str(hub.root), "")
    assert "<h2>Certified</h2>" not in model.html


def test_a_log_with_rows_left_out_says_so_and_stands_behind(hub: RunningHub, folder: Path) -> None:
    path = folder / "certificates.tsv"
    head, *rows = path.read_text().splitlines(keepends=True)
    right = [row for row in rows if row.split("\t")[4] == "1"]
    path.write_text(head + "".join(right))
    send(hub, "a/cut", sealed(folder))
    send(hub, "z/whole", Path(find(f"builtin/{CAT}").path))
    found = lines(Page(hub.url))
    assert list(found) == ["z/whole", "a/cut"]
    assert float(found["a/cut"]["ACR"]) > own_acr(GAUSSIAN)
    assert found["a/cut"]["images"].startswith(f"{len(right)} of ")


def test_a_log_that_is_too_large_is_not_read(
    hub: RunningHub, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evidence, "_LARGEST", 1000)
    send(hub, "a/large", folder)
    assert "a/large" in Page(hub.url).html.partition("<h2>Other models</h2>")[2]
    assert "MiB that this page reads" in Page(f"{hub.url}/a/large").text


def test_the_list_states_what_cards_state(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stated(acr: float) -> Mapping[str, str]:
        return {"README.md": card(acr=acr).replace("- certified", "- certified\n- rszoo")}

    for repo, acr in (("a/low", 0.9), ("b/impossible", 99.9), ("c/high", 1.9)):
        publish(hub, repo, dict(stated(acr)))
    found = listed()
    assert [one.id for one in found] == ["a/low", "b/impossible", "c/high"]
    assert [one.acr for one in found] == [0.9, None, 1.9]
    assert [bool(one.certified_accuracy) for one in found] == [True, False, True]
    done = CliRunner().invoke(app, ["ls", "--hub"])
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "99.9" not in said
    assert "The numbers of each are stated by its author, not checked. rszoo leaderboard" in said
    rows = json.loads(CliRunner().invoke(app, ["ls", "--hub", "--json"]).stdout)
    assert [row["checked"] for row in rows] == [False] * 3


@pytest.mark.parametrize(
    ("acr", "accuracy", "changes", "possible"),
    [
        (1.9057, {0.0: 1.0, 1.9: 0.01}, {}, True),
        (1.906, {}, {}, False),
        (1.2, {1.906: 0.01}, {}, False),
        (1.2, {1.906: 0.0}, {}, True),
        (-0.1, {}, {}, False),
        (float("nan"), {}, {}, False),
        (0.5, {0.0: float("nan")}, {}, False),
        (0.5, {0.0: 1.01}, {}, False),
        (0.5, {0.0: 0.5, 0.25: 0.6}, {}, False),
        (0.5, {0.25: 0.5, 0.0: 0.6}, {}, True),
        (0.74, {}, {"n": 100}, True),  # the cap is 0.7489
        (0.76, {}, {"n": 100}, False),
        (4.1, {}, {"n": None}, True),
        (4.2, {}, {"n": None}, False),
        (4.2, {}, {"alpha": None}, False),
        (4.2, {}, {"n": 10**15}, False),
        (50.0, {}, {"sigma": None}, True),
        (0.5, {}, {"sigma": 0.0}, False),
        (0.5, {}, {"sigma": -1.0}, False),
        (0.5, {}, {"alpha": 1.0}, False),
        (0.5, {}, {"alpha": 0.0}, False),
        (0.5, {}, {"n": 0}, False),
        (None, {}, {}, True),
    ],
)
def test_possible_numbers(
    acr: float | None,
    accuracy: dict[float, float],
    changes: dict[str, float | None],
    possible: bool,
) -> None:
    assert is_possible(acr, accuracy, **(BUDGET | changes)) is possible
