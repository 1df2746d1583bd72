"""`rszoo compose denoised`: a denoiser in front of a classifier."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.compose._shown import check_free, show_composed
from rszoo_cli.options import Json

__all__ = ["denoised"]


def denoised(
    denoiser: Annotated[
        str,
        typer.Option(metavar="ID", help="A denoiser: trained by denoising, or an imported one."),
    ],
    classifier: Annotated[
        str, typer.Option(metavar="ID", help="A bundle that classifies, such as an imported one.")
    ],
    to: Annotated[Path, typer.Option("--out", help="The new bundle's folder.")],
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    json: Json = False,
) -> None:
    """Put a denoiser in front of a classifier (Salman et al., 2020).

    Any classifier can be certified so, without being trained for noise. Both together are smoothed
    as one network, at the noise level of the denoiser. Several denoisers may be in front of one
    classifier, each for a noise level: compose cascade and compose dual take them as experts, and
    the classifier is stored and loaded once.

    Example:

        rszoo compose denoised --denoiser runs/mnist-denoising-0.50 \\
            --classifier runs/mnist-standard-0.00 --out runs/denoised-0.50
    """
    from rszoo.hub.catalog import find
    from rszoo.hub.kinds.denoised import compose_denoised, is_behind

    check_free(to, overwrite)
    parts = {"denoiser": find(denoiser), "classifier": find(classifier)}
    made = compose_denoised(to, **parts, overwrite=overwrite)
    use = "certify --model"
    if is_behind(made, "router"):  # its classes are experts, and no image has such a label
        experts = " --expert ID" * len(made.config.class_names)
        use = f"compose dual{experts} --out DIR --router"
    show_composed(made, json=json, use=use)
