"""`rszoo verify`: is what a certification log says true?"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rszoo.evaluation.progress_bar import ProgressBar
from rszoo_cli.console import err, out, print_note
from rszoo_cli.options import DataRoot, Device, Download, Json
from rszoo_cli.panels import budget, data
from rszoo_cli.values import count

if TYPE_CHECKING:
    from rszoo.evaluation.log import LogTable
    from rszoo.hub.bundle import Bundle

__all__ = ["verify"]


_RUNS = Path("runs")

_Target = Annotated[str, typer.Argument(metavar="LOG|ID", help="A log, or a certified bundle.")]
_Model = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="ID", help="Of a log; else the one it names, if that is here."
    ),
]
_Key = Annotated[
    Path | None,
    typer.Option(metavar="FILE.pem", help="Public key that must have signed the bundle."),
]
_Sample = Annotated[
    int | None,
    budget(
        metavar="N", parser=count(0), help="Draw again for so many inputs.", show_default="all"
    ),
]
_Fresh = Annotated[int, budget("--n", parser=count(), help="Fresh draws for each of them.")]
_Replay = Annotated[
    int,
    budget(
        metavar="N", parser=count(0), help="Draws to repeat under the log's own seed, at most."
    ),
]
_Level = Annotated[
    float,
    budget(metavar="P", min=1e-9, max=0.5, help="Probability of finding fault with a true log."),
]
_Seed = Annotated[int | None, budget(min=0, help="Of sample and noise.", show_default="random")]
_Inputs = Annotated[
    str | None,
    data(
        "--dataset",
        metavar="NAME|PATH",
        help="Where the inputs are.",
        show_default="the log's data set",
    ),
]


def verify(
    target: _Target,
    model: _Model = None,
    key: _Key = None,
    sample: _Sample = None,
    n: _Fresh = 10_000,
    replay: _Replay = 4_000_000,
    level: _Level = 0.001,
    seed: _Seed = None,
    dataset: _Inputs = None,
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Check a log: files, radii from counts, rows drawn again with the same noise and other.

    Of a model made of others, the parts are checked as well.

    Ends with exit code 1, and names what disagrees, when the draws contradict the log, or when it
    lacks inputs that it is about.

    Example:

        rszoo verify builtin/digits-cat_rs-0.50

        rszoo verify certificates/digits-cat_rs-0.50.tsv --sample 50
    """
    from rszoo.hub.verification import Recheck, verify_log
    from rszoo_cli.verify_shown import as_json, lines

    log, bundle = _opened(target, model)
    if key is not None:
        from rszoo.hub.pull import check_signed

        check_signed(bundle, key=key)
        err.print(f"signed by the owner of {key}", markup=False, highlight=False, soft_wrap=True)
    try:
        found = verify_log(
            log,
            bundle,
            Recheck(inputs=sample, draws=n, replayed=replay, level=level, seed=seed),
            dataset=dataset,
            root=data_root,
            download=download,
            device=device,
            metering=partial(ProgressBar, err, "verify"),
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        out.print_json(data=as_json(found))
    else:
        for text in lines(found):
            print_note(text)
    if not found.agrees:
        raise typer.Exit(1)


def _opened(target: str, model: str | None) -> "tuple[LogTable, Bundle]":
    """Return the log, its rows checked, and the bundle, its files checked."""
    from rszoo.evaluation.log import read_log
    from rszoo.hub.catalog import find
    from rszoo.hub.evidence import evidence_of
    from rszoo.hub.ids import is_id

    if not is_id(target):
        log = read_log(target, sets=True)
        return log, _stated_model(log) if model is None else find(model)
    if model is not None:
        raise typer.BadParameter(f"--model is for logs, and {target} is a bundle")
    bundle = find(target)
    return evidence_of(bundle), bundle


def _stated_model(log: "LogTable") -> "Bundle":
    """Return the bundle that a log names, if it is here with the weights that the log states."""
    from rszoo.hub.catalog import find_weights

    stated = log.protocol.model if log.protocol else None
    if stated is not None and stated.name and stated.weights_sha256:
        digest = stated.weights_sha256
        if found := find_weights(stated.name, digest, folder=_RUNS, id=stated.id):
            err.print(f"model: {found.id}", highlight=False, soft_wrap=True)
            return found
        named = f"of {stated.name}, which with these weights is neither in {_RUNS} nor of rszoo"
    else:
        named = "that does not say of which model it is"
    raise typer.BadParameter(f"expected --model with a log {named}, got none")
