"""Of which data set the inputs of a log are, and who says so.

A name proves nothing: only images with the digest of a known data set may be called by its name.
Of other sets there is nothing to check it by, and what their images are called, the author says.
"""

from dataclasses import dataclass

from rszoo.certificates.protocol import Inputs, Protocol
from rszoo.data.known import known_set
from rszoo.errors import DataError
from rszoo.evaluation.rows import printable

__all__ = ["DataSet", "check_named", "data_set", "data_set_of"]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """The data set of a log's inputs.

    Attributes:
        name: None where the log does not say, or where the inputs are its author's own.
        split: "train" or "test"; None where the log does not say.
        checked: whether the digest is that of the known set of this name.
    """

    name: str | None
    split: str | None
    checked: bool

    def __str__(self) -> str:
        """Return such as "mnist, test", or "photos, test (so called by its author)"."""
        if self.name is None:
            return "data set not stated"
        called = ", ".join(printable(part) for part in (self.name, self.split) if part)
        return called if self.checked else f"{called} (so called by its author)"


def data_set(protocol: Protocol | None) -> DataSet:
    """Return the data set of the inputs of a log, from its protocol."""
    return data_set_of(None if protocol is None else protocol.inputs)


def data_set_of(inputs: Inputs | None) -> DataSet:
    """Return the data set of inputs that a protocol states; None states none."""
    if inputs is None or inputs.name is None:
        return DataSet(name=None, split=None, checked=False)
    known = known_set(inputs.name)
    expected = known and known.digests.get(inputs.split or "")
    return DataSet(
        name=inputs.name,
        split=inputs.split,
        checked=expected is not None and inputs.digest == expected,
    )


def check_named(path: object, inputs: Inputs | None) -> None:
    """Refuse inputs that are called by the name of a known data set and are not of it.

    Raises:
        DataError: names the log at `path`.
    """
    known = known_set(inputs.name) if inputs is not None and inputs.name is not None else None
    if inputs is None or inputs.digest is None or known is None or not known.digests:
        return
    if not data_set_of(inputs).checked:
        raise DataError(
            f"{path}: expected the images of {inputs.name}, {inputs.split}, as its protocol says, "
            f"got others by their digest, {inputs.digest}; certify under the name of their own set"
        )
