"""`rszoo verify`: is what a certification log says true?"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rszoo.errors import DataError, RszooError
from rszoo_cli.console import err, out
from rszoo_cli.inputs import test_images
from rszoo_cli.options import DataRoot, Device, Download, Json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rszoo.evaluation.log import LogTable
    from rszoo.evaluation.verify import Finding
    from rszoo.hub.bundle import Bundle

__all__ = ["verify"]


def verify(
    target: Annotated[str, typer.Argument(metavar="LOG|ID", help="A log, or a certified bundle.")],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="ID", help="The bundle that a log is about."),
    ] = None,
    sample: Annotated[int, typer.Option(min=0, help="Certify so many inputs again.")] = 20,
    n: Annotated[int, typer.Option("--n", min=1, help="Fresh draws for each of them.")] = 10_000,
    level: Annotated[
        float,
        typer.Option(min=1e-9, max=0.5, help="Probability of finding fault with a true log."),
    ] = 0.001,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of sample and noise.", show_default="random")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(help="Public key (PEM) that must have signed the bundle.")
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option(help="Where the inputs are.", show_default="the data set of the log"),
    ] = None,
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = None,
    json: Json = False,
) -> None:
    """Check a log: files, radii from counts, and a random sample certified again.

    Of a model made of others, the parts are checked as well.

    Ends with exit code 1, and names the inputs, when the sample disagrees with the log.

    Example:

        rszoo verify builtin/digits-cat_rs-0.50

        rszoo verify certificates/a.tsv --model runs/a --sample 50
    """
    from rszoo.evaluation.verify import fresh_seed
    from rszoo.hub.evidence import check_about
    from rszoo.hub.parts import fetch_parts

    log, bundle = _opened(target, model)
    fetch_parts(bundle)  # and so check them against the digests in its config
    if key is not None:
        from rszoo.hub.pull import check_signed

        check_signed(bundle, key=key)
        err.print(f"signed by the owner of {key}", markup=False, highlight=False, soft_wrap=True)
    check_about(log, bundle)
    seed = fresh_seed(log) if seed is None else seed
    if log.protocol is not None and seed == log.protocol.seed:
        raise typer.BadParameter(f"expected another --seed than the log's, got {seed}")
    findings = []
    if sample:
        source = {"root": data_root, "download": download}
        findings = _recertified(
            log, bundle, sample, n, level, seed, dataset=dataset, device=device, **source
        )
    _print(log, findings, level=level, seed=seed, json=json)
    if not all(finding.agrees for finding in findings):
        raise typer.Exit(1)


def _opened(target: str, model: str | None) -> "tuple[LogTable, Bundle]":
    """Return the log, its rows checked, and the bundle, its files checked."""
    from rszoo.evaluation.log import read_log
    from rszoo.hub.catalog import find
    from rszoo.hub.ids import is_id

    if not is_id(target):
        if model is None:
            raise typer.BadParameter("expected --model with a log, got none")
        return read_log(target), find(model)
    if model is not None:
        raise typer.BadParameter(f"--model is for logs, and {target} is a bundle")
    bundle = find(target)
    if bundle.evidence is None:
        raise RszooError(f"{target} is not certified; rszoo certify --model {target} --attach")
    return read_log(bundle.evidence), bundle


def _recertified(
    log: "LogTable",
    bundle: "Bundle",
    count: int,
    n: int,
    level: float,
    seed: int,
    *,
    dataset: str | None,
    device: str | None,
    root: Path | None,
    download: bool,
) -> "list[Finding]":
    from rszoo.evaluation.verify import recertify, sample
    from rszoo.hub.classifiers import classifier_of
    from rszoo.smoothing.execution import Execution
    from rszoo.smoothing.lattice import SCHEME_SUFFIX
    from rszoo_cli.progress import Meter

    protocol = log.protocol
    stated = protocol.inputs if protocol else None
    if protocol is None or stated is None or stated.name is None:
        raise DataError(
            f"{log.path} is about inputs of somebody's own, which cannot be certified again "
            "without them; --sample 0 checks the rest"
        )
    images, source = test_images(
        bundle, dataset or stated.name, skip=1, limit=None, root=root, download=download
    )
    if source["digest"] != stated.digest:
        raise DataError(f"{source['name']}: the images are not those of {log.path}")
    evaluation = protocol.evaluation
    execution = Execution(
        device=device,
        precision=evaluation.precision or "auto",
        compile=evaluation.compiled,
        sound=(evaluation.noise or "").endswith(SCHEME_SUFFIX),
    )
    classifier = classifier_of(bundle, execution)
    chosen = sample(log, images, count=count, seed=seed)
    with Meter(err, "verify", total=len(chosen) * n, unit="draws") as meter:
        return list(
            recertify(
                classifier, log, chosen, draws=n, level=level, seed=seed, on_draws=meter.advance
            )
        )


def _print(
    log: "LogTable", findings: "Sequence[Finding]", *, level: float, seed: int, json: bool
) -> None:
    from dataclasses import asdict

    wrong = [finding for finding in findings if not finding.agrees]
    if json:
        out.print_json(
            data={
                "log": str(log.path),
                "rows": len(log),
                "level": level,
                "seed": seed,
                "agrees": not wrong,
                "findings": [asdict(finding) for finding in findings],
            }
        )
        return
    lines = [f"{log.path}: {len(log)} rows, every radius follows from its counts"]
    lines += [
        f"input {one.idx} disagrees: {one.votes:,} of {one.draws:,} draws in the log, "
        f"{one.new_votes:,} of {one.new_draws:,} now (p = {one.p_value:.1g})"
        for one in wrong
    ]
    if findings and not wrong:
        lines.append(
            f"{len(findings)} inputs certified again, with seed {seed}: all agree "
            f"(a true log fails with probability {level:g})"
        )
    for text in lines:
        out.print(text, markup=False, highlight=False, soft_wrap=True)
