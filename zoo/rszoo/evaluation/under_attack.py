"""Accuracy under an attack, from its log: an upper bound, no certificate, and no evidence.

What withstands one attack may fall to the next. These numbers therefore have tables of their own,
one for each data set, attack, norm and distance, and stand in none with certificates.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rszoo.certificates.protocol import Inputs
from rszoo.errors import DataError
from rszoo.evaluation.attack_log import NORMS, AttackRow
from rszoo.evaluation.coverage import Coverage, coverage_of
from rszoo.evaluation.data_set import DataSet, check_named, data_set_of
from rszoo.evaluation.log import NO_LABEL, printable
from rszoo.theory.bounds import clopper_pearson_interval
from rszoo.theory.rounding import as_distance, as_stated

__all__ = ["MEANING", "Attacked", "UnderAttack", "attacked_by", "under_attack"]

#: What every table of these numbers says of itself.
MEANING = (
    "Under attack: the share of all inputs that are answered rightly, and still are after the "
    "attack has moved them by eps at most; rounded up, with its exact 95 % interval over the "
    "inputs. It is an upper bound, since another attack may find more, and no certificate. It is "
    "from logs of those who attacked, which nobody has repeated; rows are in no order of merit."
)

_LEVEL = 0.05  # of the intervals
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,49}")
_LONGEST = 200
_OF_ANSWERS = ("sigma", "draws", "n", "alpha")


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """An attack on the inputs of a data set: what tables are for.

    Attributes:
        name: of the attack.
        norm: in which distances are measured.
        eps: the largest distance, pixel units.
        about: the data set.
    """

    name: str
    norm: str
    eps: float
    about: DataSet

    def __str__(self) -> str:
        """Return the title of a table."""
        return f"Upper bound by attack {self.name}, {self.norm}, eps {as_distance(self.eps)}"


@dataclass(frozen=True, kw_only=True)
class UnderAttack:
    """What a classifier answered, before and under one attack.

    Attributes:
        attacked: which attack, on what.
        how: what else the log states of the attack and of the answers; printable.
        coverage: the inputs.
        right: how many were answered rightly.
        right_under_attack: how many still were.
    """

    attacked: Attacked
    how: str
    coverage: Coverage
    right: int
    right_under_attack: int

    @property
    def clean(self) -> float:
        """The share that was answered rightly."""
        return self.right / self.coverage.listed

    @property
    def accuracy(self) -> float:
        """The share that still was, of all inputs: an upper bound."""
        return self.right_under_attack / self.coverage.listed

    @property
    def interval(self) -> tuple[float, float]:
        """The exact interval of that share over the inputs, 95 %."""
        return clopper_pearson_interval(self.right_under_attack, self.coverage.listed, _LEVEL)


def under_attack(
    path: Path, rows: Sequence[AttackRow], stated: Mapping[str, object]
) -> UnderAttack:
    """Return what a log of attacks says, its rows compared with its protocol.

    Args:
        path: the log, for messages.
        rows, stated: as `rszoo.evaluation.attack_log.read_attack_log` gives them.

    Raises:
        DataError: it is not of labelled inputs of a data set, or a row says what cannot be: an
            input that is not among those stated, a distance above eps, a right answer to what
            was answered wrongly before.
    """
    inputs = _inputs(path, stated)
    attacked = attacked_by(path, stated, inputs)
    if not rows:
        raise DataError(f"{path}: expected attacked inputs, got none")
    indices = inputs.indices
    for row in rows:
        if wrong := _wrong(row, indices, attacked.eps):
            raise DataError(f"{path}: expected {wrong} (input {row.idx}); attack anew")
    return UnderAttack(
        attacked=attacked,
        how=_how(stated),
        coverage=coverage_of(inputs, [row.idx for row in rows]),
        right=sum(row.clean == row.label for row in rows),
        right_under_attack=sum(row.attacked == row.label for row in rows),
    )


def attacked_by(path: Path, stated: Mapping[str, object], inputs: Inputs) -> Attacked:
    """Return which attack a protocol states.

    Raises:
        DataError: none that there can be.
    """
    attack = stated.get("attack")
    values: Mapping[str, Any] = attack if isinstance(attack, dict) else {}
    name, norm, eps = (values.get(key) for key in ("name", "norm", "eps"))
    known = isinstance(name, str) and _NAME.fullmatch(name) and norm in NORMS
    if not known or not isinstance(eps, (int, float)) or not 0 < eps < math.inf:
        raise DataError(
            f"{path}: expected the name of an attack, a norm of {list(NORMS)} and 0 < eps < "
            f"infinity, got {repr(attack)[:_LONGEST]}"
        )
    return Attacked(name=str(name), norm=str(norm), eps=float(eps), about=data_set_of(inputs))


def _inputs(path: Path, stated: Mapping[str, object]) -> Inputs:
    """Return which inputs a protocol states, checked to be of a data set."""
    try:
        inputs = Inputs.model_validate(stated.get("inputs"))
    except ValidationError as error:
        raise DataError(f"{path}: expected the inputs of a data set: {error}") from error
    if inputs.name is None or inputs.indices is None or inputs.own is not None:
        raise DataError(
            f"{path}: expected a log of all stated inputs of a data set, got one of inputs of the "
            "user's own, or without their number"
        )
    check_named(path, inputs)
    return inputs


def _wrong(row: AttackRow, indices: range | None, eps: float) -> str | None:
    """Return what was expected of a row that says what cannot be."""
    if indices is not None and row.idx not in indices:
        return "one of the inputs by its protocol"
    if row.label == NO_LABEL:
        return "a true class"
    if row.distance > eps:
        return f"a distance of {as_distance(eps)} at most, got {row.distance!r}"
    if row.clean != row.label and (row.attacked != row.clean or row.distance > 0):
        return "the same answer where the input was not attacked"
    return None


def _how(stated: Mapping[str, object]) -> str:
    """Return what else is stated, on one line."""
    attack = stated["attack"]
    values = dict(attack) if isinstance(attack, dict) else {}
    for known in ("name", "norm", "eps"):
        del values[known]
    values |= {key: stated[key] for key in _OF_ANSWERS if key in stated}
    said = [
        f"{key} {as_stated(value) if isinstance(value, float) else value}"
        for key, value in values.items()
        if isinstance(value, (str, int, float))
    ]
    return printable(", ".join(said))[:_LONGEST]
