"""`rszoo certify`: a data set's test images, or the user's own inputs."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from rszoo.evaluation.progress_bar import ProgressBar
from rszoo_cli.answers import print_answers
from rszoo_cli.attaching import check_attachable, finish_log
from rszoo_cli.console import err
from rszoo_cli.inputs import log_named, log_to, shard_named, to_certify
from rszoo_cli.options import (
    Address,
    Alpha,
    DataRoot,
    Devices,
    Download,
    Engine,
    Inputs,
    Json,
    Limit,
    Model,
    NoiseSeed,
    Precision,
    Resize,
    ResumeLog,
    Skip,
    TestData,
)
from rszoo_cli.panels import advanced, budget, output
from rszoo_cli.per_input import (
    MemoryFile,
    PerInputSigma,
    memory_file,
    opened_memory,
    searched,
)
from rszoo_cli.planned import FASTER, print_plan
from rszoo_cli.stopping import bound_named, early_stopping
from rszoo_cli.usage import (
    check_inputs,
    check_log,
    engine_named,
    seed_named,
    warn_if_in_vain,
)
from rszoo_cli.values import count, scheme_named

__all__ = ["certify"]

_Estimation = Annotated[
    int, budget("--n", parser=count(), help="Draws for each certificate, such as 10000 or 1e5.")
]
_Selection = Annotated[
    int, budget("--n0", metavar="N", parser=count(), help="Draws for selecting the class.")
]
_Radii = Annotated[
    str | None,
    budget(metavar="R,R,...", help="At these radii only, with as few draws as decide them."),
]
_Adaptive = Annotated[
    bool, budget("--adaptive", help="Stop drawing where more would change little.")
]
_LogFile = Annotated[
    Path | None,
    output(
        "--out",
        metavar="FILE.tsv",
        help="The log.",
        show_default="certificates/NAME.tsv; none for own inputs",
    ),
]
_Attach = Annotated[bool, output("--attach", help="Put the finished log into the bundle.")]
_DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what it would take here, and certify nothing.")
]
_Most = Annotated[
    int | None,
    advanced(
        "--n-max",
        metavar="N",
        parser=count(2),
        help="Make so many draws where all --n of them agree.",
    ),
]
_RunnerUp = Annotated[
    bool,
    advanced(
        "--runner-up",
        help="Bound the runner-up too: larger radii where several classes share the rest.",
    ),
]
_ChooseBound = Annotated[
    bool,
    advanced(
        "--choose-bound", help="Bound it where the first n0 draws let expect a larger radius."
    ),
]
_TopK = Annotated[
    int | None,
    advanced(
        "--top-k",
        metavar="K",
        parser=count(2),
        help="Certify that the answer is one of K classes, and no single one.",
    ),
]
_Tolerance = Annotated[
    float | None,
    advanced(
        "--radius-tol",
        metavar="R",
        help="With --adaptive: how much radius may be given up.",
        show_default="a tenth of sigma",
    ),
]
_Shard = Annotated[
    str | None,
    advanced(metavar="I/N", help="Certify every N-th input from the I-th on; see rszoo merge."),
]
_Overwrite = Annotated[
    bool,
    advanced(
        "--overwrite",
        help="With --attach: even over a log of more inputs. With --resume: begin a log of "
        "something else anew.",
    ),
]
_BatchSize = Annotated[
    int | None,
    advanced(
        metavar="N",
        parser=count(1, 1000),
        help="Noisy inputs per forward.",
        show_default="measured, where it is worth it",
    ),
]
_Compile = Annotated[
    bool,
    advanced("--compile", help="Compile the network: worth it for hours of a residual one."),
]
_Fused = Annotated[
    bool | None,
    advanced(
        "--fused/--no-fused",
        help="Evaluate networks by fused kernels.",
        show_default="those that they serve, on a GPU",
    ),
]
_NoCapture = Annotated[
    bool, advanced("--no-capture", help="On a GPU: replay no network from CUDA graphs.")
]
_Sound = Annotated[
    bool,
    advanced("--sound", help="Noise on the lattice of 8-bit pixels: sound in floating point."),
]

_NoiseScheme = Annotated[
    str | None,
    advanced(
        "--noise-scheme",
        metavar="NAME",
        callback=scheme_named,
        help="How noise is drawn: counter, the same on every device, or generator.",
        show_default="counter on a GPU, that of a continued log",
    ),
]


def certify(
    model: Model,
    inputs: Inputs = None,
    dry_run: _DryRun = False,
    n: _Estimation = 100_000,
    n0: _Selection = 100,
    alpha: Alpha = 0.001,
    radii: _Radii = None,
    adaptive: _Adaptive = False,
    seed: NoiseSeed = None,
    dataset: TestData = None,
    skip: Skip = None,
    limit: Limit = None,
    resize: Resize = False,
    data_root: DataRoot = None,
    download: Download = False,
    device: Devices = None,
    engine: Engine = "local",
    address: Address = None,
    log_file: _LogFile = None,
    resume: ResumeLog = False,
    attach: _Attach = False,
    json: Json = False,
    n_max: _Most = None,
    runner_up: _RunnerUp = False,
    choose_bound: _ChooseBound = False,
    top_k: _TopK = None,
    radius_tol: _Tolerance = None,
    per_input_sigma: PerInputSigma = None,
    memory: MemoryFile = None,
    shard: _Shard = None,
    overwrite: _Overwrite = False,
    batch_size: _BatchSize = None,
    precision: Precision = "auto",
    compile: _Compile = False,
    fused: _Fused = None,
    no_capture: _NoCapture = False,
    sound: _Sound = False,
    noise_scheme: _NoiseScheme = None,
) -> None:
    """Certify inputs: label and L2 radius within which no perturbation changes it.

    Each certificate holds with probability 1 - alpha. An abstention certifies nothing.

    Example:

        rszoo certify --model runs/digits-cat_rs-0.50 --n 10000

        rszoo certify --model runs/cifar10-cat_rs-0.50 photo.png folder/ --resize

        rszoo certify --model builtin/digits-cat_rs-0.50 --radii 0.25,0.5,0.75

        rszoo certify --model builtin/digits-cat_rs-0.50 --dry-run"""
    from rszoo.evaluation.job import seed_of
    from rszoo.hub.catalog import find
    from rszoo.hub.job import certify_bundle
    from rszoo.smoothing.execution import Execution
    from rszoo.smoothing.interface import Budget

    check_inputs(inputs, attach or skip or dataset, shard=shard, attach=attach)
    check_log(inputs, log_file, resume=resume, attach=attach, overwrite=overwrite)
    where, part = engine_named(engine, address, device), shard_named(shard)
    bundle = find(model)
    draws = {"n": n, "alpha": alpha}
    early = early_stopping(bundle, radii, adaptive, radius_tol, **draws, runner_up=runner_up)
    asked = {"runner_up": runner_up, "choose_bound": choose_bound, "n_max": n_max, "top_k": top_k}
    limits = early | bound_named(bundle, asked, n=n, early=bool(early), attach=attach)
    fits = {"alone": where.is_one_process and part is None, "attach": attach, "plain": not limits}
    search = searched(per_input_sigma, memory, bundle, **fits)
    check_attachable(bundle, attach=attach)
    where_data = {"root": data_root, "download": download}
    todo = to_certify(inputs, bundle, dataset, part, limit, skip=skip, resize=resize, **where_data)
    log_file = log_file or (None if inputs else log_named(bundle, search, part))
    warn_if_in_vain(n, alpha)
    evaluation = {"precision": precision, "compile": compile, "fused": fused, "sound": sound}
    drawn = {"capture": not no_capture, "batch_size": batch_size, "noise_scheme": noise_scheme}
    log = log_file and log_to(log_file, resume=resume, restart=resume and overwrite)
    execution = Execution(**evaluation, **drawn)
    how = {"execution": execution, "engine": where, "log": log, "searched": search is not None}
    if dry_run:
        return print_plan(bundle, todo, Budget(n0=n0, **draws, **limits), json=json, **how)
    with opened_memory(memory_file(search, memory, log_file)) as opened:
        before = opened.seed if opened else seed_of(log, weights=bundle.weights_digest)
        certified = certify_bundle(
            bundle,
            todo,
            Budget(n0=n0, **draws, seed=seed_named(seed, before=before, shard=part), **limits),
            memory=opened,
            metering=partial(ProgressBar, err, f"certify {bundle.config.name}", faster=FASTER),
            **how,
        )
    print_answers(certified, bundle, own=bool(inputs), log=log_file, json=json)
    finish_log(bundle, log_file, attach=attach, overwrite=overwrite)
