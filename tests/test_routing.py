"""A router's task and its bundle: what its experts certify decides what it is to answer."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.stats import norm
from torch import Tensor

from rszoo import data, networks
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle
from rszoo.hub.catalog import find
from rszoo.hub.configs.network import NetworkConfig
from rszoo.hub.kinds.dual import compose_dual
from rszoo.hub.origin import Origin
from rszoo.hub.writing import write_bundle
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.radii import certified_radius
from rszoo.training.distributed import ALONE
from rszoo.training.observer import Observer
from rszoo.training.output import STATE
from rszoo.training.recipes import prerequisites
from rszoo.training.recipes.file import RecipeFile
from rszoo.training.recipes.files import load_recipe
from rszoo.training.recipes.prerequisites import model_ids
from rszoo.training.recipes.recipe import Recipe
from rszoo.training.setting import Setting
from rszoo.training.tasks.routing import balanced_weights, expected_radii, radii_of_labels, routing
from rszoo.training.tasks.task import Task
from rszoo.training.tasks.votes import vote_shares
from rszoo.training.tracking.tracked import Tracking, open_tracking
from rszoo.training.trainer import Trainer

NAMES = ["digits-cat_rs-0.25", "digits-cat_rs-0.50"]
BUILTIN = [f"builtin/{name}" for name in NAMES]
DRAWS, IMAGES = 14, 120


class Told(Observer):
    """Remembers the tasks that were shown, the notes, and how many images were voted on."""

    def __init__(self) -> None:
        self.tasks: list[str] = []
        self.notes: list[str] = []
        self.voted = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def started(self, task: str, *, total: int, done: int, unit: str) -> None:
        self.tasks.append(task)

    def advanced(self, amount: int = 1) -> None:
        self.voted += amount


@pytest.fixture(scope="module")
def splits() -> list[data.ImageSet]:
    """A part of the digits: training and test images."""
    whole = [data.load("digits", split) for split in ("train", "test")]
    return [
        data.from_arrays(
            one.images(torch.arange(IMAGES)),
            one.labels[:IMAGES],
            name="digits",
            split=one.split,
            class_names=one.class_names,
        )
        for one in whole
    ]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, quick_stores: None) -> Iterator[Tracking]:
    """One MLflow store for all trainings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        with open_tracking(tmp_path_factory.mktemp("store")) as tracking:
            yield tracking


def trainer_in(
    out: Path, splits: Sequence[data.ImageSet], tracking: Tracking | None = None
) -> Trainer:
    setting = Setting(
        images=splits[0],
        test_images=splits[1],
        device=torch.device("cpu"),
        precision="float32",
        capture=True,
        fused=None,
        processes=ALONE,
        observer=Told(),
        state=out / STATE,
    )
    return Trainer(setting=setting, out=out, half=False, tracking=tracking)


@pytest.fixture
def trainer(tmp_path: Path, splits: list[data.ImageSet]) -> Trainer:
    return trainer_in(tmp_path, splits)


@pytest.fixture
def tracked(tmp_path: Path, splits: list[data.ImageSet], store: Tracking) -> Trainer:
    return trainer_in(tmp_path, splits, store)


def told(trainer: Trainer) -> Told:
    assert isinstance(trainer.setting.observer, Told)
    return trainer.setting.observer


def routed(trainer: Trainer, wanted: Recipe) -> Task:
    """Return the task of a router over bundles that are named."""
    return routing(trainer.setting, wanted, {"experts": [find(one) for one in wanted.models]})


def trained(trainer: Trainer, wanted: Recipe) -> Bundle:
    return trainer.train(trainer.output(wanted))


def recipe(*overrides: str, experts: Sequence[str] | None = BUILTIN) -> Recipe:
    named = [f"experts.bundles=[{', '.join(experts)}]"] if experts else []
    usual = ["train.epochs=1", f"experts.draws={DRAWS}", *named]
    return load_recipe("dual_rs").resolve(sigma=0.5, overrides=[*usual, *overrides])


def refused(trainer: Trainer, wanted: Recipe) -> str:
    with pytest.raises(RszooError) as caught:
        trained(trainer, wanted)
    return str(caught.value)


def test_radii_are_those_of_the_labels_votes() -> None:
    # 10, 9, 7 and 0 of 10 votes at alpha 0.1: the bounds of 10 of 10 is 0.1^(1/10) = 0.7943, that
    # of 9 solves 10 p^9 - 9 p^10 = 0.1, and that of 7, 0.4482, is below 1/2: no certificate.
    votes = torch.tensor([[10, 0], [1, 9], [7, 3], [10, 0]]) / 10
    labels = torch.tensor([0, 1, 0, 1])
    radii = radii_of_labels(votes, labels, draws=10, sigma=0.5, alpha=0.1)
    bound = 0.66315
    assert 10 * bound**9 - 9 * bound**10 == pytest.approx(0.1, abs=1e-4)
    expected = [0.5 * norm.ppf(0.1**0.1), 0.5 * norm.ppf(bound), 0.0, 0.0]
    assert radii.tolist() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("draws", [49, 5000])
def test_shares_that_are_not_exact_in_binary_give_the_votes(draws: int) -> None:
    votes = torch.arange(draws + 1)
    shares = torch.stack([votes, draws - votes], 1) / draws
    assert bool((shares[:, 0] * draws < votes).any())
    labels = torch.zeros(draws + 1, dtype=torch.int64)
    radii = radii_of_labels(shares, labels, draws=draws, sigma=1.0, alpha=0.1)
    bounds = [clopper_pearson_lower(count, draws, 0.1) for count in votes.tolist()]
    assert radii.tolist() == pytest.approx([certified_radius(bound, 1.0) for bound in bounds])


def test_weights_balance_the_experts() -> None:
    radii = torch.tensor([[0.5, 0.2], [0.0, 0.0], [0.1, 0.0], [0.3, 0.0], [0.2, 0.6]])
    # Expert 0 serves three images best, expert 1 one: 1/3 each and 1, times what makes the mean 1.
    expected = torch.tensor([1 / 3, 0, 1 / 3, 1 / 3, 1]) * 5 / 2
    assert torch.allclose(balanced_weights(radii), expected)


def test_an_expert_that_serves_no_image_best_does_no_harm() -> None:
    radii = torch.tensor([[0.0, 0.2, 0.0], [0.0, 0.0, 0.7], [0.0, 0.0, 0.0]])
    assert torch.equal(balanced_weights(radii), torch.tensor([1.5, 1.5, 0.0]))


def test_weights_that_balance_by_half() -> None:
    radii = torch.tensor([[0.5, 0.2], [0.0, 0.0], [0.1, 0.0], [0.3, 0.0], [0.2, 0.6]])
    # 1 / sqrt(3) for each of three and 1 for one, of which the mean over all five is 1.
    some = torch.tensor([3**-0.5, 0, 3**-0.5, 3**-0.5, 1])
    assert torch.allclose(balanced_weights(radii, power=0.5), some * 5 / (3 * 3**-0.5 + 1))
    alike = balanced_weights(radii, power=0.0)
    assert torch.allclose(alike, torch.tensor([1.25, 0.0, 1.25, 1.25, 1.25]))


def test_estimates_do_not_end_where_a_bound_from_few_draws_does() -> None:
    # All of 100 draws: the bound says 1.50 sigma at most; an estimate what (100.5 / 101) gives.
    votes, labels = torch.tensor([[1.0, 0.0], [0.8, 0.2], [0.3, 0.7]]), torch.tensor([0, 0, 0])
    found = expected_radii(votes, labels, draws=100, sigma=0.5, cap=2.0)
    assert found.tolist() == pytest.approx(
        [0.5 * norm.ppf(100.5 / 101), 0.5 * norm.ppf(80.5 / 101), 0.0]
    )
    bound = radii_of_labels(votes, labels, draws=100, sigma=0.5, alpha=0.001)
    assert float(bound[0]) < 1.51 * 0.5 < float(found[0])
    assert expected_radii(votes, labels, draws=100, sigma=0.5, cap=0.4)[0] == pytest.approx(0.4)


def test_labels_by_estimate_and_half_balance_reach_the_task(trainer: Trainer) -> None:
    task = routed(trainer, recipe("experts.labels=estimate", "experts.balance=0.5"))
    radii = task.per_example["expert_radii"]
    assert (radii >= radii_by(BUILTIN, trainer.setting.images)).all()
    weights = task.per_example["example_weights"]
    assert torch.equal(weights, balanced_weights(radii, power=0.5))
    assert task.start is None


def test_it_may_begin_with_the_noisiest_expert(trainer: Trainer) -> None:
    task = routed(trainer, recipe("experts.from_noisiest=true"))
    assert task.start is not None
    known = find(BUILTIN[-1]).network().state_dict()
    new = task.start.state_dict()
    last = [key for key, value in known.items() if value.shape != new[key].shape]
    assert [key.split(".")[-1] for key in last] == ["weight", "bias"]
    assert all(torch.equal(value, known[key]) for key, value in new.items() if key not in last)
    assert task.start(trainer.setting.images.images(torch.arange(3))).shape == (3, 2)
    again = routed(trainer, recipe("experts.from_noisiest=true")).start
    assert again is not None
    assert all(torch.equal(value, new[key]) for key, value in again.state_dict().items())
    with pytest.raises(RszooError, match=r"expected the recipe's network to begin with, .*lenet"):
        routed(trainer, recipe("experts.from_noisiest=true", "network.name=lenet"))


def test_the_noise_of_a_router_is_a_value_like_others() -> None:
    file = load_recipe("dual_rs")
    free = file.resolve(sigma=0.35)
    assert free.sigma == 0.35
    assert file.resolve(dataset="cifar10", sigma=0.7).profile == "own"
    assert file.resolve(dataset="cifar10", sigma=1.0).profile == "published"


def test_recipes_of_before_keep_their_digests() -> None:
    text = (find("builtin/digits-dual_rs-0.50").path / "recipe.yaml").read_text()
    before = Recipe.from_yaml(text)
    assert before.experts is not None
    assert (before.experts.labels, before.experts.balance) == ("bound", 1.0)
    assert not {"labels", "balance", "from_noisiest"} & before.model_dump()["experts"].keys()
    changed = load_recipe("dual_rs").resolve(sigma=0.5, overrides=["experts.balance=0.5"])
    assert Recipe.from_yaml(changed.to_yaml()) == changed


def radii_by(names: Sequence[str], images: data.ImageSet, *, draws: int = DRAWS) -> Tensor:
    """Return what each expert certifies under its own noise, `[N, K]`."""
    columns = []
    for name in names:
        bundle, sigma = find(name), float(name[-4:])
        options: dict[str, Any] = {"draws": draws, "sigma": sigma}
        shares = vote_shares(bundle.network(), images, seed=0, precision="float32", **options)
        columns.append(radii_of_labels(shares, images.labels, alpha=0.001, **options))
    return torch.stack(columns, 1)


def test_the_task_is_to_name_the_expert_that_certifies_furthest(trainer: Trainer) -> None:
    task = routed(trainer, recipe())
    train, test = (
        radii_by(BUILTIN, images)
        for images in (trainer.setting.images, trainer.setting.test_images)
    )
    assert torch.equal(task.per_example["expert_radii"], train)
    assert torch.equal(task.per_example["example_weights"], balanced_weights(train))
    assert torch.equal(task.images.labels, train.argmax(1))
    assert torch.equal(task.test_images.labels, test.argmax(1))
    assert set(task.images.labels.tolist()) == {0, 1}
    assert task.judged is not None
    assert task.judged.tolist() == [i for i, row in enumerate(test.tolist()) if max(row) > 0]
    assert 0 < len(task.judged) < IMAGES
    assert task.images.class_names == tuple(NAMES)
    assert task.images.digest != trainer.setting.images.digest
    some = torch.arange(7)
    assert torch.equal(task.images.images(some), trainer.setting.images.images(some))
    *_, y = next(task.images.batches(some, 7))
    assert torch.equal(y, train.argmax(1)[:7])


def test_the_order_of_the_experts_is_that_of_the_classes(trainer: Trainer) -> None:
    task = routed(trainer, recipe(experts=BUILTIN[::-1]))
    assert task.images.class_names == tuple(NAMES[::-1])
    assert torch.equal(
        task.per_example["expert_radii"], radii_by(BUILTIN[::-1], trainer.setting.images)
    )


def test_one_network_at_several_noise_levels(tracked: Trainer) -> None:
    wanted = recipe("experts.sigmas=[0.25, 0.75]", experts=BUILTIN[:1])
    router = trained(tracked, wanted)
    names = tuple(f"{NAMES[0]} at {sigma}" for sigma in (0.25, 0.75))
    assert router.config.class_names == names
    digest = find(BUILTIN[0]).weights_digest
    assert router.manifest.origin.model_dump()["parents"] == [
        {"name": NAMES[0], "weights_sha256": digest, "sigma": sigma} for sigma in (0.25, 0.75)
    ]
    task = routed(tracked, wanted)
    options: dict[str, Any] = {"draws": DRAWS, "sigma": 0.75}
    network = find(BUILTIN[0]).network()
    shares = vote_shares(network, tracked.setting.images, seed=0, precision="float32", **options)
    expected = radii_of_labels(shares, tracked.setting.images.labels, alpha=0.001, **options)
    assert torch.equal(task.per_example["expert_radii"][:, 1], expected)
    assert torch.equal(
        task.per_example["expert_radii"][:, 0], radii_by(BUILTIN[:1], tracked.setting.images)[:, 0]
    )
    assert model_ids(wanted, tracked.out)["experts"] == BUILTIN[:1]
    to = tracked.out / "dual"
    assert compose_dual(to, experts=[find(BUILTIN[0])], sigmas=[0.25, 0.75], router=router)


def test_what_is_certified_follows_alpha_and_votes_are_taken_once(trainer: Trainer) -> None:
    first = routed(trainer, recipe())
    assert told(trainer).tasks == [
        f"votes of {name} at {name[-4:].rstrip('0')} on the {split} images"
        for split in ("train", "test")
        for name in NAMES
    ]
    assert told(trainer).voted == 4 * IMAGES
    again = routed(trainer, recipe())
    assert torch.equal(again.per_example["expert_radii"], first.per_example["expert_radii"])
    bolder = routed(trainer, recipe("certify.alpha=0.01")).per_example["expert_radii"]
    assert bolder.max() == pytest.approx(0.5 * norm.ppf(0.01 ** (1 / DRAWS)), rel=1e-5)
    assert told(trainer).voted == 4 * IMAGES
    routed(trainer, recipe(f"experts.draws={DRAWS + 1}"))
    assert told(trainer).voted == 8 * IMAGES


def test_the_bundle_is_a_router(tracked: Trainer) -> None:
    wanted = recipe()
    bundle = trained(tracked, wanted)
    config = bundle.of_network
    assert (config.kind, config.name, config.method) == (
        "router",
        "digits-dual_rs-0.50",
        "dual_rs",
    )
    assert (config.class_names, config.sigma) == (tuple(NAMES), 0.5)
    assert bundle.network()(torch.rand(3, 1, 8, 8)).shape == (3, 2)
    assert bundle.manifest.origin.model_dump()["parents"] == [
        {"name": name, "weights_sha256": find(f"builtin/{name}").weights_digest} for name in NAMES
    ]
    assert bundle.manifest.origin.facts["data"] == tracked.setting.images.digest
    assert Recipe.from_yaml(bundle.recipe.read_text()) == wanted
    kept = tracked.existing(tracked.output(wanted), resume=True, overwrite=False)
    assert kept is not None
    assert kept.weights_digest == bundle.weights_digest


def test_a_router_learns_what_its_radii_say(
    tmp_path: Path, splits: list[data.ImageSet], store: Tracking
) -> None:
    # Between an expert and one that knows nothing there is no doubt, under any noise.
    ignorant = bundle_of(splits[0], tmp_path / "ignorant")
    for experts in ([BUILTIN[0], str(ignorant.path)], [str(ignorant.path), BUILTIN[0]]):
        trainer = trainer_in(tmp_path / experts[0].replace("/", "_"), splits, store)
        router = trained(trainer, recipe("train.epochs=5", experts=experts)).network()
        noisy = splits[1].images(torch.arange(IMAGES)) + 0.5 * torch.randn(IMAGES, 1, 8, 8)
        right = router(noisy).argmax(1) == experts.index(BUILTIN[0])
        assert right.float().mean() > 0.9


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train experts for three epochs only."""

    class Quick(RecipeFile):
        def resolve(self, **values: Any) -> Recipe:
            return super().resolve(**values, overrides=["train.epochs=3", "train.batch_size=8"])

    def load(name: str) -> RecipeFile:
        return Quick(**vars(load_recipe(name)))

    monkeypatch.setattr(prerequisites, "load_recipe", load)


def test_experts_are_trained_on_the_way_once(
    tracked: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)
    wanted = recipe("experts.method=gaussian", "experts.sigmas=[0.25, 0.5]", experts=None)
    assert wanted.experts is not None
    bundle = trained(tracked, wanted)
    names = ["digits-gaussian-0.25", "digits-gaussian-0.50"]
    assert bundle.config.class_names == tuple(names)
    paths = [str(tracked.out / name) for name in names]
    assert model_ids(wanted, tracked.out)["experts"] == paths
    assert [find(path).of_network.sigma for path in paths] == [0.25, 0.5]
    assert bundle.manifest.origin.model_dump()["parents"] == [
        {"name": name, "weights_sha256": find(path).weights_digest}
        for name, path in zip(names, paths, strict=True)
    ]
    again = trainer_in(
        tracked.out, [tracked.setting.images, tracked.setting.test_images], tracked.tracking
    )
    assert trained(again, wanted).weights_digest == bundle.weights_digest
    assert told(again).notes[:2] == [f"{path} is finished: kept" for path in paths]
    assert told(again).tasks[-1:] == [wanted.name]


def test_ids_of_experts_that_are_named() -> None:
    assert model_ids(recipe(), Path("runs"))["experts"] == BUILTIN


def bundle_of(images: data.ImageSet, folder: Path, *, kind: str = "smoothed") -> Bundle:
    """Return a bundle whose network answers the same to everything, and nearly never right."""
    network = networks.build("small_cnn", input_shape=images.shape, num_classes=images.num_classes)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    config = NetworkConfig.of(
        replace(images, normalization=None),
        **{"kind": kind, "name": folder.name, "method": "gaussian", "dataset": "elsewhere"},
        **{"architecture": {"name": "small_cnn"}, "sigma": 0.25, "trained_precision": "float32"},
    )
    return write_bundle(folder, config=config, network=network, recipe="", origin=Origin())


def test_experts_that_cannot_be_used(trainer: Trainer, tmp_path: Path) -> None:
    router = bundle_of(trainer.setting.images, tmp_path / "router", kind="router").id
    assert refused(trainer, recipe(experts=[BUILTIN[0], router])) == (
        f"{router}: expected a classifier as expert, got a router"
    )
    renamed = trainer.setting.images.relabelled(
        trainer.setting.images.labels, [f"{i}" * 3 for i in range(10)]
    )
    others = bundle_of(renamed, tmp_path / "others").id
    assert refused(trainer, recipe(experts=[BUILTIN[0], others])) == (
        f"{others}: expected a model for the inputs and classes of 'digits', got one for others "
        "('elsewhere')"
    )
    missing = refused(trainer, recipe(experts=[BUILTIN[0], "builtin/digits-cat_rs-0.26"]))
    assert missing.startswith("unknown builtin bundle 'builtin/digits-cat_rs-0.26'")


def test_too_few_draws_to_certify_anything(trainer: Trainer) -> None:
    # 0.001^(1/9) < 1/2: nine votes that agree certify nothing.
    assert math.pow(0.001, 1 / 9) < 0.5
    assert refused(trainer, recipe("experts.draws=9")) == (
        "expected train images that an expert certifies with 9 draws at alpha 0.001, got none; "
        "raise experts.draws, or take other experts"
    )
