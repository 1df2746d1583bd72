"""`rszoo leaderboard`, by its whole output."""

import json
import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import RszooError
from rszoo.evaluation.log import NO_LABEL, CertificationLog
from rszoo.hub import catalog
from rszoo.hub.bundle import open_bundle
from rszoo.hub.evidence import add_evidence
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.training.entries import _profile
from rszoo.training.recipes.files import load_recipe
from rszoo_cli import app, console

MODEL = "runs/digits-gaussian-0.25"
SIX = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n0\t1\t1\t0.529\t1\tt\n"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, constant_bundle: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "_builtin_folder", lambda: tmp_path / "builtin")
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 80)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["leaderboard", *arguments])


def printed(*arguments: str) -> str:
    result = run(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return "\n".join(line.rstrip() for line in result.stdout.splitlines())


def models(*arguments: str) -> list[list[str]]:
    groups = json.loads(printed(*arguments, "--json"))
    return [[entry["model"] for entry in group["entries"]] for group in groups]


DIGITS = "0e28a7edd0034030decf95dda9e7ccbb5910e449518ff1fe354b2dfd92dee9d1"

MNIST = "4300986d210f6578f582f5f1da787861d8848098814b8969baf1c438755975ea"


def log(
    path: str,
    *,
    n: int = 1000,
    label: int = 1,
    model: object = "digits-macer-0.25",
    sigma: float = 0.25,
    weights: str = "",
) -> None:
    about = {"name": model, "weights_sha256": weights}
    inputs = {"name": "digits", "split": "test", "digest": DIGITS}
    protocol = {"model": about, "inputs": inputs, "sigma": sigma}
    with CertificationLog.open(path, protocol_of(protocol), resume=False) as opened:
        for idx, share in enumerate((1.0, 0.99, 0.9, 0.7, 0.3) * 20):
            given = certificate_from_votes(
                1, round(share * n), n0=9, n=n, alpha=0.001, sigma=sigma
            )
            opened.append(idx, label, given, 0.1)


def certify() -> None:
    bundle = open_bundle(MODEL)
    log("evidence.tsv", weights=bundle.weights_digest)
    add_evidence(bundle, Path("evidence.tsv"))
    for name in ("evidence.tsv", "evidence.json"):
        Path(name).unlink()


TABLES = """\
digits, sigma = 0.25: n = 10,000, alpha = 0.001, one-sided bound, inputs: 100

1  other.tsv                      macer
a  runs/digits-gaussian-0.25 [1]  gaussian, small_cnn
b  third.tsv [1]                  macer

                place      ACR       n  alpha  inputs  abstain %     r 0.00
───────────────────────────────────────────────────────────────────────────
1 macer             1    0.356  10,000  0.001     100       20.0       80.0
                       ± 0.030                                    70.8-87.4
a gaussian [1]      -    0.297   1,000  0.001     100       20.0       80.0
                       ± 0.024                                    70.8-87.4
b macer [1]         -    0.297   1,000  0.001     100       20.0       80.0
                       ± 0.024                                    70.8-87.4

                   r 0.25     r 0.50     r 0.75  p 0.5  p 0.9  p 0.99  p 0.999
──────────────────────────────────────────────────────────────────────────────
1 macer              60.0       40.0       20.0   80.0   60.0    40.0     20.0
                49.7-69.7  30.3-50.3  12.6-29.2   80.0   60.0    40.0     20.0
a gaussian [1]       60.0       20.0        0.0   80.0   60.0    40.0     20.0
                49.7-69.7  12.6-29.2    0.0-3.7   80.0   60.0    40.0     20.0
b macer [1]          60.0       20.0        0.0   80.0   60.0    40.0     20.0
                49.7-69.7  12.6-29.2    0.0-3.7   80.0   60.0    40.0     20.0

                p 1-1/n      draws
──────────────────────────────────
1 macer            20.0     10,000
                   20.0  1,000,000
a gaussian [1]     20.0      1,000
                   20.0    100,000
b macer [1]        20.0      1,000
                   20.0    100,000

[1] n = 1,000, not 10,000

place: by ACR, among complete logs of the same images (100 or more), n and alpha
(0.001 at most), of models that have not collapsed. Which protocol has places,
most owners decide, each counted once; of equally many, more inputs, then every
radius, then the n nearest to 100,000. What has no place says why; published
numbers are for reference.
ACR: average certified radius, wrong and abstained inputs counting 0, rounded
down; ± its standard error over the inputs. It grows with n, without any change
of the model: compare it at equal n, alpha and inputs only.
r: certified accuracy at that L2 radius in %, with its exact 95 % interval. At r
= 0 it is the clean accuracy under noise: right and not abstained. What was
certified at given radii only has tables of its own.
p: % of the inputs whose selected class is the true one and gets at least this
share of the draws; below, with the wrong ones. Of models with one noise level
only: an estimate that does not grow with n, except for 1 - 1/n, all draws but
one at most.
Costs: training, what the epochs took on the hardware below, without the
networks that they build on; draws, those that estimate p: per input, and below
in all."""


def test_a_bundle_and_logs() -> None:
    certify()
    log("other.tsv", n=10_000)
    log("third.tsv")
    assert printed(MODEL, "other.tsv", "third.tsv") == TABLES


def test_by_default_it_takes_what_comes_with_rszoo_and_the_runs() -> None:
    certify()
    shutil.copytree(MODEL, "builtin/digits-gaussian-0.25")
    shutil.copytree(MODEL, "elsewhere/digits-gaussian-0.25")
    assert models() == [["builtin/digits-gaussian-0.25", MODEL]]
    shutil.rmtree("runs")
    assert models() == [["builtin/digits-gaussian-0.25"]]


def test_a_folder_gives_its_bundles_and_its_logs() -> None:
    certify()
    log("runs/b.tsv")
    log("runs/sub/not-this.tsv")
    assert models("runs", "runs", "runs/b.tsv") == [["runs/b.tsv", MODEL]]


def test_what_cannot_be_shown_of_a_folder_is_named_and_the_rest_is_shown() -> None:
    certify()
    broken = Path(shutil.copytree(MODEL, "runs/digits-zebra-0.25"))
    (broken / "recipe.yaml").unlink()
    log("runs/own.tsv", label=NO_LABEL)
    Path("runs/broken.tsv").write_text("nonsense\n")
    result = run("runs", "--json")
    assert [entry["model"] for entry in json.loads(result.stdout)[0]["entries"]] == [MODEL]
    first, second, third = result.stderr.splitlines()
    assert first.startswith("runs/digits-zebra-0.25: recipe.yaml: expected a file, got none")
    assert second.startswith("runs/broken.tsv: runs/broken.tsv, line 1: expected the header")
    assert third.startswith("runs/own.tsv: runs/own.tsv: expected rows with true labels")


def test_what_is_named_must_have_an_entry() -> None:
    bare = run(MODEL)
    assert str(bare.exception) == (
        f"{MODEL} is not certified: it holds no log; rszoo certify --model {MODEL} --attach puts "
        "one into it, or name a log itself, as certificates/digits-gaussian-0.25.tsv"
    )
    absent = run("absent")
    assert "no such folder" in str(absent.exception)
    Path("empty").mkdir()
    empty = run("empty")
    assert str(empty.exception) == (
        "expected bundles or logs (.tsv) in 'empty', got none; "
        "rszoo ls lists the bundles there are"
    )
    Path("broken.tsv").write_text("nonsense\n")
    broken = run("broken.tsv")
    for result in (bare, absent, empty, broken):
        assert isinstance(result.exception, RszooError)
        assert result.stdout == ""


def test_filters() -> None:
    log("a.tsv")
    log("b.tsv", model="digits-gaussian-1.00", sigma=1.0)
    both = ("a.tsv", "b.tsv")
    assert models(*both) == [["a.tsv"], ["b.tsv"]]
    assert models(*both, "--sigma", "1") == [["b.tsv"]]
    assert models(*both, "--method", "macer") == [["a.tsv"]]
    assert models(*both, "--dataset", "digits") == [["a.tsv"], ["b.tsv"]]
    none = run(*both, "--dataset", "mnist")
    assert str(none.exception) == (
        "expected a certified model, got none of that data set, sigma and method; "
        "rszoo certify --model ID --attach makes one"
    )


def test_published_results_are_filtered_by_method_as_well() -> None:
    log("a.tsv", model="mnist-cat_rs-0.50", sigma=0.5)
    path = Path("a.json")
    path.write_text(path.read_text().replace("digits", "mnist").replace(DIGITS, MNIST))
    ((_, *published),) = models("a.tsv")
    assert len(published) == 7
    assert models("a.tsv", "--method", "cat_rs") == [["a.tsv", "alinlab/smoothing-catrs"]]
    text = printed("a.tsv", "--method", "cat_rs")
    assert re.search(r"a \w+ \[1\] .*\npublished  ", text), text
    assert "[1] 10,000 inputs, not 100; n = 100,000, not 1,000" in text


def test_old_logs_have_no_p() -> None:
    Path("cohen").write_text(SIX)
    text = printed("cohen")
    assert text.startswith(
        "data set not stated, sigma not stated: n not stated, alpha not stated, one-sided bound, "
        "inputs: 1; "
        "no entry has a place\n"
    )
    assert "p is not known: the log holds no counts" in text
    assert "p 0.5" not in text


def test_markdown_is_all_that_is_printed() -> None:
    log("a.tsv")
    result = run("a.tsv", "--markdown", "--html", "out.html")
    assert result.stdout.startswith("# Leaderboard\n\n## digits, sigma = 0.25\n")
    assert result.stdout.endswith("\n")
    assert result.stderr == "wrote out.html\n"
    both = run("a.tsv", "--markdown", "--json")
    assert (both.exit_code, both.stdout) == (2, "")


def test_a_page_is_written_whole_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    log("a.tsv")
    assert printed("a.tsv", "--html", "out.html").endswith("\nwrote out.html")
    page = Path("out.html").read_bytes()
    assert page.endswith(b"</html>\n")
    absent = run("a.tsv", "--html", "absent/out.html")
    assert str(absent.exception) == "cannot write 'absent/out.html': No such file or directory"
    assert absent.stdout == ""

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    assert isinstance(run("a.tsv", "--html", "out.html").exception, RszooError)
    assert Path("out.html").read_bytes() == page
    assert not list(Path().glob(".out*"))


def test_the_profile_comes_from_the_recipe_if_there_is_one(constant_bundle: Path) -> None:
    profiles = []
    for text in (
        "profile: short\n",
        "profile: [a]\n",
        "profile: &a b\n",
        "",
        "profile: published\n",
        "profile: As Published\n",
        "profile: '[red]x'\n",
    ):
        bundle = open_bundle(constant_bundle)
        write_bundle(
            constant_bundle,
            config=bundle.config,
            network=bundle.network(),
            recipe=text,
            origin=Origin(),
            replace=True,
        )
        certify()
        profiles.append(json.loads(printed(MODEL, "--json"))[0]["entries"][0]["profile"])
    called = ["called published by its author", "called As Published by its author"]
    assert profiles == ["short", None, None, None, *called, "[red]x"]
    assert "gaussian, [red]x, small_cnn" in printed(MODEL)


def test_a_bundle_has_a_published_schedule_if_its_values_are_the_published_ones(
    constant_bundle: Path,
) -> None:
    bundle = open_bundle(constant_bundle)
    mnist = bundle.of_network.model_copy(update={"dataset": "mnist"})
    at_sigma = {sigma: mnist.model_copy(update={"sigma": sigma}) for sigma in (0.25, 0.5)}

    def profile(recipe: str, sigma: float = 0.25) -> str | None:
        write_bundle(
            constant_bundle,
            config=at_sigma[sigma],
            network=bundle.network(),
            recipe=recipe,
            origin=Origin(),
            replace=True,
        )
        return _profile(open_bundle(constant_bundle))

    published = load_recipe("gaussian").resolve(dataset="mnist", sigma=0.25)
    assert published.profile == "published"
    text = published.to_yaml()
    assert profile(text) == "published"
    assert profile(text.replace("seed: 0", "seed: 7")) == "published"
    quicker = text.replace(f"epochs: {published.train.epochs}", "epochs: 1")
    for forged in (quicker, text.replace("dataset: mnist", "dataset: cifar10")):
        assert forged != text
        assert profile(forged) == "called published by its author"
    assert profile(text, sigma=0.5) == "called published by its author"
    assert profile(quicker.replace("profile: published", "profile: own")) == "own"


@pytest.mark.parametrize(
    ("record", "cell"),
    [
        ({"seconds": 90.0, "hardware": "[red]GPU", "processes": 2}, ("1.5 min", "2 x [red]GPU")),
        ({"seconds": 12, "hardware": "cpu\x1b[31m", "more": 1}, ("12.0 s", "cpu\\x1b[31m")),
        ({"seconds": 5.0}, ("5.0 s", "")),
        ({"seconds": -1.0}, None),
        ({"seconds": "1e3"}, None),
        ({"seconds": 1.0, "hardware": "x" * 101}, None),
        (["seconds"], None),
        (None, None),
    ],
)
def test_what_a_training_took(
    constant_bundle: Path, record: object, cell: tuple[str, str] | None
) -> None:
    bundle = open_bundle(constant_bundle)
    write_bundle(
        constant_bundle,
        config=bundle.config,
        network=bundle.network(),
        recipe="",
        origin=Origin.model_validate({"training": record}),
        replace=True,
    )
    certify()
    log("other.tsv")
    found = json.loads(printed(MODEL, "other.tsv", "--json"))[0]["entries"]
    seconds = {one["model"]: one["training_seconds"] for one in found}
    assert seconds["other.tsv"] is None
    table = printed(MODEL, "other.tsv").partition("ACR: average")[0]
    markdown = printed(MODEL, "other.tsv", "--markdown")
    if cell is None:
        assert seconds[MODEL] is None
        assert "training" not in table
        assert "training |" not in markdown
        return
    assert isinstance(record, dict)
    assert seconds[MODEL] == record["seconds"]
    text, below = cell
    assert "training" in table
    assert text in table
    assert below in table
    assert f"| {text} " in markdown


def test_names_are_neither_markup_nor_control_characters() -> None:
    name = "[red]a\x1b[31m\u202e.tsv"
    log(name)
    result = run(name)
    assert result.exit_code == 0, result.exception
    assert "[red]a\\x1b[31m\\u202e.tsv" in result.stdout
    assert "\x1b[31m" not in result.stdout
