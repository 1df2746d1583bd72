"""`rszoo attack`: what a model answers to inputs that an attack has moved."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rszoo.evaluation.progress_bar import ProgressBar
from rszoo_cli.console import err, out
from rszoo_cli.options import (
    Alpha,
    DataRoot,
    Device,
    Download,
    Inputs,
    Json,
    Limit,
    NoiseSeed,
    Precision,
    Resize,
    ResumeLog,
    Skip,
    TestData,
)
from rszoo_cli.panels import advanced, budget, output
from rszoo_cli.values import count, distance

if TYPE_CHECKING:
    from rszoo.evaluation.attack_log import AttackRow
    from rszoo.hub.bundle import Bundle

__all__ = ["attack"]

_LEVEL = 0.05  # of the intervals

_Target = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="A bundle: path, builtin/NAME or org/name[@revision] of a hub."
    ),
]
_Distance = Annotated[
    float,
    typer.Option(
        parser=distance,
        help="Largest distance, pixels in [0, 1]: 0.03 or 8/255.",
        show_default="8/255",
    ),
]
_Norm = Annotated[str, typer.Option(metavar="linf|l2", help="How it is measured.")]
_Attack = Annotated[
    str,
    typer.Option(metavar="NAME", help="pgd; apgd or autoattack with pip install 'rszoo[attack]'."),
]
_Within = Annotated[
    bool,
    typer.Option(
        "--within-certificates",
        help="Look instead for points that break the certificates of the bundle.",
    ),
]
_Steps = Annotated[int, budget(metavar="N", parser=count(), help="Gradient steps of pgd.")]
_Climbed = Annotated[
    int,
    budget(
        metavar="N",
        parser=count(),
        help="Noisy copies that it climbs, of a smoothed model.",
    ),
]
_Answered = Annotated[
    int, budget("--n", parser=count(), help="Draws for each answer of a smoothed model.")
]
_LogFile = Annotated[
    Path | None,
    output(
        "--out",
        metavar="FILE.tsv",
        help="The log.",
        show_default="attacks/NAME-...tsv; none for own inputs",
    ),
]
_BatchSize = Annotated[
    int, advanced(metavar="N", parser=count(), help="Inputs that are attacked together.")
]


def attack(
    model: _Target,
    inputs: Inputs = None,
    eps: _Distance = 8 / 255,
    norm: _Norm = "linf",
    attack: _Attack = "pgd",
    within_certificates: _Within = False,
    steps: _Steps = 20,
    draws: _Climbed = 32,
    n: _Answered = 1000,
    alpha: Alpha = 0.001,
    seed: NoiseSeed = None,
    dataset: TestData = None,
    skip: Skip = None,
    limit: Limit = None,
    resize: Resize = False,
    data_root: DataRoot = None,
    download: Download = False,
    device: Device = None,
    log_file: _LogFile = None,
    resume: ResumeLog = False,
    json: Json = False,
    batch_size: _BatchSize = 32,
    precision: Precision = "auto",
) -> None:
    """Attack a model: how many inputs are still answered rightly once moved by eps.

    What withstands this attack may fall to another: the share is an upper bound, no certificate. A
    smoothed model is attacked through its noise, a mix through both parts.

    --within-certificates: exit code 1 if more break than chance explains, or one is certified
    again.

    Example:

        rszoo attack runs/digits-adversarial-0.00 --eps 0.1

        rszoo attack builtin/digits-cat_rs-0.50 --norm l2 --eps 0.5 --limit 100

        rszoo attack builtin/digits-cat_rs-0.50 --within-certificates --limit 50
    """
    from rszoo.evaluation.attack import Attack
    from rszoo.evaluation.attack import attack as attack_all
    from rszoo.hub.attacked import target_of
    from rszoo.hub.catalog import find
    from rszoo.smoothing.execution import Execution
    from rszoo_cli.broken import check_whole, print_broken
    from rszoo_cli.inputs import to_certify
    from rszoo_cli.usage import check_inputs, check_log, seed_named

    _check_named(attack, norm)
    check_inputs(inputs, skip or dataset, shard=None, attach=False)
    check_log(inputs, log_file, resume=resume, attach=False, overwrite=False)
    bundle = find(model)
    where = {"root": data_root, "download": download}
    if within_certificates:
        check_whole(inputs, log_file or resume or skip)
        options = {"count": limit, "steps": steps, "draws": draws, "n": n, "seed": seed}
        return print_broken(bundle, options, {**where, "device": device}, dataset, json=json)
    todo = to_certify(inputs, bundle, dataset, None, limit, skip=skip, resize=resize, **where)
    if log_file is None and not inputs:
        log_file = Path("attacks") / f"{bundle.config.name}-{attack}-{norm}-{eps:.4g}.tsv"
    _check_written(log_file)
    seed = seed_named(seed, before=_seed_of(log_file, resume=resume), shard=None)
    how: Any = {"norm": norm, "eps": eps, "steps": steps, "seed": seed, "batch_size": batch_size}
    execution = Execution(device=device, precision=precision)
    rows = attack_all(
        target_of(bundle, execution, draws=draws, n=n, alpha=alpha, seed=seed),
        todo,
        Attack(name=attack, **how),
        log=log_file,
        resume=resume,
        metering=partial(ProgressBar, err, f"attack {bundle.config.name}"),
    )
    named = {"attack": attack, "norm": norm, "eps": eps}
    if inputs:
        _print_own(rows, bundle, named, seed, json=json)
    else:
        _print_counts(rows, bundle, named, log_file, json=json)


def _check_named(attack: str, norm: str) -> None:
    """Refuse an attack or a norm that there is not."""
    from rszoo.evaluation import attacks
    from rszoo.evaluation.attack import NORMS

    if norm not in NORMS:
        raise typer.BadParameter(f"expected --norm {' or '.join(NORMS)}, got {norm!r}")
    if attack not in attacks.names():
        raise typer.BadParameter(f"expected --attack {', '.join(attacks.names())}, got {attack!r}")


def _check_written(log_file: Path | None) -> None:
    """Refuse a log in a bundle, or one that the output is redirected to."""
    from rszoo.evaluation.protocol import protocol_path
    from rszoo.hub.writing import check_outside_bundles
    from rszoo_cli.usage import check_redirect

    if log_file is not None:
        check_outside_bundles(log_file)
        check_redirect(log_file, protocol_path(log_file))


def _seed_of(log_file: Path | None, *, resume: bool) -> int | None:
    """Return the seed of the log that is continued, if there is one."""
    from rszoo.evaluation.attack_log import read_attack_log

    if log_file is None or not resume or not log_file.exists():
        return None
    seed = read_attack_log(log_file)[1].get("seed")
    return seed if isinstance(seed, int) else None


def _print_counts(
    rows: "Sequence[AttackRow]",
    bundle: "Bundle",
    named: dict[str, Any],
    log_file: Path | None,
    *,
    json: bool,
) -> None:
    """Print how many answers are right, before and under the attack, with intervals of 95 %."""
    from rszoo.theory.bounds import clopper_pearson_interval

    count = len(rows)
    clean = sum(row.clean == row.label for row in rows)
    attacked = sum(row.attacked == row.label for row in rows)
    values = {
        "model": bundle.id,
        **named,
        "inputs": count,
        "right": clean,
        "right_interval": clopper_pearson_interval(clean, count, _LEVEL),
        "right_under_attack": attacked,
        "right_under_attack_interval": clopper_pearson_interval(attacked, count, _LEVEL),
        "upper_bound": True,
        "log": str(log_file),
    }
    if json:
        out.print_json(data=values)
        return
    _print_table(values, bundle.config.name)
    err.print("an upper bound by one attack, not a certificate", style="yellow", soft_wrap=True)
    err.print(f"log: {log_file}", highlight=False, soft_wrap=True)


def _print_table(values: dict[str, Any], name: str) -> None:
    from rich.table import Table

    from rszoo.theory.rounding import as_interval, as_share, as_share_at_most, as_stated

    table = Table("answers", "right", "95 %", box=None)
    count = values["inputs"]
    share, at_most = values["right"] / count, values["right_under_attack"] / count
    interval = as_interval(values["right_interval"])
    table.add_row(f"{name}, {count} inputs", f"{as_share(share)}%", interval)
    under = f"under {values['attack']}, {values['norm']} {as_stated(values['eps'])}"
    interval = as_interval(values["right_under_attack_interval"])
    table.add_row(under, f"at most {as_share_at_most(at_most)}%", interval)
    out.print(table)


def _print_own(
    rows: "Sequence[AttackRow]",
    bundle: "Bundle",
    named: dict[str, Any],
    seed: int,
    *,
    json: bool,
) -> None:
    """Print the answers to each of the user's own inputs, before and under the attack."""
    from rich.table import Table
    from rich.text import Text

    from rszoo.certificates.base import ABSTAIN
    from rszoo.theory.rounding import as_error

    def name(label: int) -> str | None:
        return None if label == ABSTAIN else bundle.config.class_names[label]

    if json:
        out.print_json(
            data=[
                {
                    "input": row.input,
                    "class": name(row.clean),
                    "class_under_attack": name(row.attacked),
                    "distance": row.distance,
                    **named,
                    "seed": seed,
                }
                for row in rows
            ]
        )
        return
    table = Table("input", "label", "under attack", "moved by", box=None)
    for row in rows:
        labels = [Text(name(label) or "abstains") for label in (row.clean, row.attacked)]
        table.add_row(Text(row.input or ""), *labels, as_error(row.distance))
    out.print(table)
    err.print("one attack, not a certificate: another may find more", style="yellow")
    err.print(f"seed {seed}", highlight=False)
