"""`rszoo compose mixed-standard`: an accurate network beside one that withstands attacks."""

from typing import Annotated

import typer

from rszoo_cli.compose._mixes import AlphaMix, Out, Overwrite, Standard
from rszoo_cli.compose._shown import show_composed
from rszoo_cli.options import Json

__all__ = ["mixed_standard"]

_Robust = Annotated[
    str, typer.Option(metavar="ID", help="One that is trained against attacks: a standard bundle.")
]
_Trained = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="In its place, a weight that rszoo train mixing_standard trained for these two.",
    ),
]


def mixed_standard(
    standard: Standard,
    robust: _Robust,
    folder: Out,
    alpha_mix: AlphaMix = None,
    weight: _Trained = None,
    overwrite: Overwrite = False,
    json: Json = False,
) -> None:
    """Mix a standard network and an adversarially trained one (Bai et al., 2024).

    The mix answers argmax (1 - alpha_mix) g + alpha_mix h, of the probabilities of both. There is
    no noise, and it certifies nothing: rszoo attack bounds from above what it withstands. The
    parts are named by id and digest, not copied.

    Example:

        rszoo compose mixed-standard --standard runs/digits-standard-0.00 \\
            --robust runs/digits-adversarial-0.00 --alpha-mix 0.76 --out runs/mix
    """
    if [alpha_mix, weight].count(None) != 1:
        raise typer.BadParameter("expected --alpha-mix or --weight")
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds.mixed import learned_weight
    from rszoo.hub.kinds.mixed_standard import compose_mixed_standard
    from rszoo.smoothing.mixing_weights import FixedWeight

    parts = {"standard": find(standard), "robust": find(robust)}
    chosen = (
        FixedWeight(alpha_mix)
        if alpha_mix is not None
        else learned_weight(find(weight or ""), **parts)
    )
    bundle = compose_mixed_standard(folder, **parts, weight=chosen, overwrite=overwrite)
    show_composed(bundle, json=json, use="predict --model")
