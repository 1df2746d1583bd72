"""Sweeps: what is planned, refused, nested, kept when something fails, and continued."""

import io
import json
import os
import re
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import mlflow
import pytest
from forks import Forks, kill_when
from rich.console import Console

from rszoo._locks import exclusive
from rszoo.errors import RszooError
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.shipped import recipe_path
from rszoo.training.sweep import Job, SweepObserver, engines, planned, summarized
from rszoo.training.sweep.engines import devices_of, slots_of, threads_of
from rszoo.training.sweep.progress import Progress
from rszoo.training.tracking.lost import PROCESS
from rszoo_cli import console, main, sweep_shown

NAME = "digits-gaussian-0.25"
DEADLINE = 300.0
DEAD = str(2**31 - 1)  # a process that there is not


class Done(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for stream in (console.out, console.err):
        monkeypatch.setattr(stream, "width", 100)


@pytest.fixture
def rszoo(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: str) -> Done:
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        captured = capsys.readouterr()
        return Done(int(caught.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def quick_children(forks: Forks, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let trainings be forks; return the command of one."""
    command = [*forks.command, *engines._CHILD[1:]]
    monkeypatch.setattr(engines, "_CHILD", command)
    return command


@pytest.fixture
def store(quick_stores: None) -> Path:
    """An output folder, whose MLflow store is made in no time."""
    return Path("runs")


def recipe(
    method: str = "gaussian", *overrides: str, sigma: float = 0.25, seed: int = 0
) -> Recipe:
    return load_recipe(method).resolve(sigma=sigma, overrides=overrides, seed=seed)


def names(jobs: list[Job]) -> list[str]:
    return [str(job.path) for job in jobs]


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def runs_of(store: Path) -> tuple[mlflow.MlflowClient, list[mlflow.entities.Run]]:
    """Return a client, and the runs of a store, the newest first."""
    client = mlflow.MlflowClient(f"sqlite:///{(store / 'mlflow.db').resolve()}")
    experiment = client.get_experiment_by_name("rszoo")
    assert experiment is not None
    return client, list(client.search_runs([experiment.experiment_id]))


# --- what is planned


def test_every_seed_has_its_folder() -> None:
    jobs = planned([recipe(seed=seed) for seed in (0, 1, 2)], out=Path("runs"))
    assert names(jobs) == [f"runs/seed-{seed}/{NAME}" for seed in (0, 1, 2)]
    assert len({path for job in jobs for path in (job.log, job.progress)}) == 6


def test_what_others_build_on_comes_first_and_once() -> None:
    asked = [recipe("cat_rs", sigma=sigma, seed=seed) for sigma in (0.25, 0.5) for seed in (0, 1)]
    jobs = planned(asked, out=Path("runs"))
    assert len(jobs) == 6
    by_path = {str(job.path): job for job in jobs}
    for seed in (0, 1):
        base = by_path[f"runs/seed-{seed}/{NAME}"]
        assert (base.asked, base.needs, base.recipe.seed) == (False, (), seed)
        for sigma in ("0.25", "0.50"):
            job = by_path[f"runs/seed-{seed}/digits-cat_rs-{sigma}"]
            assert (job.asked, job.needs) == (True, (base.path,))
            assert names(jobs).index(str(base.path)) < names(jobs).index(str(job.path))


def test_what_is_asked_for_and_built_on_is_one_training() -> None:
    for order in (1, -1):
        jobs = planned([recipe(), recipe("cat_rs", sigma=0.5)][::order], out=Path())
        assert [(job.recipe.method, job.asked) for job in jobs] == [
            ("gaussian", True),
            ("cat_rs", True),
        ]


def test_a_router_needs_its_experts_and_they_need_theirs() -> None:
    jobs = planned([recipe("dual_rs", sigma=0.5)], out=Path())
    router = jobs[-1]
    assert [job.asked for job in jobs] == [False] * (len(jobs) - 1) + [True]
    experts = [job for job in jobs if job.path in router.needs]
    assert len(experts) == len(router.needs) >= 2
    for expert in experts:
        assert all(path in [job.path for job in jobs] for path in expert.needs)


@pytest.mark.parametrize(
    ("recipes", "message"),
    [
        ([recipe(), recipe()], f"expected each training once, got {NAME} twice"),
        (
            [recipe(), recipe("gaussian", "train.lr=0.01")],
            "expected recipes whose bundles have different names, got two that make "
            f"runs/seed-0/{NAME}; sweep them into different folders (--out)",
        ),
        (
            [recipe("cat_rs"), recipe("gaussian", "train.lr=0.01")],
            f"digits-cat_rs-0.25 builds on {NAME} as rszoo's own recipe trains it, and the sweep "
            "trains that with other values; sweep them into different folders (--out)",
        ),
    ],
)
def test_names_that_clash(recipes: list[Recipe], message: str) -> None:
    with pytest.raises(RszooError) as caught:
        planned(recipes, out=Path("runs"))
    assert str(caught.value) == message


def test_devices_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_of("cpu") == ["cpu"]
    assert devices_of("cpu,cpu") == ["cpu", "cpu"]
    with pytest.raises(RszooError, match=r"^expected a device of this machine"):
        devices_of("cpu,gpu")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_of(1000) == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert threads_of(1000) == 1
    assert threads_of(1) >= 1
    assert len(slots_of(["cpu"], processes=None, jobs=1000)) == threads_of(1)  # all cores
    monkeypatch.setenv("OMP_NUM_THREADS", "100000")
    assert slots_of(["cpu"], processes=None, jobs=5) == ["cpu"]
    assert slots_of(["cpu"], processes=3, jobs=2) == ["cpu", "cpu"]
    gpus = ["cuda:0", "cuda:2"]
    assert slots_of(gpus, processes=None, jobs=5) == gpus
    assert slots_of(gpus, processes=None, jobs=1) == ["cuda:0"]
    assert slots_of(gpus, processes=3, jobs=5) == ["cuda:0", "cuda:2", "cuda:0"]


# --- what is refused before anything is written


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["gausian"], 2, "did you mean 'gaussian'?"),
        (["gaussian", "macer", "--sigma", "0.3"], 2, "sigma: 0.3 is not in the recipe's list"),
        (["gaussian", "train.epocs=1"], 2, "train.epocs: unknown key"),
        (["train.epochs=1"], 2, "expected a recipe, got values only"),
        (["gaussian", "gaussian"], 1, "expected each training once"),
        (["gaussian", "--dataset", "digit"], 1, "did you mean 'digits'?"),
        (["gaussian", "--precision", "half"], 2, "expected auto, float32 or bfloat16"),
        (["gaussian", "--device", "gpu"], 1, "expected a device of this machine"),
        (["gaussian", "--engine", "slurm"], 2, "expected --engine local or ray"),
        (["gaussian", "--engine", "ray", "--jobs", "2"], 2, "remove --jobs"),
        (
            ["dual_rs", "experts.method=null", "experts.sigmas=null", "experts.bundles=[a, b]"],
            1,
            "no such folder",
        ),
    ],
)
def test_wrong_usage_writes_nothing(
    rszoo: Command, arguments: list[str], code: int, message: str
) -> None:
    done = rszoo("sweep", *arguments)
    said = " ".join(line.strip("│ ") for line in done.err.splitlines())
    assert (done.code, done.out) == (code, "")
    assert message in said
    assert not os.listdir()


def test_recipes_of_two_data_sets_are_refused(rszoo: Command) -> None:
    other = load_recipe("gaussian").resolve(dataset="mnist", sigma=0.5)
    Path("other.yaml").write_text(other.to_yaml())
    done = rszoo("sweep", "builtin/digits-gaussian-0.25", "other.yaml")
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: expected recipes of one data set, got ['digits', 'mnist']\n"
    assert not Path("runs").exists()


def test_what_is_in_the_way_is_left_alone(rszoo: Command, trained: Path) -> None:
    shutil.copytree(trained / NAME, Path("runs", "seed-0", NAME))
    for arguments in (["train.epochs=3"], []):
        done = rszoo("sweep", "gaussian", "--sigma", "0.25", *arguments)
        assert (done.code, done.out) == (1, "")
        assert done.err == (
            f"error: runs/seed-0/{NAME} was made by another recipe, or from other data or models; "
            f"choose another --out, or move {NAME} away\n"
        )
    begun = Path("runs", "seed-1", ".state", NAME)
    begun.mkdir(parents=True)
    (begun / "run.json").write_text('{"run_id": "x", "facts": {"recipe": "other"}}')
    done = rszoo("sweep", "gaussian", "--sigma", "0.25", "--seeds", "2", "train.epochs=2")
    assert (done.code, done.out) == (1, "")
    begun_by = "is begun, by another recipe, or from other data or models"
    assert f"runs/seed-1/{NAME} {begun_by}" in done.err
    assert sorted(os.listdir("runs")) == ["seed-0", "seed-1"]


def test_two_sweeps_in_one_folder(rszoo: Command, store: Path) -> None:
    (store / ".state").mkdir(parents=True)
    with exclusive(store / ".state" / "sweep.lock"):
        done = rszoo("sweep", "gaussian", "--sigma", "0.25")
    assert (done.code, done.out) == (1, "")
    assert "another sweep is at work in 'runs'; wait for it, or choose another --out" in done.err
    assert not (store / "seed-0").exists()


# --- real sweeps


def test_one_that_fails_does_not_stop_the_others(
    rszoo: Command, store: Path, trained: Path, quick_children: list[str]
) -> None:
    text = recipe_path("stability").read_text()
    at_digits = text.index("digits:")
    Path("bad.yaml").write_text(
        text[:at_digits] + re.sub(r"lr: [\d.]+", "lr: 1.0e+30", text[at_digits:], count=1)
    )
    command = ["sweep", "bad.yaml", "gaussian", "--sigma", "0.25", "train.epochs=2", "--jobs", "2"]
    done = rszoo(*command, "--json")
    assert done.code == 1
    log = "runs/seed-0/.state/digits-stability-0.25.log"
    assert re.search(
        r"^digits-stability-0\.25, seed 0: failed: exit code 1: expected a finite loss, got .* "
        rf"and train again; its log: {log}$",
        done.err,
        re.MULTILINE,
    ), done.err
    assert "error: expected a finite loss" in Path(log).read_text()
    found = json.loads(done.out)
    assert {one["method"]: (one["status"], one["path"]) for one in found["trainings"]} == {
        "stability": ("failed", None),
        "gaussian": ("finished", f"runs/seed-0/{NAME}"),
    }
    assert weights(store / "seed-0" / NAME) == weights(trained / NAME)  # as `rszoo train` does
    (row,) = found["summary"]
    assert (row["method"], row["sigma"], row["seeds"]) == ("gaussian", 0.25, [0])
    assert row["noisy_accuracy"]["deviation"] is None
    assert row["acr"] is None

    client, runs = runs_of(store)
    (parent,) = [run for run in runs if run.info.run_name == "sweep stability, gaussian"]
    under = {
        run.info.run_name: run.info.status
        for run in runs
        if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
    }
    assert under == {NAME: "FINISHED", "digits-stability-0.25": "FAILED"}
    assert parent.info.status == "FINISHED"
    assert client.get_run(parent.info.run_id).info.end_time

    # As of a sweep that was killed after its last training.
    client.update_run(parent.info.run_id, status="RUNNING")
    client.set_tag(parent.info.run_id, PROCESS, DEAD)
    again = rszoo("sweep", "gaussian", "--sigma", "0.25", "train.epochs=2")
    assert again.code == 0
    assert "1 of 1 trainings are finished: kept" in again.err
    assert len(runs_of(store)[1]) == len(runs)  # nothing to do, no run
    assert client.get_run(parent.info.run_id).info.status == "KILLED"
    assert again.out.splitlines()[1].split()[:3] == ["gaussian", "0.25", "1"]


def test_what_builds_on_a_failed_one_is_not_begun(rszoo: Command, store: Path) -> None:
    in_the_way = store / "seed-0" / ".state" / NAME
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file, where the training wants a folder")
    done = rszoo("sweep", "cat_rs", "--sigma", "0.5", "--json")
    assert done.code == 1
    assert [
        (one["name"], one["asked"], one["status"]) for one in json.loads(done.out)["trainings"]
    ] == [(NAME, False, "failed"), ("digits-cat_rs-0.50", True, "not begun")]
    assert f"digits-cat_rs-0.50, seed 0: not begun: {NAME} is missing\n" in done.err
    assert not (store / "seed-0" / "digits-cat_rs-0.50").exists()


# A process that is killed, and so are not its children, which end when they notice.
DRIVER = """
import json, sys
from rszoo.training.sweep import engines
from rszoo_cli import main
engines._CHILD = json.loads(sys.argv[1])
main(sys.argv[2:])
"""


def test_stopped_by_kill_and_by_ctrl_c_then_continued(
    rszoo: Command,
    store: Path,
    forks: Forks,
    quick_children: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few = ["gaussian", "--sigma", "0.25", "train.epochs=15"]
    state = store / "seed-0" / ".state"
    checkpoint = state / NAME / "checkpoint.pt"
    driver = forks.start("-c", DRIVER, json.dumps(quick_children), "sweep", *few)
    kill_when(checkpoint.exists, driver)
    with exclusive(state / f"{NAME}.lock", patience=DEADLINE):  # the training ends by itself
        pass
    assert checkpoint.exists()
    assert not (store / "seed-0" / NAME).exists()
    before = checkpoint.read_bytes()
    (child,) = [run for run in runs_of(store)[1] if run.data.params.get("train.epochs") == "15"]
    assert child.info.status == "KILLED"

    class Interrupting(SweepObserver):
        def progressed(self, running: object) -> None:
            if checkpoint.read_bytes() != before:
                os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_shown, "Shown", Interrupting)
        done = rszoo("sweep", *few)
    assert done == Done(130, "", "interrupted; the same command continues\n")
    assert runs_of(store)[0].get_run(child.info.run_id).info.status == "KILLED"
    assert not (store / "seed-0" / NAME).exists()

    done = rszoo("sweep", *few)
    assert done.code == 0, done.err
    assert "continues after epoch" in (state / f"{NAME}.log").read_text()
    rszoo("train", *few, "--out", "whole")
    assert weights(store / "seed-0" / NAME) == weights(Path("whole", NAME))
    client, runs = runs_of(store)
    assert client.get_run(child.info.run_id).info.status == "FINISHED"
    assert [run.info.status for run in runs if run.info.run_name == "sweep gaussian"] == [
        "FINISHED"
    ]
    steps = [metric.step for metric in client.get_metric_history(child.info.run_id, "loss")]
    assert steps == list(range(1, 16))


# --- what is shown


def test_the_bars_fit_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Console(file=io.StringIO(), width=80, force_terminal=True)
    monkeypatch.setattr(sweep_shown, "err", terminal)
    (job,) = planned([recipe("consistency")], out=Path("runs"))
    shown = sweep_shown.Shown()
    shown.began(total=4, kept=1)
    status = "94.2% under noise, loss 0.1205"
    shown.progressed({job: Progress(job.recipe.name, 30, 100, status)})
    shown.closed()
    lines = terminal.file.getvalue()
    assert re.search(r"sweep .* 25% ", lines)
    assert re.search(r"digits-consistency-0\.25, seed 0 .* 30% .*94\.2% under noise", lines)


def test_what_a_sweep_takes_is_said_once_its_rate_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    console, now = Console(file=io.StringIO(), width=200), [0.0]
    monkeypatch.setattr(sweep_shown, "err", console)
    monkeypatch.setattr(sweep_shown.time, "monotonic", lambda: now[0])
    jobs = planned([recipe("consistency"), recipe("gaussian")], out=Path("runs"))
    shown = sweep_shown.Shown()
    shown.began(total=5, kept=1)

    def told(seconds: float, *done: int, task: str = "a") -> str:
        now[0] = seconds
        shown.progressed(
            {job: Progress(task, n, 600, "") for job, n in zip(jobs, done, strict=False)}
        )
        return console.file.getvalue().split("kept\n")[-1]

    assert told(0.0, 100, task="what it builds on") == ""
    assert told(10.0, 0) == ""  # that was another task
    assert told(11.0, 10) == ""  # too short a time
    line = "sweep: 4 trainings of about 600 steps each, 10 steps/s here, about 4.0 min\n"
    assert told(12.0, 20) == line
    assert told(22.0, 200) == line  # once
    shown.closed()


# --- the summary


def test_logs_of_other_inputs_have_no_mean_acr(monkeypatch: pytest.MonkeyPatch) -> None:
    from rszoo.evaluation.log import read_log
    from rszoo.hub.catalog import find
    from rszoo.training.sweep import summary

    bundles = [find(f"builtin/digits-{method}-0.25") for method in ("gaussian", "cat_rs")]
    assert bundles[0].evidence is not None
    log = read_log(bundles[0].evidence)
    logs = [log, log]
    monkeypatch.setattr(summary, "evidence_of", lambda bundle, **_: logs[bundles.index(bundle)])
    found = summary._acr(bundles)
    assert found is not None
    assert found.mean == pytest.approx(0.5572227)
    logs[1] = replace(log, idx=log.idx + 1)  # as many, and others
    assert summary._acr(bundles) is None


def test_mean_and_spread_over_seeds(trained: Path) -> None:
    from rszoo.hub.bundle import open_bundle
    from rszoo.hub.origin import Origin
    from rszoo.hub.writing import write_bundle
    from rszoo.training.sweep import Outcome

    bundle = open_bundle(trained / NAME)
    jobs = planned(
        [recipe(seed=seed) for seed in (0, 1, 2)] + [recipe(sigma=0.5)], out=Path("runs")
    )

    def outcome(job: Job, record: dict[str, float]) -> Outcome:
        made = write_bundle(
            job.path,
            config=bundle.config,
            network=bundle.network(),
            recipe="",
            origin=Origin.model_validate({"training": record}),
        )
        return Outcome(job, "finished", made)

    first = [
        outcome(job, {"noisy_accuracy": accuracy, "seconds": 10.0})
        for job, accuracy in zip(jobs, (0.8, 0.9, 0.7), strict=False)
    ]
    (row,) = summarized(first)
    assert row.seeds == (0, 1, 2)
    assert row.noisy_accuracy is not None
    assert row.noisy_accuracy.mean == pytest.approx(0.8)
    assert row.noisy_accuracy.deviation == pytest.approx(0.1)  # n - 1 in the denominator
    assert row.acr is None
    one, other = summarized([*first, outcome(jobs[3], {"seconds": 1.0})])
    assert (one.sigma, other.sigma) == (0.25, 0.5)
    assert other.noisy_accuracy is None
    assert summarized([Outcome(jobs[0], "failed", problem="why")]) == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_on_a_ray_cluster(rszoo: Command, store: Path, trained: Path) -> None:
    few = ["gaussian", "--sigma", "0.25", "train.epochs=2"]
    done = rszoo("sweep", *few, "--seeds", "2", "--engine", "ray", "--device", "cpu", "--json")
    assert done.code == 0, done.err
    trainings = json.loads(done.out)["trainings"]
    assert [one["status"] for one in trainings] == ["finished", "finished"]
    assert weights(store / "seed-0" / NAME) == weights(trained / NAME)
    assert weights(store / "seed-1" / NAME) != weights(trained / NAME)
    names = [
        run.info.run_name for run in runs_of(store)[1] if "mlflow.parentRunId" in run.data.tags
    ]
    assert names.count(NAME) == 2
