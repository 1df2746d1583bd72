"""Dual RS from one classifier: a router for it at several noise levels, then the classifier again.

Sun, Mao and Vechev (2026), Dual Randomized Smoothing, https://arxiv.org/abs/2512.01782. A round
trains a router on the radii of the classifier at its noise levels, and fine-tunes the classifier
under the noise that the router takes for each training image. The paper's results are of one
round.
"""

from collections.abc import Sequence
from pathlib import Path

from rszoo.errors import RecipeError
from rszoo.hub.bundle import Bundle
from rszoo.hub.kinds.dual import compose_dual, served_experts
from rszoo.training.observer import Observer
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import make_recipe
from rszoo.training.run import train

__all__ = ["fine_tuned_expert", "in_rounds", "trained_dual", "trained_router"]

_EPOCHS = 15  # Sun et al., for CIFAR-10
_SLOWER = 0.1  # of the learning rate of a training from the beginning; chosen


def trained_dual(
    folder: Path,
    *,
    experts: Sequence[Bundle],
    sigmas: Sequence[float] | None = None,
    rounds: int = 0,
    profile: str | None = None,
    data_root: Path | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> Bundle:
    """Train a router for experts, and write the bundle that routes its inputs among them.

    Args:
        folder: the new bundle. The router is trained beside it; the rounds are in a folder of
            its name with `-rounds` after it. What was begun is continued.
        experts: in the order of the router's classes; with `sigmas`, one.
        sigmas: noise levels at which the one expert serves; None: each expert at its own.
        rounds: with `sigmas`: how many times the expert is fine-tuned under the router's noise.
        profile: of the router's recipe.
        data_root, observer: as `rszoo.training.run.train` takes them.
        overwrite: replace the bundle, and train again what is there of other models or another
            recipe.

    Raises:
        RszooError: the experts do not fit together, the folder exists, or as `train` has it.
    """
    served_experts(experts, sigmas)  # before anything is trained
    if rounds and sigmas:
        tuned, router = in_rounds(
            experts[0],
            sigmas,
            rounds=rounds,
            out=folder.parent / f"{folder.name}-rounds",
            profile=profile,
            data_root=data_root,
            overwrite=overwrite,
            observer=observer,
        )
        experts = [tuned]
    else:
        router = trained_router(
            experts,
            sigmas,
            out=folder.parent,
            profile=profile,
            data_root=data_root,
            overwrite=overwrite,
            observer=observer,
        )
    return compose_dual(folder, experts=experts, sigmas=sigmas, router=router, overwrite=overwrite)


def in_rounds(
    expert: Bundle,
    sigmas: Sequence[float],
    *,
    rounds: int,
    out: Path,
    profile: str | None = None,
    data_root: Path | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> tuple[Bundle, Bundle]:
    """Train a router, and fine-tune its one expert, so many times; continue what was begun.

    Args:
        expert: a classifier.
        sigmas: its noise levels.
        rounds: at least 1.
        out: each round has a folder there, `round-1`, `round-2`, ...
        profile: of the router's recipe.
        data_root, observer: as in `rszoo.training.run.train`.
        overwrite: train again what is there of other models or another recipe.

    Returns:
        The expert and the router of the last round.

    Raises:
        RszooError: as `train`.
    """
    router = expert
    for number in range(1, rounds + 1):
        folder = out / f"round-{number}"
        router = trained_router(
            [expert],
            sigmas,
            out=folder,
            profile=profile,
            data_root=data_root,
            overwrite=overwrite,
            observer=observer,
        )
        expert = fine_tuned_expert(
            expert,
            router,
            out=folder,
            data_root=data_root,
            overwrite=overwrite,
            observer=observer,
        )
    return expert, router


def trained_router(
    experts: Sequence[Bundle],
    sigmas: Sequence[float] | None,
    *,
    out: Path,
    profile: str | None = None,
    data_root: Path | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> Bundle:
    """Return a router for experts, trained by the recipe `dual_rs`; continue one that was begun.

    Args:
        experts: in the order of the router's classes; with `sigmas`, one.
        sigmas: noise levels at which the one expert serves; None: each expert at its own.
        out: the output folder.
        profile, data_root, overwrite, observer: as in `in_rounds`.
    """
    file, dataset = load_recipe("dual_rs"), experts[0].config.dataset
    recipe = file.resolve(dataset=dataset, sigma=max(file.sigmas(dataset)), profile=profile)
    assert recipe.experts is not None  # a router's recipe
    named = {
        "draws": recipe.experts.draws,
        "bundles": [expert.id for expert in experts],
        "sigmas": list(sigmas) if sigmas else None,
    }
    return _trained(
        {**recipe.model_dump(), "experts": named},
        out=out,
        data_root=data_root,
        overwrite=overwrite,
        observer=observer,
    )


def fine_tuned_expert(
    expert: Bundle,
    router: Bundle,
    *,
    out: Path,
    data_root: Path | None = None,
    overwrite: bool = False,
    observer: Observer | None = None,
) -> Bundle:
    """Return a classifier that went on learning, with cross-entropy, under a router's noise.

    Args:
        expert: the classifier, at the noise levels of the router.
        router: for that classifier.
        out: the output folder.
        data_root, overwrite, observer: as in `in_rounds`.
    """
    config = expert.of_network
    recipe = load_recipe("gaussian").resolve(dataset=config.dataset, sigma=config.sigma)
    train = recipe.train.model_dump()
    return _trained(
        {
            **recipe.model_dump(),
            "network": config.architecture,
            "train": {**train, "epochs": _EPOCHS, "lr": _SLOWER * train["lr"]},
            "fine_tuning": {"start": expert.id, "router": router.id},
        },
        out=out,
        data_root=data_root,
        overwrite=overwrite,
        observer=observer,
    )


def _trained(
    values: dict[str, object],
    *,
    out: Path,
    data_root: Path | None,
    overwrite: bool,
    observer: Observer | None,
) -> Bundle:
    """Return the bundle of a recipe, trained if it is not there."""
    recipe, problems = make_recipe(values)
    if recipe is None:
        raise RecipeError(problems, source=f"the recipe for {out}")
    (bundle,) = train(
        [recipe],
        out=out,
        data_root=data_root,
        resume=True,
        overwrite=overwrite,
        observer=observer,
    )
    return bundle
