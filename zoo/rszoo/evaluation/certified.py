"""What a certification gives: each input with its certificate, as arrays, as a table, as a log."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rszoo.certificates.base import Certificate
from rszoo.certificates.kind import Kind
from rszoo.certificates.protocol import Protocol
from rszoo.errors import RszooError
from rszoo.evaluation.inputs import Input
from rszoo.evaluation.log import CertificationLog, LogTable, as_log
from rszoo.evaluation.metrics import Summary, summary
from rszoo.evaluation.table import table_of

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Certified"]


@dataclass(frozen=True, kw_only=True)
class Certified:
    """The result of a certification.

    Attributes:
        kind: of the certificates.
        answers: each input with its certificate; those that the log held first.
        seed: of all noise.
        protocol: what was certified, and how.
        log: the file that the answers are in; None where they are in memory alone.
        seconds: what each took, in the order of the answers; None for those that the log held.
    """

    kind: Kind
    answers: tuple[tuple[Input, Certificate], ...]
    seed: int
    protocol: Protocol
    log: Path | None
    seconds: tuple[float | None, ...]

    def __len__(self) -> int:
        return len(self.answers)

    def __repr__(self) -> str:
        where = "" if self.log is None else f", log={str(self.log)!r}"
        return f"Certified({self.kind.name}, {len(self)} inputs, seed={self.seed}{where})"

    @property
    def certificates(self) -> list[Certificate]:
        """The certificates, in the order of the answers."""
        return [certificate for _, certificate in self.answers]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The certified class of each input, `[N]`; `rszoo.ABSTAIN` (-1) where there is none."""
        return np.array([one.label for one in self.certificates], dtype=np.int64)

    @property
    def radii(self) -> NDArray[np.float64]:
        """The certified L2 radius of each input, `[N]`, pixel units; 0 for an abstention."""
        return np.array([one.radius for one in self.certificates], dtype=np.float64)

    @property
    def votes(self) -> NDArray[np.int64]:
        """How many of the draws for estimation fell on the candidate of each input, `[N]`."""
        return np.array([one.votes for one in self.certificates], dtype=np.int64)

    @property
    def table(self) -> LogTable:
        """The log of the answers, as `rszoo.evaluation.log.read_log` reads one."""
        rows = [(one.idx, one.label, given, 0.0, one.name) for one, given in self.answers]
        data = as_log(self.kind, rows)
        name = (self.protocol.model and self.protocol.model.name) or "certified"
        return table_of(self.log or Path(f"{name}.tsv"), data, self.protocol)

    def to_pandas(self) -> "pd.DataFrame":
        """Return a `pandas.DataFrame` with a row per input and the columns of a log.

        `label` is the true class (-1 where it is not known), `predict` the certified one and
        `class_name` what that is called. Numbers are as in the certificates, none is rounded.
        """
        import pandas as pd

        table = self.table
        columns = {name: getattr(table, name) for name in _COLUMNS}
        names = [certificate.class_name for certificate in self.certificates]
        given = {name: column for name, column in columns.items() if column is not None}
        details = {name: list(column) for name, column in table.details.items()}
        return pd.DataFrame({**given, "class_name": names, **details})

    def save(self, path: str | Path) -> Path:
        """Write the log of the answers, and its protocol beside it; return the path of the log.

        Raises:
            RszooError: there is a file already, the answers are in a log already, or it cannot be
                written.
        """
        if self.log is not None:
            raise RszooError(
                f"expected answers that are in memory alone, got those of {str(self.log)!r}; copy "
                "that file, and the .json file beside it"
            )
        with CertificationLog.open(path, self.protocol, resume=False) as log:
            for (one, certificate), seconds in zip(self.answers, self.seconds, strict=True):
                log.append(one.idx, one.label, certificate, seconds or 0.0, input=one.name)
        return Path(path)

    def report(self, radii: tuple[float, ...] | None = None) -> Summary:
        """Return accuracy, average certified radius and the like, as `rszoo report` shows them.

        Args:
            radii: where to give the certified accuracy, pixel units; None chooses some.

        Raises:
            DataError: nothing was certified, or the true classes are not known.
        """
        return summary(self.table.as_shown(), radii)


# Of a table, in the order of a log: which input, what is claimed, and what it rests on.
_COLUMNS = (
    "idx",
    "input",
    "label",
    "predict",
    "radius",
    "correct",
    "candidate",
    "votes",
    "n0",
    "n",
    "alpha",
    "sigma",
    "p_lower",
    "draws",
    "spent",
)
