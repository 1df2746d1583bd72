"""Models under attack on the leaderboard: tables of their own, below those of certificates.

There is one for each data set, attack, norm and distance. Its numbers are upper bounds, of other
inputs and other efforts: there are no places, models at hand are in the order of their names.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rszoo.evaluation.leaderboard.columns import UNKNOWN, Cell
from rszoo.evaluation.under_attack import Attacked, UnderAttack
from rszoo.theory.rounding import as_interval, as_share, as_share_at_most

__all__ = [
    "HEADS",
    "AttackedEntry",
    "AttackedGroup",
    "AttackedRow",
    "as_attacked_data",
    "cells",
    "grouped_attacks",
    "heading",
    "selected_attacks",
]

#: The columns beside that of the model.
HEADS = ("method", "right %", "under attack, at most %", "95 %", "inputs", "how")


@dataclass(frozen=True, kw_only=True)
class AttackedEntry:
    """A model with logs of attacks. Its texts are printable, on one line, not escaped.

    Attributes:
        model, method, network, profile: as `rszoo.evaluation.leaderboard.entry.Entry` has them.
        sigma: its noise level; None where there are several.
        results: what the logs say.
    """

    model: str
    method: str | None
    network: str | None
    profile: str | None
    sigma: float | None
    results: tuple[UnderAttack, ...]


@dataclass(frozen=True, kw_only=True)
class AttackedRow:
    """One model under one attack.

    Attributes:
        model, method, network, profile: as in `AttackedEntry`.
        clean, accuracy: shares of the inputs that were answered rightly, before and under attack.
        interval: of the latter, 95 %; None for published numbers.
        inputs: how many, such as "360".
        how: what else is known.
        paper: of published numbers; None for a model that is at hand.
    """

    model: str
    method: str | None
    network: str | None
    profile: str | None
    clean: float
    accuracy: float
    interval: tuple[float, float] | None
    inputs: str
    how: str
    paper: str | None = None


@dataclass(frozen=True, kw_only=True)
class AttackedGroup:
    """A table: one attack on the inputs of one data set.

    Attributes:
        attacked: which.
        rows: of models at hand, by name, then published ones, as they were published.
    """

    attacked: Attacked
    rows: tuple[AttackedRow, ...]


def selected_attacks(
    entries: Iterable[AttackedEntry],
    *,
    dataset: str | None = None,
    sigma: float | None = None,
    method: str | None = None,
) -> list[AttackedEntry]:
    """Return the entries of one data set, one sigma, one method; None takes all."""
    return [
        entry
        for entry in entries
        if any(dataset in (None, one.attacked.about.name) for one in entry.results)
        and sigma in (None, entry.sigma)
        and method in (None, entry.method)
    ]


def grouped_attacks(
    entries: Sequence[AttackedEntry],
    published: Sequence[tuple[Attacked, AttackedRow]] = (),
    *,
    dataset: str | None = None,
) -> list[AttackedGroup]:
    """Return the tables, by data set, attack, norm and distance.

    Args:
        entries: models at hand.
        published: rows that join tables of models at hand.
        dataset: tables of this one only; None takes all.
    """
    found = [(one.attacked, _row(entry, one)) for entry in entries for one in entry.results]
    keys = dict.fromkeys(key for key, _ in found if dataset in (None, key.about.name))
    return [
        AttackedGroup(
            attacked=key,
            rows=(
                *sorted((row for at, row in found if at == key), key=lambda row: row.model),
                *(row for at, row in published if _same(at, key)),
            ),
        )
        for key in sorted(keys, key=lambda key: (str(key.about), key.name, key.norm, key.eps))
    ]


def _same(published: Attacked, key: Attacked) -> bool:
    """Return whether two are alike; of published ones nobody has the images' digest."""
    alike = (published.name, published.norm, published.eps) == (key.name, key.norm, key.eps)
    of = (published.about.name, published.about.split)
    return alike and of == (key.about.name, key.about.split)


def _row(entry: AttackedEntry, one: UnderAttack) -> AttackedRow:
    return AttackedRow(
        model=entry.model,
        method=entry.method,
        network=entry.network,
        profile=entry.profile,
        clean=one.clean,
        accuracy=one.accuracy,
        interval=one.interval,
        inputs=one.coverage.fraction,
        how=one.how,
    )


def heading(group: AttackedGroup) -> str:
    """Return the title of a table."""
    return f"{group.attacked}: {group.attacked.about}"


def cells(row: AttackedRow) -> list[Cell]:
    """Return the cells of a row, in the order of `HEADS`."""
    known = [fact for fact in (row.profile, row.network, row.paper) if fact]
    return [
        Cell(row.method or UNKNOWN, ", ".join(known)),
        Cell(as_share(row.clean), value=row.clean),
        Cell(as_share_at_most(row.accuracy), value=row.accuracy),
        Cell(UNKNOWN if row.interval is None else as_interval(row.interval)),
        Cell(row.inputs),
        Cell(row.how or UNKNOWN),
    ]


def as_attacked_data(groups: Sequence[AttackedGroup]) -> list[dict[str, Any]]:
    """Return the tables as JSON values, without a key that groups of certificates have."""
    return [
        {
            "certified": False,
            "upper_bound_by_attack": {
                "name": group.attacked.name,
                "norm": group.attacked.norm,
                "eps": group.attacked.eps,
            },
            "inputs_of": str(group.attacked.about),
            "under_attack": [_data(row) for row in group.rows],
        }
        for group in groups
    ]


def _data(row: AttackedRow) -> dict[str, Any]:
    values = asdict(row)
    return {
        "model": values.pop("model"),
        "published": values.pop("paper"),
        "right": values.pop("clean"),
        "right_under_attack_at_most": values.pop("accuracy"),
        **values,
    }
