"""What the certificates in a repository give, read as anybody reads them who fetches the model.

The weights are not read: the digest that the repository has of them takes their place.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from rszoo._each import attempted
from rszoo.errors import RszooError
from rszoo.evaluation.data_set import data_set
from rszoo.evaluation.metrics import summary
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.evidence import check_of_bundle_alone, evidence_of
from rszoo.hub.files import EVIDENCE, MANIFEST, RECORD
from rszoo.hub.manifest import Manifest
from rszoo.hub_server.blobs import Blobs
from rszoo.hub_server.certified import Certified, computed
from rszoo.hub_server.history import Tree

__all__ = ["Evidence", "evidence_in", "read_in_bundle"]

T = TypeVar("T")

_LARGEST = 1 << 25  # bytes of all that is read: a log of 200,000 inputs
_NOTHING_KNOWN = "they cannot be read"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the certificates of a model say.

    Attributes:
        certified: the numbers; None without certificates, or if they cannot be used.
        method: of the model; None where it is no bundle.
        problem: why certificates that are there cannot be used.
    """

    certified: Certified | None = None
    method: str | None = None
    problem: str | None = None


def evidence_in(tree: Tree, blobs: Blobs) -> Evidence:
    """Return what the certificates in a state of a repository say."""
    if EVIDENCE not in tree or MANIFEST not in tree:
        return Evidence()
    files = {name: tree[name] for name in (MANIFEST, *RECORD) if name in tree}
    if sum(file.size for file in files.values()) > _LARGEST:
        return Evidence(
            problem=f"they are larger than the {_LARGEST >> 20} MiB that this page reads"
        )
    digests = tuple((name, file.sha256) for name, file in sorted(tree.items()))
    try:
        return _read(digests, tuple(files), blobs)
    except OSError:
        return Evidence(problem=_NOTHING_KNOWN)


@lru_cache(maxsize=4096)
def _read(digests: tuple[tuple[str, str], ...], names: tuple[str, ...], blobs: Blobs) -> Evidence:
    found = read_in_bundle(dict(digests), names, blobs, _of_bundle, expected="certificates")
    return Evidence(problem=found) if isinstance(found, str) else found


def _of_bundle(bundle: Bundle) -> Evidence:
    log = evidence_of(bundle)
    check_of_bundle_alone(log)
    return Evidence(
        certified=computed(summary(log), data_set(log.protocol)), method=bundle.config.method
    )


def read_in_bundle(
    there: Mapping[str, str],
    names: Collection[str],
    blobs: Blobs,
    read: Callable[[Bundle], T],
    *,
    expected: str,
) -> T | str:
    """Return what is read of the bundle in a repository, or what is wrong with it.

    Args:
        there: the files of the repository and their digests.
        names: those that are looked at.
        blobs: where their contents are.
        read: reads, and raises what is wrong.
        expected: what there should be.

    Raises:
        OSError: this time they could not be read; the next time they may be.
    """
    with TemporaryDirectory() as folder:
        for name in names:
            Path(folder, name).symlink_to(blobs.path(there[name]).resolve())
        found = attempted(
            lambda: read(_opened(Path(folder), there, names, blobs)), expected=expected
        )
        if not isinstance(found, RszooError):
            return found
        if isinstance(found.__cause__, OSError):
            raise found.__cause__
        return str(found).replace(f"{folder}/", "").replace(folder, "this model")


def _opened(
    folder: Path, there: Mapping[str, str], names: Collection[str], blobs: Blobs
) -> Bundle:
    for name, entry in Manifest.read(folder).files.items():
        if there.get(name) != entry.sha256:
            raise RszooError(f"{name} is not what the manifest says")
    return open_bundle(folder, id="this model", cache=blobs.folder, only=names)
