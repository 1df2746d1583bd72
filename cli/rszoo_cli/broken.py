"""`rszoo attack --within-certificates`: certificates that an attack breaks."""

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from rszoo.evaluation.progress_bar import ProgressBar
from rszoo.theory.rounding import as_stated, floor_digits
from rszoo_cli.console import err, out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rszoo.evaluation.breaking import Breaking
    from rszoo.hub.bundle import Bundle

__all__ = ["check_whole", "print_broken"]


def check_whole(own: object, of_a_log: object) -> None:
    """Refuse what does not go together with the certificates of a bundle; else falsy."""
    if own or of_a_log:
        raise typer.BadParameter(
            "--within-certificates is for those of the bundle, in memory: without inputs of your "
            "own, --skip, --out, --resume and --attach"
        )


def print_broken(
    bundle: "Bundle",
    options: dict[str, Any],
    where: dict[str, Any],
    dataset: str | None,
    *,
    json: bool,
) -> None:
    """Print which certificates of a bundle were broken, and end with exit code 1 at a defect.

    Args:
        bundle: with evidence.
        options: of `rszoo.evaluation.breaking.Search`.
        where, dataset: where the inputs are, as `broken_certificates` takes them.
        json: print JSON, and nothing else, to stdout.
    """
    from rszoo.evaluation.breaking import Search
    from rszoo.hub.attacked import broken_certificates
    from rszoo.hub.evidence import evidence_of

    try:
        found = broken_certificates(
            bundle,
            evidence_of(bundle),
            Search(**options),
            dataset=dataset,
            metering=partial(ProgressBar, err, f"attack {bundle.config.name}"),
            **where,
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    if json:
        out.print_json(data=_as_json(found, bundle))
    else:
        for text in _lines(found, bundle):
            out.print(text, highlight=False, soft_wrap=True)
    if found.defect:
        raise typer.Exit(1)


def _lines(found: "Breaking", bundle: "Bundle") -> "Iterator[str]":
    for trial in found.broken:
        again = "fresh draws certify it again" if trial.again else "fresh draws do not certify it"
        yield (
            f"input {trial.idx}: {bundle.config.class_names[trial.label]} within "
            f"{floor_digits(trial.radius, 3)}, but {bundle.config.class_names[trial.answer]} at "
            f"{floor_digits(trial.distance, 3)}; {again}"
        )
    yield (
        f"{len(found.trials)} certificates at alpha {as_stated(found.alpha)}, {found.points} "
        f"points: {len(found.broken)} broken; chance alone may break up to {found.explained}"
    )
    yield "defect: that is not chance" if found.defect else "no defect found by this attack"


def _as_json(found: "Breaking", bundle: "Bundle") -> dict[str, Any]:
    return {
        "model": bundle.id,
        "certificates": len(found.trials),
        "points": found.points,
        "broken": [asdict(trial) for trial in found.broken],
        "explained": found.explained,
        "p_value": found.p_value,
        "defect": found.defect,
        "seed": found.seed,
    }
