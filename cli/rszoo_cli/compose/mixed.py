"""`rszoo compose mixed`: an accurate standard network beside a smoothed one."""

from typing import TYPE_CHECKING, Annotated

import typer

from rszoo_cli.compose._mixes import AlphaMix, Out, Overwrite, Standard
from rszoo_cli.compose._shown import show_composed
from rszoo_cli.options import Json

if TYPE_CHECKING:
    from rszoo.hub.bundle import Bundle
    from rszoo.smoothing.mixing_weights import Weight

__all__ = ["mixed"]


def _scale(value: float | None) -> float | None:
    if value is not None and not 0.0 < value < float("inf"):
        raise typer.BadParameter(f"expected a positive finite number, got {value}")
    return value


_Robust = Annotated[str, typer.Option(metavar="ID", help="A smoothed bundle.")]
_Trained = Annotated[
    str | None,
    typer.Option(
        metavar="ID", help="In its place, a weight that rszoo train mixing trained for these two."
    ),
]
_GradientScale = Annotated[
    float | None,
    typer.Option(
        callback=_scale,
        help="Or a weight by the gradient of the standard network: no certificate.",
    ),
]


def mixed(
    standard: Standard,
    robust: _Robust,
    folder: Out,
    alpha_mix: AlphaMix = None,
    weight: _Trained = None,
    gradient_scale: _GradientScale = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Mix a standard network and a smoothed one (Bai et al., 2024).

    The mix answers argmax (1 - alpha_mix) g + alpha_mix h, of the probabilities of the standard
    network at the clean input and the vote probabilities of the smoothed one. A certificate
    costs sigma Phi^-1(1 / (2 alpha_mix)) of the smoothed one's radius; with a trained weight,
    that of its least value. The parts are named by id and digest, not copied.

    Example:

        rszoo compose mixed --standard runs/digits-standard-0.00 \\
            --robust runs/digits-cat_rs-0.50 --alpha-mix 0.76 --out runs/mix
    """
    if [alpha_mix, weight, gradient_scale].count(None) != 2:
        raise typer.BadParameter("expected one of --alpha-mix, --weight and --gradient-scale")
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds.mixed import compose_mixed

    parts = {"standard": find(standard), "robust": find(robust)}
    chosen = _weight(alpha_mix, weight, gradient_scale, parts)
    bundle = compose_mixed(folder, **parts, weight=chosen, overwrite=overwrite)
    use = "predict --model" if chosen.alpha_min is None else "certify --model"
    show_composed(bundle, json=json, use=use)


def _weight(
    alpha_mix: float | None, weight: str | None, scale: float | None, parts: "dict[str, Bundle]"
) -> "Weight":
    """Return the one weight that is given."""
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds.mixed import learned_weight
    from rszoo.smoothing.mixing_weights import FixedWeight, GradientWeight

    if alpha_mix is not None:
        return FixedWeight(alpha_mix)
    if weight is not None:
        return learned_weight(find(weight), **parts)
    assert scale is not None
    return GradientWeight(scale)
