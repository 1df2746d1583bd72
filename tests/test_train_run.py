"""A training from recipe to bundle: what is kept, refused, continued, and left after a failure."""

import itertools
import pkgutil
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from rszoo import data
from rszoo.certificates.base import Certificate
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.classifiers import classifier_of
from rszoo.methods import load, trains, without_noise
from rszoo.training import loop, provenance
from rszoo.training.batches import Batch, Batches
from rszoo.training.loop import Epoch
from rszoo.training.observer import Observer
from rszoo.training.recipes import prerequisites
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.recipes.shipped import recipe_names
from rszoo.training.run import train

NAME = "digits-gaussian-0.25"
IMAGES = 1437
EXPERTS = "[builtin/digits-cat_rs-0.25, builtin/digits-cat_rs-0.50]"
PARTS = ["parts.standard=builtin/digits-standard-0.00", "parts.robust=builtin/digits-cat_rs-0.50"]


@pytest.fixture(autouse=True)
def _own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """An output folder with a finished training; making its MLflow store takes seconds."""
    runs = Path(shutil.copytree(trained, tmp_path / "runs"))
    with closing(sqlite3.connect(runs / "mlflow.db")) as store, store:
        store.execute(
            "UPDATE experiments SET artifact_location = ?", [(runs / "mlartifacts").as_uri()]
        )
    return runs


@pytest.fixture
def empty(runs: Path) -> Path:
    shutil.rmtree(runs / NAME)
    shutil.rmtree(runs / ".state")
    return runs


def recipe(*overrides: str, method: str = "gaussian", seed: int = 0) -> Recipe:
    return load_recipe(method).resolve(
        sigma=0.25, overrides=["train.epochs=2", *overrides], seed=seed
    )


def steps_per_epoch(of: Recipe) -> int:
    return IMAGES // of.train.batch_size


def weights(bundle: Bundle) -> bytes:
    return (bundle.path / "model.safetensors").read_bytes()


def refused(*recipes: Recipe, out: Path, **options: Any) -> str:
    with pytest.raises(RszooError) as caught:
        train(recipes, out=out, **options)
    return str(caught.value)


class Watcher(Observer):
    """Remembers what it is told, and interferes after an epoch if asked to."""

    def __init__(self, after_epoch: Callable[[int], None] = lambda number: None) -> None:
        self.after_epoch = after_epoch
        self.told: list[object] = []
        self.steps = 0

    def note(self, text: str) -> None:
        self.told.append(text)

    def started(self, task: str, *, total: int, done: int, unit: str) -> None:
        self.told.append((task, done, total, unit))

    def advanced(self, amount: int = 1) -> None:
        self.steps += amount

    def finished_epoch(self, epoch: Epoch, *, noisy_accuracy: float) -> None:
        self.told.append(epoch.number)
        self.after_epoch(epoch.number)

    def ended(self) -> None:
        self.told.append("ended")


class PulledPlug(BaseException):
    """Ends a training at one exact place; nothing but the files counts afterwards."""


def pull(*_: object, **__: object) -> None:
    raise PulledPlug


def test_a_finished_training(trained: Path) -> None:
    assert sorted(path.name for path in trained.iterdir()) == [
        ".state",
        NAME,
        "mlartifacts",
        "mlflow.db",
    ]
    assert [path.name for path in (trained / ".state").iterdir()] == ["digits-gaussian.json"]
    bundle = open_bundle(trained / NAME)
    origin = bundle.manifest.origin
    assert origin.facts["recipe"] == recipe().digest
    assert origin.seed == 0
    assert origin.device == "cpu"
    assert len(origin.mlflow_run) == 32
    record = bundle.manifest.origin.training
    assert record.seconds is not None
    assert record.seconds > 0
    assert record.hardware == "cpu, 1 thread"
    assert record.noisy_accuracy is not None
    assert 0.1 < record.noisy_accuracy <= 1
    assert Recipe.from_yaml(bundle.recipe.read_text()) == recipe()
    assert bundle.config.sigma == 0.25
    assert bundle.config.architecture == {"name": "small_cnn"}
    assert oct((bundle.path / "model.safetensors").stat().st_mode) == oct(
        (bundle.path / "config.json").stat().st_mode
    )


def test_the_same_recipe_gives_the_same_bytes(trained: Path, empty: Path) -> None:
    watcher = Watcher()
    (bundle,) = train([recipe()], out=empty, observer=watcher)
    assert weights(bundle) == weights(open_bundle(trained / NAME))
    steps = steps_per_epoch(recipe())
    assert watcher.told == [
        (NAME, 0, 2 * steps, "steps"),
        1,
        2,
        "ended",
        f"{empty / NAME} is finished",
    ]
    assert watcher.steps == 2 * steps


def test_another_seed_gives_other_weights(trained: Path, empty: Path) -> None:
    (bundle,) = train([recipe(seed=1)], out=empty)
    assert weights(bundle) != weights(open_bundle(trained / NAME))


def test_what_is_there_is_not_trained_again_unasked(runs: Path) -> None:
    before = weights(open_bundle(runs / NAME))
    assert refused(recipe(), out=runs) == (
        f"{runs / NAME} exists; --resume keeps it, --overwrite trains it again"
    )
    assert refused(recipe("train.lr=0.001"), out=runs, resume=True) == (
        f"{runs / NAME} was made by another recipe, or from other data or models; "
        "choose another --out, or --overwrite"
    )
    watcher = Watcher()
    train([recipe()], out=runs, resume=True, observer=watcher)
    assert watcher.told == [f"{runs / NAME} is finished: kept"]
    assert weights(open_bundle(runs / NAME)) == before


def test_overwrite_trains_again(runs: Path) -> None:
    before = weights(open_bundle(runs / NAME))
    (bundle,) = train([recipe("train.lr=0.001")], out=runs, overwrite=True)
    assert weights(bundle) != before
    assert Recipe.from_yaml(bundle.recipe.read_text()).train.lr == 0.001


NOT_FINITE = (
    r"expected a finite loss, got (nan|inf) by step \d+ \(epoch {epoch}\); the last checkpoint is "
    r"intact: lower train\.lr, or set train\.clip_norm, and train again"
)


def test_a_loss_that_is_not_finite(empty: Path) -> None:
    hopeless = recipe("train.lr=1e30", "train.optimizer=sgd", "train.warmup=0")
    assert re.fullmatch(NOT_FINITE.format(epoch=1), refused(hopeless, out=empty))
    assert not (empty / NAME).exists()


def test_a_loss_that_stops_being_finite_leaves_the_last_checkpoint(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rate = loop.learning_rate

    def exploding(train: object, *, epoch: int, progress: float) -> float:
        return 1e30 if epoch == 1 else rate(train, epoch=epoch, progress=progress)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "learning_rate", exploding)
        assert re.fullmatch(NOT_FINITE.format(epoch=2), refused(recipe(), out=empty))
    checkpoint = empty / ".state" / NAME / "checkpoint.pt"
    content = torch.load(checkpoint, weights_only=True)
    assert content["epoch"] == 1
    assert all(bool(value.isfinite().all()) for value in content["network"].values())


def interrupted(out: Path, *, after: int) -> None:
    def stop(number: int) -> None:
        if number == after:
            raise PulledPlug

    with pytest.raises(PulledPlug):
        train([recipe()], out=out, observer=Watcher(stop))


def test_what_is_begun_is_continued_only_when_asked(trained: Path, empty: Path) -> None:
    interrupted(empty, after=1)
    assert not (empty / NAME).exists()
    assert refused(recipe(), out=empty) == (
        f"{empty / NAME} is begun and not finished; --resume continues it, "
        "--overwrite starts it again"
    )
    assert refused(recipe("train.lr=0.001"), out=empty, resume=True) == (
        f"{empty / '.state' / NAME / 'checkpoint.pt'}: expected a checkpoint of this training, "
        "got one with another recipe; use another --out, or --overwrite"
    )
    watcher = Watcher()
    (bundle,) = train([recipe()], out=empty, resume=True, observer=watcher)
    steps = steps_per_epoch(recipe())
    assert watcher.told == [
        f"{NAME}: continues after epoch 1",
        (NAME, steps, 2 * steps, "steps"),
        2,
        "ended",
        f"{empty / NAME} is finished",
    ]
    assert weights(bundle) == weights(open_bundle(trained / NAME))


def test_the_training_time_counts_every_epoch_once(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count()
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    interrupted(empty, after=1)
    (bundle,) = train([recipe()], out=empty, resume=True)
    assert bundle.manifest.origin.training.seconds == 2
    interrupted(empty / "older", after=1)
    checkpoint = empty / "older" / ".state" / NAME / "checkpoint.pt"
    content = torch.load(checkpoint, weights_only=True)
    del content["seconds"]
    torch.save(content, checkpoint)
    (bundle,) = train([recipe()], out=empty / "older", resume=True)
    assert bundle.manifest.origin.training.seconds is None


def test_resume_and_overwrite_go_on_with_the_same_training_only(
    trained: Path, empty: Path
) -> None:
    both = {"resume": True, "overwrite": True}
    interrupted(empty, after=1)
    same, other = Watcher(), Watcher()
    (bundle,) = train([recipe()], out=empty, observer=same, **both)
    assert same.told[0] == f"{NAME}: continues after epoch 1"
    assert weights(bundle) == weights(open_bundle(trained / NAME))

    shutil.rmtree(empty / NAME)
    interrupted(empty, after=1)
    changed = recipe("train.lr=0.001")
    (bundle,) = train([changed], out=empty, observer=other, **both)
    assert other.told[0] == (NAME, 0, 2 * steps_per_epoch(changed), "steps")
    assert Recipe.from_yaml(bundle.recipe.read_text()) == changed


def test_overwrite_starts_what_is_begun_again(trained: Path, empty: Path) -> None:
    interrupted(empty, after=1)
    watcher = Watcher()
    (bundle,) = train([recipe()], out=empty, overwrite=True, observer=watcher)
    assert watcher.told[0] == (NAME, 0, 2 * steps_per_epoch(recipe()), "steps")
    assert weights(bundle) == weights(open_bundle(trained / NAME))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("place", ["save_checkpoint", "write_bundle", "TrackedRun.log_bundle"])
def test_a_plug_that_is_pulled_anywhere(
    place: str, after: bool, trained: Path, empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"rszoo.training.trainer.{place}"
    real = pkgutil.resolve_name(target.replace(".trainer.", ".trainer:"))

    def pulling(*arguments: Any, **named: Any) -> None:
        if after:
            real(*arguments, **named)
        raise PulledPlug

    with monkeypatch.context() as patch:
        patch.setattr(target, pulling)
        with pytest.raises(PulledPlug):
            train([recipe()], out=empty)
    (bundle,) = train([recipe()], out=empty, resume=True)
    assert weights(bundle) == weights(open_bundle(trained / NAME))
    assert not (empty / ".state" / NAME).exists()
    assert_logged_once(empty, bundle.manifest.origin.mlflow_run)


def assert_logged_once(out: Path, run_id: str) -> None:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    assert [metric.step for metric in client.get_metric_history(run_id, "loss")] == [1, 2]
    assert client.get_run(run_id).info.status == "FINISHED"
    models = client.search_logged_models(
        [client.get_run(run_id).info.experiment_id], f"source_run_id = '{run_id}'"
    )
    assert [model.status for model in models] == ["READY"]


def test_a_replacement_that_is_interrupted_keeps_the_old_bundle_until_it_is_done(
    runs: Path,
) -> None:
    before = weights(open_bundle(runs / NAME))
    changed = recipe("train.lr=0.001")

    with pytest.raises(PulledPlug):
        train([changed], out=runs, overwrite=True, observer=Watcher(pull))
    assert weights(open_bundle(runs / NAME)) == before
    (bundle,) = train([changed], out=runs, resume=True)
    assert Recipe.from_yaml(bundle.recipe.read_text()) == changed
    assert weights(bundle) != before


def test_progress_ends_when_a_training_fails(empty: Path) -> None:
    watcher = Watcher()
    with pytest.raises(RszooError):
        train([recipe("train.lr=1e30")], out=empty, observer=watcher)
    assert watcher.told[-1] == "ended"


def test_several_noise_levels_in_one_call(empty: Path) -> None:
    recipes = [
        load_recipe("consistency").resolve(sigma=sigma, overrides=["train.epochs=1"])
        for sigma in (0.25, 0.5)
    ]
    bundles = train(recipes, out=empty)
    assert [bundle.path.name for bundle in bundles] == [
        "digits-consistency-0.25",
        "digits-consistency-0.50",
    ]
    assert [bundle.config.sigma for bundle in bundles] == [0.25, 0.5]


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_trains_on_digits(name: str, empty: Path, quick_base: Recipe) -> None:
    renewing = load(name).renews is not None
    overrides = ["train.epochs=2", *(["weights.refreshes=1"] if renewing else [])]
    overrides += ["targets.draws=2"] if name == "cat_rs" else []
    overrides += [f"experts.bundles={EXPERTS}", "experts.draws=12"] if name == "dual_rs" else []
    overrides += PARTS if name == "mixing" else []
    overrides += [PARTS[0], PARTS[0].replace("parts.standard", "parts.robust")] * (
        name == "mixing_standard"
    )
    overrides += ["denoised.classifier=builtin/digits-standard-0.00"] * (name == "denoising")
    sigma = 0.0 if without_noise(name) else 0.5
    (bundle,) = train(
        [load_recipe(name).resolve(sigma=sigma, overrides=overrides)],
        out=empty,
        precision="float32",
    )
    assert bundle.config.method == name
    if trains(name) == "standard":
        assert bundle.network()(torch.zeros(1, 1, 8, 8)).shape == (1, 10)
        return
    if bundle.config.kind in ("weight", "denoiser"):  # they certify nothing by themselves
        assert name in ("mixing", "mixing_standard", "denoising")
        return
    certificate = classifier_of(bundle).certify(torch.zeros(1, 8, 8), n0=10, n=10)
    assert isinstance(certificate, Certificate)


@pytest.fixture
def quick_base(monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The network that gives the soft targets is trained for one epoch only."""
    base = recipe("train.epochs=1")

    class Quick:
        def profiles(self, dataset: str) -> list[str]:
            return [base.profile]

        def resolve(self, **_: object) -> Recipe:
            return base

    monkeypatch.setattr(prerequisites, "load_recipe", lambda name: Quick())
    return base


def test_soft_targets_come_from_a_gaussian_bundle_made_on_the_way(
    empty: Path, quick_base: Recipe
) -> None:
    wanted = load_recipe("cat_rs").resolve(
        sigma=0.5, overrides=["train.epochs=1", "targets.draws=20"]
    )
    watcher = Watcher()
    train([wanted], out=empty, observer=watcher)
    cat_rs = "digits-cat_rs-0.50"
    assert watcher.told == [
        f"{cat_rs} takes another model, trained first: {NAME} (targets, sigma 0.25)",
        (NAME, 0, steps_per_epoch(quick_base), "steps"),
        1,
        "ended",
        f"{empty / NAME} is finished",
        (f"votes of {NAME} at 0.25 on the train images", 0, IMAGES, "images"),
        "ended",
        (cat_rs, 0, steps_per_epoch(wanted), "steps"),
        1,
        "ended",
        f"{empty / cat_rs} is finished",
    ]
    assert Recipe.from_yaml(open_bundle(empty / NAME).recipe.read_text()) == quick_base
    first = weights(open_bundle(empty / cat_rs))
    base = open_bundle(empty / NAME)
    assert base.manifest.origin.model_dump()["parents"] == []
    assert open_bundle(empty / cat_rs).manifest.origin.model_dump()["parents"] == [
        {"name": NAME, "weights_sha256": base.weights_digest}
    ]

    again = Watcher()
    (bundle,) = train([wanted], out=empty, overwrite=True, observer=again)
    assert again.told[0] == f"{empty / NAME} is finished: kept"
    assert again.steps == steps_per_epoch(
        wanted
    )  # neither the base network nor the soft targets were made again
    assert weights(bundle) == first


def test_images_are_dropped_before_the_training_by_the_votes_of_another_network(
    empty: Path, quick_base: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[torch.Tensor] = []
    of_epoch = Batches.of_epoch

    def watched(self: Batches, epoch: int, *, weights: torch.Tensor | None) -> Iterator[Batch]:
        if weights is not None:
            drawn.append(weights)
        return of_epoch(self, epoch, weights=weights)

    monkeypatch.setattr(Batches, "of_epoch", watched)
    overrides = ["train.epochs=2", "weights.start=0", "weights.refreshes=0"]
    overrides += ["targets.sigma=0.25", "targets.draws=4", "weights.threshold=0.75"]
    wanted = load_recipe("hard_dropping").resolve(sigma=0.5, overrides=overrides)
    (bundle,) = train([wanted], out=empty, precision="float32")
    base = open_bundle(empty / NAME)
    assert bundle.manifest.origin.model_dump()["parents"] == [
        {"name": NAME, "weights_sha256": base.weights_digest}
    ]
    (votes,) = (empty / ".state" / "votes").iterdir()
    shares = load_file(votes)["votes"]
    right = shares[torch.arange(IMAGES), data.load("digits", "train").labels]
    assert 0 < (right >= 0.75).sum() < IMAGES
    assert torch.equal(drawn[0], (right >= 0.75).float())
    assert all(torch.equal(drawn[0], weights) for weights in drawn)  # nothing is renewed
    assert len(drawn) == 2


def test_a_base_network_of_another_recipe_is_not_used(runs: Path, quick_base: Recipe) -> None:
    wanted = load_recipe("cat_rs").resolve(sigma=0.5, overrides=["train.epochs=1"])
    assert refused(wanted, out=runs, overwrite=True) == (
        f"{runs / NAME} was made by another recipe, or from other data or models; "
        f"choose another --out, or move {NAME} away"
    )


def test_an_unknown_data_set(tmp_path: Path) -> None:
    unknown = load_recipe("gaussian").resolve(dataset="digit", sigma=0.25)
    message = refused(unknown, out=tmp_path / "runs")
    assert message.startswith("unknown data set 'digit' (did you mean 'digits'?)"), message
    assert not (tmp_path / "runs").exists()


def test_the_commit_is_that_of_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    commits = iter(["first", "second"])
    monkeypatch.setattr(provenance, "_git_commit", lambda: next(commits))
    provenance.environment.cache_clear()
    try:
        assert [provenance.environment()["git_commit"] for _ in range(2)] == ["first", "first"]
    finally:
        provenance.environment.cache_clear()
