"""The commands that write, and what each needs before it: for a disk that gets full under them."""

import shutil
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BUNDLES", "FILES", "WRITERS", "Writer", "furnish"]

_BUILTIN = Path(__file__).parents[2] / "zoo/rszoo/builtin"
_GAUSSIAN, _OTHER = "bundles/digits-gaussian-0.25", "bundles/digits-stability-0.25"
_NOISY, _STANDARD = "bundles/digits-gaussian-0.50", "bundles/digits-standard-0.00"
_TAUGHT, _TAUGHT_MORE = "bundles/digits-cat_rs-0.25", "bundles/digits-cat_rs-0.50"
_ROUTER = "bundles/digits-dual_rs-0.50"
BUNDLES = (_GAUSSIAN, _OTHER, _NOISY, _STANDARD, _TAUGHT, _TAUGHT_MORE, _ROUTER)

#: Files that are made once, outside of any full disk, by these commands.
_CERTIFY = ("certify", "--model", _GAUSSIAN, "--n", "1000", "--device", "cpu", "--batch-size",
            "500", "--seed", "0")  # fmt: skip
FILES = {
    ("part-0.tsv", "part-0.json"): (
        *_CERTIFY, "--limit", "40", "--shard", "1/2", "--out", "part-0.tsv"
    ),
    ("part-1.tsv", "part-1.json"): (
        *_CERTIFY, "--limit", "40", "--shard", "2/2", "--out", "part-1.tsv"
    ),
    ("exported/model.safetensors",): (
        "export", _GAUSSIAN, "--format", "state_dict", "--out", "exported"
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Writer:
    """A command that writes.

    Attributes:
        command: what is typed.
        again: what is added where a first one was stopped.
        over: what is added to write over what a first one left; None where it never does.
    """

    command: tuple[str, ...]
    again: tuple[str, ...] = ()
    over: tuple[str, ...] | None = None


def _composed(kind: str, *given: str) -> Writer:
    return Writer(("compose", kind, *given, "--out", "new/it"), over=("--overwrite",))


_LIMITED = (*_CERTIFY, "--limit", "40", "--out")
WRITERS = {
    "train": Writer(("train", "gaussian", "--sigma", "0.25", "train.epochs=1"), ("--resume",)),
    "sweep": Writer(
        ("sweep", "gaussian", "--sigma", "0.25", "--seeds", "2", "train.epochs=1", "--jobs", "2")
    ),
    "certify": Writer((*_LIMITED, "new/log.tsv"), ("--resume",)),
    "certify --attach": Writer((*_LIMITED, "log.tsv", "--resume", "--attach", "--overwrite")),
    "merge": Writer(("merge", "part-0.tsv", "part-1.tsv", "--out", "new/all.tsv")),
    "report --plot": Writer(("report", _GAUSSIAN, "--plot", "curve.png"), over=()),
    "leaderboard --html": Writer(("leaderboard", "bundles", "--html", "page.html"), over=()),
    "compose ensemble": _composed("ensemble", "--member", _GAUSSIAN, "--member", _OTHER),
    "compose cascade": _composed("cascade", "--expert", _GAUSSIAN, "--expert", _NOISY),
    "compose dual": _composed(
        "dual", "--expert", _TAUGHT, "--expert", _TAUGHT_MORE, "--router", _ROUTER
    ),
    "compose dual --train-router": _composed(
        "dual", "--expert", _GAUSSIAN, "--sigma", "0.12", "--sigma", "0.25", "--train-router"
    ),
    "compose mixed": _composed(
        "mixed", "--standard", _STANDARD, "--robust", _GAUSSIAN, "--alpha-mix", "0.8"
    ),
    "import": Writer(
        ("import", "model.safetensors", "--name", "it", "--dataset", "digits", "--sigma",
         "0.25", "--architecture", "small_cnn", "--normalization", "none", "--device", "cpu"),
        over=("--overwrite",),
    ),
    "export": Writer(
        ("export", _GAUSSIAN, "--out", "new/export"), over=("--overwrite",)
    ),
    "recipe cp": Writer(("recipe", "cp", "gaussian", "own.yaml")),
    "data --out": Writer(("data", "digits", "--out", "digits.json"), over=()),
}  # fmt: skip


def furnish(disk: Path, files: Path | None) -> None:
    """Put on a disk what the commands need: bundles, and the files that were made once, if any."""
    for bundle in BUNDLES:
        shutil.copytree(_BUILTIN / Path(bundle).name, disk / bundle)
    if files is not None:
        for name in (name for names in FILES for name in names):
            shutil.copyfile(files / name, disk / Path(name).name)
