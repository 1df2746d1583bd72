"""The registry of methods, and the contract that every method keeps."""

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from rszoo import methods
from rszoo.errors import RszooError
from rszoo.networks.denoised import Denoising
from rszoo.networks.mixing import Mix, MixingNetwork

NAMES = [
    "adversarial",
    "cat_rs",
    "consistency",
    "denoising",
    "dual_rs",
    "gaussian",
    "hard_dropping",
    "insta_rs",
    "macer",
    "mart",
    "mixing",
    "mixing_standard",
    "part",
    "smoothadv",
    "smoothadv_consistency",
    "smoothmix",
    "stability",
    "standard",
    "trades",
]
CLASSES = 3
BATCH = 6


def network(method: str = "gaussian") -> nn.Sequential:
    """Return what a method trains."""
    if methods.trains(method) == "weight":
        weighing = nn.Sequential(nn.Identity(), MixingNetwork())
        nn.init.normal_(weighing[1].out.weight)
        return Mix(weighing, network(), network())
    if methods.trains(method) == "denoiser":
        return Denoising(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1)), network())
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(4 * 16, CLASSES),
    )


def call(name: str, model: nn.Module, *, seed: int = 0, **weights: Any) -> Tensor:
    """Return the loss of one fixed batch under a seed of the global generator."""
    batch = torch.Generator().manual_seed(5)
    x = torch.rand((BATCH, 2, 4, 4), generator=batch)
    y = torch.arange(BATCH) % CLASSES
    given = {
        "soft_targets": torch.rand((BATCH, CLASSES), generator=batch).softmax(-1),
        "sigmas": torch.full((BATCH,), 0.25),
        "expert_radii": torch.rand((BATCH, CLASSES), generator=batch),
        "example_weights": torch.ones(BATCH),
    }
    torch.manual_seed(seed)
    before = x.clone()
    method = methods.load(name, **weights)
    extra = [given[taken] for taken in method.takes]
    loss = method.loss(model, x, y, *extra, sigma=0.25, progress=0.5)
    assert torch.equal(x, before)
    return loss


def test_the_registry_is_the_folder() -> None:
    assert methods.names() == NAMES


every_method = pytest.mark.parametrize("name", methods.names())
every_noisy_method = pytest.mark.parametrize(
    "name", [name for name in methods.names() if not methods.without_noise(name)]
)


@every_method
def test_a_loss_is_a_finite_scalar_with_a_gradient_for_every_parameter(name: str) -> None:
    model = network(name)
    loss = call(name, model)
    assert loss.shape == ()
    assert loss.dtype == torch.float32
    assert torch.isfinite(loss)
    assert loss > 0
    assert all(parameter.grad is None for parameter in model.parameters())
    loss.backward()
    for parameter in model.parameters():
        assert parameter.grad is not None
        assert torch.isfinite(parameter.grad).all()
    *_, weight, _ = model.parameters()
    assert weight.grad is not None
    assert weight.grad.abs().sum() > 0


def test_what_methods_train() -> None:
    others = {name: methods.trains(name) for name in methods.names()}
    assert {name: kind for name, kind in others.items() if kind != "smoothed"} == {
        **dict.fromkeys(("adversarial", "mart", "part", "trades"), "standard"),
        "denoising": "denoiser",
        "dual_rs": "router",
        **dict.fromkeys(("mixing", "mixing_standard"), "weight"),
        "standard": "standard",
    }


def test_a_kind_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("rszoo.methods.dual_rs"), "TRAINS", "routers")
    with pytest.raises(RszooError, match=r"'dual_rs': expected TRAINS to be one of .*'routers'"):
        methods.trains("dual_rs")


@every_noisy_method
def test_a_loss_repeats_under_a_seed(name: str) -> None:
    model = network(name)
    start = {key: value.clone() for key, value in model.state_dict().items()}

    def value(seed: int) -> float:
        model.load_state_dict(start)
        return call(name, model, seed=seed).item()

    assert value(1) == value(1)
    assert value(1) != value(2)


@every_method
def test_a_loss_leaves_the_network_as_it_was(name: str) -> None:
    model = network(name)
    (first, parameter), *others = model.named_parameters()
    parameter.requires_grad_(False)
    call(name, model).backward()
    assert all(module.training for module in model.modules())
    trainable = {key for key, parameter in model.named_parameters() if parameter.requires_grad}
    assert trainable == dict(others).keys() - {first}


@every_noisy_method
def test_a_loss_asks_for_noise_of_the_given_sigma(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(f"rszoo.methods.{name}")
    original, asked = module.gaussian_copies, []

    def recording(x: Tensor, m: int, sigma: float | Tensor) -> Tensor:
        asked.append((tuple(x.shape), m, sigma if isinstance(sigma, float) else sigma.tolist()))
        return original(x, m, sigma)

    monkeypatch.setattr(module, "gaussian_copies", recording)
    copies = methods.weights(name)().model_dump().get("m", 1)
    call(name, network(name))
    levels = [0.25] * BATCH  # of each image
    assert asked == [((BATCH, 2, 4, 4), copies, levels if name == "insta_rs" else 0.25)]


@every_method
def test_a_loss_is_float32_under_autocast(name: str) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = call(name, network(name))
    assert loss.dtype == torch.float32
    loss.backward()


@every_method
def test_the_signature_is_the_documented_one(name: str) -> None:
    loss = import_module(f"rszoo.methods.{name}").loss
    parameters = inspect.signature(loss).parameters
    assert list(parameters)[:3] == ["model", "x", "y"]
    keyword_only = [p for p in parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert [p.name for p in keyword_only[:2]] == ["sigma", "progress"]
    assert all(p.default is not p.empty for p in keyword_only[2:])
    assert all(p.annotation is not p.empty for p in parameters.values())


@pytest.mark.parametrize(
    ("name", "defaults"),
    [
        ("gaussian", {}),
        ("consistency", {"m": 2, "lambda_": 10.0, "eta": 0.5}),
        (
            "dual_rs",
            {"m": 2, "lambda_": 40.0, "eta": 0.5, "temperature": 1.0}
            | {"attack_steps": 0, "epsilon": 0.5, "warmup": 0.1},
        ),
        (
            "cat_rs",
            {"m": 4, "lambda_": 1.0, "attack_steps": 4, "rho": 1.0, "confidence_mask": False},
        ),
    ],
)
def test_defaults_are_the_papers(name: str, defaults: dict[str, Any]) -> None:
    assert methods.weights(name)().model_dump() == defaults


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gaussian", ()),
        ("consistency", ()),
        ("cat_rs", ("soft_targets",)),
        ("dual_rs", ("expert_radii", "example_weights")),
        ("insta_rs", ("sigmas",)),
        ("hard_dropping", ("sampling_weights",)),
    ],
)
def test_needs(name: str, expected: tuple[str, ...]) -> None:
    assert methods.needs(name) == expected


def test_load_binds_the_weights() -> None:
    model = network().eval()
    plain = call("gaussian", model).item()
    same = call("consistency", model, m=1, lambda_=0, eta=0).item()
    assert same == pytest.approx(plain, rel=1e-6)
    assert call("consistency", model, m=1, lambda_=0, eta=0.25).item() > plain + 0.1


@every_method
def test_an_unknown_weight_is_refused(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        methods.load(name, lamda=1.0)
    (problem,) = caught.value.errors()
    assert (problem["loc"], problem["msg"]) == (("lamda",), "Extra inputs are not permitted")


@pytest.mark.parametrize(
    ("name", "weight", "value", "message"),
    [
        ("consistency", "m", 0, "Input should be greater than or equal to 1"),
        ("consistency", "m", -2, "Input should be greater than or equal to 1"),
        (
            "consistency",
            "m",
            1.5,
            "Input should be a valid integer, got a number with a fractional part",
        ),
        ("consistency", "lambda_", -0.1, "Input should be greater than or equal to 0"),
        ("consistency", "lambda_", float("nan"), "Input should be a finite number"),
        ("consistency", "eta", -1, "Input should be greater than or equal to 0"),
        ("consistency", "eta", float("inf"), "Input should be a finite number"),
        ("cat_rs", "m", 0, "Input should be greater than or equal to 1"),
        ("cat_rs", "lambda_", -1.0, "Input should be greater than or equal to 0"),
        ("cat_rs", "attack_steps", -1, "Input should be greater than or equal to 0"),
        ("cat_rs", "rho", 0.0, "Input should be greater than 0"),
        ("cat_rs", "rho", -1.0, "Input should be greater than 0"),
        (
            "cat_rs",
            "confidence_mask",
            "perhaps",
            "Input should be a valid boolean, unable to interpret input",
        ),
    ],
)
def test_a_weight_out_of_range_is_refused(
    name: str, weight: str, value: object, message: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        methods.load(name, **{weight: value})
    # A NaN breaks two rules: it is not finite, and not in the range.
    assert {problem["loc"] for problem in caught.value.errors()} == {(weight,)}
    assert message in [problem["msg"] for problem in caught.value.errors()]


#: What a number is -> a value that no method may take for it.
REFUSED = {
    **dict.fromkeys(("m", "search_copies", "drop_draws"), 0),
    **dict.fromkeys(("attack_steps", "search_steps", "refreshes"), -1),
    **dict.fromkeys(("lambda_", "eta", "beta", "gamma", "deferred", "warmup", "start"), -0.1),
    "epsilon_low": -0.1,
    **dict.fromkeys(("bce", "bce_ce"), -0.1),
    **dict.fromkeys(("epsilon", "rho", "step_size", "temperature"), 0.0),
    "threshold": 1.1,
    "mse_share": 1.1,
    "spread": 0.9,
    "levels": 1,
    "draws": 13,
    "mix_step": 2,
}
CHOICES = {"attack", "cam", "colour_map", "confidence_mask", "variant"}


@every_method
def test_every_weight_has_a_range(name: str) -> None:
    for weight in methods.weights(name).model_fields.keys() - CHOICES:
        with pytest.raises(ValidationError) as caught:
            methods.load(name, **{weight: REFUSED[weight]})
        assert {problem["loc"] for problem in caught.value.errors()} == {(weight,)}


@pytest.mark.parametrize(
    "function",
    [methods.load, methods.weights, methods.needs, methods.trains, methods.per_image_sigma],
)
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "cat-rs",
            f"unknown method 'cat-rs' (did you mean 'cat_rs'?); expected one of {NAMES}",
        ),
        (
            "quux",
            f"unknown method 'quux'; expected one of {NAMES}",
        ),
        (
            "_attacks",
            "unknown method '_attacks'; expected one of " + str(NAMES),
        ),
    ],
)
def test_an_unknown_method(function: Callable[[str], object], name: str, message: str) -> None:
    with pytest.raises(RszooError) as caught:
        function(name)
    assert str(caught.value) == message
