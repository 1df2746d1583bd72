"""Recipe files: order of the layers, overrides, and what is said about broken files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rszoo.errors import RecipeError, RszooError
from rszoo.training.recipes.file import RecipeFile
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.layers import merge
from rszoo.training.recipes.prerequisites import prerequisites
from rszoo.training.recipes.shipped import recipe_names, recipe_path

TEXT = """\
method: consistency
version: 3
paper: {title: A Title, authors: Somebody, year: 2020, url: "https://example.org"}
sigmas: [0.25, 0.5]
defaults:
  weights: {m: 2, eta: 0.1}
  train: {epochs: 1, batch_size: 8, optimizer: sgd, lr: 1e-1, weight_decay: 0, schedule: one_cycle}
  network: {name: cifar_resnet, depth: 110}
  certify: {n0: 100, n: 1000, alpha: 0.001}
datasets:
  mnist:
    sigmas: [0.5, 1]
    network: {name: lenet}
    train: {epochs: 2, batch_size: 9}
    per_sigma:
      0.5: {train: {epochs: 3, batch_size: 10}}
      "1.0": {weights: {lambda_: 7.0}}
    profiles:
      short:
        train: {epochs: 4, lr: 0.4, batch_size: 11}
        weights: {eta: 0.4}
        per_sigma:
          0.5: {train: {epochs: 5, lr: 0.5}}
  cifar10:
    profile: own
"""
OTHER = """\
  other:
    network: {depth: 20}
"""
Read = Callable[..., RecipeFile]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """Return a function that writes `own.yaml` into the current folder and reads it."""
    monkeypatch.chdir(tmp_path)

    def write_and_read(text: str | bytes = TEXT) -> RecipeFile:
        Path("own.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_recipe("own.yaml")

    return write_and_read


def message(call: Callable[[], object]) -> str:
    with pytest.raises(RszooError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize(
    ("profile", "sigma", "overrides", "epochs", "lr", "batch_size", "eta", "lambda_"),
    [
        (None, 1.0, [], 2, 0.1, 9, 0.1, 7.0),
        (None, 0.5, [], 3, 0.1, 10, 0.1, 10.0),
        ("own", 0.5, [], 3, 0.1, 10, 0.1, 10.0),
        ("short", 1.0, [], 4, 0.4, 11, 0.4, 7.0),
        ("short", 0.5, [], 5, 0.5, 11, 0.4, 10.0),
        ("short", 0.5, ["train.epochs=6", "weights.eta=6e-1"], 6, 0.5, 11, 0.6, 10.0),
    ],
)
def test_later_layers_win(
    read: Read,
    profile: str | None,
    sigma: float,
    overrides: list[str],
    epochs: int,
    lr: float,
    batch_size: int,
    eta: float,
    lambda_: float,
) -> None:
    made = read().resolve(dataset="mnist", sigma=sigma, profile=profile, overrides=overrides)
    assert (made.train.epochs, made.train.lr, made.train.batch_size) == (epochs, lr, batch_size)
    assert made.weights == {"m": 2, "eta": eta, "lambda_": lambda_}
    assert made.certify.n == 1000


def test_identity_of_the_run_is_recorded(read: Read) -> None:
    made = read().resolve(dataset="mnist", sigma=1, profile="short", seed=5)
    assert (made.method, made.version, made.dataset) == ("consistency", 3, "mnist")
    assert (made.sigma, made.profile, made.seed) == (1.0, "short", 5)
    assert read().resolve(dataset="cifar10", sigma=0.5).profile == "own"


def test_another_network_drops_the_options_of_the_former(read: Read) -> None:
    file = read()
    assert file.resolve(dataset="mnist", sigma=0.5).network.options == {}
    assert file.resolve(dataset="cifar10", sigma=0.5).network.options == {"depth": 110}
    changed = file.resolve(dataset="cifar10", sigma=0.5, overrides=["network.name=small_cnn"])
    assert changed.network.options == {}
    deeper = file.resolve(dataset="cifar10", sigma=0.5, overrides=["network.depth=56"])
    assert deeper.network.options == {"depth": 56}


def test_sigmas_and_profiles_per_data_set(read: Read) -> None:
    file = read()
    assert file.sigmas("mnist") == [0.5, 1.0]
    assert file.sigmas("cifar10") == [0.25, 0.5]
    assert file.profiles("mnist") == ["own", "short"]
    assert file.profiles("cifar10") == ["own"]


def published(**changes: Any) -> str:
    wanted = {"dataset": "mnist", "sigma": 0.5} | changes
    return load_recipe("consistency").resolve(**wanted).profile


def test_published_is_what_has_the_published_values(tmp_path: Path) -> None:
    assert published() == "published"
    assert published(profile="published", seed=3) == "published"
    assert published(overrides=["train.epochs=90"]) == "published"
    for change in ("train.epochs=1", "weights.eta=0.4", "network.name=small_cnn", "certify.n=9"):
        assert published(overrides=[change]) == "own"
    assert published(profile="short") == "short"
    assert published(dataset="digits", sigma=0.5) == "short"


def test_a_file_that_calls_its_own_schedule_published(read: Read, tmp_path: Path) -> None:
    text = TEXT.replace("    sigmas: [0.5, 1]", "    sigmas: [0.5, 1]\n    profile: published")
    file = read(text)
    assert file.profiles("mnist") == ["published", "short"]
    assert file.resolve(dataset="mnist", sigma=0.5, profile="published").profile == "own"
    copied = tmp_path / "copied.yaml"
    copied.write_text(recipe_path("consistency").read_text())
    assert load_recipe(copied).resolve(dataset="mnist", sigma=0.5).profile == "published"
    copied.write_text(copied.read_text().replace("method: consistency", "method: no_such"))
    with pytest.raises(RecipeError):
        load_recipe(copied).resolve(dataset="mnist", sigma=0.5)


def test_a_bundle_of_before_whose_recipe_was_called_published(tmp_path: Path) -> None:
    made = load_recipe("consistency").resolve(dataset="mnist", sigma=0.5)
    for text, profile in (
        (made.to_yaml(), "published"),
        (made.to_yaml().replace("epochs: 90", "epochs: 1"), "own"),
    ):
        (tmp_path / "recipe.yaml").write_text(text)
        again = load_recipe(tmp_path).resolve(sigma=0.5)
        assert again.profile == profile


def test_models_that_are_trained_first_for_an_own_schedule() -> None:
    recipe = load_recipe("cat_rs").resolve(
        dataset="mnist", sigma=0.5, overrides=["train.epochs=1"]
    )
    assert recipe.profile == "own"
    (teacher,) = prerequisites(recipe)
    assert teacher == load_recipe("gaussian").resolve(dataset="mnist", sigma=0.25)


@pytest.mark.parametrize("dataset", ["photos/", "cells.npz", "svhn", "digits"])
def test_unlisted_data_set_takes_the_block_other(read: Read, dataset: str) -> None:
    made = read(TEXT + OTHER).resolve(dataset=dataset, sigma=0.25)
    assert made.dataset == dataset
    assert made.network.options == {"depth": 20}


def test_unlisted_data_set_without_the_block_other_is_refused(read: Read) -> None:
    file = read()
    expected = "own.yaml: dataset: 'minst' is not in the recipe's list ['mnist', 'cifar10']"
    assert message(lambda: file.resolve(dataset="minst", sigma=0.5)) == expected
    assert message(lambda: file.sigmas("minst")) == expected


def test_unlisted_sigma_and_profile_are_refused(read: Read) -> None:
    file = read()
    assert message(lambda: file.resolve(dataset="mnist", sigma=0.25, profile="shrot")) == (
        "own.yaml:\n"
        "  sigma: 0.25 is not in the recipe's list [0.5, 1.0] for 'mnist'; to add it, edit a copy "
        "(rszoo recipe cp consistency)\n"
        "  profile: 'shrot' is not in the recipe's list ['own', 'short'] for 'mnist'"
    )


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("train.epocs=3", "train.epocs: unknown key; nearest valid key: train.epochs"),
        ("trian.lr=3", "trian.lr: unknown key; nearest valid key: train.lr"),
        ("epochs=3", "epochs: unknown key; nearest valid key: train.epochs"),
        ("lambda=3", "lambda: unknown key; nearest valid key: weights.lambda_"),
        (
            "zzz=3",
            "zzz: unknown key; expected one of ['network', 'weights', 'hyperparameters', 'train', "
            "'targets', 'experts', 'parts', 'denoised', 'fine_tuning', 'adapter', 'certify'] "
            "before the "
            "first dot",
        ),
        (
            "hyperparameters.lambda=1",
            "hyperparameters.lambda: unknown key; nearest valid key: hyperparameters.lambda_",
        ),
        (
            "hyperparameter.lambda_=1",
            "hyperparameter.lambda_: unknown key; nearest valid key: hyperparameters.lambda_",
        ),
        ("hyperparameters.m=0", "hyperparameters.m: expected an integer >= 1, got 0"),
        ("hyperparameters=3", "hyperparameters: expected a mapping, got 3"),
        ("train.lr=fast", "train.lr: expected a number > 0, got 'fast'"),
        ("train.lr=yes", "train.lr: expected a number > 0, got 'yes'"),
        ("train.lr=", "train.lr: expected a number > 0, got null"),
        ("train.lr=1e999", "train.lr: expected a finite number, got inf"),
        ("weights.lambda_=1e999", "weights.lambda_: expected a finite number, got inf"),
        ("train.lr.x=3", "train.lr: expected a number > 0, got {'x': 3}"),
        ("train=3", "train: expected a mapping, got 3"),
        ("train.lr=*x", "train.lr: line 1: a recipe holds no YAML alias; write the value out"),
        ("sigma=0.3", "sigma: not an override; use --sigma 0.3"),
        ("dataset=mnist", "dataset: not an override; use --dataset mnist"),
        ("profile=short", "profile: not an override; use --profile short"),
        ("seed=3", "seed: not an override; use --seed 3"),
        ("method=cat_rs", "method: fixed by the recipe file; choose another recipe"),
        ("version=2", "version: fixed by the recipe file; choose another recipe"),
        ("train.lr", "'train.lr': expected KEY=VALUE, such as train.lr=0.1"),
        ("=3", "'=3': expected KEY=VALUE, such as train.lr=0.1"),
    ],
)
def test_override_that_cannot_be_used_is_named(read: Read, override: str, line: str) -> None:
    file = read()
    call = lambda: file.resolve(dataset="mnist", sigma=0.5, overrides=[override])  # noqa: E731
    assert message(call) == f"own.yaml: {line}"


@pytest.mark.parametrize(
    ("overrides", "lr", "n"),
    [
        (["train.lr=0.2", "train.lr=0.3"], 0.3, 1000),
        (["train={lr: 0.2}"], 0.2, 1000),
        (["train=3", "train.lr=0.2", "certify.n=1e5"], 0.2, 100_000),
    ],
)
def test_overrides_apply_in_order(read: Read, overrides: Sequence[str], lr: float, n: int) -> None:
    made = read().resolve(dataset="mnist", sigma=0.5, overrides=overrides)
    assert (made.train.lr, made.train.epochs, made.certify.n) == (lr, 3, n)


def test_problems_of_file_and_overrides_come_together(read: Read) -> None:
    file = read(TEXT.replace("n: 1000", "n: many").replace("lr: 0.4", "lr: -1"))
    call = lambda: file.resolve(  # noqa: E731
        dataset="mnist", sigma=1.0, profile="short", overrides=["epochs=3", "weights.m=0"]
    )
    assert message(call) == (
        "own.yaml:\n"
        "  epochs: unknown key; nearest valid key: train.epochs\n"
        "  weights.m: expected an integer >= 1, got 0\n"
        "  datasets.mnist.profiles.short.train.lr: expected a number > 0, got -1\n"
        "  defaults.certify.n: expected an integer >= 1, got 'many'"
    )


OTHER_WORD = TEXT.replace("weights:", "hyperparameters:")
BOTH = "expected weights or hyperparameters, two words for one section, got both; keep one"


def test_hyperparameters_are_another_word_for_weights(read: Read) -> None:
    made = read().resolve(dataset="mnist", sigma=1.0, profile="short", overrides=["weights.m=3"])
    assert made.weights == {"m": 3, "eta": 0.4, "lambda_": 7.0}
    mixed = TEXT.replace("weights: {eta", "hyperparameters: {eta")
    assert "weights:" in mixed
    assert "weights:" not in OTHER_WORD
    for text in (OTHER_WORD, mixed):
        for word in ("weights", "hyperparameters"):
            other = read(text).resolve(
                dataset="mnist", sigma=1.0, profile="short", overrides=[f"{word}.m=3"]
            )
            assert other == made
            assert (other.digest, other.to_yaml()) == (made.digest, made.to_yaml())
    assert "hyperparameters" not in made.to_yaml()


def test_problems_of_hyperparameters_are_told_in_the_word_of_their_place(read: Read) -> None:
    wrong = OTHER_WORD.replace("m: 2", "m: 0").replace("eta: 0.4", "etta: 0.4")
    assert read(wrong).problems() == [
        "defaults.hyperparameters.m: expected an integer >= 1, got 0",
        "datasets.mnist.profiles.short.hyperparameters.etta: unknown key; nearest valid key: "
        "datasets.mnist.profiles.short.hyperparameters.eta",
    ]


def test_both_words_for_weights_in_one_layer_are_refused(read: Read) -> None:
    both = TEXT.replace('"1.0": {', '"1.0": {hyperparameters: {m: 2}, ')
    assert message(lambda: read(both)) == f"own.yaml: datasets.mnist.per_sigma.1.0: {BOTH}"
    overrides = ["weights.m=3", "hyperparameters.eta=1"]
    call = lambda: read().resolve(dataset="mnist", sigma=0.5, overrides=overrides)  # noqa: E731
    assert message(call) == f"own.yaml: overrides: {BOTH}"


def test_hyperparameters_in_a_resolved_recipe(tmp_path: Path) -> None:
    made = load_recipe("consistency").resolve(dataset="mnist", sigma=0.5)
    path = tmp_path / "recipe.yaml"
    text = made.to_yaml().replace("weights:", "hyperparameters:")
    path.write_text(text)
    assert load_recipe(path).resolve(sigma=0.5) == made
    path.write_text(text.replace("  m: 2", "  m: 0"))
    assert message(lambda: load_recipe(path)) == (
        f"{path}: hyperparameters.m: expected an integer >= 1, got 0"
    )
    path.write_text(f"{text}weights: {{}}\n")
    assert message(lambda: load_recipe(path)) == f"{path}: {BOTH}"


def test_check_of_a_whole_file_names_the_place_of_each_problem_once(read: Read) -> None:
    text = TEXT + "  minst:\n    targets: {sigma: 0.25, draws: 10}\n"
    text = text.replace("alpha: 0.001", "alpha: 2").replace("lr: 0.5", "lr: fast")
    text = text.replace("eta: 0.4", "etta: 0.4").replace("optimizer: sgd, ", "")
    assert read(text).problems() == [
        "datasets.minst: unknown key; nearest valid key: datasets.mnist",
        "datasets.mnist.train.optimizer: missing; expected one of ['sgd', 'adamw']",
        "defaults.certify.alpha: expected 0 < alpha < 1, got 2",
        "datasets.mnist.profiles.short.weights.etta: unknown key; nearest valid key: "
        "datasets.mnist.profiles.short.weights.eta",
        "datasets.mnist.profiles.short.per_sigma.0.5.train.lr: expected a number > 0, got 'fast'",
        "datasets.cifar10.train.optimizer: missing; expected one of ['sgd', 'adamw']",
        "datasets.minst.train.optimizer: missing; expected one of ['sgd', 'adamw']",
    ]
    assert read().problems() == []


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("version: 3", "version: 0", ["version: expected an integer >= 1, got 0"]),
        ("version: 3\n", "", ["version: missing; expected an integer >= 1"]),
        ("year: 2020", "year: then", ["paper.year: expected an integer, got 'then'"]),
        ("sigmas: [0.25, 0.5]", "sigmas: []", ["sigmas: expected at least 1 entry, got []"]),
        (
            "sigmas: [0.25, 0.5]",
            "sigmas: [0.25, -1]",
            ["sigmas.1: expected a value that is greater than or equal to 0, got -1"],
        ),
        (
            "datasets:",
            "dataset:",
            [
                "datasets: missing; expected a mapping",
                "dataset: unknown key; nearest valid key: datasets",
            ],
        ),
        (
            "    profiles:",
            "    profils:",
            ["datasets.mnist.profils: unknown key; nearest valid key: datasets.mnist.profiles"],
        ),
        (
            '"1.0": {weights',
            '"1.0": {wieghts',
            [
                "datasets.mnist.per_sigma.1.0.wieghts: unknown key; nearest valid key: "
                "datasets.mnist.per_sigma.1.0.weights"
            ],
        ),
        (
            '"1.0": {',
            '"0.5": {',
            ["datasets.mnist.per_sigma: expected each sigma once, got 0.5 twice"],
        ),
        (
            '"1.0": {',
            "high: {",
            ["datasets.mnist.per_sigma: expected a sigma as key, got 'high'"],
        ),
        (
            '"1.0": {',
            "0.7: {",
            ["datasets.mnist.per_sigma.0.7: not in the list of sigmas [0.5, 1.0]"],
        ),
        (
            "short:",
            "own:",
            ["datasets.mnist.profiles.own: already the name of the base values"],
        ),
        ("  cifar10:", "  10:", ["datasets.10: expected a text as key, got 10"]),
        ("{epochs: 2, ", "{1: 2, ", ["datasets.mnist.train.1: expected a text as key, got 1"]),
        (
            "weights: {m: 2, eta: 0.1}",
            "weights:",
            ["defaults.weights: expected a mapping, got null"],
        ),
    ],
)
def test_broken_structure_is_named(read: Read, old: str, new: str, lines: list[str]) -> None:
    assert old in TEXT
    with pytest.raises(RecipeError) as caught:
        read(TEXT.replace(old, new, 1))
    assert caught.value.problems == lines
    assert str(caught.value).startswith("own.yaml:")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", "expected a mapping with the key 'method', got an empty file"),
        ("# nothing\n", "expected a mapping with the key 'method', got an empty file"),
        ("- a\n", "expected a mapping with the key 'method', got ['a']"),
        (b"\x89PNG\r\n\xff\x00", "expected YAML text in UTF-8, got other bytes"),
        (TEXT + "version: 4\n", "line 26: key 'version' was given before, in line 2; keep one"),
        ("a: &a [x]\nb: [*a, *a]\n", "line 1: a recipe holds no YAML anchor; write the value out"),
    ],
)
def test_file_that_is_no_recipe_is_refused(read: Read, content: str | bytes, line: str) -> None:
    assert message(lambda: read(content)) == f"own.yaml: {line}"


def test_byte_order_mark_is_accepted(read: Read) -> None:
    assert read(b"\xef\xbb\xbf" + TEXT.encode()).method == "consistency"


def experts_of(**overrides: str) -> dict[str, object]:
    """Return the experts of the shipped router for MNIST under overrides of `experts`."""
    texts = [f"experts.{key}={value}" for key, value in overrides.items()]
    made = load_recipe("dual_rs").resolve(dataset="mnist", sigma=1.0, overrides=texts)
    assert made.experts is not None
    return made.experts.model_dump()


def test_experts_in_one_form_drop_those_in_the_other() -> None:
    default = {"draws": 100, "method": "cat_rs", "sigmas": [0.25, 0.5, 1.0], "bundles": None}
    assert experts_of() == default
    assert experts_of(draws="7") == default | {"draws": 7}
    assert experts_of(method="macer") == default | {"method": "macer"}
    assert experts_of(sigmas="[0.5, 1.0]") == default | {"sigmas": [0.5, 1.0]}
    others = {"draws": 100, "method": None, "sigmas": None, "bundles": ["a", "b"]}
    assert experts_of(bundles="[a, b]") == others


def test_a_layer_that_names_experts_drops_the_bundles_of_a_weaker_one() -> None:
    layers = [("a", {"experts": {"bundles": ["x", "y"], "draws": 3}})]
    for form in ({"method": "macer"}, {"sigmas": [0.5, 1.0]}):
        merged, _ = merge([*layers, ("b", {"experts": form})])
        assert merged == {"experts": {"draws": 3, **form}}


def test_experts_in_both_forms_are_refused() -> None:
    with pytest.raises(RecipeError, match="expected either method and sigmas, or bundles, got"):
        experts_of(method="macer", sigmas="[0.5, 1.0]", bundles="[a, b]")


@pytest.mark.parametrize("name", recipe_names())
def test_the_recipe_of_a_bundle_is_a_recipe_file_of_one_run(name: str, tmp_path: Path) -> None:
    file = load_recipe(name)
    made = file.resolve(dataset="mnist", sigma=file.sigmas("mnist")[-1], profile="short", seed=3)
    path = tmp_path / "recipe.yaml"
    path.write_text(made.to_yaml())
    again = load_recipe(path)
    assert again.problems() == []
    assert (again.sigmas(), again.profiles("mnist")) == ([made.sigma], ["short"])
    assert again.resolve(sigma=made.sigma) == made
    changed = again.resolve(sigma=made.sigma, seed=0, overrides=["train.epochs=2"])
    assert (changed.seed, changed.train.epochs) == (0, 2)
    assert changed.digest != made.digest
    with pytest.raises(RecipeError, match=r"'digits' is not in the recipe's list \['mnist'\]"):
        again.resolve(dataset="digits", sigma=made.sigma)
    if name == "dual_rs":  # the noise of a router is a value like others
        assert again.resolve(sigma=0.3).sigma == 0.3
        return
    with pytest.raises(RecipeError, match=r"sigma: 0\.3 is not in the recipe's list"):
        again.resolve(sigma=0.3)


def test_the_recipe_of_a_bundle_of_own_images_takes_any_path(tmp_path: Path) -> None:
    made = load_recipe("gaussian").resolve(dataset="here/images", sigma=0.25)
    path = tmp_path / "recipe.yaml"
    path.write_text(made.to_yaml())
    again = load_recipe(path)
    assert again.resolve(sigma=0.25) == made
    moved = again.resolve(dataset="there/images", sigma=0.25)
    assert moved == made.model_copy(update={"dataset": "there/images"})


def test_the_recipe_of_a_bundle_with_a_bad_value(tmp_path: Path) -> None:
    text = load_recipe("gaussian").resolve(sigma=0.25).to_yaml()
    path = tmp_path / "recipe.yaml"
    path.write_text(text.replace("momentum: 0.9", "momentum: 9"))
    with pytest.raises(RecipeError, match=r"recipe\.yaml: train\.momentum: expected "):
        load_recipe(path)


@pytest.mark.parametrize(
    ("method", "overrides", "models"),
    [
        ("gaussian", [], []),
        ("gaussian", ["fine_tuning.start=a"], ["a"]),
        ("gaussian", ["fine_tuning.start=a", "fine_tuning.router=b"], ["a", "b"]),
        ("gaussian", ["adapter.backbone=a"], ["a"]),
        ("gaussian", ["adapter.backbone=standard"], []),
        ("dual_rs", ["experts.bundles=[a,b]"], ["a", "b"]),
        ("dual_rs", [], []),
        ("mixing", [], []),
        ("denoising", [], []),
        ("denoising", ["denoised.classifier=a"], ["a"]),
        ("mixing", ["parts.standard=a"], ["a"]),
        ("mixing", ["parts.standard=a", "parts.robust=b"], ["a", "b"]),
    ],
)
def test_the_models_that_a_recipe_names(
    method: str, overrides: list[str], models: list[str]
) -> None:
    made = load_recipe(method).resolve(sigma=0.5, overrides=overrides)
    assert made.models == models
