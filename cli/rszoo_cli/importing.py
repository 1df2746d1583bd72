"""`rszoo import`: a checkpoint of research code becomes a bundle."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rszoo.theory.rounding import as_share
from rszoo_cli.console import err, out
from rszoo_cli.options import DataRoot, Device, Download, Json
from rszoo_cli.panels import advanced, data, output

if TYPE_CHECKING:
    from rszoo.exchange.importing import Imported

__all__ = ["import_checkpoint"]


_Checkpoint = Annotated[
    Path,
    typer.Argument(
        metavar="CHECKPOINT",
        help="Weights of torch.save or safetensors, or a folder with safetensors and config.json, "
        "as libraries publish one.",
    ),
]
_Name = Annotated[str, typer.Option(help="Name of the bundle.")]
_Dataset = Annotated[
    str,
    data(metavar="DATA", help="A data set's name, a folder of class folders, or an .npz file."),
]
_Sigma = Annotated[
    float,
    typer.Option(help="Noise level it was trained with, or that it is to remove; 0 for none."),
]
_Architecture = Annotated[
    str,
    typer.Option(
        help="A network of rszoo, such as cifar_resnet, or of a library: torchvision:NAME, "
        "timm:NAME, transformers:NAME, diffusers:NAME."
    ),
]
_Options = Annotated[
    list[str] | None,
    typer.Option(
        "--option", metavar="KEY=VALUE", help="Of the network, as depth=20; may be repeated."
    ),
]
_Normalization = Annotated[
    str,
    typer.Option(
        metavar="full|centre|none|library",
        help="What its first layer does with the data set's mean and standard deviation, or "
        "with those that the library of the network says.",
    ),
]
_Method = Annotated[str, typer.Option(help="How it was trained.")]
_Weights = Annotated[
    str | None,
    advanced("--weights", help="Which weights, where the file holds several, such as model_ema."),
]
_Out = Annotated[
    Path | None,
    output("--out", metavar="FOLDER", help="The bundle's folder.", show_default="runs/NAME"),
]
_NoCheck = Annotated[
    bool, advanced("--no-check", help="Leave out the check of the accuracy under noise.")
]
_Overwrite = Annotated[bool, output("--overwrite", help="Replace the bundle that is there.")]


def import_checkpoint(
    checkpoint: _Checkpoint,
    name: _Name,
    dataset: _Dataset,
    sigma: _Sigma,
    architecture: _Architecture,
    normalization: _Normalization,
    options: _Options = None,
    method: _Method = "unknown",
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = None,
    out_folder: _Out = None,
    overwrite: _Overwrite = False,
    json: Json = False,
    weights: _Weights = None,
    no_check: _NoCheck = False,
) -> None:
    """Import a checkpoint of other software as a bundle; nothing in the file is executed.

    The accuracy under noise is checked on 500 test images, or on as many as take a minute, if they
    are there: a wrong statement about the checkpoint shows in nothing else. With --sigma 0 it
    becomes a standard bundle, for rszoo compose mixed. A denoiser, such as one step of a diffusion
    model, becomes a part of rszoo compose denoised.

    Example:

        rszoo import checkpoint.pth.tar --name cohen-0.50 \\
            --dataset cifar10 --sigma 0.5 --normalization full \\
            --architecture cifar_resnet --option depth=110
    """
    from rszoo.exchange.importing import import_checkpoint as make_bundle
    from rszoo.exchange.published import source_of
    from rszoo.exchange.stated import Statement

    statement = Statement.of(
        {
            "name": name,
            "method": method,
            "dataset": dataset,
            "sigma": sigma,
            "normalization": normalization,
            "network": {
                "name": architecture,
                **source_of(checkpoint, architecture, sigma=sigma).options,
                **_parsed(options or ()),
            },
        }
    )
    imported = make_bundle(
        checkpoint,
        statement,
        out=Path("runs", name) if out_folder is None else out_folder,
        data_root=data_root,
        download=download,
        device=device,
        key=weights,
        overwrite=overwrite,
        checked=not no_check,
    )
    _print(imported, json=json)


def _parsed(options: Sequence[str]) -> dict[str, object]:
    from rszoo._yaml import parse_yaml

    values = {}
    for text in options:
        key, sign, value = text.partition("=")
        if not (sign and key) or key == "name" or key in values:
            raise typer.BadParameter(f"expected --option KEY=VALUE, each key once, got {text!r}")
        try:
            values[key] = parse_yaml(value)
        except ValueError as error:
            raise typer.BadParameter(f"--option {text}: {error}") from None
    return values


def _print(imported: "Imported", *, json: bool) -> None:
    bundle, check = imported.bundle, imported.check
    doubts = check.doubts if check else []
    if json:
        made_from, checked = bundle.manifest.origin.imported, None
        assert made_from is not None  # so it was just written
        if check is not None:
            checked = {"images": check.images, "noisy_accuracy": dict(check.accuracies)}
        out.print_json(
            data={
                "bundle": str(bundle.path),
                "checkpoint_sha256": made_from.sha256,
                "check": checked,
                "unchecked": imported.unchecked,
                "doubts": doubts,
            }
        )
    else:
        out.print(str(bundle.path), highlight=False, markup=False, soft_wrap=True)
        if check is not None:
            accuracies = [f"{kind} {as_share(value)}%" for kind, value in check.accuracies.items()]
            out.print(
                f"{check.called} {as_share(check.accuracy)}% ({check.images} test images; "
                f"by normalization: {', '.join(accuracies)})",
                highlight=False,
                soft_wrap=True,
            )
    warnings = [*doubts]
    if imported.unchecked is not None:
        warnings.append(f"the accuracy was not checked: {imported.unchecked}")
    for text in warnings:
        err.print(
            f"warning: {text}", style="yellow", markup=False, highlight=False, soft_wrap=True
        )
