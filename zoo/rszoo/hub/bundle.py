"""Bundles on disk: written whole or not at all, checked before anything in them is used.

config.json         what the model is
model.safetensors   its weights; no pickle is ever read
recipe.yaml         the resolved recipe that made it
certificates.tsv    evidence: one row per certified input (once certified)
certificates.json   the protocol of the evidence
manifest.json       sha256 and size of every other file, and the bundle's origin
"""

import json
import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo._files import folder_recovered, folder_replaced
from rszoo.errors import IntegrityError, RszooError
from rszoo.evaluation.log import LogTable, read_log
from rszoo.hub.alone import check_of_bundle_alone
from rszoo.hub.config import BundleConfig, NetworkConfig, read_config
from rszoo.hub.manifest import DAMAGED, MANIFEST, Manifest

if TYPE_CHECKING:
    from torch import Tensor, nn

    from rszoo.smoothing.classifier import SmoothedClassifier
    from rszoo.smoothing.interface import Classifier

__all__ = ["RECORD", "Bundle", "add_evidence", "open_bundle", "weights_of", "write_bundle"]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
RECIPE = "recipe.yaml"
EVIDENCE = "certificates.tsv"
PROTOCOL = "certificates.json"

#: What a bundle says of itself: all but its weights.
RECORD = (CONFIG, RECIPE, EVIDENCE, PROTOCOL)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files have been checked.

    Attributes:
        id: what it is called: its path, `builtin/NAME`, or `org/name@commit`.
        path: its folder.
        config: what the model is.
        manifest: its files and origin.
    """

    id: str
    path: Path
    config: BundleConfig
    manifest: Manifest

    @property
    def weights_digest(self) -> str:
        """sha256 of the weights or, of a bundle made of others, of the list of these."""
        return self.manifest.files[CONFIG if self.config.parts else WEIGHTS].sha256

    @property
    def of_network(self) -> NetworkConfig:
        """The config of a bundle that holds a network.

        Raises:
            RszooError: this one is made of others.
        """
        if not isinstance(self.config, NetworkConfig):
            raise RszooError(
                f"{self.id}: expected a bundle with a network, got one made of other bundles"
            )
        return self.config

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.path / RECIPE

    @property
    def evidence(self) -> Path | None:
        """The certification log, or None when the bundle is not certified."""
        return self.path / EVIDENCE if EVIDENCE in self.manifest.files else None

    def network(self) -> "nn.Module":
        """Return the base network with its weights, in eval mode, on the CPU.

        Raises:
            RszooError: the config names a network that rszoo does not know, or none.
            IntegrityError: the weights are not those of the architecture.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        config = self.of_network
        network = untrained_network(config)
        try:
            network.load_state_dict(load_file(self.path / WEIGHTS), strict=True)
        except (RuntimeError, SafetensorError) as error:
            unreadable = isinstance(error, SafetensorError)
            raise IntegrityError(
                WEIGHTS,
                expected=f"the weights of {config.architecture}",
                actual="other content" if unreadable else "other names or shapes",
                hint=DAMAGED,
            ) from error
        return network.eval()

    def classifier(self, **options: Any) -> "Classifier":
        """Return the classifier, ready to predict and certify.

        Args:
            options: `device`, `precision`, `compile`, `sound` and `batch_size`, as in
                `SmoothedClassifier`.

        Raises:
            RszooError: unknown device or precision, weights that do not fit, or a part that is
                not there.
        """
        if self.config.parts:
            from rszoo.hub.composed import composed_classifier

            return composed_classifier(self, **options)
        return self.smoothed_classifier(**options)

    def smoothed_classifier(self, **options: Any) -> "SmoothedClassifier":
        """Return the smoothed classifier of a bundle with a network; as `classifier`.

        Raises:
            RszooError: also for a standard network, and for the weight of a mix.
        """
        from rszoo.smoothing.classifier import SmoothedClassifier

        config = self.of_network
        if config.kind == "standard":
            raise RszooError(
                f"{self.id}: expected a smoothed bundle, got a standard one, whose network has no "
                "noise level to certify at; rszoo compose mixed puts it beside a smoothed one"
            )
        if config.kind == "weight":
            raise RszooError(
                f"{self.id}: expected a smoothed bundle, got the weight of a mix; "
                "rszoo compose mixed --weight makes the mix"
            )
        return SmoothedClassifier(
            self.network(),
            sigma=config.sigma,
            num_classes=len(config.class_names),
            input_shape=config.input_shape,
            class_names=config.class_names,
            **options,
        )


def untrained_network(config: NetworkConfig) -> "nn.Module":
    """Return the network of a config with fresh weights."""
    from rszoo import networks

    options = dict(config.architecture)
    return networks.build(
        options.pop("name"),
        input_shape=config.input_shape,
        num_classes=len(config.class_names),
        normalization=config.normalization,
        **options,
    )


def open_bundle(
    folder: str | Path,
    *,
    id: str | None = None,
    cache: Path | None = None,
    only: Collection[str] | None = None,
) -> Bundle:
    """Check a bundle and return it; nothing of it is used before it has been checked.

    Args:
        folder: the bundle.
        id: what it is called; None: its path.
        cache: as in `Manifest.check`.
        only: as in `Manifest.check`: with `RECORD` the bundle can be read about, not loaded.

    Raises:
        RszooError: there is no such folder, or its config is not a bundle's.
        IntegrityError: a file is corrupt, truncated, extra or missing.
    """
    folder = Path(folder)
    if not folder.is_dir() and not folder_recovered(folder):
        raise RszooError(
            f"expected a bundle folder, got {str(folder)!r}: no such folder; "
            "rszoo ls lists the bundles there are"
        )
    manifest = Manifest.read(folder)
    manifest.check(folder, cache=cache, only=only)
    _check_listed(manifest, CONFIG)
    config = read_config(folder / CONFIG)
    if not config.parts:
        _check_listed(manifest, WEIGHTS, RECIPE)
    return Bundle(id or str(folder), folder, config, manifest)


def _check_listed(manifest: Manifest, *names: str) -> None:
    for name in names:
        if name not in manifest.files:
            raise IntegrityError(
                name, expected="a file of the manifest", actual="none", hint=DAMAGED
            )


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
