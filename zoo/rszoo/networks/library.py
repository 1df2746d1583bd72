"""What rszoo has to know of a library of architectures; `libraries/` has one file for each."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Literal

from rszoo.errors import RszooError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = [
    "Facts",
    "Files",
    "Library",
    "Package",
    "Published",
    "check_id",
    "check_installed",
    "numbers_in",
    "package_named",
    "shortened",
]

_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a library says of the weights that it publishes for a network; None where nothing.

    Attributes:
        input_shape: channels, height, width of the images.
        mean, std: of the standardisation, per channel, in pixel units with images in [0, 1].
        class_names: one per class, in the order of the logits.
    """

    input_shape: tuple[int, int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    class_names: tuple[str, ...] | None = None


@dataclass(frozen=True, kw_only=True)
class Published:
    """What the JSON files say that a library writes beside weights.

    Attributes:
        options: of the network, for `rszoo.networks.build`.
        facts: on the weights.
    """

    options: dict[str, Any]
    facts: Facts


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where a library's files lie in a folder; of several places for one, the first that is there.

    Attributes:
        weights: safetensors.
        config: JSON, the sizes of the network.
        settings: JSON, how images are made ready for it, or how it is used.
    """

    weights: tuple[str, ...] = ("model.safetensors",)
    config: tuple[str, ...] = ("config.json",)
    settings: tuple[str, ...] = ("preprocessor_config.json",)


@dataclass(frozen=True, kw_only=True)
class Library:
    """A library that builds networks by name; rszoo asks it for no weights and no files.

    Attributes:
        package: its name on the package index.
        extra: of rszoo, which installs it; None for one that is always there.
        gives: what its networks give, as `rszoo.networks.gives` has it.
        files: of a folder in which it publishes weights.
        build: as `build` of an architecture, after the name of the network in the library; it
            checks the name, and its signature is the list of the options that a bundle may give.
        facts: on the weights that the library publishes for a network.
        published: what is said beside weights: given the network's name, the content of the files
            `config` and `settings`, empty where there is none, and the noise level that is stated.
        renamed: gives weights of a file the names that they have in a network, given the
            arguments of `build`.
    """

    package: str
    extra: str | None
    gives: Literal["logits", "images"]
    files: Files
    build: "Callable[..., nn.Module]"
    facts: Callable[[str], Facts]
    published: Callable[[str, Mapping[str, Any], Mapping[str, Any], float], Published]
    renamed: "Callable[[Mapping[str, Tensor], str, Mapping[str, Any]], Mapping[str, Tensor]]"


@dataclass(frozen=True, kw_only=True)
class Package:
    """The software that a network's architecture comes from.

    Attributes:
        name: on the package index.
        version: the one that is installed.
    """

    name: str
    version: str


def shortened(value: object) -> str:
    """Return a value as a message shows it, which may be anybody's and of any length."""
    text = repr(value)
    return text if len(text) <= 100 else text[:97] + "..."


def numbers_in(value: object) -> tuple[float, ...] | None:
    """Return a list of numbers in a JSON value; None if it is something else."""
    if not isinstance(value, list) or not all(isinstance(one, int | float) for one in value):
        return None
    return tuple(map(float, value))


def package_named(name: str) -> Package | None:
    """Return a package that is installed; None if it is not."""
    try:
        return Package(name=name, version=version(name))
    except PackageNotFoundError:
        return None


def check_id(library: str, model: str, *, like: str) -> None:
    """Refuse a name that does not say, as an id on a hub, where a network comes from.

    Args:
        library: what stands before the colon.
        model: what stands after it.
        like: an example of it, for the message.

    Raises:
        RszooError: it has other characters, or is too long.
    """
    if not _ID.fullmatch(model):
        raise RszooError(
            f"expected a name such as {library}:{like}, got {f'{library}:{model[:200]}'!r}"
        )


def check_installed(package: str, extra: str, network: str) -> None:
    """Refuse a network whose library is missing.

    Raises:
        RszooError: it is; names the extra of rszoo that installs it.
    """
    if package_named(package) is None:
        raise RszooError(
            f"network {network!r} is built by {package}, which is not installed; "
            f"pip install 'rszoo[{extra}]'"
        )
