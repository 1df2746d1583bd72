"""A mix without noise: its function by hand, its gradient, its bundles, and what breaks it."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hub_server import RunningHub
from sealing import seal
from test_attack import CLASSES, Brightness, even_images, of, right, target
from test_mixing_training import Linear, constant, hub_text
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from rszoo import data, load
from rszoo.errors import RecipeError, RszooError
from rszoo.evaluation.attack import attack
from rszoo.evaluation.attack_log import read_attack_log
from rszoo.evaluation.soft_answers import without_noise
from rszoo.hub.attacked import target_of
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.catalog import find
from rszoo.hub.inputs import inputs_for
from rszoo.hub.kinds.mixed_standard import compose_mixed_standard
from rszoo.methods import mixing_standard
from rszoo.methods._attacks import ascend_images_linf
from rszoo.networks.mixing import LogMix, Mix, MixingNetwork
from rszoo.smoothing.execution import Execution
from rszoo.smoothing.mixing_weights import FixedWeight, GradientWeight, LearnedWeight
from rszoo.smoothing.standard import StandardClassifier
from rszoo.training.recipes.files import load_recipe
from rszoo.training.run import train
from rszoo_cli import app

STANDARD = "builtin/digits-standard-0.00"
SMOOTHED = "builtin/digits-cat_rs-0.25"


def always(alpha_mix: float) -> MixingNetwork:
    return MixingNetwork(1, alpha_min=alpha_mix, alpha_max=alpha_mix)


def varying() -> MixingNetwork:
    torch.manual_seed(11)
    network = MixingNetwork(alpha_min=0.6, alpha_max=0.9)
    nn.init.normal_(network.out.weight, std=2.0)
    return network


# --- the function


@pytest.mark.parametrize("learned", [False, True])
def test_the_function_is_the_formula(learned: bool) -> None:
    weighing = varying() if learned else always(0.7)
    standard, robust, x = Linear(3.0), Linear(), torch.rand(5, 1, 2, 2)
    found = LogMix(standard, robust, weighing)(x)
    for i in range(5):
        logits = [net(x[i : i + 1])[0].tolist() for net in (standard, robust)]
        g, h = ([math.exp(z) / sum(map(math.exp, zs)) for z in zs] for zs in logits)
        ranked = [[*sorted(p, reverse=True), 0.0] for p in (g, h)]  # two classes, three places
        seen = [*ranked[0], *ranked[1], sum(a * b for a, b in zip(g, h, strict=True))]
        units = weighing.hidden.weight.tolist(), weighing.hidden.bias.tolist()
        hidden = [
            max(0.0, sum(w * s for w, s in zip(row, seen, strict=True)) + bias)
            for row, bias in zip(*units, strict=True)
        ]
        gamma = (
            sum(w * u for w, u in zip(weighing.out.weight[0].tolist(), hidden, strict=True))
            + weighing.out.bias.item()
        )
        share = 1 / (1 + math.exp(-gamma))
        weight = weighing.alpha_min + (weighing.alpha_max - weighing.alpha_min) * share
        expected = [math.log((1 - weight) * a + weight * b) for a, b in zip(g, h, strict=True)]
        assert found[i].tolist() == pytest.approx(expected, abs=1e-5)


def test_a_weight_of_one_is_the_robust_part() -> None:
    standard, robust, x = Linear(3.0), Linear(), torch.rand(5, 1, 2, 2)
    robust_alone = robust(x).log_softmax(-1)
    assert torch.allclose(LogMix(standard, robust, always(1.0))(x), robust_alone, atol=1e-6)
    assert not torch.allclose(LogMix(standard, robust, always(0.99))(x), robust_alone, atol=1e-4)


def test_the_gradient_goes_through_both_parts_and_the_weight() -> None:
    class Held(MixingNetwork):
        """Gives the same weights, and no gradient."""

        def gamma(self, standard: Tensor, robust: Tensor) -> Tensor:
            return super().gamma(standard, robust).detach()

    weighing, standard, robust = varying(), Linear(3.0), Linear(2.0)
    held = Held(alpha_min=0.6, alpha_max=0.9)
    held.load_state_dict(weighing.state_dict())
    x, step = torch.rand(1, 1, 2, 2), 1e-2

    def gradient(network: nn.Module) -> Tensor:
        point = x.clone().requires_grad_()
        (found,) = torch.autograd.grad(without_noise(network)(point)[0, 0], point)
        return found.flatten()

    mix = LogMix(standard, robust, weighing)
    numeric = []
    with torch.no_grad():
        for pixel in range(4):
            shift = torch.zeros(4)
            shift[pixel] = step
            high, low = (mix(x + sign * shift.view(1, 1, 2, 2))[0, 0] for sign in (1, -1))
            numeric.append(((high - low).double() / (2 * step)).item())
    assert (gradient(mix) - torch.tensor(numeric)).abs().max() < 0.002
    for less in (
        LogMix(standard, robust, held),
        LogMix(lambda x: standard(x).detach(), robust, weighing),  # type: ignore[arg-type]
        LogMix(standard, lambda x: robust(x).detach(), weighing),  # type: ignore[arg-type]
    ):
        assert (gradient(less) - torch.tensor(numeric)).abs().max() > 0.01


def test_the_gradient_is_there_where_the_standard_part_is_sure() -> None:
    sure, robust = Linear(1e4), Linear()
    x = torch.rand(8, 1, 2, 2, requires_grad=True)
    y = sure(x).argmax(1)
    assert (sure(x).softmax(1).amax(1) == 1).all()  # in float32, where its own gradient is 0
    (alone,) = torch.autograd.grad(without_noise(sure)(x).gather(1, y[:, None]).sum(), x)
    assert (alone == 0).all()
    mix = without_noise(LogMix(sure, robust, always(0.8)))
    (found,) = torch.autograd.grad(mix(x).gather(1, y[:, None]).sum(), x)
    assert torch.isfinite(found).all()
    assert (found.flatten(1).abs().amax(1) > 1e-4).all()


# --- attacks


@pytest.mark.parametrize("name", ["apgd", pytest.param("autoattack", marks=pytest.mark.slow)])
def test_a_mix_withstands_what_the_margin_of_its_robust_part_outweighs(name: str) -> None:
    # The standard part is turned by any attack, and may be sure of the next class: the mix is safe
    # while h_y - h_i > (1 - a) / a, here 0.25, and may fall before its robust part does.
    robust, broken = Brightness(), Brightness(10.0)
    images = even_images(CLASSES)
    mix = LogMix(broken, robust, always(0.8))

    def kept(network: nn.Module, eps: float) -> int:
        return right(attack(target(network), images, of(name, "linf", eps)))

    assert [kept(each, 0.08) for each in (mix, broken)] == [CLASSES, 0]
    # An image that is brighter by s beyond the middle is exp(200 (0.04 - 0.4 s)) times as likely
    # of its class as of the next one: s = 0.083 is a margin of 0.59, and 0.098 one of 0.08. The
    # brightest class has its neighbour on the other side, where s = 0.092 and the margin 0.31.
    assert [kept(each, 0.095) for each in (robust, mix)] == [CLASSES, 1]


def test_autoattack_breaks_a_mix() -> None:
    mix = LogMix(Brightness(10.0), Brightness(), always(0.8))
    rows = attack(target(mix), even_images(3), of("autoattack", "linf", 0.12))
    assert [row.clean for row in rows] == [row.label for row in rows]
    assert right(rows) == 0


# --- bundles


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200"})


def run(*arguments: str) -> str:
    result = invoke(*arguments)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def failure(*arguments: str) -> str:
    result = invoke(*arguments)
    assert isinstance(result.exception, RszooError), result.output
    return str(result.exception)


def other(name: str = "robust") -> Bundle:
    torch.manual_seed(3)
    return constant(Path(name), sigma=0.0, kind="standard")


def composed(alpha_mix: float = 0.6) -> Bundle:
    weight = FixedWeight(alpha_mix)
    return compose_mixed_standard(
        Path("mix"), standard=find(STANDARD), robust=other(), weight=weight
    )


def test_a_bundle_answers_as_its_parts_together() -> None:
    bundle = composed()
    made = load("mix")
    assert isinstance(made, StandardClassifier)
    images = data.load("digits", "test").images(torch.arange(40))
    g, h = (find(id).network()(images).softmax(1) for id in (STANDARD, "robust"))
    expected = (0.4 * g + 0.6 * h).argmax(1).tolist()
    found = [made.predict(image, n=7) for image in images]
    assert [one.label for one in found] == expected
    assert {(one.votes, one.runner_up_votes, one.p_value, one.sigma) for one in found} == {
        (7, 0, 0.0, 0.0)
    }
    assert (bundle.config.kind, bundle.config.noise) == ("mixed_standard", 0.0)


def test_the_command_line() -> None:
    other()
    parts = ("--standard", STANDARD, "--robust", "robust", "--out", "mix")
    made = json.loads(run("compose", "mixed-standard", *parts, "--alpha-mix", "0.6", "--json"))
    assert (made["kind"], made["weight"]) == (
        "mixed_standard",
        {"kind": "fixed", "alpha_mix": 0.6},
    )
    np.save("x.npy", np.zeros((1, 1, 8, 8), dtype=np.float32))
    (row,) = json.loads(run("predict", "-m", "mix", "x.npy", "--json"))
    said = run("predict", "-m", "mix", "x.npy")
    assert "votes" not in said
    assert "seed" not in said
    assert row["class"] == "0123456789"[row["label"]]
    shown = json.loads(run("show", "mix", "--json"))
    assert shown["parts"] == [STANDARD, "robust"]
    assert shown["weight"] == {"kind": "fixed", "alpha_mix": 0.6}
    run("attack", "mix", "--eps", "0.05", "--limit", "20", "--attach")
    rows, stated = read_attack_log(Path("attacks/mix-pgd-linf-0.05.tsv"))
    assert len(rows) == 20
    assert stated["model"]["weights_sha256"] == open_bundle("mix").weights_digest  # type: ignore[index]
    assert "Upper bound by attack pgd, linf, eps 0.05" in run("leaderboard", "mix")
    for wrong in ((), ("--alpha-mix", "0.6", "--weight", "w"), ("--alpha-mix", "0.5")):
        assert invoke("compose", "mixed-standard", *parts, *wrong).exit_code == 2


@pytest.mark.parametrize("more", [(), ("--limit", "3"), ("--sound",)])
def test_it_certifies_nothing_and_says_why(more: tuple[str, ...]) -> None:
    composed()
    np.save("x.npy", np.zeros((1, 1, 8, 8), dtype=np.float32))
    inputs = () if "--limit" in more else ("x.npy",)
    message = failure("certify", "-m", "mix", *inputs, *more, "--n", "10")
    assert message.startswith(
        "no certificate holds for a classifier without noise: nothing bounds"
    )
    assert not Path("certificates").exists()
    made = load("mix")
    for refused in (
        lambda: made.certify(torch.zeros(1, 8, 8)),
        lambda: made.protocol_entries,
        lambda: made.voters,
    ):
        with pytest.raises(RszooError, match="no certificate holds"):
            refused()
    card = card_files(open_bundle("mix"), "me/mix")["README.md"].decode()
    assert "certified robustness for" not in card
    assert "certifies nothing" in card
    for command in (
        ("verify", "mix"),
        ("report", "mix"),
        ("attack", "mix", "--within-certificates"),
    ):
        assert "is not certified" in failure(*command)
    assert "no certificate holds for a classifier without noise" in failure("explore", "-m", "mix")
    two = ("--expert", "mix", "--expert", SMOOTHED)
    assert "expected a bundle of one smoothed network" in failure(
        "compose", "cascade", *two, "--out", "c"
    )


def test_parts_that_do_not_fit_are_refused() -> None:
    robust = other()
    constant(Path("few"), sigma=0.0, kind="standard", classes=3)
    given: dict[str, Any] = {"folder": Path("mix"), "weight": FixedWeight(0.7)}
    for parts, message in (
        ((find(STANDARD), find(SMOOTHED)), "expected a standard bundle, got a smoothed one"),
        ((find(SMOOTHED), robust), "expected a standard bundle, got a smoothed one"),
        ((find(STANDARD), open_bundle("few")), "expected the inputs and classes of few"),
    ):
        with pytest.raises(RszooError, match=message):
            compose_mixed_standard(standard=parts[0], robust=parts[1], **given)
    given["weight"] = GradientWeight(1.0)
    with pytest.raises(RszooError, match="expected a fixed or a learned weight"):
        compose_mixed_standard(standard=find(STANDARD), robust=robust, **given)
    assert not Path("mix").exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"class_names": [*"abcdefghij"]}, "mix: expected the classes and inputs of robust"),
        ({"sigma": 0.5}, "sigma: Extra inputs are not permitted"),
        ({"weight": {"kind": "fixed", "alpha_mix": 0.5}}, "Input should be greater than 0.5"),
        ({"weight": {"kind": "gradient", "scale": 1.0}}, "Input tag 'gradient' found"),
    ],
)
def test_a_config_that_is_none(change: dict[str, Any], complaint: str) -> None:
    composed()
    path = Path("mix/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    seal(path.parent)
    with pytest.raises(RszooError) as caught:
        load("mix")
    assert complaint in str(caught.value)


def test_a_network_that_gives_no_numbers_is_named() -> None:
    broken = StandardClassifier(lambda x: x.flatten(1) * math.nan, num_classes=4)  # type: ignore[arg-type]
    with pytest.raises(RszooError, match="of which 4 are NaN"):
        broken.predict(torch.rand(1, 2, 2))


# --- the trained weight


def test_the_loss_is_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Mix(nn.Sequential(nn.Identity(), varying()), Linear(2.0), Linear(5.0))
    monkeypatch.setattr(mixing_standard, "ascend_images_linf", lambda objective, x, **how: 1 - x)
    x, y = torch.rand(5, 1, 2, 2), torch.tensor([0, 1, 1, 0, 1])
    loss = mixing_standard.loss(model, x, y, sigma=0.0, progress=1.0, bce=1.5, bce_ce=0.3)
    expected = 0.0
    for points, robust_side in ((x, False), (1 - x, True)):
        with torch.no_grad():
            g, h = model.standard(points).softmax(-1), model.robust(points).softmax(-1)
            share = model.weighing(model.standard(points), model.robust(points))
        weight = 0.6 + 0.3 * share
        for i, label in enumerate(y.tolist()):
            mixed = (1 - weight[i]) * g[i, label] + weight[i] * h[i, label]
            choice = -math.log(share[i] if robust_side else 1 - share[i])
            expected += choice * (1.5 + 0.3 * -math.log(mixed)) / 10
    assert loss.item() == pytest.approx(expected, rel=1e-4)


def test_the_attack_is_on_the_mix_and_within_its_box(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = Mix(nn.Sequential(nn.Identity(), varying()), Linear(2.0), Linear(5.0)), []
    ascend = ascend_images_linf

    def recording(objective: Any, x: Tensor, **options: Any) -> Tensor:  # noqa: ANN401
        moved = ascend(objective, x, **options)
        seen.append((options["budget"].amax().item(), (moved - x).abs().amax().item()))
        assert objective(moved) > objective(x)
        return moved

    monkeypatch.setattr(mixing_standard, "ascend_images_linf", recording)
    x, y = torch.rand(6, 1, 2, 2), torch.arange(6) % 2
    for _ in range(30):
        mixing_standard.loss(model, x, y, sigma=0.0, progress=1.0, epsilon=0.2)
    assert all(reached <= size + 1e-6 for size, reached in seen)
    assert 0.08 <= min(size for size, _ in seen) < 0.11
    assert 0.19 < max(size for size, _ in seen) <= 0.22 + 1e-6


def test_from_a_training_to_a_mix_that_travels(
    hub: RunningHub, monkeypatch: pytest.MonkeyPatch, quick_stores: None
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    other()
    parts = (f"parts.standard={STANDARD}", "parts.robust=robust")
    few = ("train.epochs=1", "weights.attack_steps=1")
    result = invoke("train", "mixing_standard", *parts, *few)
    assert result.exit_code == 0, (result.output, result.exception)
    assert result.stderr.splitlines()[-1] == (
        f"compose with: rszoo compose mixed-standard --standard {STANDARD} --robust robust "
        "--weight runs/digits-mixing_standard-0.00 --out DIR"
    )
    weight = open_bundle("runs/digits-mixing_standard-0.00")
    assert (weight.of_network.kind, weight.of_network.sigma) == ("weight", 0.0)
    card = card_files(weight, "me/weight")["README.md"].decode()
    assert "rszoo compose mixed-standard --standard ID --robust ID --weight me/weight" in card
    chosen = ("--standard", STANDARD, "--robust", "robust", "--weight", str(weight.path))
    run("compose", "mixed-standard", *chosen, "--out", "mix")
    assert "expected the parts that it was trained for" in failure(
        *("compose", "mixed-standard", "--standard", "robust", "--robust", STANDARD),
        *("--weight", str(weight.path), "--out", "turned"),
    )
    run("push", "mix", "me/mix", "--uncertified", "--with-parts")
    assert "certifies nothing" in hub_text(hub, "me/mix")
    images = data.load("digits", "test").images(torch.arange(20))
    local, pulled = load("mix"), load("me/mix")
    for image in images:
        assert local.predict(image, n=1).label == pulled.predict(image, n=1).label
    network = local.base.network  # type: ignore[union-attr]
    assert isinstance(network, LogMix)
    trained = weight.network().state_dict()
    kept = network.weighing.state_dict()
    assert all(torch.equal(value, trained[f"1.{key}"]) for key, value in kept.items())


def test_a_learned_weight_is_attacked_through() -> None:
    weight = LearnedWeight(varying())
    compose_mixed_standard(Path("mix"), standard=find(STANDARD), robust=other(), weight=weight)
    bundle = open_bundle("mix")
    inputs = inputs_for(bundle, limit=20)
    of_bundle = target_of(bundle, Execution(), draws=1, n=1, alpha=0.5, seed=0)
    near, far = (attack(of_bundle, inputs, of("pgd", "linf", eps)) for eps in (1e-4, 0.5))
    assert right(near) == sum(row.clean == row.label for row in near) >= 15
    assert right(far) == 0
    x = torch.stack([one.image() for one in inputs.inputs])
    expected = LogMix(find(STANDARD).network(), find("robust").network(), weight.network)(x)
    assert torch.allclose(of_bundle.soft()(x), expected, atol=1e-5)


def test_noise_has_no_place_in_it() -> None:
    with pytest.raises(RecipeError, match=r"sigma: 0\.5 is not in the recipe's list"):
        load_recipe("mixing_standard").resolve(sigma=0.5)
    with pytest.raises(RecipeError, match="expected a bundle or a method for one, got 'cat_rs'"):
        load_recipe("mixing_standard").resolve(sigma=0.0, overrides=["parts.robust=cat_rs"])
    given = [f"parts.standard={STANDARD}", f"parts.robust={SMOOTHED}"]
    recipe = load_recipe("mixing_standard").resolve(sigma=0.0, overrides=given)
    with pytest.raises(RszooError, match="expected a standard bundle of sigma 0, got a smoothed"):
        train([recipe], out=Path("runs"))
