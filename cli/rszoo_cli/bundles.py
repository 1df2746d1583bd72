"""`rszoo ls` and `rszoo show`: which bundles there are, and what is in one."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rszoo_cli.console import err, out, print_listing
from rszoo_cli.hub_models import list_hub
from rszoo_cli.options import Json
from rszoo_cli.panels import data

if TYPE_CHECKING:
    from rich.table import Table

    from rszoo.hub.bundle import Bundle

__all__ = ["ls", "show"]


def ls(
    runs: Annotated[Path, typer.Option(metavar="FOLDER", help="Of bundles.")] = Path("runs"),
    hub: Annotated[bool, typer.Option("--hub", help="List the models on the hub.")] = False,
    author: Annotated[str | None, data(help="With --hub: whose.")] = None,
    search: Annotated[str | None, data(help="Part of the name.")] = None,
    dataset: Annotated[str | None, data(help="Of this data set.")] = None,
    method: Annotated[str | None, data(help="Trained so.")] = None,
    sigma: Annotated[float | None, data(help="At this noise level.")] = None,
    json: Json = False,
) -> None:
    """List the bundles in the runs folder and those of rszoo, or the models on the hub.

    Numbers of models on the hub are stated by their authors and not checked; what cannot be true
    is left out. rszoo leaderboard --hub computes them from the certificates.

    Example:

        rszoo ls --hub --dataset mnist --sigma 0.5
    """
    wanted = {"dataset": dataset, "method": method, "sigma": sigma}
    if hub:
        list_hub({"author": author, "search": search, **wanted}, json=json)
        return
    if author is not None:
        raise typer.BadParameter("--author: expected --hub as well")
    from rszoo.errors import RszooError
    from rszoo.hub.catalog import builtin_bundles, bundles_in

    found = [*((str(path), bundle) for path, bundle in bundles_in(runs)), *builtin_bundles()]
    found = [(name, one) for name, one in found if (search or "").lower() in name.lower()]
    problems = {name: str(one) for name, one in found if isinstance(one, RszooError)}
    described = {name: _described(one) for name, one in found if not isinstance(one, RszooError)}
    described = {name: row for name, row in described.items() if _fits(row, wanted)}
    if json:
        rows = {name: {"problem": problem} for name, problem in problems.items()} | described
        out.print_json(data=[{"id": name, **rows[name]} for name, _ in found if name in rows])
        return
    if described or problems:
        print_listing(_listed(described), spare=("network", "images", "method"))
    else:
        such = "" if search is None and not any(wanted.values()) else "such "
        out.print(f"no {such}bundles in {runs}; make one with: rszoo train cat_rs")
    problems |= {
        name: one["certified"]["problem"]
        for name, one in described.items()
        if one["certified"] and "problem" in one["certified"]
    }
    for name, problem in problems.items():
        err.print(f"{name}: {problem}", style="red", markup=False, soft_wrap=True)


def _fits(row: Mapping[str, Any], wanted: Mapping[str, object]) -> bool:
    return all(value is None or row[key] == value for key, value in wanted.items())


def _listed(described: Mapping[str, dict[str, Any]]) -> "Table":
    """Return bundles as a table, from what is known of each."""
    from rich.table import Table
    from rich.text import Text

    from rszoo.certificates.bound import bound_order
    from rszoo.certificates.kind import ONE_SIDED
    from rszoo.evaluation.coverage import Coverage
    from rszoo.theory.rounding import as_stated

    table = Table(box=None, pad_edge=False)
    table.add_column("id")
    for heading in ("method", "network"):
        table.add_column(heading)
    known = [row["certified"] for row in described.values() if row["certified"]]
    stated = {one["bound"] for one in known if "bound" in one}
    bounds = sorted({ONE_SIDED, *stated}, key=bound_order)
    acrs = ("ACR" if bound == ONE_SIDED else f"ACR, {bound}" for bound in bounds)
    for heading in ("sigma", "images", *acrs):
        table.add_column(heading, justify="right")
    for name, row in described.items():
        certified = row["certified"] if "problem" not in (row["certified"] or {}) else None
        table.add_row(
            Text(name),
            row["method"],
            row["network"],
            "-" if row["sigma"] is None else as_stated(row["sigma"]),
            Coverage(**certified["coverage"]).fraction if certified else "-",
            *(
                _rounded(certified["acr"] if certified and certified["bound"] == bound else None)
                for bound in bounds
            ),
        )
    return table


def show(
    model: Annotated[
        str, typer.Argument(metavar="ID", help="A bundle's path, builtin/NAME, or org/name.")
    ],
    lineage: Annotated[
        bool, typer.Option("--lineage", help="Draw what it was made from, as a tree.")
    ] = False,
    json: Json = False,
) -> None:
    """Show a bundle: what the model is, how it was made, what is certified.

    Its files are checked against its manifest first. The lineage: MLflow run, entry in the model
    registry, digests of recipe and data, git commit, DVC stage, certificates, and the same of
    every model that it builds on.

    Example:

        rszoo show runs/digits-cat_rs-0.50 --lineage
    """
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds import kind_of

    bundle = find(model)
    if lineage:
        from rszoo_cli.lineage import print_lineage

        print_lineage(bundle, json=json)
        return
    composition = kind_of(bundle).composition(bundle.config)
    if json:
        out.print_json(
            data={
                "id": bundle.id,
                **_described(bundle),
                **({"library": built_by} if (built_by := bundle.config.built_by) else {}),
                "input_shape": list(bundle.config.input_shape),
                "classes": list(bundle.config.class_names),
                "weights_sha256": bundle.weights_digest,
                **composition,
                "origin": bundle.manifest.origin.model_dump(),
            }
        )
        return
    from rszoo_cli.bundle_shown import print_bundle

    print_bundle(bundle, composition)
    if bundle.evidence is not None:
        out.print()
        _print_evidence(bundle)


def _print_evidence(bundle: "Bundle") -> None:
    from rszoo.evaluation.coverage import coverage
    from rszoo.evaluation.data_set import data_set
    from rszoo.evaluation.metrics import summary
    from rszoo.hub.evidence import evidence_of
    from rszoo_cli.report_tables import print_bound, print_summaries

    log = evidence_of(bundle)
    out.print(f"certified on {data_set(log.protocol)}\n", highlight=False, soft_wrap=True)
    print_bound(log.bound, alone=True)
    print_summaries([summary(log)])
    if not (found := coverage(log)).complete:
        out.print(f"warning: {found}", style="yellow", markup=False, soft_wrap=True)


def _certified(bundle: "Bundle") -> dict[str, Any] | None:
    """Return what the evidence of a bundle says, or why it says nothing of it."""
    from dataclasses import asdict

    from rszoo._each import attempted
    from rszoo.errors import RszooError
    from rszoo.evaluation.metrics import summary
    from rszoo.hub.evidence import evidence_of

    if bundle.evidence is None:
        return None
    entry = attempted(lambda: summary(evidence_of(bundle)), expected="a log of certificates")
    if isinstance(entry, RszooError):
        return {"problem": str(entry)}
    return {
        "images": entry.images,
        "coverage": asdict(entry.coverage),
        "n": entry.n,
        "alpha": entry.alpha,
        "bound": entry.bound,
        "acr": entry.acr,
    }


def _described(bundle: "Bundle") -> dict[str, Any]:
    config = bundle.config
    return {
        "dataset": config.dataset,
        "method": config.method,
        "network": config.summary,
        "sigma": config.noise,
        "certified": _certified(bundle),
    }


def _rounded(acr: float | None) -> str:
    from rszoo.theory.rounding import as_acr

    return "-" if acr is None else as_acr(acr)
