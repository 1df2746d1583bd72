"""Standard training: the loss, and how a method without noise goes through recipes and bundles."""

from pathlib import Path

import pytest
import torch
from torch import nn

from rszoo.errors import RecipeError, RszooError
from rszoo.exchange.readme import readme
from rszoo.hub.bundle import open_bundle
from rszoo.hub.card import card_files
from rszoo.hub.classifiers import classifier_of
from rszoo.methods import standard
from rszoo.training.recipes.files import load_recipe
from rszoo.training.run import train


def test_the_loss_is_the_cross_entropy_of_the_clean_images() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    x, y = torch.rand(5, 3, 2, 2), torch.tensor([0, 2, 1, 1, 0])
    loss = standard.loss(model, x, y, sigma=0.0, progress=1.0)
    log_probabilities = model(x).double().log_softmax(1)
    assert loss.item() == pytest.approx(-log_probabilities[range(5), y].mean().item(), rel=1e-6)


def test_no_noise_is_drawn() -> None:
    model, x = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.rand(5, 3, 2, 2)
    before = torch.get_rng_state()
    for sigma in (0.0, 3.0):
        standard.loss(model, x, torch.zeros(5, dtype=torch.long), sigma=sigma, progress=1.0)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_minus_zero_is_a_zero() -> None:
    file = load_recipe("standard")
    made = file.resolve(sigma=-0.0)
    assert (made.name, made.digest) == ("digits-standard-0.00", file.resolve(sigma=0.0).digest)


@pytest.mark.parametrize(
    ("method", "sigma", "problem"),
    [
        (
            "standard",
            0.5,
            "sigma: expected 0, as method 'standard' trains without noise, got 0.5",
        ),
        ("gaussian", 0.0, "sigma: expected 0 < sigma <= 100, got 0"),
    ],
)
def test_a_noise_level_that_does_not_fit_the_method(
    method: str, sigma: float, problem: str, tmp_path: Path
) -> None:
    text = load_recipe(method).resolve(sigma=load_recipe(method).sigmas("digits")[0]).to_yaml()
    lines = [f"sigma: {sigma}" if s.startswith("sigma:") else s for s in text.splitlines()]
    from rszoo.training.recipes.recipe import Recipe

    with pytest.raises(RecipeError) as caught:
        Recipe.from_yaml("\n".join(lines))
    assert caught.value.problems == [problem]


def test_a_standard_bundle_has_a_network_and_no_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_stores: None
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    recipe = load_recipe("standard").resolve(sigma=0.0, overrides=["train.epochs=1"])
    (made,) = train([recipe], out=tmp_path, device="cpu")
    bundle = open_bundle(made.path)
    assert (bundle.of_network.kind, bundle.config.noise) == ("standard", 0.0)
    assert bundle.path.name == "digits-standard-0.00"
    assert bundle.network()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    with pytest.raises(RszooError, match="expected a smoothed bundle, got a standard one"):
        classifier_of(bundle)
    card = card_files(bundle, "org/name")["README.md"].decode()
    assert "with certified robustness" not in card
    assert "`rszoo compose mixed --standard org/name --robust ID" in card
    assert "model.certify" not in card
    text = readme(bundle, weights=True, onnx=False)
    assert "trained without noise" in text
    assert "sigma =" not in text
