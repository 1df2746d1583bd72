"""Accuracies under attack: what their logs say, where they are shown, and where they are not."""

import json
import re
import shutil
from html import escape
from pathlib import Path
from typing import Any

import pytest
from hub_server import RunningHub
from test_hub_evidence import send
from test_hub_pages import Page
from typer.testing import CliRunner, Result

from rszoo.errors import DataError, IntegrityError, RszooError
from rszoo.evaluation.attack_log import AttackLog, AttackRow, read_attack_log
from rszoo.evaluation.coverage import Coverage
from rszoo.evaluation.data_set import DataSet
from rszoo.evaluation.leaderboard.attacked import (
    AttackedEntry,
    AttackedGroup,
    as_attacked_data,
    grouped_attacks,
)
from rszoo.evaluation.leaderboard.board import grouped
from rszoo.evaluation.leaderboard.data import as_data
from rszoo.evaluation.leaderboard.markdown import as_markdown
from rszoo.evaluation.leaderboard.page import as_page
from rszoo.evaluation.leaderboard.robustbench import published_attacks
from rszoo.evaluation.metrics import Summary
from rszoo.evaluation.under_attack import MEANING, Attacked, UnderAttack, under_attack
from rszoo.hub.attack_logs import add_attack, attacks_of
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.evidence import add_evidence, evidence_of
from rszoo.hub.ids import HubId
from rszoo.hub.manifest import Manifest
from rszoo.hub.pull import pull, pull_record
from rszoo.hub.push import push
from rszoo.hub_server.card import front_matter
from rszoo.training.entries import entry_of_bundle
from rszoo_cli import app

STANDARD, SMOOTHED = "digits-standard-0.00", "digits-gaussian-0.25"
EPS = 8 / 255
HOSTILE = "\"'></td><script>alert(1)</script><b>|x|</b> [a](http://evil.example) `rm` &amp; *b*"


def row(idx: int, label: int, clean: int, attacked: int, distance: float = 0.02) -> AttackRow:
    far = distance if clean == label else 0.0
    return AttackRow(
        idx=idx, label=label, clean=clean, attacked=attacked, distance=far, seconds=0.1
    )


#: Of five inputs three are answered rightly, and one still is under attack.
ROWS = [row(0, 3, 3, 5), row(1, 1, 1, 1), row(2, 2, 9, 9), row(3, 4, -1, -1), row(4, 0, 0, 7)]


def stated(bundle: Bundle, **changed: Any) -> dict[str, object]:
    """Return the protocol of a log of an attack on a bundle for digits."""
    images = json.loads((find(f"builtin/{SMOOTHED}").path / "certificates.json").read_text())
    inputs = {**images["inputs"], "step": 1, "count": 5} | changed.pop("inputs", {})
    noise = bundle.config.noise
    return {
        "kind": "attack",
        "model": {"name": bundle.config.name, "weights_sha256": bundle.weights_digest},
        **({"sigma": noise, "draws": 32, "n": 100, "alpha": 0.001} if noise else {}),
        "inputs": inputs,
        "attack": {"name": "pgd", "norm": "linf", "eps": EPS, "steps": 20},
        "seed": 1,
        **changed,
    }


def written(path: Path, bundle: Bundle, rows: list[AttackRow] = ROWS, **changed: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    with AttackLog(path, stated(bundle, **changed), resume=False) as log:
        log.append(rows)
    return path


@pytest.fixture
def standard(tmp_path: Path) -> Bundle:
    return open_bundle(shutil.copytree(find(f"builtin/{STANDARD}").path, tmp_path / "std"))


@pytest.fixture
def smoothed(tmp_path: Path) -> Bundle:
    return open_bundle(shutil.copytree(find(f"builtin/{SMOOTHED}").path, tmp_path / "smooth"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_what_a_log_says(tmp_path: Path, standard: Bundle) -> None:
    path = written(tmp_path / "a.tsv", standard)
    one = under_attack(path, *read_attack_log(path))
    assert (one.right, one.right_under_attack, one.coverage.fraction) == (3, 1, "5")
    assert (one.clean, one.accuracy) == (0.6, 0.2)
    assert str(one.attacked) == "Upper bound by attack pgd, linf, eps 8/255"
    assert str(one.attacked.about) == "digits, test"
    assert one.how == "steps 20"
    none = under_attack(path, [row(i, 1, 1, 0) for i in range(5)], stated(standard))
    # Of none in n the exact interval ends where all n are wrong with probability 0.025.
    assert none.interval == pytest.approx((0.0, 1 - 0.025 ** (1 / 5)))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"rows": []}, "expected attacked inputs, got none"),
        ({"rows": [row(5, 3, 3, 5)]}, r"one of the inputs by its protocol \(input 5\)"),
        ({"rows": [row(0, -1, -1, -1)]}, "expected a true class"),
        ({"rows": [row(0, 3, 3, 5, 0.04)]}, "a distance of 8/255 at most, got 0.04"),
        ({"rows": [row(0, 3, 5, 3)]}, "the same answer where the input was not attacked"),
        ({"inputs": {"digest": "0" * 64}}, "expected the images of digits, test"),
        ({"inputs": {"name": None, "own": "5"}}, "one of inputs of the user's own"),
        ({"inputs": {"count": None}}, "without their number"),
        ({"attack": {"name": "pgd", "norm": "l1", "eps": 0.1}}, "a norm of"),
        ({"attack": {"name": "pgd", "norm": "l2", "eps": -1}}, "0 < eps < infinity"),
        ({"attack": {"name": HOSTILE, "norm": "l2", "eps": 1}}, "expected the name of an attack"),
        ({"attack": "pgd"}, "expected the name of an attack"),
    ],
)
def test_what_cannot_be_is_refused(standard: Bundle, changed: dict[str, Any], said: str) -> None:
    rows = changed.pop("rows", ROWS)
    with pytest.raises(DataError, match=said):
        under_attack(Path("a.tsv"), rows, stated(standard, **changed))


def test_a_log_gets_into_the_bundle_and_is_no_evidence(tmp_path: Path, standard: Bundle) -> None:
    bundle = add_attack(standard, written(tmp_path / "a.tsv", standard))
    names = {f"attack-pgd-linf-{EPS}.tsv", f"attack-pgd-linf-{EPS}.json"}
    assert set(bundle.manifest.files) == set(standard.manifest.files) | names
    assert bundle.weights_digest == standard.weights_digest
    assert bundle.evidence is None
    assert [one.right_under_attack for one in attacks_of(bundle)] == [1]
    with pytest.raises(RszooError, match="is not certified"):
        evidence_of(bundle)
    for command in (["report"], ["verify"]):
        assert "not certified" in str(run(*command, str(bundle.path)).exception), command
    refused = run("push", str(bundle.path), "org/name").exception
    assert "is not certified" in str(refused)


def test_nor_does_it_get_in_as_one(tmp_path: Path, smoothed: Bundle) -> None:
    path = written(tmp_path / "a.tsv", smoothed)
    with pytest.raises(DataError, match="expected certificates, got a log of attacks"):
        add_evidence(smoothed, path)
    assert "attack" not in " ".join(open_bundle(smoothed.path).manifest.files)
    certificates = smoothed.path / "certificates.tsv"
    with pytest.raises(DataError, match="expected the protocol of a log of attacks"):
        add_attack(smoothed, certificates)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": {"weights_sha256": "0" * 64}}, "is not about .*: expected weights"),
        ({"model": None}, "expected weights .*, got None"),
        ({"sigma": 0.5}, "expected sigma 0.25, got 0.5"),
        ({"sigma": None}, "expected sigma 0.25, got None"),
        ({"rows": [*ROWS[:4], row(4, 0, 0, 10)]}, "expected answers below 10"),
        ({"rows": ROWS[:4]}, "expected every input that it is about, got 4 of 5 inputs"),
    ],
)
def test_a_log_of_something_else_is_refused(
    tmp_path: Path, smoothed: Bundle, changed: dict[str, Any], said: str
) -> None:
    path = written(tmp_path / "a.tsv", smoothed, **changed)
    with pytest.raises(DataError, match=said):
        add_attack(smoothed, path)
    assert open_bundle(smoothed.path).manifest == smoothed.manifest


def test_a_log_of_a_smoothed_model_is_not_about_its_bare_network(
    tmp_path: Path, standard: Bundle
) -> None:
    with pytest.raises(DataError, match=r"expected sigma None, got 0\.25"):
        add_attack(standard, written(tmp_path / "a.tsv", standard, sigma=0.25))


def test_another_log_of_the_attack_is_not_lost(tmp_path: Path, standard: Bundle) -> None:
    first = add_attack(standard, written(tmp_path / "5.tsv", standard))
    fewer = written(tmp_path / "4.tsv", standard, ROWS[:4], inputs={"count": 4})
    with pytest.raises(RszooError, match="1 of 5 are missing"):
        add_attack(first, fewer)
    weaker: dict[str, Any] = {"attack": {"name": "pgd", "norm": "linf", "eps": EPS, "steps": 1}}
    other = written(tmp_path / "other.tsv", standard, **weaker)
    with pytest.raises(RszooError, match=r"made otherwise:\n  attack.steps: 20 there, 1 now"):
        add_attack(first, other)
    more = written(tmp_path / "6.tsv", standard, [*ROWS, row(5, 5, 5, 5)], inputs={"count": 6})
    assert attacks_of(add_attack(first, more))[0].coverage.listed == 6
    assert attacks_of(add_attack(first, other, overwrite=True))[0].how == "steps 1"
    apart: dict[str, Any] = {"attack": {"name": "pgd", "norm": "l2", "eps": EPS, "steps": 1}}
    assert len(attacks_of(add_attack(first, written(tmp_path / "l2.tsv", standard, **apart)))) == 2


def test_a_bundle_holds_ten_of_them(tmp_path: Path, standard: Bundle) -> None:
    bundle = standard
    for number in range(10):
        attack = {"name": "pgd", "norm": "l2", "eps": number + 1.0}
        bundle = add_attack(bundle, written(tmp_path / f"{number}.tsv", standard, attack=attack))
    path = written(tmp_path / "a.tsv", standard)
    with pytest.raises(IntegrityError, match="expected at most 20 files of attacks, got 22"):
        add_attack(bundle, path)
    assert len(attacks_of(open_bundle(bundle.path))) == 10


def test_the_command_attaches(
    tmp_path: Path, standard: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["attack", "std", "--eps", "0.2", "--limit", "5", "--seed", "1"]
    done = run(*options, "--attach")
    assert done.exit_code == 0, done.exception
    assert "the log is now in std" in done.stderr
    (one,) = attacks_of(open_bundle("std"))
    assert (one.coverage.fraction, one.attacked.eps) == ("5", 0.2)
    assert "expected --attach with --overwrite" in run(*options, "--overwrite").stderr
    assert "for bundles in a folder" in run("attack", f"builtin/{STANDARD}", "--attach").stderr
    within = run("attack", "std", "--within-certificates", "--attach").stderr
    assert "without inputs of your own" in within


def forged(bundle: Bundle, tmp_path: Path) -> Bundle:
    """Put a log of other weights into a bundle, past what refuses it."""
    wrong = written(tmp_path / "wrong.tsv", bundle, model={"weights_sha256": "0" * 64})
    for suffix in (".tsv", ".json"):
        shutil.copy(wrong.with_suffix(suffix), bundle.path / f"attack-pgd{suffix}")
    Manifest.of(bundle.path, origin=bundle.manifest.origin).write(bundle.path)
    return open_bundle(bundle.path)


def test_a_bundle_with_a_log_of_other_weights(tmp_path: Path, smoothed: Bundle) -> None:
    bundle = forged(smoothed, tmp_path)
    said = "is not about .*: expected weights"
    with pytest.raises(DataError, match=said):
        attacks_of(bundle)
    with pytest.raises(DataError, match=said):
        card_files(bundle, "org/name")
    with pytest.raises(DataError, match=said):
        push(bundle, HubId("org/name"))
    assert re.search(said, str(run("leaderboard", str(bundle.path)).exception))
    of_folder = run("leaderboard", str(tmp_path), "--json")
    assert re.search(said, of_folder.stderr.replace("\n", " "))
    assert [len(group["entries"]) for group in json.loads(of_folder.stdout)] == [1]


# Where it is shown, and where it is not


def test_the_card_has_a_table_apart(tmp_path: Path, smoothed: Bundle) -> None:
    before = card_files(smoothed, "org/name")
    bundle = add_attack(smoothed, written(tmp_path / "a.tsv", smoothed))
    after = card_files(bundle, "org/name")
    texts = [files.pop("README.md").decode() for files in (before, after)]
    assert before == after, "neither picture nor results know of the attack"
    (old, old_text), (new, new_text) = map(front_matter, texts)
    assert old == new
    first, section = new_text.split("## Under attack\n\n")
    section, rest = section.split("## Intended use")
    assert f"{first}## Intended use{rest}" == old_text
    assert "**Upper bound by attack pgd, linf, eps 8/255**, digits, test" in section
    assert (
        "| 5 | 60.0 | 20.0 | 0.5-71.7 | steps 20, sigma 0.25, draws 32, n 100, alpha 0.001 |"
        in section
    )
    assert "no certificate" in section


def test_the_leaderboard_has_tables_apart(
    tmp_path: Path, standard: Bundle, smoothed: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def outputs() -> dict[str, str]:
        found = {
            option: run("leaderboard", "smooth", option) for option in ("--json", "--markdown")
        }
        found["terminal"] = run("leaderboard", "smooth", "--html", "a.html")
        assert [done.exit_code for done in found.values()] == [0, 0, 0]
        page = Path("a.html").read_text()
        return {name: done.stdout for name, done in found.items()} | {"page": page}

    before = outputs()
    add_attack(smoothed, written(tmp_path / "logs" / "a.tsv", smoothed))
    after = outputs()
    groups = json.loads(before["--json"])
    *same, attacked = json.loads(after["--json"])
    assert same == groups
    assert not set(attacked) & set(groups[0])
    (listed,) = attacked["under_attack"]
    assert not set(listed) & {"acr", "certified_accuracy", "place", "clean", "intervals"}
    assert (listed["right"], listed["right_under_attack_at_most"]) == (0.6, 0.2)
    title = "Upper bound by attack pgd, linf, eps 8/255"
    heads = {
        "--markdown": f"## {title}",
        "terminal": f"{title}: ",
        "page": '<section data-dataset="digits" data-sigma="">',
    }
    for name, head in heads.items():
        first, new = after[name].split(head)
        assert title not in before[name]
        assert before[name].startswith(first.rstrip() if name != "page" else first)
        assert "20.0" in new
        assert "0.5-71.7" in new
        assert "0.5-71.7" not in first
        assert " ".join(MEANING.split()[:9]) in " ".join(new.split())
    assert "<svg" not in after["page"].split(heads["page"])[1]
    # A model that certifies nothing has a table there, and no place.
    with_log = add_attack(standard, written(tmp_path / "logs" / "b.tsv", standard))
    (alone,) = json.loads(run("leaderboard", str(with_log.path), "--json").stdout)
    assert alone["certified"] is False
    assert "ACR" not in run("leaderboard", "std", "--markdown").stdout
    both = json.loads(run("leaderboard", "std", "smooth", "std", "--json").stdout)
    assert both[:-1] == groups
    assert [one["model"] for one in both[-1]["under_attack"]] == ["smooth", "std"]
    for narrowed in (["--method", "standard"], ["--dataset", "digits", "--sigma", "0"]):
        chosen = json.loads(run("leaderboard", "std", "smooth", *narrowed, "--json").stdout)
        assert [[one["model"] for one in group["under_attack"]] for group in chosen] == [["std"]]
    assert run("leaderboard", "std", "--dataset", "mnist").exit_code == 1


def result(**changed: Any) -> UnderAttack:
    attacked = Attacked(
        **{
            "name": "autoattack",
            "norm": "linf",
            "eps": EPS,
            "about": DataSet(name="cifar10", split="test", checked=False),
            **changed,
        }
    )
    covered = Coverage(listed=5, count=5, stated=True, missing=())
    return UnderAttack(attacked=attacked, how="", coverage=covered, right=3, right_under_attack=1)


def of_one(one: UnderAttack, text: str = "mine") -> AttackedEntry:
    return AttackedEntry(
        model=text, method=text, network=text, profile=text, sigma=0.0, results=(one,)
    )


def test_names_are_escaped(tmp_path: Path) -> None:
    about = DataSet(name=HOSTILE, split=HOSTILE, checked=False)
    groups = grouped_attacks([of_one(result(about=about), HOSTILE)])
    page = as_page([], groups)
    for hostile in ("<script>alert", "<b>|x|", "'></td>"):
        assert hostile not in page
    assert page.count("<script") == 1
    assert f">{escape(HOSTILE)}<" in page
    assert f'data-method="{escape(HOSTILE)}"' in page
    text = as_markdown([], groups)
    assert not re.search(r"(?<!\\)[<>`&]|(?<!\\)\[a|(?<!\\)\*b", text.replace(MEANING, ""))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1


def test_published_rows_join_their_own_table_alone() -> None:
    def tables(**changed: Any) -> AttackedGroup:
        (group,) = grouped_attacks([of_one(result(**changed))], published_attacks())
        return group

    rows = tables().rows
    assert [one.model for one in rows if one.paper is None] == ["mine"]
    assert rows[0].model == "mine"
    known = {one.model: one for one in rows[1:]}
    assert len(known) == len(published_attacks()) == 13
    for name, clean, accuracy in (
        ("Madry2018Towards", 0.8714, 0.4404),
        ("Zhang2019Theoretically", 0.8492, 0.5308),
        ("Wang2020Improving", 0.8750, 0.5629),
        ("Bartoldson2024Adversarial_WRN-94-16", 0.9368, 0.7371),
    ):
        assert (known[name].clean, known[name].accuracy) == (clean, accuracy)
        assert known[name].interval is None
        assert "RobustBench/robustbench at 78fcc9e48a" in (known[name].paper or "")
    assert "attacked at eps 0.031" in known["Zhang2019Theoretically"].how
    assert "at most 73.1 % under other attacks" in known["Amini2024MeanSparse_S-WRN-94-16"].how
    for other in (
        {"name": "pgd"},
        {"norm": "l2"},
        {"eps": 0.03},
        {"about": DataSet(name="cifar10", split="train", checked=False)},
        {"about": DataSet(name="digits", split="test", checked=True)},
    ):
        assert [one.model for one in tables(**other).rows] == ["mine"]
    (data,) = as_attacked_data([tables()])
    assert [bool(one["published"]) for one in data["under_attack"]] == [False] + [True] * 13


def test_no_published_accuracy_under_attack_is_in_a_group_of_certificates(
    smoothed: Bundle,
) -> None:
    entry = entry_of_bundle("smooth", smoothed)
    assert isinstance(entry.summary, Summary)
    text = json.dumps(as_data(grouped([entry])))
    assert "RobustBench" not in text


# On a hub


def test_it_travels_and_the_page_shows_it_apart(
    hub: RunningHub, tmp_path: Path, smoothed: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.chdir(tmp_path)
    send(hub, "a/before", smoothed.path)
    bundle = add_attack(smoothed, written(tmp_path / "logs" / "a.tsv", smoothed))
    pushed = push(bundle, HubId("a/after"))
    record = pull_record(pushed.id)
    assert not (record.path / "model.safetensors").exists()
    assert attacks_of(record) == attacks_of(bundle) == attacks_of(pull(pushed.id))
    pages = [Page(f"{hub.url}/a/{name}") for name in ("before", "after")]
    certified = [page.html.split("<h2>Certified</h2>")[1] for page in pages]
    tables = [text.split('<p class="faint">The card')[0] for text in certified]
    plain, section = tables[1].split("<h2>Under attack</h2>")
    assert tables[0].startswith(plain)
    assert "Upper bound by attack pgd, linf, eps 8/255: digits, test" in section
    assert "<td>20.0</td>" in section
    assert "Under attack" not in pages[0].text
    assert "0.5-71.7" not in Page(hub.url).text, "the list of all is of certificates"
    *groups, attacked = json.loads(run("leaderboard", "--hub", "--json").stdout)
    assert len(groups) == 1
    assert [one["model"] for one in attacked["under_attack"]] == ["a/after"]
    again = push(open_bundle(find(f"builtin/{SMOOTHED}").path), HubId("a/after"))
    assert attacks_of(pull(again.id)) == []
    assert "Under attack" not in Page(f"{hub.url}/a/after").text


def test_a_log_of_other_weights_is_not_used_and_says_so(
    hub: RunningHub, tmp_path: Path, smoothed: Bundle
) -> None:
    send(hub, "a/forged", forged(smoothed, tmp_path).path)
    page = Page(f"{hub.url}/a/forged")
    assert "Its logs of attacks are not used: attack-pgd.tsv is not about this model" in page.text
    assert "<h2>Certified</h2>" in page.html, "its certificates are its own"
    assert "Upper bound" not in page.text


def test_what_others_state_is_escaped_on_the_page(
    hub: RunningHub, tmp_path: Path, smoothed: Bundle
) -> None:
    stated_by = {"name": "pgd", "norm": "linf", "eps": EPS, HOSTILE: HOSTILE}
    inputs = {"name": HOSTILE, "split": HOSTILE}
    path = written(tmp_path / "a.tsv", smoothed, attack=stated_by, inputs=inputs)
    send(hub, "a/hostile", add_attack(smoothed, path).path)
    html = Page(f"{hub.url}/a/hostile").html
    assert "<script" not in html
    assert escape(f"{HOSTILE} {HOSTILE}") in html
