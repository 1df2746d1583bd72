"""`rszoo attack`: what a model answers to inputs that an attack has moved."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rszoo.evaluation.progress_bar import ProgressBar
from rszoo_cli.console import err
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
    from rszoo.smoothing.execution import Execution

__all__ = ["attack"]

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
_Attach = Annotated[
    bool,
    output("--attach", help="Put the finished log into the bundle, as a bound, no evidence."),
]
_Overwrite = Annotated[
    bool,
    advanced("--overwrite", help="With --attach: even over another log of this attack."),
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
    attach: _Attach = False,
    json: Json = False,
    batch_size: _BatchSize = 32,
    overwrite: _Overwrite = False,
    precision: Precision = "auto",
) -> None:
    """Attack a model: how many inputs are still answered rightly once moved by eps.

    An upper bound, no certificate: another may find more. Noise and mixes are attacked through.

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
    from rszoo_cli.attack_shown import attach_log, check_attach, print_counts, print_own
    from rszoo_cli.broken import check_whole, print_broken
    from rszoo_cli.inputs import to_certify
    from rszoo_cli.usage import check_inputs, check_log, seed_named

    _check_named(attack, norm)
    check_inputs(inputs, attach or skip or dataset, shard=None, attach=attach)
    check_log(inputs, log_file, resume=resume, attach=attach, overwrite=False)
    bundle = find(model)
    check_attach(bundle, attach=attach, overwrite=overwrite)
    where = {"root": data_root, "download": download}
    if within_certificates:
        check_whole(inputs, log_file or resume or skip or attach)
        options = {"count": limit, "steps": steps, "draws": draws, "n": n, "seed": seed}
        return print_broken(bundle, options, {**where, "device": device}, dataset, json=json)
    todo = to_certify(inputs, bundle, dataset, None, limit, skip=skip, resize=resize, **where)
    if log_file is None and not inputs:
        log_file = Path("attacks") / f"{bundle.config.name}-{attack}-{norm}-{eps:.4g}.tsv"
    _check_written(log_file)
    before = _stated(log_file, resume=resume)
    seed = seed_named(seed, before=_seed_of(before), shard=None)
    how: Any = {"norm": norm, "eps": eps, "steps": steps, "seed": seed, "batch_size": batch_size}
    execution = _execution(device, precision, before)
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
        return print_own(rows, bundle, named, seed, json=json)
    print_counts(rows, bundle, named, log_file, json=json)
    attach_log(bundle, log_file, attach=attach, overwrite=overwrite)


def _check_named(attack: str, norm: str) -> None:
    """Refuse an attack or a norm that there is not."""
    from rszoo.evaluation import attacks
    from rszoo.evaluation.attack_log import NORMS

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


def _stated(log_file: Path | None, *, resume: bool) -> Mapping[str, object]:
    """Return the protocol of the log that is continued; nothing where there is none."""
    from rszoo.evaluation.attack_log import read_attack_log

    if log_file is None or not resume or not log_file.exists():
        return {}
    return read_attack_log(log_file)[1]


def _execution(device: str | None, precision: str, before: Mapping[str, object]) -> "Execution":
    """Return where and how the model answers, under noise drawn as in a log that is continued."""
    from rszoo.smoothing import schemes
    from rszoo.smoothing.execution import Execution

    scheme = schemes.stated(str(before.get("noise", "")))
    return Execution(device=device, precision=precision, noise_scheme=scheme)


def _seed_of(before: Mapping[str, object]) -> int | None:
    seed = before.get("seed")
    return seed if isinstance(seed, int) else None
