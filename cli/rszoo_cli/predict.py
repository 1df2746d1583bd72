"""`rszoo predict`: the smoothed classifier's answers, without radii."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rszoo.theory.rounding import as_share
from rszoo_cli.console import err, out
from rszoo_cli.options import Alpha, Device, Json, Model, NoiseSeed, Precision, Resize
from rszoo_cli.panels import budget, data
from rszoo_cli.values import count

if TYPE_CHECKING:
    from torch import Tensor

    from rszoo.certificates.base import Prediction
    from rszoo.errors import DataError

__all__ = ["predict"]


def predict(
    model: Model,
    inputs: Annotated[
        list[Path], typer.Argument(metavar="IMAGE|FOLDER|ARRAY...", help="Own inputs.")
    ],
    n: Annotated[int, budget(parser=count(), help="Draws for each answer.")] = 1000,
    alpha: Alpha = 0.001,
    seed: NoiseSeed = None,
    resize: Resize = False,
    skip_bad: Annotated[
        bool,
        data("--skip-bad", help="Leave out inputs that cannot be read; then exit code 1."),
    ] = False,
    device: Device = None,
    precision: Precision = "auto",
    json: Json = False,
) -> None:
    """Predict the class of inputs; much cheaper than a certificate, and without a radius.

    Each answer is the smoothed classifier's with probability 1 - alpha, or an abstention.

    Example:

        rszoo predict --model runs/cifar10-cat_rs-0.50 photo.png
    """
    from rszoo.certificates.base import ABSTAIN, Prediction
    from rszoo.evaluation.progress_bar import ProgressBar
    from rszoo.hub.catalog import find
    from rszoo.hub.classifiers import classifier_of
    from rszoo.smoothing.execution import Execution
    from rszoo_cli.usage import seed_named

    seed = seed_named(seed, before=None, shard=None)
    bundle = find(model)
    classifier = classifier_of(bundle, Execution(device=device, precision=precision))
    named, problems = _read(inputs, skip_bad, shape=bundle.config.input_shape, resize=resize)
    rows: list[tuple[str, str | None, Prediction]] = []
    total = n * len(named)
    with ProgressBar(err, f"predict {bundle.config.name}", total=total, unit="draws") as meter:
        for name, image in named:
            answer = classifier.predict(
                image, n=n, alpha=alpha, seed=seed, on_progress=meter.advance
            )
            known = answer.label != ABSTAIN
            rows.append((name, bundle.config.class_names[answer.label] if known else None, answer))
    if json:
        out.print_json(data=[_fields(*row, seed) for row in rows])
    else:
        _print_table(rows, seed, drawn=bundle.config.noise != 0.0)
    if problems:
        for problem in problems:
            err.print(f"left out: {problem}", style="yellow", highlight=False, soft_wrap=True)
        raise typer.Exit(1)


def _read(
    inputs: list[Path], skip_bad: bool, **how: Any
) -> "tuple[list[tuple[str, Tensor]], Sequence[DataError]]":
    """Return the inputs, and what is wrong with those that are left out."""
    from rszoo.data import read_images
    from rszoo.data.inputs import read_apart

    if skip_bad:
        named, problems = read_apart(inputs, **how)
        if named:
            return named, problems
    return read_images(inputs, **how), ()


def _print_table(
    rows: "Sequence[tuple[str, str | None, Prediction]]", seed: int, *, drawn: bool
) -> None:
    from rich.table import Table
    from rich.text import Text

    from rszoo_cli.answers import print_seed

    table = Table("input", "label", box=None)
    if drawn:  # what has no noise has no votes
        table.add_column("share of votes", justify="right")
    for name, label, row in rows:
        votes = [f"{as_share(row.votes / row.n)}%"] if drawn else []
        table.add_row(Text(name), Text(label or "abstains"), *votes)
    out.print(table)
    if drawn:
        print_seed(seed)


def _fields(
    name: str, label: str | None, prediction: "Prediction", seed: int
) -> dict[str, object]:
    """Return the values of an answer, as JSON takes them."""
    from dataclasses import asdict

    return {"input": name, "class": label, **asdict(prediction), "seed": seed}
