"""Bundles on disk, checked before anything in them is used; writing.py writes them.

config.json         what the model is
model.safetensors   its weights; no pickle is ever read
recipe.yaml         the resolved recipe that made it
certificates.tsv    evidence: one row per certified input (once certified)
certificates.json   the protocol of the evidence
attack-*.tsv, .json logs of attacks, which are no evidence, and their protocols
manifest.json       sha256 and size of every other file, and the bundle's origin
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rszoo._folders import recovered
from rszoo.errors import IntegrityError, RszooError
from rszoo.hub.config import BundleConfig
from rszoo.hub.configs import read_config
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.files import CONFIG, EVIDENCE, RECIPE
from rszoo.hub.manifest import DAMAGED, Manifest
from rszoo.hub.weights import check_header, load_weights

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Bundle", "network_values", "open_bundle"]


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
        return self.manifest.files[self.config.identified_by].sha256

    @property
    def of_network(self) -> NetworkConfig:
        """The config of a bundle that holds a network.

        Raises:
            RszooError: this one is made of others, or its network is opaque.
        """
        if not isinstance(self.config, NetworkConfig):
            raise RszooError(
                f"{self.id}: expected a bundle with a network, got {self.config.made}"
            )
        return self.config

    @property
    def recipe(self) -> Path:
        """The path of the resolved recipe."""
        return self.path / RECIPE

    @property
    def evidence(self) -> Path | None:
        """The certification log, which `hub.evidence` reads; None if it is not certified."""
        return self.path / EVIDENCE if EVIDENCE in self.manifest.files else None

    def _check_library(self, config: NetworkConfig) -> None:
        """Refuse a network of another package that is not installed."""
        from rszoo import networks

        own = config.library is None or networks.library_of(config.summary) is not None
        if not own and networks.package_of(config.summary) is None:
            raise RszooError(
                f"{self.id}: its network {config.summary!r} is, so it says, of the package "
                f"{config.library}, which registers none of this name here; install it if you "
                "trust it"
            )

    def network(self) -> "nn.Module":
        """Return the base network with its weights, in eval mode, on the CPU.

        Raises:
            RszooError: the config names a network that rszoo does not know, or none, or options
                that it does not take.
            IntegrityError: the weights are not those of the architecture.
        """
        from rszoo import networks

        config = self.of_network
        self._check_library(config)
        called = f"the weights of {config.architecture}{_built_by(config)}"
        values = network_values(config)
        # Sizes are the author's: they are compared, then allocated.
        check_header(self.path, networks.outline(**values).state_dict(), called=called)
        network = networks.build(**values)
        load_weights(network, self.path, called=called)
        return network.eval()


def network_values(config: NetworkConfig) -> dict[str, Any]:
    """Return the arguments of `rszoo.networks.build` for the network of a config.

    Raises:
        RszooError: an option has the name of what the config itself says.
    """
    given = {
        "input_shape": config.input_shape,
        "num_classes": len(config.class_names),
        "normalization": config.normalization,
    }
    if reserved := sorted(given.keys() & config.architecture.keys()):
        raise RszooError(f"network {config.summary!r} has no options {reserved}")
    return config.architecture | given


def _built_by(config: NetworkConfig) -> str:
    """Return the versions of the package that builds a network, to go after its name."""
    from rszoo import networks

    if config.library is None:
        return ""
    here = networks.package_of(config.summary)
    other = here is not None and here.version != config.library.version
    return f" of {config.library}" + (f", here {here.version}" if here and other else "")


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
        cache: the folder of a cache that its files may be links into.
        only: the files to look at, as in `Manifest.check`; without its weights
            the bundle can be read about, not loaded.

    Raises:
        RszooError: there is no such folder, or its config is not a bundle's.
        IntegrityError: a file is corrupt, truncated, extra or missing.
    """
    folder = Path(folder)
    if not folder.is_dir() and not recovered(folder):
        raise RszooError(
            f"expected a bundle folder, got {str(folder)!r}: no such folder; "
            "rszoo ls lists the bundles there are"
        )
    manifest = Manifest.read(folder)
    manifest.check(folder, cache=cache, only=only)
    _check_listed(manifest, CONFIG)
    config = read_config(folder / CONFIG)
    _check_listed(manifest, *config.required)
    return Bundle(id or str(folder), folder, config, manifest)


def _check_listed(manifest: Manifest, *names: str) -> None:
    for name in names:
        if name not in manifest.files:
            raise IntegrityError(
                name, expected="a file of the manifest", actual="none", hint=DAMAGED
            )
