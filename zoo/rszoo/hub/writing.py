"""Bundles are written whole or not at all."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo._files import folder_replaced
from rszoo.errors import RszooError
from rszoo.evaluation.log import LogTable, read_log
from rszoo.hub.alone import check_of_bundle_alone
from rszoo.hub.bundle import CONFIG, EVIDENCE, PROTOCOL, RECIPE, WEIGHTS, Bundle, open_bundle
from rszoo.hub.config import BundleConfig
from rszoo.hub.manifest import MANIFEST, Manifest

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["add_evidence", "weights_of", "write_bundle"]


def write_bundle(
    folder: str | Path,
    *,
    config: BundleConfig,
    origin: Mapping[str, Any],
    network: "nn.Module | None" = None,
    recipe: str | None = None,
    half: bool = False,
    replace: bool = False,
) -> Bundle:
    """Write a bundle; it appears under its name only when it is complete.

    Args:
        folder: where; its parent is made.
        config: what the model is.
        origin: what the manifest says of the bundle's origin.
        network: the trained network, its normalisation inside; None for a bundle of others that
            has no weights of its own.
        recipe: text of the resolved recipe, if there is one.
        half: as in `weights_of`.
        replace: replace an existing bundle.

    Raises:
        RszooError: the folder exists and `replace` is false, or the weights do not fit in halves.
    """
    folder = Path(folder)
    if folder.exists() and not replace:
        raise RszooError(f"expected a new folder, got {str(folder)!r}, which exists")
    with folder_replaced(folder) as draft:
        if network is not None:  # not `save_file`: its files are for their owner alone
            (draft / WEIGHTS).write_bytes(weights_of(network, half=half))
        if recipe is not None:
            (draft / RECIPE).write_text(recipe, encoding="utf-8")
        (draft / CONFIG).write_text(config.to_json(), encoding="utf-8")
        _write_manifest(draft, dict(origin))
    return open_bundle(folder)


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


def add_evidence(bundle: Bundle, *, log: Path, protocol: Path, overwrite: bool = False) -> Bundle:
    """Put a finished certification log into its bundle, replacing an older one.

    Args:
        bundle: what was certified.
        log, protocol: the two files of the log.
        overwrite: replace a log that holds inputs which the new one lacks.

    Raises:
        RszooError: the log is of other weights, or lacks inputs of the older one, or is not of the
            bundle alone, or the bundle's folder cannot be written.
        IntegrityError: the bundle is not what it was.
    """
    bundle = open_bundle(bundle.path)  # it may have been trained again since it was opened
    certified = json.loads(protocol.read_bytes()).get("model", {}).get("weights_sha256")
    if certified != bundle.weights_digest:
        raise RszooError(
            f"{log}: expected certificates of the weights {bundle.weights_digest}, got those of "
            f"{certified}; certify the bundle again"
        )
    table = read_log(log)
    check_of_bundle_alone(table)
    if bundle.evidence is not None and not overwrite:
        _check_not_less(table, read_log(bundle.evidence))
    with folder_replaced(bundle.path) as draft:
        for name in bundle.manifest.files:
            shutil.copyfile(bundle.path / name, draft / name)
        shutil.copyfile(log, draft / EVIDENCE)
        shutil.copyfile(protocol, draft / PROTOCOL)
        _write_manifest(draft, bundle.manifest.origin)
    return open_bundle(bundle.path)


def _check_not_less(new: LogTable, old: LogTable) -> None:
    lost = len(set(old.idx.tolist()) - set(new.idx.tolist()))
    if lost:
        raise RszooError(
            f"{new.path}: expected every input of the log in the bundle, {lost} of {len(old)} are "
            "missing; certify them as well (--resume), or replace that log with --overwrite"
        )


def _write_manifest(draft: Path, origin: dict[str, Any]) -> None:
    text = Manifest.of(draft, origin=origin).to_json()
    (draft / MANIFEST).write_text(text, encoding="utf-8")
