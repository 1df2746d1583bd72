"""`rszoo report`, by its whole output."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from rszoo.certificates.base import certificate_from_votes
from rszoo.certificates.kinds import protocol_of
from rszoo.errors import DataError, IntegrityError
from rszoo.evaluation.log import NO_LABEL, CertificationLog
from rszoo.hub.bundle import open_bundle
from rszoo.hub.evidence import add_evidence
from rszoo_cli import console
from rszoo_cli.report import report

HEADER = "idx\tlabel\tpredict\tradius\tcorrect\ttime\n"
SHARES = (1.0, 0.99, 0.9, 0.7, 0.3)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 80)


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(report)
    return CliRunner().invoke(app, list(arguments))


def log(name: str, *, sigma: float = 0.25, n: int = 1000, **stated: object) -> None:
    protocol = protocol_of({"inputs": {"name": "digits"}, **stated})
    with CertificationLog.open(f"{name}.tsv", protocol, resume=False) as opened:
        for idx, share in enumerate(SHARES):
            votes = round(share * n)
            given = certificate_from_votes(1, votes, n0=9, n=n, alpha=0.001, sigma=sigma)
            opened.append(idx, 1, given, 0.1)


def printed(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return "\n".join(line.rstrip() for line in result.stdout.splitlines())


ONE = """\
log                 sigma      n  alpha  images            ACR  abstain %
─────────────────────────────────────────────────────────────────────────
digits-cat_rs-0.25   0.25  1,000  0.001       5  0.297 ± 0.116       20.0

radius  certified accuracy %  95 % interval
───────────────────────────────────────────
0.00                    80.0      28.3-99.5
0.25                    60.0      14.6-94.8
0.50                    20.0       0.5-71.7

p, the share of the draws on an image's class: in % of the images at least

log                 class   0.5   0.9  0.99  0.999  1 - 1/n  median
───────────────────────────────────────────────────────────────────
digits-cat_rs-0.25    any  80.0  60.0  40.0   20.0     20.0  0.9000
                    right  80.0  60.0  40.0   20.0     20.0

digits-cat_rs-0.25: of 5 certificates 0.01 are expected to be wrong at most
digits-cat_rs-0.25: all at once, each at alpha / 5: ACR 0.289, certified accuracy \
80.0, 60.0, 20.0 % at 0.00, 0.25, 0.50"""

SEVERAL = """\
log                 sigma      n  alpha  images            ACR  abstain %
─────────────────────────────────────────────────────────────────────────
digits-cat_rs-0.25   0.25  1,000  0.001       5  0.297 ± 0.116       20.0
digits-cat_rs-1.00      1  1,000  0.001       5  1.190 ± 0.464       20.0

certified accuracy in %, with its 95 % interval, at each radius

radius                   0.00       0.25       0.50       0.75       1.00
─────────────────────────────────────────────────────────────────────────
digits-cat_rs-0.25       80.0       60.0       20.0        0.0        0.0
                    28.3-99.5  14.6-94.8   0.5-71.7   0.0-52.2   0.0-52.2
digits-cat_rs-1.00       80.0       80.0       60.0       60.0       60.0
                    28.3-99.5  28.3-99.5  14.6-94.8  14.6-94.8  14.6-94.8

radius                  1.25      1.50      1.75      2.00      2.25
────────────────────────────────────────────────────────────────────
digits-cat_rs-0.25       0.0       0.0       0.0       0.0       0.0
                    0.0-52.2  0.0-52.2  0.0-52.2  0.0-52.2  0.0-52.2
digits-cat_rs-1.00      40.0      40.0      40.0      20.0      20.0
                    5.2-85.4  5.2-85.4  5.2-85.4  0.5-71.7  0.5-71.7

p, the share of the draws on an image's class: in % of the images at least

log                 class   0.5   0.9  0.99  0.999  1 - 1/n  median
───────────────────────────────────────────────────────────────────
digits-cat_rs-0.25    any  80.0  60.0  40.0   20.0     20.0  0.9000
                    right  80.0  60.0  40.0   20.0     20.0
digits-cat_rs-1.00    any  80.0  60.0  40.0   20.0     20.0  0.9000
                    right  80.0  60.0  40.0   20.0     20.0

digits-cat_rs-0.25: of 5 certificates 0.01 are expected to be wrong at most
digits-cat_rs-0.25: all at once, each at alpha / 5: ACR 0.289, certified accuracy \
80.0, 60.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0 % at \
0.00, 0.25, 0.50, 0.75, 1.00, 1.25, 1.50, 1.75, 2.00, 2.25
digits-cat_rs-1.00: of 5 certificates 0.01 are expected to be wrong at most
digits-cat_rs-1.00: all at once, each at alpha / 5: ACR 1.158, certified accuracy \
80.0, 80.0, 60.0, 60.0, 60.0, 40.0, 40.0, 40.0, 20.0, 20.0 % at \
0.00, 0.25, 0.50, 0.75, 1.00, 1.25, 1.50, 1.75, 2.00, 2.25
digits-cat_rs-1.00 - digits-cat_rs-0.25: ACR +0.892, no interval: 4 of 5 images differ, \
4 up and 0 down (sign test: p = 0.125)"""

FOREIGN = """\
warning: the averages are over different inputs: digits-cat_rs-0.25 over 5, cohen over 1
warning: the logs differ in inputs, n, alpha: their rows do not compare models
log                 sigma      n  alpha  images            ACR  abstain %
─────────────────────────────────────────────────────────────────────────
digits-cat_rs-0.25   0.25  1,000  0.001       5  0.297 ± 0.116       20.0
cohen                   ?      ?      ?       1          0.529        0.0

certified accuracy in %, with its 95 % interval, at each radius

radius                  0.125       0.50
────────────────────────────────────────
digits-cat_rs-0.25       60.0       20.0
                    14.6-94.8   0.5-71.7
cohen                   100.0      100.0
                    2.4-100.0  2.4-100.0

p, the share of the draws on an image's class: in % of the images at least

log                 class   0.5   0.9  0.99  0.999  1 - 1/n  median
───────────────────────────────────────────────────────────────────
digits-cat_rs-0.25    any  80.0  60.0  40.0   20.0     20.0  0.9000
                    right  80.0  60.0  40.0   20.0     20.0

cohen: p is not known: the log holds no counts
digits-cat_rs-0.25: of 5 certificates 0.01 are expected to be wrong at most
digits-cat_rs-0.25: all at once, each at alpha / 5: ACR 0.289, certified accuracy \
60.0, 20.0 % at 0.125, 0.50
cohen: how many of its certificates may be wrong is not stated: the log does not say alpha
warning: cohen.tsv ends in an unfinished row, which was left out
wrote curve.png"""


def test_one_log() -> None:
    log("digits-cat_rs-0.25")
    assert printed(run("digits-cat_rs-0.25.tsv")) == ONE


def test_several_logs_are_compared() -> None:
    log("digits-cat_rs-0.25")
    log("digits-cat_rs-1.00", sigma=1.0)
    assert printed(run("digits-cat_rs-0.25.tsv", "digits-cat_rs-1.00.tsv")) == SEVERAL


def test_original_logs_differences_and_a_picture() -> None:
    log("digits-cat_rs-0.25")
    # Its radius is a little above 0.529 in binary; 0.5290000000000000368 is printed 0.529.
    Path("cohen.tsv").write_text(HEADER + "0\t1\t1\t0.529\t1\tt\n1\t1\t1\t0.")
    result = run(
        "digits-cat_rs-0.25.tsv", "cohen.tsv", "--radii", "0.125,0.5", "--plot", "curve.png"
    )
    assert printed(result) == FOREIGN
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")


def test_logs_of_one_name_are_told_apart_by_their_paths() -> None:
    log("a/digits-cat_rs-0.25")
    log("b/digits-cat_rs-0.25")
    result = run("a/digits-cat_rs-0.25.tsv", "b/digits-cat_rs-0.25.tsv", "--json")
    assert [entry["name"] for entry in json.loads(result.stdout)] == [
        "a/digits-cat_rs-0.25.tsv",
        "b/digits-cat_rs-0.25.tsv",
    ]


def test_json_is_all_that_is_printed() -> None:
    log("digits-cat_rs-0.25")
    log("other", n=2000)
    arguments = ("digits-cat_rs-0.25.tsv", "other.tsv", "--json", "--radii", "0,0.5")
    result = run(*arguments, "--plot", "curve.png")
    assert result.exit_code == 0
    first, second = json.loads(result.stdout)
    assert first == {
        "name": "digits-cat_rs-0.25",
        "images": 5,
        "coverage": {"listed": 5, "count": 5, "stated": False, "missing": []},
        "sigma": 0.25,
        "bound": "one-sided",
        "n": 1000,
        "alpha": 0.001,
        "acr": pytest.approx(0.29752, abs=1e-5),
        "acr_se": pytest.approx(0.11587, abs=1e-5),
        "clean": 0.8,
        "abstained": 0.2,
        "draws": 1000.0,
        "undecided": None,
        "radii": [0.0, 0.5],
        "certified_accuracy": [0.8, 0.2],
        "intervals": [
            pytest.approx([0.28358, 0.99495], abs=1e-5),
            pytest.approx([0.00505, 0.71642], abs=1e-5),
        ],
        "nominal": False,
        "collapsed": None,
        "p": {
            "thresholds": [0.5, 0.9, 0.99, 0.999],
            "shares": [0.8, 0.6, 0.4, 0.2],
            "right": [0.8, 0.6, 0.4, 0.2],
            "all_but_one": [0.2, 0.2],
            "levels": [0.05, 0.25, 0.5, 0.75, 0.95],
            "quantiles": [0.3, 0.7, 0.9, 0.99, 1.0],
        },
        "without_p": None,
        "expected_wrong": 0.005,
        "curve": {"0.00": 0.8, "0.50": 0.2},
        "at_once": {
            "inputs": 5,
            "alpha": 0.001,
            "each": 0.0002,
            "acr": pytest.approx(0.28951, abs=1e-5),
            "certified_accuracy": [0.8, 0.2],
        },
        "without_at_once": None,
    }
    assert (second["name"], second["n"]) == ("other", 2000)
    assert result.stderr == "warning: the logs differ in n: their rows do not compare models\n"
    assert Path("curve.png").exists()


@pytest.mark.parametrize("text", ["a,b", "0.5,", "-1", "nan", "inf"])
def test_radii_that_mean_nothing_are_wrong_usage(text: str) -> None:
    log("a")
    result = run("a.tsv", "--radii", text)
    assert (result.exit_code, result.stdout) == (2, "")
    words = " ".join(result.stderr.replace("│", " ").split())
    expected = f"Invalid value for --radii: expected numbers >= 0 such as 0.25,0.5, got {text!r}"
    assert expected in words


def test_what_cannot_be_reported_prints_no_table() -> None:
    log("a")
    missing = run("a.tsv", "absent.tsv")
    assert isinstance(missing.exception, DataError)
    assert str(missing.exception) == "cannot read the log 'absent.tsv': No such file or directory"
    with CertificationLog.open("own.tsv", protocol_of({}), resume=False) as own_log:
        given = certificate_from_votes(1, 99, n0=9, n=100, alpha=0.1, sigma=1.0)
        own_log.append(0, NO_LABEL, given, 0.1, "photo.png")
    own = run("a.tsv", "own.tsv")
    assert str(own.exception) == (
        "own.tsv: expected rows with true labels, got only inputs of your own (label -1): "
        "without the true class, accuracy and ACR are not defined"
    )
    assert missing.stdout == own.stdout == ""


def test_names_are_not_taken_for_markup() -> None:
    log("[red]a")
    assert "[red]a" in printed(run("[red]a.tsv"))


def test_a_bundle_is_checked_before_its_log_is_read(constant_bundle: Path) -> None:
    name = str(constant_bundle)
    bare = run(name)
    assert str(bare.exception) == (
        f"{name} is not certified: it holds no log; rszoo certify --model {name} --attach puts "
        "one into it, or name a log itself, as certificates/digits-gaussian-0.25.tsv"
    )
    bundle = open_bundle(constant_bundle)
    log("a")
    stated = {"model": {"weights_sha256": bundle.weights_digest}, "sigma": 0.25}
    Path("a.json").write_text(json.dumps(stated))
    add_evidence(bundle, Path("a.tsv"))
    (entry,) = json.loads(run(name, "--json").stdout)
    assert (entry["name"], entry["images"]) == ("digits-gaussian-0.25", 5)
    evidence = constant_bundle / "certificates.tsv"
    evidence.write_text(evidence.read_text().replace("\t990\t", "\t999\t"))
    forged = run(name)
    assert isinstance(forged.exception, IntegrityError)
    assert forged.stdout == ""


def test_a_builtin_bundle() -> None:
    (entry,) = json.loads(run("builtin/digits-gaussian-0.25", "--json").stdout)
    assert (entry["name"], entry["images"], entry["n"]) == ("digits-gaussian-0.25", 360, 10000)
