"""Bundles are written whole or not at all."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rszoo._folders import alone_with, replaced
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.config import BundleConfig
from rszoo.hub.files import CONFIG, MANIFEST, ONNX, RECIPE, WEIGHTS
from rszoo.hub.manifest import Manifest
from rszoo.hub.origin import Origin

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["check_outside_bundles", "weights_of", "with_files", "write_bundle"]


def check_outside_bundles(path: Path) -> None:
    """Refuse a place inside a bundle, which would not open any more with a file that is not its.

    Args:
        path: of a file or a folder that is to be written.

    Raises:
        RszooError: a folder above it is a bundle.
    """
    for folder in path.resolve().parents:
        if (folder / MANIFEST).is_file() and (folder / CONFIG).is_file():
            raise RszooError(
                f"expected a place outside of bundles, got {str(path)!r} in the bundle "
                f"{str(folder)!r}, whose files are fixed; choose another --out"
            )


def write_bundle(
    folder: str | Path,
    *,
    config: BundleConfig,
    origin: Origin,
    network: "nn.Module | None" = None,
    onnx: bytes | None = None,
    recipe: str | None = None,
    half: bool = False,
    replace: bool = False,
) -> Bundle:
    """Write a bundle; it appears under its name only when it is complete.

    Args:
        folder: where; its parent is made.
        config: what the model is.
        origin: where it comes from, for the manifest.
        network: the trained network, its normalisation inside; None for a bundle of others that
            has no weights of its own.
        onnx: the network's file, in its place.
        recipe: text of the resolved recipe, if there is one.
        half: as in `weights_of`.
        replace: replace an existing bundle.

    Raises:
        RszooError: the folder exists and `replace` is false, or holds something else than a
            bundle; or the weights do not fit in halves.
    """
    folder = Path(folder)
    check_outside_bundles(folder)
    with alone_with(folder):
        if folder.exists() and not replace:
            raise RszooError(
                f"expected a new folder, got {str(folder)!r}, which exists; name another one, or "
                "replace it (--overwrite, overwrite=True)"
            )
        if folder.exists() and not _is_replaceable(folder):
            raise RszooError(
                f"expected a bundle to replace, got {str(folder)!r}, which holds something else"
            )
        with replaced(folder) as draft:
            if network is not None:  # not `save_file`: its files are for their owner alone
                (draft / WEIGHTS).write_bytes(weights_of(network, half=half))
            if onnx is not None:
                (draft / ONNX).write_bytes(onnx)
            if recipe is not None:
                (draft / RECIPE).write_text(recipe, encoding="utf-8")
            (draft / CONFIG).write_text(config.to_json(), encoding="utf-8")
            Manifest.of(draft, origin=origin).write(draft)
        return open_bundle(folder)


def with_files(bundle: Bundle, files: Mapping[str, Path]) -> Bundle:
    """Put files into a bundle, beside what it holds or in its place; return the bundle as it is.

    Args:
        bundle: whose folder the caller is alone with (`rszoo._folders.alone_with`).
        files: name in the bundle -> what is copied there.

    Raises:
        RszooError: the folder cannot be written.
        IntegrityError: they are more, or larger, than a bundle's may be.
    """
    with replaced(bundle.path) as draft:
        for name in bundle.manifest.files:
            shutil.copyfile(bundle.path / name, draft / name)
        for name, path in files.items():
            shutil.copyfile(path, draft / name)
        Manifest.of(draft, origin=bundle.manifest.origin).write(draft)
    return open_bundle(bundle.path)


def _is_replaceable(folder: Path) -> bool:
    return folder.is_dir() and ((folder / MANIFEST).is_file() or not any(folder.iterdir()))


def weights_of(network: "nn.Module", *, half: bool = False) -> bytes:
    """Return the content of `model.safetensors`, the same whenever the weights are.

    Args:
        network: a network.
        half: round the weights to float16. A network that is read from them calculates in float32
            as ever: the rounded weights are the model.

    Raises:
        RszooError: a weight is too large for float16.
    """
    from safetensors.torch import save

    # No metadata: with two keys or more the bytes of a safetensors file are not reproducible.
    state = {key: value.contiguous().cpu() for key, value in network.state_dict().items()}
    return save({key: _halved(key, value) for key, value in state.items()} if half else state)


def _halved(name: str, values: "Tensor") -> "Tensor":
    if not values.is_floating_point():
        return values
    halved = values.half()
    if halved.isinf().any():
        raise RszooError(
            f"expected weights up to 65504, which float16 can hold, got larger ones in {name!r}; "
            "leave out --half"
        )
    return halved
