"""`rszoo export`: a bundle's network for other software."""

from pathlib import Path
from typing import Annotated

import typer

from rszoo_cli.console import err, out
from rszoo_cli.options import Json

__all__ = ["export"]


def export(
    model: Annotated[str, typer.Argument(metavar="ID", help="A bundle's path, or builtin/NAME.")],
    out_folder: Annotated[Path, typer.Option("--out", help="The new folder.")],
    format: Annotated[
        str, typer.Option(metavar="onnx|state_dict|both", help="What to write.")
    ] = "both",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export.")
    ] = False,
    json: Json = False,
) -> None:
    """Export a bundle's base network as ONNX and as a state dict.

    Certificates stay behind. The standardisation is inside the ONNX model, and the number of
    images is free. ONNX needs `pip install 'rszoo[onnx]'`.

    Example:

        rszoo export builtin/digits-cat_rs-0.50 --out exported
    """
    from rszoo.exchange.export import FORMATS
    from rszoo.exchange.export import export as write
    from rszoo.exchange.readme import NO_CERTIFICATE
    from rszoo.hub.catalog import find

    if format not in (*FORMATS, "both"):
        raise typer.BadParameter(f"expected --format onnx, state_dict or both, got {format!r}")
    formats = FORMATS if format == "both" else (format,)
    done = write(find(model), out_folder, formats=formats, overwrite=overwrite)
    if json:
        out.print_json(
            data={
                "folder": str(done.folder),
                "files": done.files,
                "onnx_difference": done.onnx_difference,
                "note": NO_CERTIFICATE,
            }
        )
        return
    for name in done.files:
        out.print(str(done.folder / name), highlight=False, markup=False, soft_wrap=True)
    if done.onnx_difference is not None:
        err.print(
            f"ONNX logits differ from PyTorch's by at most {done.onnx_difference:.1e}",
            highlight=False,
            soft_wrap=True,
        )
    err.print(NO_CERTIFICATE, style="yellow", highlight=False, soft_wrap=True)
