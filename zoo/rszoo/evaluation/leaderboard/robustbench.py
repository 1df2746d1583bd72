"""The accuracies under attack of `robustbench.yaml`, as rows for reference."""

from fractions import Fraction
from pathlib import Path
from typing import Any

from rszoo._yaml import parse_yaml
from rszoo.evaluation.data_set import DataSet
from rszoo.evaluation.leaderboard.attacked import AttackedRow
from rszoo.evaluation.leaderboard.published import share_of
from rszoo.evaluation.under_attack import Attacked
from rszoo.theory.rounding import as_share_at_most

__all__ = ["published_attacks"]


def published_attacks() -> list[tuple[Attacked, AttackedRow]]:
    """Return all published accuracies under attack that come with rszoo, and of which table."""
    text = Path(__file__).with_name("robustbench.yaml").read_text(encoding="utf-8")
    content: Any = parse_yaml(text)
    run = content["run"]
    attacked = Attacked(
        name=run["attack"],
        norm=run["norm"],
        eps=float(Fraction(run["eps"])),
        about=DataSet(name=run["dataset"], split=run["split"], checked=False),
    )
    return [(attacked, _row(values, content)) for values in content["rows"]]


def _row(values: dict[str, Any], content: dict[str, Any]) -> AttackedRow:
    source, others, notes = content["source"], values.get("others"), []
    if others is not None:
        notes.append(f"at most {as_share_at_most(share_of(others))} % under other attacks")
    if values["extra_data"]:
        notes.append("trained on more images")
    if "eps" in values:
        notes.append(f"attacked at eps {values['eps']}, which is less")
    return AttackedRow(
        model=values["file"],
        method=values.get("method"),
        network=values["network"],
        profile=None,
        clean=share_of(values["clean"]),
        accuracy=share_of(values["under_attack"]),
        interval=None,
        inputs=f"{content['run']['images']:,}",
        how=", ".join(notes),
        paper=f"{values['paper']}, {source['repository']} at {source['commit'][:10]}",
    )
