"""What to do with a model that has just been trained."""

from pathlib import Path

from rszoo.training.recipes.prerequisites import model_ids
from rszoo.training.recipes.recipe import Recipe

__all__ = ["next_step"]


def next_step(recipe: Recipe, out: Path) -> str:
    """Return what to do with the bundle of a finished training.

    Args:
        recipe: of the training.
        out: its output folder.
    """
    from rszoo import methods

    path, ids = str(out / recipe.name), model_ids(recipe, out)
    for key, section in recipe.sections.items():
        if step := section.next_step(recipe.method, path, ids[key]):
            return step
    if methods.trains(recipe.method) == "standard" and recipe.weights.get("attack_steps"):
        return (
            f"mix with: rszoo compose mixed-standard --standard ID --robust {path} --alpha-mix A "
            "--out DIR, as the robust part, or as the accurate one: rszoo compose mixed "
            f"--standard {path} --robust ID --alpha-mix A --out DIR"
        )
    if methods.trains(recipe.method) == "standard":
        return f"mix with: rszoo compose mixed --standard {path} --robust ID --out DIR"
    return f"certify with: rszoo certify --model {path}"
