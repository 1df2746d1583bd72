"""Training that goes on from a finished model, and the rounds of Dual RS."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import Result
from torch import Tensor
from typer.testing import CliRunner

from rszoo import data, methods, networks
from rszoo.errors import RecipeError, RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kinds.dual import compose_dual
from rszoo.hub.origin import Origin, Parent
from rszoo.hub.writing import write_bundle
from rszoo.methods import Method
from rszoo.smoothing.noise import gaussian_copies
from rszoo.training import rounds
from rszoo.training.checkpoint import TrainingState
from rszoo.training.loop import build_optimizer, fit
from rszoo.training.recipes.file import RecipeFile
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.run import train
from rszoo.training.tasks.fine_tuning import median_level
from rszoo.training.tasks.votes import vote_shares
from rszoo_cli import app

pytestmark = pytest.mark.usefixtures("quick_stores")

START = "builtin/digits-gaussian-0.50"
OTHER = "builtin/digits-gaussian-0.25"
SIGMAS = [0.25, 0.75]
OTHERS = "was made by another recipe, or from other data or models"


def recipe(*overrides: str, method: str = "gaussian") -> Recipe:
    given = [f"fine_tuning.start={START}", "train.epochs=1", *overrides]
    return load_recipe(method).resolve(sigma=0.5, overrides=given)


@pytest.fixture
def router(tmp_path: Path) -> Bundle:
    """A router for the model to start from, with other answers for other images."""
    images = data.load("digits", "train")
    torch.manual_seed(0)
    network = networks.build("small_cnn", input_shape=images.shape, num_classes=2)
    return router_of(tmp_path / "router", network, SIGMAS, expert=find(START))


def router_of(
    folder: Path, network: torch.nn.Sequential, sigmas: Sequence[float], *, expert: Bundle
) -> Bundle:
    config = NetworkConfig(
        kind="router",
        name=folder.name,
        method="dual_rs",
        dataset="digits",
        architecture={"name": "small_cnn"},
        input_shape=(1, 8, 8),
        normalization=None,
        class_names=tuple(f"at {sigma:g}" for sigma in sigmas),
        sigma=0.5,
        trained_precision="float32",
    )
    parent = {"name": expert.config.name, "weights_sha256": expert.weights_digest}
    parents = tuple(Parent(**parent, sigma=sigma) for sigma in sigmas)
    origin = Origin(seed=0, parents=parents)
    return write_bundle(folder, config=config, network=network, recipe="", origin=origin)


def weights(bundle: Bundle) -> Tensor:
    return torch.cat([value.flatten() for value in bundle.network().parameters()])


# --- noise levels


def test_noise_of_a_level_for_each_image() -> None:
    x = torch.zeros(3, 1, 40, 40)
    torch.manual_seed(0)
    noise = gaussian_copies(x, 2, torch.tensor([0.1, 1.0, 3.0]))
    assert noise.shape == (2, 3, 1, 40, 40)
    assert noise.std((0, 2, 3, 4)).tolist() == pytest.approx([0.1, 1.0, 3.0], rel=0.05)
    torch.manual_seed(0)
    for_all = gaussian_copies(x, 2, 0.3)
    torch.manual_seed(0)
    assert torch.equal(gaussian_copies(x, 2, torch.full((3,), 0.3)), for_all)


def test_the_median_is_the_first_level_with_half_of_the_answers_up_to_it() -> None:
    shares = torch.tensor(
        [[0.5, 0.5, 0.0], [0.49, 0.02, 0.49], [0.3, 0.19, 0.51], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    )
    assert median_level(shares).tolist() == [0, 1, 2, 2, 0]
    assert median_level(torch.tensor([[0.1, 0.2, 0.2, 0.5]])).tolist() == [2]  # as 0.1 + 0.2 + 0.2


def test_the_methods_that_take_levels_are_those_that_only_draw_noise() -> None:
    takes = [name for name in methods.names() if methods.per_image_sigma(name)]
    assert takes == ["consistency", "gaussian", "stability"]
    x, y = torch.rand(4, 1, 8, 8), torch.arange(4)
    network = networks.build("small_cnn", input_shape=(1, 8, 8), num_classes=10)
    for name in takes:
        loss = methods.load(name).loss
        torch.manual_seed(1)
        one = loss(network, x, y, sigma=0.3, progress=1.0)
        torch.manual_seed(1)
        assert torch.equal(loss(network, x, y, sigma=torch.full((4,), 0.3), progress=1.0), one)
        torch.manual_seed(1)
        more = torch.tensor([0.3, 0.3, 0.3, 3.0])
        assert not torch.equal(loss(network, x, y, sigma=more, progress=1.0), one)


def test_the_loop_gives_each_image_its_level() -> None:
    images = data.load("digits", "train")
    sigmas = torch.arange(len(images)) / 1000
    seen: list[Tensor] = []

    def loss(
        model: torch.nn.Module,
        x: Tensor,
        y: Tensor,
        row: Tensor,
        *,
        sigma: Tensor,
        progress: float,
    ) -> Tensor:
        assert torch.equal(sigma, sigmas[row])
        seen.append(row)
        return model(x).square().mean()

    values = recipe().train
    network = networks.build("small_cnn", input_shape=images.shape, num_classes=10)
    state = TrainingState(network, build_optimizer(network, values))
    method = Method(name="seen", loss=loss, takes=("row",))
    rows = {"row": torch.arange(len(images))}
    options: dict[str, Any] = {"sigma": 0.5, "seed": 0, "precision": "float32"}
    list(fit(state, method, images, train=values, per_example=rows, sigmas=sigmas, **options))
    assert len(torch.cat(seen).unique()) > 1000


# --- one training


def test_it_goes_on_with_the_weights_of_another_model(tmp_path: Path) -> None:
    (made,) = train([recipe("train.lr=1e-9")], out=tmp_path / "runs", precision="float32")
    start = find(START)
    assert torch.allclose(weights(made), weights(start), atol=1e-4)
    assert not torch.equal(weights(made), weights(start))
    assert made.manifest.origin.model_dump()["parents"] == [
        {"name": start.config.name, "weights_sha256": start.weights_digest}
    ]
    anew = load_recipe("gaussian").resolve(sigma=0.5, overrides=["train.epochs=1"])
    assert "fine_tuning" not in anew.to_yaml()  # digests of before stay what they are
    assert recipe().digest != anew.digest


def test_what_began_with_other_weights_is_not_kept(tmp_path: Path) -> None:
    mine, out = tmp_path / "mine", tmp_path / "runs"
    shutil.copytree(find(START).path, mine)
    (first,) = train([recipe(f"fine_tuning.start={mine}")], out=out)
    shutil.rmtree(mine)
    shutil.copytree(find("builtin/digits-cat_rs-0.50").path, mine)
    with pytest.raises(RszooError, match=OTHERS):
        train([recipe(f"fine_tuning.start={mine}")], out=out, resume=True)
    assert weights(find(str(first.path))).equal(weights(first))
    (second,) = train([recipe(f"fine_tuning.start={mine}")], out=out, resume=True, overwrite=True)
    assert second.manifest.origin.parents[0].weights_sha256 == find(str(mine)).weights_digest
    again = train([recipe(f"fine_tuning.start={mine}")], out=out, resume=True, overwrite=True)
    assert again[0].manifest.origin.mlflow_run == second.manifest.origin.mlflow_run  # kept


def test_it_learns_under_the_noise_that_a_router_gives(
    router: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = data.load("digits", "train")
    shares = vote_shares(
        router.network(),
        images.relabelled(torch.zeros_like(images.labels), router.config.class_names),
        sigma=0.5,
        draws=20,
        seed=0,
        precision="float32",
    )
    expected = torch.tensor(SIGMAS)[median_level(shares)]
    assert expected.unique().tolist() == SIGMAS  # it takes both
    given: list[Tensor] = []
    monkeypatch.setattr(
        "rszoo.training.trainer.fit",
        lambda *args, sigmas, **options: [given.append(sigmas)] and iter(()),
    )
    tuned = recipe(f"fine_tuning.router={router.path}", "fine_tuning.draws=20")
    (made,) = train([tuned], out=tmp_path / "runs", precision="float32")
    assert torch.equal(given[0], expected)
    names = [parent.name for parent in made.manifest.origin.parents]
    assert names == ["digits-gaussian-0.50", "router"]


@pytest.mark.parametrize(
    ("overrides", "method", "message"),
    [
        (
            ["fine_tuning.router=r"],
            "macer",
            r"fine_tuning\.router: expected one of the methods \[",
        ),
        ([], "dual_rs", "fine_tuning: method 'dual_rs' begins anew; remove it"),
        (["fine_tuning.draws=0"], "gaussian", r"fine_tuning\.draws"),
        (["fine_tuning.start="], "gaussian", r"fine_tuning\.start"),
        (["fine_tuning.router=r"], "cat_rs", r"fine_tuning\.router"),
    ],
)
def test_values_that_do_not_fit(overrides: list[str], method: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(*overrides, method=method)


def test_models_that_do_not_fit(router: Bundle, tmp_path: Path) -> None:
    def refused(*overrides: str, match: str) -> None:
        with pytest.raises(RszooError, match=match):
            train([recipe(*overrides)], out=tmp_path / "runs", precision="float32")

    refused(f"fine_tuning.start={router.path}", match="expected a classifier to start from, got a")
    refused("fine_tuning.start=builtin/none", match="none")
    refused("network.name=lenet", match="expected the recipe's network, .*lenet")
    refused(
        f"fine_tuning.start={OTHER}",
        f"fine_tuning.router={router.path}",
        match=f"router: expected a router for {OTHER} at several noise levels, got another",
    )
    refused(
        f"fine_tuning.router={START}", match="expected a router for .* got another; rszoo train"
    )
    assert not (tmp_path / "runs" / "digits-gaussian-0.50").exists()


# --- rounds


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_fine_tuned_expert_keeps_its_router(router: Bundle, tmp_path: Path) -> None:
    (tuned,) = train(
        [recipe(f"fine_tuning.router={router.path}")], out=tmp_path / "runs", precision="float32"
    )
    to = tmp_path / "dual"
    made = compose_dual(to, experts=[tuned], sigmas=SIGMAS, router=router)
    assert made.config.parts[0].digest == tuned.weights_digest
    network = router.network()
    another = router_of(tmp_path / "another", network, [0.25, 1.0], expert=find(START))
    with pytest.raises(RszooError, match="expected the experts that it was trained for"):
        compose_dual(tmp_path / "wrong", experts=[tuned], sigmas=SIGMAS, router=another)
    with pytest.raises(RszooError, match="expected the experts that it was trained for"):
        compose_dual(tmp_path / "wrong", experts=[find(OTHER)], sigmas=SIGMAS, router=router)


class Quick:
    """A recipe file whose trainings are short."""

    def __init__(self, name: str) -> None:
        self._file: RecipeFile = load_recipe(name)

    def sigmas(self, dataset: str) -> list[float]:
        return self._file.sigmas(dataset)

    def resolve(self, **options: Any) -> Recipe:
        draws = ["experts.draws=20"] if self._file.method == "dual_rs" else []
        return self._file.resolve(**options, overrides=["train.epochs=1", *draws])


def test_two_rounds_by_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(rounds, "load_recipe", Quick)
    monkeypatch.setattr(rounds, "_EPOCHS", 1)
    dual = ["compose", "dual", "--expert", START, "--sigma", "0.25", "--sigma", "0.75"]
    done = run(*dual, "--train-router", "--rounds", "2", "--out", "runs/dual")
    assert done.exit_code == 0, done.output
    first, second = (Path(f"runs/dual-rounds/round-{number}") for number in (1, 2))
    routers = [find(str(folder / "digits-dual_rs-0.50")) for folder in (first, second)]
    tuned = [find(str(folder / "digits-gaussian-0.50")) for folder in (first, second)]
    taught = [
        {parent.weights_sha256 for parent in router.manifest.origin.parents} for router in routers
    ]
    assert taught == [{find(START).weights_digest}, {tuned[0].weights_digest}]
    parents = [[parent.weights_sha256 for parent in one.manifest.origin.parents] for one in tuned]
    assert parents == [
        [find(START).weights_digest, routers[0].weights_digest],
        [tuned[0].weights_digest, routers[1].weights_digest],
    ]
    made = find("runs/dual")
    assert {part.digest for part in made.config.parts} == {
        tuned[1].weights_digest,
        routers[1].weights_digest,
    }
    certified = ["certify", "-m", "runs/dual", "--n", "200", "--limit", "1", "--out", "a.tsv"]
    assert run(*certified).exit_code == 0
    again = run(*dual, "--train-router", "--rounds", "2", "--out", "runs/dual", "--overwrite")
    assert again.exit_code == 0
    assert again.stderr.count("is finished: kept") == 4


def test_rounds_of_other_weights_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "load_recipe", Quick)
    monkeypatch.setattr(rounds, "_EPOCHS", 1)
    mine = tmp_path / "mine"
    shutil.copytree(find(START).path, mine)
    rounds.in_rounds(find(str(mine)), SIGMAS, rounds=1, out=tmp_path / "rounds")
    shutil.rmtree(mine)
    shutil.copytree(find("builtin/digits-cat_rs-0.50").path, mine)
    with pytest.raises(RszooError, match=OTHERS):
        rounds.in_rounds(find(str(mine)), SIGMAS, rounds=1, out=tmp_path / "rounds")
    tuned, _ = rounds.in_rounds(
        find(str(mine)), SIGMAS, rounds=1, out=tmp_path / "rounds", overwrite=True
    )
    assert tuned.manifest.origin.parents[0].weights_sha256 == find(str(mine)).weights_digest


def test_rounds_need_one_expert_and_a_router_to_train(tmp_path: Path) -> None:
    experts = ["--expert", START, "--expert", OTHER]
    out = ["--out", str(tmp_path / "d"), "--rounds", "1"]
    for options in (["--router", "r"], ["--train-router"]):
        done = run("compose", "dual", *experts, *out, *options)
        assert done.exit_code == 2
        assert "expected --rounds with --train-router and --sigma only" in " ".join(
            done.stderr.split()
        )
    with pytest.raises(RszooError, match="expected one expert for at least two different noise"):
        run("compose", "dual", *experts, *out, "--train-router", "--sigma", "0.5")
