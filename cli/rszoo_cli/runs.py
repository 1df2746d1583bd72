"""`rszoo runs`: the trainings of the MLflow store, one of them in full, several side by side."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rszoo.theory.rounding import as_acr, as_share, as_stated
from rszoo_cli.console import out, print_listing
from rszoo_cli.help import Command, Group
from rszoo_cli.options import Json

if TYPE_CHECKING:
    from rich.table import Table

    from rszoo.training.tracking.runs import Training
    from rszoo.training.tracking.store import Store

__all__ = ["app"]

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="List, show and compare runs in the MLflow store."
)

_Runs = Annotated[
    Path, typer.Option(help="Folder with the MLflow store, unless MLFLOW_TRACKING_URI names one.")
]
_Id = "A run's id, or the first characters of it."


@app.command("ls", cls=Command)
def list_runs(
    runs: _Runs = Path("runs"),
    dataset: Annotated[str | None, typer.Option(help="This data set only.")] = None,
    method: Annotated[str | None, typer.Option(help="This method only.")] = None,
    sigma: Annotated[float | None, typer.Option(help="This noise level only.")] = None,
    status: Annotated[
        str | None, typer.Option(help="running, finished, failed, killed, or lost.")
    ] = None,
    json: Json = False,
) -> None:
    """List the trainings, the newest first.

    A run is lost when its process was killed outright: rszoo train --resume continues it.
    Accuracy is that under noise on the test images, in per cent.

    Example:

        rszoo runs ls --dataset digits --status finished
    """
    from dataclasses import asdict

    from rszoo.training.tracking.runs import STATUSES, runs_in, training_of

    if status is not None and status.upper() not in STATUSES:
        raise typer.BadParameter(
            f"expected --status of {', '.join(STATUSES).lower()}, got {status!r}"
        )
    with _store(runs) as store:
        known = runs_in(store) if store else []
        place = store.uri if store else str(runs)
    wanted = {"dataset": dataset, "method": method, "sigma": sigma}
    wanted |= {"status": status and status.upper()}
    trainings = [training for run in known if (training := training_of(run))]
    chosen = [t for t in trainings if all(v in (None, getattr(t, k)) for k, v in wanted.items())]
    if json:
        out.print_json(data=[asdict(training) for training in chosen])
    elif chosen:
        print_listing(_listed(chosen))
    elif trainings:
        out.print(f"none of {len(trainings)} trainings in {place} is such a one", soft_wrap=True)
    else:
        out.print(f"no trainings in {place}; begin one with: rszoo train cat_rs", soft_wrap=True)


@app.command("show", cls=Command)
def show_run(
    run: Annotated[str, typer.Argument(metavar="RUN", help=_Id)],
    runs: _Runs = Path("runs"),
    json: Json = False,
) -> None:
    """Show a run: its bundle, parameters, metrics (the last values), tags, data and artifacts.

    Example:

        rszoo runs show 1133
    """
    from rich.table import Table
    from rich.text import Text

    from rszoo.training.tracking.run_details import details
    from rszoo.training.tracking.runs import find_run

    with _needed(runs) as store:
        run_details = details(store, find_run(store, run), runs)
    if json:
        out.print_json(data=run_details)
        return
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for key, value in _rows(run_details):
        table.add_row(Text(key), Text(value))
    out.print(table)


@app.command("compare", cls=Command)
def compare_runs(
    run: Annotated[list[str], typer.Argument(metavar="RUN RUN...", help=_Id)],
    runs: _Runs = Path("runs"),
    json: Json = False,
) -> None:
    """Show in what runs differ, and their metrics side by side.

    Below a metric stand its difference from the first run's, and its ratio to it.

    Example:

        rszoo runs compare 1133 25db
    """
    if len(run) < 2:
        raise typer.BadParameter(f"expected two runs or more, got {len(run)}")
    from rszoo.training.tracking.run_details import comparison
    from rszoo.training.tracking.runs import find_run

    with _needed(runs) as store:
        found = comparison([find_run(store, one) for one in run])
    if json:
        out.print_json(data=found)
        return
    heads = [f"{one['id'][:8]}\n{one['name']}" for one in found["runs"]]
    differ = _columns("differs", heads)
    for key, values in found["differ"].items():
        differ.add_row(*_texts(key, ["-" if value is None else value for value in values]))
    out.print(differ if found["differ"] else "the same parameters, data and versions")
    out.print()
    metrics = _columns("metric, last value", heads, justify="right")
    for key, entry in found["metrics"].items():
        metrics.add_row(*_texts(key, _against_first(entry)))
    out.print(metrics)


@contextmanager
def _store(runs: Path) -> "Iterator[Store | None]":
    from rszoo.training.tracking.store import open_store

    with open_store(runs) as store:
        yield store


@contextmanager
def _needed(runs: Path) -> "Iterator[Store]":
    """Open the store; without one there is no run to be found."""
    from rszoo.errors import RszooError

    with _store(runs) as store:
        if store is None:
            raise RszooError(
                f"expected an MLflow store with runs of rszoo in {str(runs)!r}, got none; name "
                "its folder with --runs, or set MLFLOW_TRACKING_URI"
            )
        yield store


def _listed(trainings: "list[Training]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for heading in ("run", "data set", "method"):
        table.add_column(heading)
    table.add_column("sigma", justify="right")
    table.add_column("status")
    for heading in ("acc. %", "ACR", "time"):
        table.add_column(heading, justify="right")
    table.add_column("bundle", overflow="fold")
    for one in trainings:
        texts = (
            one.id[:8],
            one.dataset or "-",
            one.method or "-",
            "-" if one.sigma is None else as_stated(one.sigma),
            one.status,
            "-" if one.accuracy is None else as_share(one.accuracy),
            "-" if one.acr is None else as_acr(one.acr),
            _duration(one.seconds),
            "-" if one.bundle is None else _near(one.bundle),
        )
        table.add_row(*(Text(text) for text in texts))
    return table


def _near(path: str) -> str:
    """Return a path as seen from here, where it lies below."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def _duration(seconds: float | None) -> str:
    """Return a duration as people say it.

    >>> _duration(59.4), _duration(61.0), _duration(3 * 3600 + 120)
    ('59 s', '1 min', '3 h 02')
    """
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02}"


def _rows(run_details: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the lines of a run in full."""
    for key in ("id", "name", "status", "store", "parent"):
        yield key, run_details[key] or "-"
    yield "time", _duration(run_details["seconds"])
    bundle = run_details["bundle"]
    yield "bundle", f"{_near(bundle['path'])} ({bundle['state']})" if bundle else "-"
    for entry in run_details["data"]:
        yield f"data ({entry['used']})", f"{entry['name']} {entry['digest']}"
    for key, value in run_details["metrics"].items():
        yield f"metric {key}", as_stated(value)
    for kind, values in (("param", run_details["params"]), ("tag", run_details["tags"])):
        for key, value in values.items():
            yield f"{kind} {key}", value
    for file in run_details["artifacts"]:
        yield "artifact", f"{file['path']} ({file['bytes']:,} bytes)"


def _columns(first: str, heads: list[str], *, justify: Any = "left") -> "Table":  # noqa: ANN401
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    table.add_column(first, overflow="fold")
    for head in heads:
        table.add_column(Text(head), overflow="fold", justify=justify)
    return table


def _texts(key: str, values: list[str]) -> Iterator[Any]:
    from rich.text import Text

    return (Text(text) for text in (key, *values))


def _against_first(entry: dict[str, list[float | None]]) -> list[str]:
    """Return the cells of a metric: its value and, below, how it compares with the first run's."""
    cells = []
    for i, value in enumerate(entry["values"]):
        text = "-" if value is None else as_stated(value)
        difference, ratio = entry["difference"][i], entry["ratio"][i]
        if i and difference is not None:
            text += f"\n{difference:+.3g}" + ("" if ratio is None else f", x {ratio:.3g}")
        cells.append(text)
    return cells
