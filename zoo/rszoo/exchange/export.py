"""A bundle's network for other software: safetensors, ONNX. Its certificates stay behind."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from rszoo._folders import alone_with, replaced
from rszoo.errors import RszooError, unknown_name
from rszoo.exchange.onnx_file import onnx_model
from rszoo.exchange.readme import NO_CERTIFICATE, readme
from rszoo.hub.bundle import Bundle
from rszoo.hub.kinds import kind_of
from rszoo.hub.manifest import file_digest
from rszoo.hub.writing import check_outside_bundles

__all__ = ["FORMATS", "ONNX", "README", "WEIGHTS", "Export", "export"]

FORMATS = ("onnx", "state_dict")
WEIGHTS, ONNX, README = "model.safetensors", "model.onnx", "README.txt"


@dataclass(frozen=True, kw_only=True)
class Export:
    """The files that an export has written.

    Attributes:
        folder: where.
        files: name -> sha256.
        onnx_difference: largest difference of the ONNX model's logits; None without one.
    """

    folder: Path
    files: dict[str, str]
    onnx_difference: float | None


def export(
    bundle: Bundle, out: Path, *, formats: Collection[str] = FORMATS, overwrite: bool = False
) -> Export:
    """Write the base network of a bundle, and a README.txt that says how to use it.

    Guarantee:
        None goes with it. A certificate is about the smoothed classifier as rszoo evaluates it;
        one evaluation of the base network, here or in another runtime, certifies nothing.

    Args:
        bundle: whose network.
        out: the new folder.
        formats: of `FORMATS`.
        overwrite: replace an earlier export.

    Raises:
        RszooError: unknown format; packages for ONNX are missing; the network takes no images; or
            `out` exists and `overwrite` is false, or it holds something else than an export.
    """
    from safetensors.torch import save

    unknown = sorted(set(formats) - set(FORMATS))
    if unknown or not formats:
        raise unknown_name("format", unknown[0] if unknown else "", FORMATS)
    _check_place(out, overwrite=overwrite)
    network = kind_of(bundle).network(bundle)
    content: dict[str, bytes] = {}
    difference = None
    if "state_dict" in formats:
        content[WEIGHTS] = save(network.state_dict())
    if "onnx" in formats:
        config = bundle.of_network
        content[ONNX], difference = onnx_model(
            network, input_shape=config.input_shape, sigma=config.sigma, note=NO_CERTIFICATE
        )
    content[README] = readme(bundle, weights=WEIGHTS in content, onnx=ONNX in content).encode()
    with alone_with(out):
        _check_place(out, overwrite=overwrite)  # it may have been written since
        with replaced(out) as draft:
            for name, data in content.items():
                (draft / name).write_bytes(data)
        files = {name: file_digest(out / name) for name in sorted(content)}
    return Export(folder=out, files=files, onnx_difference=difference)


def _check_place(out: Path, *, overwrite: bool) -> None:
    check_outside_bundles(out)
    if not out.exists():
        return
    if not overwrite:
        raise RszooError(f"{out} exists; choose another --out, or --overwrite replaces it")
    others = {path.name for path in out.iterdir()} if out.is_dir() else {out.name}
    if others - {WEIGHTS, ONNX, README}:
        raise RszooError(
            f"expected an earlier export to replace, got {str(out)!r} with "
            f"{sorted(others - {WEIGHTS, ONNX, README})[:3]}; choose another --out"
        )
