"""Research checkpoints as bundles. What a checkpoint does not say, the user states."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, ValidationError

from rszoo import data, networks
from rszoo._yaml import to_yaml
from rszoo.data import ImageSet, KnownSet, Normalization
from rszoo.errors import DataError, RecipeError, RszooError
from rszoo.exchange.checkpoint import Checkpoint, read_checkpoint
from rszoo.exchange.published import source_of
from rszoo.exchange.sanity import Check, check
from rszoo.exchange.stated import Name, checked_network
from rszoo.exchange.weights import put_weights
from rszoo.hub.bundle import Bundle
from rszoo.hub.configs.network import LibraryConfig, NetworkConfig
from rszoo.hub.files import MANIFEST
from rszoo.hub.origin import Checked, ImportedFile, Origin
from rszoo.hub.writing import write_bundle
from rszoo.networks.execution import resolve_device
from rszoo.networks.library import Facts, Library
from rszoo.training.provenance import environment
from rszoo.training.recipes.problems import explain
from rszoo.training.recipes.sections.base import Section, SigmaOrNone

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Imported", "Statement", "import_checkpoint"]

_NOT_A_RECIPE = "# Not a recipe: the model was imported, and this is what was said of it.\n"


class Statement(Section):
    """The user's statement on a checkpoint; it takes the place of a recipe in the bundle.

    Attributes:
        name: of the bundle.
        method: how the network was trained; any name.
        dataset: a name or a path that `rszoo.data.load` takes.
        sigma: noise level of the training; 0 for none, which makes a standard bundle.
        normalization: whether the network's first layer subtracts the data set's mean and divides
            by its standard deviation ("full"), only subtracts ("centre"), or is absent ("none");
            "library": what the library of the network says of its weights.
        network: the architecture's name, and its options as further keys.
    """

    name: Name
    method: Name = "unknown"
    dataset: str = Field(min_length=1)
    sigma: SigmaOrNone
    normalization: Literal["full", "centre", "none", "library"]
    network: dict[str, Any]

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Statement":
        """Check values nested as this class is, and fill in the architecture's defaults.

        Raises:
            RecipeError: a value is missing, unknown or out of range.
        """
        try:
            stated = cls.model_validate(values)
        except ValidationError as error:
            raise RecipeError(explain(error, cls)) from None
        return stated.model_copy(update={"network": checked_network(stated.network)})


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
        RszooError: the file is not a checkpoint, or not of this network; or `out` exists and
            `overwrite` is false, or it is something else than a bundle.
        DataError: the data set is neither here nor one whose classes are known without it.
    """
    _check_place(out, overwrite=overwrite)
    chosen = resolve_device(device)
    source = source_of(path, statement.network["name"])
    checkpoint = read_checkpoint(source.weights)
    where = {"root": data_root, "download": download}
    known, unchecked = _data(statement.dataset, source.facts, checked=checked, **where)
    choices = _choices(statement, known, source.facts)
    constants = choices[statement.normalization]
    network = _network(
        statement.network, known, checkpoint, normalization=constants, key=key, facts=source.facts
    )
    result = None
    if isinstance(known, ImageSet) and checked:
        said = {"sigma": statement.sigma, "stated": statement.normalization}
        result = check(network, known, choices=choices, device=chosen, **said)
    bundle = write_bundle(
        out,
        config=_config(statement, known, constants),
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
    checked: bool,
    root: Path | None,
    download: bool,
) -> tuple[ImageSet | KnownSet, str | None]:
    """Return the test images, or what is known without them, and why nothing is checked."""
    named = _named(dataset, facts)
    left_out = None if checked else "it was left out, as asked for"
    if named is not None and not checked:
        return named, left_out
    try:
        return data.load(dataset, "test", root=root, download=download), left_out
    except DataError as error:
        if named is None or download:
            raise
        return named, str(error)


def _choices(
    statement: Statement, known: ImageSet | KnownSet, facts: Facts
) -> dict[str, Normalization | None]:
    """Return the standardisations that a network of a data set may have been trained with."""
    choices: dict[str, Normalization | None] = {"none": None}
    customary = known.normalization
    if customary is not None:
        centre = Normalization(customary.mean, (1.0,) * len(customary.mean))
        choices = {"full": customary, "centre": centre, **choices}
    of_library = _of_library(facts, channels=known.shape[0])
    if of_library is not None:
        choices["library"] = of_library
    if statement.normalization in choices:
        return choices
    if statement.normalization == "library":
        raise RszooError(
            f"expected normalization 'full', 'centre' or 'none', got 'library': the library of "
            f"{statement.network['name']!r} says none for {known.shape[0]} channels; a folder "
            "with config.json or preprocessor_config.json does"
        )
    raise RszooError(
        f"expected normalization 'none', got {statement.normalization!r}: data set "
        f"{statement.dataset!r} has no customary standardisation"
    )


def _of_library(facts: Facts, *, channels: int) -> Normalization | None:
    """Return the standardisation that a library says, for images of so many channels."""
    if facts.mean is None or facts.std is None or len(facts.mean) != channels:
        return None
    try:
        return Normalization(facts.mean, facts.std)
    except ValueError:  # it may stand in anybody's file
        return None


def _config(
    statement: Statement, known: ImageSet | KnownSet, normalization: Normalization | None
) -> NetworkConfig:
    return NetworkConfig(
        kind="smoothed" if statement.sigma else "standard",
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
