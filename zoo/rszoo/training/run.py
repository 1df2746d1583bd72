"""A training from recipe to bundle: the one entry point.

An output folder holds a bundle per noise level (`digits-cat_rs-0.50/`), the state of unfinished
trainings (`.state/`), and the MLflow store, unless MLFLOW_TRACKING_URI names another.
"""

import os
from collections.abc import Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path

import torch

from rszoo import data
from rszoo.hub.bundle import Bundle
from rszoo.hub.writing import check_outside_bundles
from rszoo.networks.execution import resolve_device, resolve_precision
from rszoo.training.distributed import processes
from rszoo.training.interruption import terminable
from rszoo.training.observer import Observer
from rszoo.training.output import STATE
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tracking.tracked import open_tracking
from rszoo.training.trainer import Trainer

__all__ = ["train"]


def train(
    recipes: Sequence[Recipe],
    *,
    out: Path,
    data_root: Path | None = None,
    download: bool = False,
    device: str | None = None,
    precision: str = "auto",
    half: bool = False,
    capture: bool = True,
    fused: bool | None = None,
    resume: bool = False,
    overwrite: bool = False,
    observer: Observer | None = None,
    parent_run: str | None = None,
) -> list[Bundle]:
    """Train one model per recipe, and return their bundles.

    Args:
        recipes: resolved recipes of one method and one data set, one per noise level.
        out: the output folder.
        data_root: where data sets lie (`rszoo.data.data_root`).
        download: fetch a missing data set.
        device: None takes a GPU if there is one; under torchrun each process takes its own.
        precision: "auto", "float32" or "bfloat16".
        half: store the weights in float16.
        capture: on a GPU, replay steps from CUDA graphs (`rszoo.training.captured`).
        fused: evaluate attacks within steps by fused kernels; None: where they fit, on a GPU
            (`rszoo.networks.fused.attackable`).
        resume: keep what is finished, continue what is not.
        overwrite: train again what is finished or begun; with `resume`, only what was so by
            another recipe, or from other data or models.
        observer: shown the progress.
        parent_run: the MLflow run to be listed under; None opens one for the recipe.

    Raises:
        RszooError: `out` is a bundle, an output exists (and neither `resume` nor `overwrite` is
            set), the loss is not finite, or the device, precision or data cannot be used.
    """
    check_outside_bundles(out / STATE)
    with terminable(), ExitStack() as stack:
        chosen = _local_device(device)
        together = stack.enter_context(processes(chosen))
        splits = _splits(recipes[0].dataset, chosen, root=data_root, download=download)
        setting = Setting(
            images=splits[0],
            test_images=splits[1],
            device=chosen,
            precision=resolve_precision(precision, chosen),
            capture=capture,
            fused=fused,
            processes=together,
            observer=(observer if together.is_main else None) or Observer(),
            state=out / STATE,
        )
        store = open_tracking(out, above=parent_run) if together.is_main else nullcontext()
        trainer = Trainer(setting=setting, out=out, half=half, tracking=stack.enter_context(store))
        outputs = [trainer.output(recipe) for recipe in recipes]
        kept = [trainer.existing(one, resume=resume, overwrite=overwrite) for one in outputs]
        together.wait()  # nobody writes before everybody has looked
        if None in kept and parent_run is None:
            stack.enter_context(trainer.parent_run(recipes[0], fresh=not resume))
        return [one or trainer.train(output) for output, one in zip(outputs, kept, strict=True)]


def _splits(
    dataset: str, device: torch.device, *, root: Path | None, download: bool
) -> tuple[data.ImageSet, data.ImageSet]:
    """Return the training and the test images, on the device."""
    train, test = (
        data.load(dataset, split, root=root, download=download) for split in ("train", "test")
    )
    return train.to(device), test.to(device)


def _local_device(device: str | None) -> torch.device:
    chosen = resolve_device(device)
    if chosen.type == "cuda" and chosen.index is None:
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return chosen
