"""Finding recipes by name or path, and copying them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from rszoo.errors import RszooError
from rszoo.hub.catalog import find
from rszoo.training.recipes.files import copy_recipe, load_recipe
from rszoo.training.recipes.shipped import recipe_names, recipe_path


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def message(call: Callable[[], object]) -> str:
    with pytest.raises(RszooError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("name", ["nope", "nope.yaml", "recipes/nope.yaml"])
def test_missing_file_is_named_with_the_known_recipes(name: str) -> None:
    expected = f"{name}: no such file; the recipes that come with rszoo are {recipe_names()}"
    assert message(lambda: load_recipe(name)) == expected


def test_the_path_in_a_checkout_stands_for_the_name_elsewhere() -> None:
    with pytest.warns(UserWarning, match="no file recipes/macer.yaml here: the recipe macer that"):
        found = load_recipe("recipes/macer.yaml")
    assert found.content == load_recipe("macer").content
    Path("recipes").mkdir()
    Path("recipes/macer.yaml").write_bytes(recipe_path("gaussian").read_bytes())
    assert load_recipe("recipes/macer.yaml").method == "gaussian"


def test_folder_is_not_read_as_a_recipe() -> None:
    Path("folder").mkdir()
    expected = "folder/recipe.yaml: cannot be read: No such file or directory"
    assert message(lambda: load_recipe("folder")) == expected


def test_a_bundle_stands_for_its_recipe() -> None:
    found = load_recipe("builtin/digits-macer-0.50")
    assert (found.method, found.sigmas()) == ("macer", [0.5])
    bundle = find("builtin/digits-macer-0.50")
    assert load_recipe(bundle.path).resolve(sigma=0.5) == found.resolve(sigma=0.5)
    assert found.resolve(sigma=0.5).digest == bundle.manifest.origin.facts["recipe"]


def test_existing_file_wins_over_a_name_and_a_folder_does_not() -> None:
    Path("gaussian").mkdir()
    assert load_recipe("gaussian").method == "gaussian"
    Path("gaussian").rmdir()
    Path("gaussian").write_bytes(recipe_path("consistency").read_bytes())
    assert load_recipe("gaussian").method == "consistency"


def test_path_of_an_unknown_recipe_is_refused() -> None:
    assert message(lambda: recipe_path("nope")) == (
        f"nope: no such recipe; expected one of {recipe_names()}"
    )


def test_copy_keeps_the_text_and_never_overwrites_unasked() -> None:
    original = recipe_path("cat_rs").read_bytes()
    assert copy_recipe("cat_rs") == Path("cat_rs.yaml")
    assert Path("cat_rs.yaml").read_bytes() == original
    Path("cat_rs.yaml").write_text("mine")
    assert message(lambda: copy_recipe("cat_rs")) == (
        "'cat_rs.yaml' exists already; give another name, or --force"
    )
    assert Path("cat_rs.yaml").read_text() == "mine"
    assert copy_recipe("cat_rs", overwrite=True).read_bytes() == original
    Path("mine").mkdir()
    assert copy_recipe("cat_rs.yaml", Path("mine")) == Path("mine/cat_rs.yaml")
    assert message(lambda: copy_recipe("cat_rs", Path("no/such/folder.yaml"))) == (
        "cannot write 'no/such/folder.yaml': No such file or directory"
    )
