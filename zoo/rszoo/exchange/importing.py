"""Research checkpoints as bundles. What a checkpoint does not say, the user states."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo import data, networks
from rszoo._yaml import to_yaml
from rszoo.data import ImageSet, KnownSet, Normalization
from rszoo.errors import DataError, RszooError
from rszoo.exchange.checkpoint import Checkpoint, read_checkpoint
from rszoo.exchange.published import source_of
from rszoo.exchange.sanity import Check, check
from rszoo.exchange.standardisations import standardisations
from rszoo.exchange.stated import NetworkKind, Statement, kind_of_network
from rszoo.exchange.weights import put_weights
from rszoo.hub.bundle import Bundle
from rszoo.hub.configs.network import LibraryConfig, NetworkConfig
from rszoo.hub.files import MANIFEST
from rszoo.hub.origin import Checked, ImportedFile, Origin
from rszoo.hub.writing import write_bundle
from rszoo.networks.execution import resolve_device
from rszoo.networks.library import Facts, Library
from rszoo.training.provenance import environment

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Imported", "import_checkpoint"]

_NOT_A_RECIPE = "# Not a recipe: the model was imported, and this is what was said of it.\n"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A bundle made from a checkpoint.

    Attributes:
        bundle: it.
        check: its accuracy under noise; None when it was not checked.
        unchecked: why it was not checked; None when it was.
    """

    bundle: Bundle
    check: Check | None
    unchecked: str | None


def import_checkpoint(
    path: str | Path,
    statement: Statement,
    *,
    out: Path,
    data_root: Path | None = None,
    download: bool = False,
    device: str | None = None,
    key: str | None = None,
    overwrite: bool = False,
    checked: bool = True,
) -> Imported:
    """Make a bundle of a checkpoint, and check its accuracy under noise if the data are here.

    Args:
        path: a file that holds a state dict, see `read_checkpoint`; or a folder as a library
            publishes it, see `source_of`.
        statement: what the checkpoint is.
        out: the new bundle's folder.
        data_root: where data sets lie (`rszoo.data.data_root`).
        download: fetch a missing data set.
        device: where to check; None takes a GPU if there is one.
        key: of the set of weights in the file, where several fit.
        overwrite: replace an existing bundle.
        checked: whether the accuracy is to be checked; a known data set is not read otherwise.

    Raises:
        RszooError: the file is not a checkpoint, or not of this network, or the network is none
            that a bundle has for such noise; or `out` exists and
            `overwrite` is false, or it is something else than a bundle.
        DataError: the data set is neither here nor one whose classes are known without it.
    """
    _check_place(out, overwrite=overwrite)
    chosen = resolve_device(device)
    name = statement.network["name"]
    kind = kind_of_network(name, sigma=statement.sigma)
    left_out = _left_out(kind, checked=checked)
    source = source_of(path, name, sigma=statement.sigma)
    checkpoint = read_checkpoint(source.weights)
    where = {"root": data_root, "download": download}
    known, unchecked = _data(statement.dataset, source.facts, left_out=left_out, **where)
    choices = standardisations(known, source.facts, statement)
    constants = choices[statement.normalization]
    network = _network(
        statement.network, known, checkpoint, normalization=constants, key=key, facts=source.facts
    )
    result = None
    if isinstance(known, ImageSet) and left_out is None:
        said = {"sigma": statement.sigma, "stated": statement.normalization}
        result = check(network, known, choices=choices, device=chosen, **said)
    bundle = write_bundle(
        out,
        config=_config(statement, kind, known, constants),
        network=network,
        recipe=_NOT_A_RECIPE + to_yaml(statement.model_dump() | ({"key": key} if key else {})),
        origin=_origin(checkpoint, result),
        replace=overwrite,
    )
    return Imported(bundle=bundle, check=result, unchecked=unchecked)


def _network(
    stated: Mapping[str, Any],
    known: ImageSet | KnownSet,
    checkpoint: Checkpoint,
    *,
    normalization: Normalization | None,
    key: str | None,
    facts: Facts,
) -> "nn.Sequential":
    """Return the network that is stated, with the weights of a checkpoint."""
    images: dict[str, Any] = {
        "input_shape": known.shape,
        "num_classes": len(known.class_names),
    }
    values: dict[str, Any] = {**stated, **images, "normalization": normalization}
    networks.outline(**values)  # whether it takes such images
    network = networks.build(**values).eval()
    found = networks.library_of(stated["name"])
    renamed = None if found is None else partial(_renamed, *found, {**stated, **images})
    try:
        put_weights(network, checkpoint, normalization=normalization, key=key, renamed=renamed)
    except RszooError as error:
        raise RszooError(f"{error}{_sizes(facts, known)}") from error
    return network


def _sizes(facts: Facts, known: ImageSet | KnownSet) -> str:
    """Return that weights are for images of another size, to go behind an error; or nothing."""
    size = facts.input_shape
    if size is None or size == known.shape:
        return ""
    theirs, ours = ("x".join(map(str, shape))[:100] for shape in (size, known.shape))
    return f" (the library has these weights for images of {theirs}, the data set's are {ours})"


def _renamed(
    library: Library, model: str, values: Mapping[str, Any], weights: "Mapping[str, Tensor]"
) -> "Mapping[str, Tensor]":
    """Return weights under the names that they have within a network of a library."""
    return library.renamed(weights, model, values)


def _check_place(out: Path, *, overwrite: bool) -> None:
    if out.exists() and not overwrite:
        raise RszooError(f"{out} exists; choose another --out, or --overwrite replaces it")
    if out.exists() and not (out / MANIFEST).is_file():
        raise RszooError(f"expected a bundle to replace, got {str(out)!r}; choose another --out")


def _left_out(kind: NetworkKind, *, checked: bool) -> str | None:
    """Return why the accuracy is not to be checked, or None."""
    if kind == "denoiser":
        return "a denoiser has none; rszoo compose denoised puts it in front of a classifier"
    return None if checked else "it was left out, as asked for"


def _named(dataset: str, facts: Facts) -> KnownSet | None:
    """Return what is known of a data set without its files, its classes too; else None."""
    known = data.known_set(dataset)
    if known is not None and not known.class_names:
        known = replace(known, class_names=facts.class_names or ())
    return known if known is not None and known.class_names else None


def _data(
    dataset: str,
    facts: Facts,
    *,
    left_out: str | None,
    root: Path | None,
    download: bool,
) -> tuple[ImageSet | KnownSet, str | None]:
    """Return the test images, or what is known without them, and why nothing is checked."""
    named = _named(dataset, facts)
    if named is not None and left_out is not None:
        return named, left_out
    try:
        return data.load(dataset, "test", root=root, download=download), left_out
    except DataError as error:
        if named is None or download:
            raise
        return named, str(error)


def _config(
    statement: Statement,
    kind: NetworkKind,
    known: ImageSet | KnownSet,
    normalization: Normalization | None,
) -> NetworkConfig:
    return NetworkConfig(
        kind=kind,
        name=statement.name,
        method=statement.method,
        dataset=statement.dataset,
        architecture=statement.network,
        library=LibraryConfig.of(statement.network["name"]),
        input_shape=known.shape,
        normalization=normalization,
        class_names=known.class_names,
        sigma=statement.sigma,
        trained_precision="float32",
    )


def _origin(checkpoint: Checkpoint, result: Check | None) -> Origin:
    """Return what the manifest says: that rszoo did not train this."""
    checked = None
    if result is not None:
        checked = Checked(images=result.images, noisy_accuracy=dict(result.accuracies))
    imported = ImportedFile(
        file=checkpoint.path.name,
        sha256=checkpoint.sha256,
        arch=checkpoint.arch,
        epoch=checkpoint.epoch,
    )
    return Origin(imported=imported, check=checked, **environment(), parents=())
