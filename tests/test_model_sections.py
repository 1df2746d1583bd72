"""The sections of a recipe that name other models: each is asked about itself."""

from pathlib import Path

import pytest

from rszoo import methods
from rszoo.training.observer import Observer
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.layers import ALIASES, Values
from rszoo.training.recipes.next_step import next_step
from rszoo.training.recipes.prerequisites import models_of, prerequisites, trained_first
from rszoo.training.recipes.problems import model_at
from rszoo.training.recipes.recipe import MODEL_SECTIONS, Recipe
from rszoo.training.run import train
from rszoo.training.sweep import planned
from rszoo.training.tasks.choosing import task_of
from rszoo.training.trainer import Trainer

OUT = Path("runs")


def recipe(method: str, *overrides: str, sigma: float = 0.5) -> Recipe:
    return load_recipe(method).resolve(sigma=sigma, overrides=overrides)


def test_a_layer_of_a_recipe_file_has_all_sections() -> None:
    fields = Recipe.model_fields
    sections = [key for key in fields if model_at(Recipe, [key]) is not None]
    given = [key for key in Values.model_fields if key not in ALIASES]
    assert given == [key for key in fields if key in {*sections, "weights"}]
    assert set(ALIASES.values()) <= set(given)
    assert MODEL_SECTIONS.keys() <= Values.model_fields.keys()


def test_the_methods_of_each_section() -> None:
    taken = {
        key: [name for name in methods.names() if kind.taken_by(name)]
        for key, kind in MODEL_SECTIONS.items()
    }
    assert taken == {
        "targets": ["cat_rs", "hard_dropping"],
        "experts": ["dual_rs"],
        "parts": ["mixing", "mixing_standard"],
        "denoised": ["denoising"],
        "fine_tuning": [
            name
            for name in methods.names()
            if name not in ("denoising", "dual_rs", "mixing", "mixing_standard")
        ],
        "adapter": [name for name in methods.names() if methods.trains(name) == "smoothed"],
    }


def test_every_task_of_a_section_is_one() -> None:
    tasks = {kind.task for kind in MODEL_SECTIONS.values()} - {None}
    assert tasks == task_of.__globals__["_TASKS"].keys()


@pytest.mark.parametrize(
    ("made", "models", "step"),
    [
        (recipe("gaussian"), {}, "certify with: rszoo certify --model runs/digits-gaussian-0.50"),
        (
            recipe("standard", sigma=0.0),
            {},
            "mix with: rszoo compose mixed --standard runs/digits-standard-0.00 --robust ID --out "
            "DIR",
        ),
        *(
            (
                recipe(method, sigma=0.0),
                {},
                f"mix with: rszoo compose mixed-standard --standard ID --robust "
                f"runs/digits-{method}-0.00 --alpha-mix A --out DIR, as the robust part, or as "
                f"the accurate one: rszoo compose mixed --standard runs/digits-{method}-0.00 "
                "--robust ID --alpha-mix A --out DIR",
            )
            for method in ("adversarial", "trades", "mart", "part")
        ),
        (
            recipe("cat_rs", "fine_tuning.start=a b", "targets.sigma=1"),
            {"targets": ["digits-gaussian-1.00"], "fine_tuning": ["a b"]},
            "certify with: rszoo certify --model runs/digits-cat_rs-0.50",
        ),
        (
            recipe("dual_rs", "experts.sigmas=[0.25, 1.0]", "experts.method=macer"),
            {"experts": ["digits-macer-0.25", "digits-macer-1.00"]},
            "compose with: rszoo compose dual --expert runs/digits-macer-0.25 --expert "
            "runs/digits-macer-1.00 --router runs/digits-dual_rs-0.50 --out DIR",
        ),
        (
            recipe("dual_rs", "experts.bundles=[it's]", "experts.sigmas=[0.25, 0.75]"),
            {"experts": ["it's"]},
            "compose with: rszoo compose dual --expert 'it'\"'\"'s' --sigma 0.25 --sigma 0.75 "
            "--router runs/digits-dual_rs-0.50 --out DIR",
        ),
        (
            recipe("mixing", "parts.standard=standard", "parts.robust=own/bundle"),
            {"parts": ["digits-standard-0.00", "own/bundle"]},
            "compose with: rszoo compose mixed --standard runs/digits-standard-0.00 --robust "
            "own/bundle --weight runs/digits-mixing-0.50 --out DIR",
        ),
        (
            recipe("mixing_standard", "parts.standard=own/bundle", sigma=0.0),
            {"parts": ["own/bundle", "digits-adversarial-0.00"]},
            "compose with: rszoo compose mixed-standard --standard own/bundle --robust "
            "runs/digits-adversarial-0.00 --weight runs/digits-mixing_standard-0.00 --out DIR",
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Recipe) else "",
)
def test_models_and_next_step(made: Recipe, models: dict[str, list[str]], step: str) -> None:
    found = {
        key: [one if isinstance(one, str) else one.name for one in some]
        for key, some in models_of(made).items()
    }
    assert found == models
    assert made.models == [one for some in models.values() for one in some if one[:6] != "digits"]
    assert next_step(made, OUT) == step


def test_what_is_trained_first_is_said_before(tmp_path: Path) -> None:
    made = recipe("dual_rs")
    assert trained_first(made, tmp_path) == (
        "takes 2 other models, trained first: digits-cat_rs-0.25 (experts, sigma 0.25), "
        "digits-cat_rs-0.50 (experts, sigma 0.5)"
    )
    (tmp_path / "digits-cat_rs-0.25").mkdir()
    assert trained_first(made, tmp_path) == (
        "takes another model, trained first: digits-cat_rs-0.50 (experts, sigma 0.5)"
    )
    (tmp_path / "digits-cat_rs-0.50").mkdir()
    assert trained_first(made, tmp_path) == ""
    assert trained_first(recipe("gaussian"), tmp_path) == ""
    given = recipe("dual_rs", "experts.bundles=[a, b]")
    assert trained_first(given, tmp_path) == ""


def test_a_training_says_what_it_trains_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def ensure(self: Trainer, made: Recipe) -> None:
        said.append(f"trains {made.name}")
        raise InterruptedError

    class Heard(Observer):
        def note(self, text: str) -> None:
            said.append(text)

    monkeypatch.setattr(Trainer, "ensure", ensure)
    made = recipe("dual_rs")
    with pytest.raises(InterruptedError):
        train([made], out=tmp_path, observer=Heard(), device="cpu")
    assert said == [
        f"digits-dual_rs-0.50 {trained_first(made, tmp_path)}",
        "trains digits-cat_rs-0.25",
    ]


def test_a_sweep_trains_in_the_order_of_a_training() -> None:
    made = recipe("mixing", "parts.standard=standard", "parts.robust=cat_rs")
    assert [one.name for one in prerequisites(made)] == [
        "digits-standard-0.00",
        "digits-cat_rs-0.50",
    ]
    assert [job.recipe.name for job in planned([made], out=OUT)] == [
        "digits-standard-0.00",
        "digits-gaussian-0.25",
        "digits-cat_rs-0.50",
        "digits-mixing-0.50",
    ]


@pytest.mark.parametrize("method", ["mixing", "standard", "dual_rs", "part"])
def test_experts_are_classifiers(method: str) -> None:
    values = load_recipe("dual_rs").resolve(sigma=0.5).model_dump()
    wrong = {**values, "experts": {"draws": 9, "method": method, "sigmas": [0.25, 0.5]}}
    from rszoo.training.recipes.recipe import make_recipe

    assert make_recipe(wrong) == (
        None,
        [f"experts.method: expected a method that trains classifiers, got {method!r}"],
    )
