"""The steps of one training, and of the trainings that it builds on.

What several trainings share lies in the output folder, too: `.state/votes/` holds vote shares of
networks on the images, by digest (see tasks/votes.py). The rest is in output.py.
"""

import math
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from rszoo import methods, networks
from rszoo._files import write_json_atomically
from rszoo._locks import exclusive
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.catalog import find
from rszoo.hub.origin import Origin, Trained
from rszoo.hub.writing import write_bundle
from rszoo.networks.execution import place
from rszoo.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from rszoo.training.loop import Epoch, build_optimizer, fit, noisy_accuracy
from rszoo.training.output import Output, read_run
from rszoo.training.provenance import device_name, environment
from rszoo.training.recipes.prerequisites import models_of, trained_first
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tasks.choosing import task_of
from rszoo.training.tasks.finished import Finished
from rszoo.training.tasks.task import Task
from rszoo.training.tracking.tracked import TrackedRun, Tracking

__all__ = ["Trainer"]

# Fewer steps than this train nothing; a data set of many batches is not meant by it.
_FEW, _FEW_AN_EPOCH = 200, 5


@dataclass(frozen=True, kw_only=True)
class Trainer:
    """Trains models on one data set, into one output folder.

    Attributes:
        setting: the data, and where and how networks run.
        out: the output folder.
        half: store the weights in float16.
        tracking: the MLflow store; None in all but the main process.
    """

    setting: Setting
    out: Path
    half: bool
    tracking: Tracking | None

    def output(self, recipe: Recipe) -> Output:
        """Return the place of a training in the output folder.

        Raises:
            RszooError: a model that the recipe names is not there.
        """
        return Output.of(recipe, self.out, data=self.setting.images.digest)

    def existing(
        self, output: Output, *, resume: bool, overwrite: bool, remedy: str = "--overwrite"
    ) -> Bundle | None:
        """Return the finished bundle to keep, or None when there is something to train."""
        if output.is_to_go(resume=resume, overwrite=overwrite):
            if self.setting.processes.is_main:
                shutil.rmtree(output.state, ignore_errors=True)
            return None
        bundle = output.finished(resume=resume, remedy=remedy)
        if bundle is not None:
            self.setting.observer.note(f"{output.folder} is finished: kept")
        return bundle

    def ensure(self, recipe: Recipe) -> Bundle:
        """Return the bundle of a recipe, which is trained if it is not there.

        Raises:
            RszooError: a bundle of that name was made by another recipe, or from other data or
                models.
        """
        output, remedy = self.output(recipe), f"move {recipe.name} away"
        bundle = self.existing(output, resume=True, overwrite=False, remedy=remedy)
        self.setting.processes.wait()  # nobody writes before everybody has looked
        return bundle or self.train(output)

    def train(self, output: Output) -> Bundle:
        """Train one model, from its checkpoint if it has one; wait for another that trains it."""
        with self._locked(output) as waited:
            kept = self.existing(output, resume=True, overwrite=False) if waited else None
            return kept or self._train(output)

    def _train(self, output: Output) -> Bundle:
        recipe, processes, observer = output.recipe, self.setting.processes, self.setting.observer
        task = task_of(self.setting, recipe, self._models(recipe))
        state = _initial_state(recipe, task, self.setting.device)
        if output.checkpoint.exists():
            load_checkpoint(output.checkpoint, state, identity=output.identity)
            observer.note(f"{recipe.name}: continues after epoch {state.epoch}")
        processes.wait()  # the main process removes the checkpoint when it is done with it
        with self._tracked(output) as run:
            accuracy = self._epochs(output, state, task, run)
            if processes.is_main:
                bundle = self._publish(output, state, task, run, accuracy)
                if run is not None:
                    final = {"final_noisy_accuracy": accuracy}
                    run.log_bundle(bundle, final, on_warning=observer.note)
        if processes.is_main:
            shutil.rmtree(output.state)
            observer.note(f"{output.folder} is finished")
        processes.wait()
        return open_bundle(output.folder)

    def _models(self, recipe: Recipe) -> dict[str, list[Bundle]]:
        """Return the models that a training takes, by section of its recipe."""
        if missing := trained_first(recipe, self.out):
            self.setting.observer.note(f"{recipe.name} {missing}")
        return {
            key: [find(one) if isinstance(one, str) else self.ensure(one) for one in models]
            for key, models in models_of(recipe).items()
        }

    def _epochs(
        self, output: Output, state: TrainingState, task: Task, run: TrackedRun | None
    ) -> float:
        """Run the remaining epochs; return the last noisy accuracy on the test images."""
        recipe, setting, latest = output.recipe, self.setting, None
        steps = max(1, len(setting.images) // recipe.train.batch_size)
        done, total = state.epoch * steps, recipe.train.epochs * steps
        if steps < _FEW_AN_EPOCH and total < _FEW and done == 0:
            setting.observer.note(
                f"warning: {recipe.name} takes {total} steps in all, which is few: batches are "
                f"of {recipe.train.batch_size}, images {len(setting.images)}; train.batch_size=16 "
                "or more train.epochs make more"
            )
        with setting.progress(recipe.name, total=total, done=done, unit="steps"):
            for epoch in self._fitted(recipe, state, task):
                latest = self._accuracy(recipe, state, task)
                # The metrics first: a run that is killed in between repeats the epoch, and the
                # tracked run knows that it has it.
                if run is not None:
                    run.log_epoch(epoch.number, _metrics(epoch) | {"noisy_accuracy": latest})
                if setting.processes.is_main:
                    save_checkpoint(output.checkpoint, state, identity=output.identity)
                setting.observer.finished_epoch(epoch, noisy_accuracy=latest)
        return self._accuracy(recipe, state, task) if latest is None else latest

    def _fitted(self, recipe: Recipe, state: TrainingState, task: Task) -> Iterator[Epoch]:
        method = methods.load(recipe.method, **recipe.weights)
        return fit(
            state,
            method,
            task.images,
            train=recipe.train,
            sigma=recipe.sigma,
            seed=recipe.seed,
            precision=self.setting.precision,
            per_example=task.per_example,
            sigmas=task.sigmas,
            processes=self.setting.processes,
            graphs=self.setting.graphs(recipe.name, method),
            attackable=self.setting.attackable(recipe.name, state.network),
            on_step=self.setting.observer.advanced,
            on_refresh=self.setting.observer.refreshing,
        )

    def _accuracy(self, recipe: Recipe, state: TrainingState, task: Task) -> float:
        return noisy_accuracy(
            state.network,
            task.test_images,
            sigma=recipe.sigma if task.noise is None else task.noise,
            seed=recipe.seed,
            precision=self.setting.precision,
            indices=task.judged,
        )

    def _publish(
        self,
        output: Output,
        state: TrainingState,
        task: Task,
        run: TrackedRun | None,
        accuracy: float,
    ) -> Bundle:
        """Write the bundle of a finished training."""
        recipe = output.recipe
        finished = Finished(
            recipe=recipe,
            images=task.images,
            network=state.network,
            folder=output.folder,
            precision=self.setting.precision,
            half=self.half,
        )
        origin = Origin(
            facts=output.identity,
            seed=recipe.seed,
            **environment(),
            device=self.setting.device.type,
            parents=tuple(task.parents),
            mlflow_run=run.run_id if run else None,
            training=self._record(state, accuracy),
        )
        return write_bundle(
            output.folder,
            config=task.config(finished),
            network=state.network,
            recipe=recipe.to_yaml(),
            origin=origin,
            half=self.half,
            replace=True,
        )

    def _record(self, state: TrainingState, accuracy: float) -> Trained:
        """Return what a bundle says of its training."""
        return Trained(
            seconds=round(state.seconds, 2) if math.isfinite(state.seconds) else None,
            hardware=device_name(self.setting.device),
            processes=self.setting.processes.world,
            captured=state.captured,
            fused=state.fused,
            noisy_accuracy=accuracy,
        )

    @contextmanager
    def parent_run(self, recipe: Recipe, *, fresh: bool) -> Iterator[None]:
        """Open the run above the runs of a recipe's noise levels; resuming continues it."""
        if self.tracking is None:
            yield
            return
        name = recipe.name.rpartition("-")[0]
        memory = self.setting.state / f"{name}.json"
        earlier = None if fresh else read_run(memory, {})
        with self.tracking.parent(name, run_id=earlier) as run_id:
            memory.parent.mkdir(parents=True, exist_ok=True)
            write_json_atomically(memory, {"run_id": run_id, "facts": {}})
            yield

    @contextmanager
    def _locked(self, output: Output) -> Iterator[bool]:
        """Keep other processes off a model; yield whether one of them had to end first."""
        setting = self.setting

        def waits() -> None:
            setting.observer.note(
                f"{output.recipe.name}: waits for another process that trains it"
            )

        with ExitStack() as stack:
            waited = setting.processes.is_main and stack.enter_context(
                exclusive(output.lock, on_wait=waits)
            )
            answer = torch.tensor([float(waited)], device=setting.device)
            yield bool(setting.processes.sum(answer))

    @contextmanager
    def _tracked(self, output: Output) -> Iterator[TrackedRun | None]:
        if self.tracking is None:
            yield None
            return
        setting = self.setting
        output.state.mkdir(parents=True, exist_ok=True)
        tags = {**environment(), "device": str(setting.device), "precision": setting.precision}
        earlier = read_run(output.run, output.identity)
        sets = (setting.images, setting.test_images)
        with self.tracking.child(output.recipe, sets, run_id=earlier, tags=tags) as run:
            write_json_atomically(output.run, {"run_id": run.run_id, "facts": output.identity})
            yield run


def _initial_state(recipe: Recipe, task: Task, device: torch.device) -> TrainingState:
    """Return the network as it is before the first epoch, on the device, and its optimiser."""
    torch.manual_seed(recipe.seed)
    network = task.start or networks.build(
        recipe.network.name,
        input_shape=task.images.shape,
        num_classes=task.images.num_classes,
        normalization=task.images.normalization,
        **recipe.network.options,
    )
    network = place(task.wrap(network) if task.wrap else network, device)
    return TrainingState(network, build_optimizer(network, recipe.train))


def _metrics(epoch: Epoch) -> dict[str, float]:
    return {
        "loss": epoch.loss,
        "lr": epoch.lr,
        "images_per_second": epoch.images_per_second,
    }
