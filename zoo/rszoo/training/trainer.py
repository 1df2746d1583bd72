"""What the trainings of one call share, and the steps of one training.

What several trainings share lies in the output folder, too: `.state/votes/` holds vote shares of
networks on the images, by digest (see votes.py). The rest is in output.py.
"""

import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from rszoo import methods, networks
from rszoo._files import write_json_atomically
from rszoo.data import ImageSet
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import find
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.writing import write_bundle
from rszoo.networks.execution import place
from rszoo.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from rszoo.training.distributed import Processes
from rszoo.training.exclusive import exclusive
from rszoo.training.loop import Epoch, build_optimizer, fit, noisy_accuracy
from rszoo.training.observer import Observer
from rszoo.training.output import STATE, Output, read_run
from rszoo.training.provenance import device_name, environment
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.tasks.fine_tuning import fine_tuning
from rszoo.training.tasks.mixing import mixing
from rszoo.training.tasks.routing import routing
from rszoo.training.tasks.task import Task, classification
from rszoo.training.tracking.tracked import TrackedRun, Tracking

__all__ = ["Trainer"]


@dataclass(frozen=True)
class Trainer:
    """Trains models of one method on one data set.

    Attributes:
        out: the output folder.
        images, test_images: the data set, on the device.
        device, precision: where and how networks run.
        half: store the weights in float16.
        processes: who trains together.
        tracking: the MLflow store; None in all but the main process.
        observer: shown the progress.
    """

    out: Path
    images: ImageSet
    test_images: ImageSet
    device: torch.device
    precision: str
    half: bool
    processes: Processes
    tracking: Tracking | None
    observer: Observer
    _outputs: dict[str, Output] = field(default_factory=dict, init=False, repr=False)

    def existing(
        self, recipe: Recipe, *, resume: bool, overwrite: bool, remedy: str = "--overwrite"
    ) -> Bundle | None:
        """Return the finished bundle to keep, or None when there is something to train."""
        output = self.output(recipe)
        if output.is_to_go(resume=resume, overwrite=overwrite):
            if self.processes.is_main:
                shutil.rmtree(output.state, ignore_errors=True)
            return None
        bundle = output.finished(resume=resume, remedy=remedy)
        if bundle is not None:
            self.observer.note(f"{output.folder} is finished: kept")
        return bundle

    def output(self, recipe: Recipe) -> Output:
        """Return the place of a training in the output folder.

        Raises:
            RszooError: a model that the recipe names is not there.
        """
        if recipe.digest not in self._outputs:
            facts = {"recipe": recipe.digest, "data": self.images.digest}
            if recipe.models:
                facts["model"] = " ".join(find(one).weights_digest for one in recipe.models)
            self._outputs[recipe.digest] = Output(self.out, recipe.name, facts)
        return self._outputs[recipe.digest]

    def train(self, recipe: Recipe) -> Bundle:
        """Train one model, from its checkpoint if it has one; wait for another that trains it."""
        with self._alone(recipe) as waited:
            kept = self.existing(recipe, resume=True, overwrite=False) if waited else None
            return kept or self._train(recipe)

    def _train(self, recipe: Recipe) -> Bundle:
        task = _task(self, recipe)
        output = self.output(recipe)
        state = self._initial_state(recipe, task)
        if output.checkpoint.exists():
            load_checkpoint(output.checkpoint, state, facts=output.facts)
            self.observer.note(f"{recipe.name}: continues after epoch {state.epoch}")
        self.processes.wait()  # the main process removes the checkpoint when it is done with it
        with self._tracked(recipe) as run:
            accuracy = self._epochs(recipe, state, task, run)
            if self.processes.is_main:
                bundle = self._publish(recipe, state, task, run, accuracy)
                if run is not None:
                    final = {"final_noisy_accuracy": accuracy}
                    run.log_bundle(bundle, final, on_warning=self.observer.note)
        if self.processes.is_main:
            shutil.rmtree(output.state)
            self.observer.note(f"{output.folder} is finished")
        self.processes.wait()
        return open_bundle(output.folder)

    def _publish(
        self,
        recipe: Recipe,
        state: TrainingState,
        task: Task,
        run: TrackedRun | None,
        accuracy: float,
    ) -> Bundle:
        """Write the bundle of a finished training."""
        config = NetworkConfig.of(
            task.images,
            kind="standard" if methods.noise_free(recipe.method) else task.kind,
            name=recipe.name,
            method=recipe.method,
            dataset=recipe.dataset,
            architecture=recipe.network.model_dump(),
            sigma=recipe.sigma,
            trained_precision=self.precision,
        )
        origin = {
            "facts": self.output(recipe).facts,
            "seed": recipe.seed,
            **environment(),
            "device": self.device.type,
            "parents": task.parents,
            "mlflow_run": run.run_id if run else None,
            "training": {
                "seconds": round(state.seconds, 2) if math.isfinite(state.seconds) else None,
                "hardware": device_name(self.device),
                "processes": self.processes.world,
                "noisy_accuracy": accuracy,
            },
        }
        return write_bundle(
            self.out / recipe.name,
            config=config,
            network=state.network,
            recipe=recipe.to_yaml(),
            origin=origin,
            half=self.half,
            replace=True,
        )

    def _epochs(
        self, recipe: Recipe, state: TrainingState, task: Task, run: TrackedRun | None
    ) -> float:
        """Run the remaining epochs; return the last noisy accuracy on the test images."""
        train, output = recipe.train, self.output(recipe)
        steps = max(1, len(self.images) // train.batch_size)
        done, total = state.epoch * steps, train.epochs * steps

        def accuracy() -> float:
            return noisy_accuracy(
                state.network,
                task.test_images,
                sigma=recipe.sigma if task.noise is None else task.noise,
                seed=recipe.seed,
                precision=self.precision,
                indices=task.judged,
            )

        epochs = fit(
            state,
            methods.load(recipe.method, **recipe.weights),
            task.images,
            train=train,
            sigma=recipe.sigma,
            seed=recipe.seed,
            precision=self.precision,
            per_example=task.per_example,
            levels=task.levels,
            processes=self.processes,
            on_step=self.observer.advanced,
            on_refresh=self.observer.refreshing,
        )
        latest = None
        with self.shown(recipe.name, total=total, done=done, unit="steps"):
            for epoch in epochs:
                latest = accuracy()
                # The metrics first: a run that is killed in between repeats the epoch, and the
                # tracked run knows that it has it.
                if run is not None:
                    run.log_epoch(epoch.number, _metrics(epoch) | {"noisy_accuracy": latest})
                if self.processes.is_main:
                    save_checkpoint(output.checkpoint, state, facts=output.facts)
                self.observer.finished_epoch(epoch, noisy_accuracy=latest)
        return accuracy() if latest is None else latest

    @contextmanager
    def shown(self, task: str, *, total: int, done: int = 0, unit: str) -> Iterator[None]:
        """Show the progress of a task, until it ends or fails."""
        self.observer.started(task, total=total, done=done, unit=unit)
        try:
            yield
        finally:
            self.observer.ended()

    @contextmanager
    def parent_run(self, recipe: Recipe, *, fresh: bool) -> Iterator[None]:
        """Open the run above the runs of a recipe's noise levels; resuming continues it."""
        if self.tracking is None:
            yield
            return
        name = recipe.name.rpartition("-")[0]
        memory = self.state / f"{name}.json"
        earlier = None if fresh else read_run(memory, {})
        with self.tracking.parent(name, run_id=earlier) as run_id:
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_json_atomically(memory, {"run_id": run_id, "facts": {}})
            yield

    @contextmanager
    def _alone(self, recipe: Recipe) -> Iterator[bool]:
        """Keep other processes off a model; yield whether one of them had to end first."""

        def waits() -> None:
            self.observer.note(f"{recipe.name}: waits for another process that trains it")

        with ExitStack() as stack:
            waited = self.processes.is_main and stack.enter_context(
                exclusive(self.output(recipe).lock, on_wait=waits)
            )
            yield bool(self.processes.sum(torch.tensor([float(waited)], device=self.device)))

    @contextmanager
    def _tracked(self, recipe: Recipe) -> Iterator[TrackedRun | None]:
        if self.tracking is None:
            yield None
            return
        output = self.output(recipe)
        output.state.mkdir(parents=True, exist_ok=True)
        tags = environment() | {"device": str(self.device), "precision": self.precision}
        earlier, sets = read_run(output.run, output.facts), (self.images, self.test_images)
        with self.tracking.child(recipe, sets, run_id=earlier, tags=tags) as run:
            write_json_atomically(output.run, {"run_id": run.run_id, "facts": output.facts})
            yield run

    def _initial_state(self, recipe: Recipe, task: Task) -> TrainingState:
        torch.manual_seed(recipe.seed)
        network = task.start or networks.build(
            recipe.network.name,
            input_shape=task.images.shape,
            num_classes=task.images.num_classes,
            normalization=task.images.normalization,
            **recipe.network.options,
        )
        network = place(task.beside(network) if task.beside else network, self.device)
        return TrainingState(network, build_optimizer(network, recipe.train))

    @property
    def state(self) -> Path:
        """What is neither a bundle nor tracking: checkpoints, caches."""
        return self.out / STATE


def _task(trainer: Trainer, recipe: Recipe) -> Task:
    """Return what is to be learnt; other models that it takes are trained if need be."""
    if recipe.experts is not None:
        return routing(trainer, recipe)
    if recipe.parts is not None:
        return mixing(trainer, recipe)
    if recipe.fine_tuning is not None:
        return fine_tuning(trainer, recipe)
    return classification(trainer, recipe)


def _metrics(epoch: Epoch) -> dict[str, float]:
    return {
        "loss": epoch.loss,
        "lr": epoch.lr,
        "images_per_second": epoch.images_per_second,
    }
