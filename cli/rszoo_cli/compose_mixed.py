"""`rszoo compose mixed`: an accurate standard network beside a smoothed one."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.console import err, out
from rszoo_cli.options import Json

__all__ = ["mixed"]


def _weight(value: float | None) -> float | None:
    if value is not None and not 0.5 < value <= 1.0:
        raise typer.BadParameter(
            f"expected 1/2 < alpha_mix <= 1, got {value}: the standard part would decide"
        )
    return value


def _scale(value: float | None) -> float | None:
    if value is not None and not 0.0 < value < float("inf"):
        raise typer.BadParameter(f"expected a positive finite number, got {value}")
    return value


def mixed(
    standard: Annotated[
        str, typer.Option(metavar="ID", help="The accurate network: a standard bundle.")
    ],
    robust: Annotated[str, typer.Option(metavar="ID", help="A smoothed bundle.")],
    folder: Annotated[Path, typer.Option("--out", help="The new bundle's folder.")],
    alpha_mix: Annotated[
        float | None,
        typer.Option(callback=_weight, help="Weight of the robust part, above 1/2 and up to 1."),
    ] = None,
    gradient_scale: Annotated[
        float | None,
        typer.Option(
            callback=_scale,
            help="In its place, a weight by the gradient of the standard network: no certificate.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the bundle that is there.")
    ] = False,
    json: Json = False,
) -> None:
    """Mix a standard network and a smoothed one (Bai et al., 2024).

    The mix answers argmax (1 - alpha_mix) g + alpha_mix h, of the probabilities of the standard
    network at the clean input and the vote probabilities of the smoothed one. A certificate
    costs sigma Phi^-1(1 / (2 alpha_mix)) of the smoothed one's radius. The parts are named by
    id and digest, not copied.

    Example:

        rszoo compose mixed --standard runs/digits-standard-0.00 \\
            --robust runs/digits-cat_rs-0.50 --alpha-mix 0.76 --out runs/mix
    """
    if (alpha_mix is None) == (gradient_scale is None):
        raise typer.BadParameter("expected one of --alpha-mix and --gradient-scale")
    from rszoo.hub.catalog import find
    from rszoo.hub.mixed import compose_mixed
    from rszoo.smoothing.mixing_weights import FixedWeight, GradientWeight

    if alpha_mix is not None:
        weight = FixedWeight(alpha_mix)
    else:
        assert gradient_scale is not None
        weight = GradientWeight(gradient_scale)
    bundle = compose_mixed(
        folder,
        standard=find(standard),
        robust=find(robust),
        weight=weight,
        overwrite=overwrite,
    )
    if json:
        out.print_json(data={"id": bundle.id, **bundle.config.model_dump(mode="json")})
        return
    out.print(str(bundle.path), markup=False, highlight=False, soft_wrap=True)
    usual = "certify" if weight.alpha_min is not None else "predict"
    err.print(f"next: rszoo {usual} --model {bundle.path}", markup=False, soft_wrap=True)
