"""The smoothed classifier: its interface, and what it does with its noise."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

import rszoo
from rszoo.certificates.base import ABSTAIN, Certificate, Prediction
from rszoo.errors import DataError
from rszoo.networks import execution
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.interface import Budget
from rszoo.smoothing.noise import Stream
from rszoo.smoothing.votes import count_votes
from rszoo.theory.bounds import clopper_pearson_lower
from rszoo.theory.radii import certified_radius

SHAPE = (1, 2, 3)
CLASSES = 3


def smoothed(network: nn.Module | None = None, **changed: Any) -> SmoothedClassifier:
    network = network or nn.Sequential(nn.Flatten(), nn.Linear(6, CLASSES))
    options: dict[str, Any] = {
        "sigma": 0.5,
        "num_classes": CLASSES,
        "device": "cpu",
        "precision": "float32",
    }
    return SmoothedClassifier(network, **options | changed)


def untried(network: nn.Module, **changed: Any) -> SmoothedClassifier:
    """Return a classifier of a network that may look at its batch; see test_one_by_one.py."""
    classifier = smoothed(network, **changed)
    classifier._evaluated = network
    return classifier


def certify(classifier: SmoothedClassifier, x: Tensor, **changed: Any) -> Certificate:
    certificate = classifier.certify(x, **{"n0": 50, "n": 1200, "alpha": 0.01} | changed)
    assert isinstance(certificate, Certificate)
    return certificate


def predict(classifier: SmoothedClassifier, x: Tensor, **changed: Any) -> Prediction:
    prediction = classifier.predict(x, **{"n": 300, "alpha": 0.01} | changed)
    assert isinstance(prediction, Prediction)
    return prediction


class Fixed(nn.Module):
    """Answers by a draw's place in its batch, whatever the noise."""

    def __init__(self, answers: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.answers = answers

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.one_hot(self.answers(torch.arange(len(x))), CLASSES).float()


class Recorder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.batches: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.batches.append(x.clone())
        return x.flatten(1)[:, :CLASSES]

    def rows(self) -> Tensor:
        return torch.cat(self.batches).flatten(1)


def votes_of(classifier: SmoothedClassifier, x: Tensor, draws: int, stream: Stream) -> list[int]:
    return count_votes(
        classifier.network,
        x,
        sigma=classifier.sigma,
        draws=draws,
        stream=stream,
        seed=4,
        num_classes=CLASSES,
    )


def test_certify_selects_on_n0_draws_and_estimates_on_n_others() -> None:
    for _ in range(5):
        classifier, x = smoothed(), torch.rand(SHAPE)
        selection = votes_of(classifier, x, 50, Stream.SELECTION)
        estimation = votes_of(classifier, x, 1200, Stream.ESTIMATION)
        candidate = int(np.argmax(selection))
        p_lower = clopper_pearson_lower(estimation[candidate], 1200, 0.01)
        assert certify(classifier, x, seed=4) == Certificate(
            label=candidate if p_lower >= 0.5 else ABSTAIN,
            radius=certified_radius(p_lower, 0.5),
            p_lower=p_lower,
            candidate=candidate,
            votes=estimation[candidate],
            n0=50,
            n=1200,
            alpha=0.01,
            sigma=0.5,
            draws=1200,
            spent=1200,
        )


def test_the_candidate_is_that_of_the_selection_whatever_the_estimation_says() -> None:
    budget = Budget(n0=10, n=1000, alpha=0.01)
    given = smoothed().certificate([3, 4, 3], [900, 100, 0], budget)
    assert (given.candidate, given.votes, given.label) == (1, 100, ABSTAIN)


def test_no_draw_of_the_selection_is_used_again() -> None:
    network = Recorder()
    certify(untried(network), torch.rand(SHAPE), n0=600, n=2500)
    rows = network.rows()
    assert len(rows) == 600 + 2500
    assert len(rows.unique(dim=0)) == len(rows)


def test_certify_and_predict_use_different_noise() -> None:
    network, x = Recorder(), torch.rand(SHAPE)
    certify(untried(network), x, n0=300, n=300)
    predict(untried(network), x, n=300)
    rows = network.rows()
    assert len(rows.unique(dim=0)) == len(rows) == 900


def test_a_tied_selection_takes_the_lowest_class() -> None:
    tied = Fixed(lambda place: 2 - place % 2)  # classes 2, 1, 2, 1, ...
    certificate = certify(untried(tied), torch.rand(SHAPE), n0=100, n=1000)
    assert (certificate.candidate, certificate.votes, certificate.label) == (1, 500, ABSTAIN)


@pytest.mark.parametrize(("n", "top"), [(5, 5), (300, 200), (300, 160), (1000, 540)])
@pytest.mark.parametrize("alpha", [0.5, 0.05, 0.001])
def test_predict_has_exact_p_values(n: int, top: int, alpha: float) -> None:
    classifier = untried(Fixed(lambda place: torch.where(place < top, 2, 0)))
    exact = binomtest(top, n, 0.5).pvalue
    prediction = predict(classifier, torch.rand(SHAPE), n=n, alpha=alpha)
    assert prediction == Prediction(
        label=2 if exact <= alpha else ABSTAIN,
        votes=top,
        runner_up_votes=n - top,
        p_value=pytest.approx(exact, rel=1e-9),
        n=n,
        alpha=alpha,
        sigma=0.5,
    )


def test_predict_leaves_other_classes_out_of_the_test() -> None:
    classifier = untried(Fixed(lambda place: (place % 10).clamp(max=2)))  # 30, 30 and 240
    prediction = predict(classifier, torch.rand(SHAPE), n=300)
    assert (prediction.label, prediction.votes, prediction.runner_up_votes) == (2, 240, 30)
    assert prediction.p_value == pytest.approx(binomtest(240, 270, 0.5).pvalue, rel=1e-9)


def test_predict_abstains_at_a_tie_even_with_a_large_alpha() -> None:
    prediction = predict(
        untried(Fixed(lambda place: place % 2)), torch.rand(SHAPE), n=1000, alpha=0.999
    )
    assert (prediction.label, prediction.p_value) == (ABSTAIN, 1.0)


def test_predict_accepts_a_p_value_equal_to_alpha() -> None:
    classifier, x = untried(Fixed(torch.zeros_like)), torch.rand(SHAPE)
    assert predict(classifier, x, n=5, alpha=0.0625).label == 0
    assert predict(classifier, x, n=5, alpha=0.0624).label == ABSTAIN


@pytest.mark.parametrize("ask", ["certify", "predict"])
@pytest.mark.parametrize("shape", [None, SHAPE])
def test_a_batch_gives_what_its_inputs_give_alone(ask: str, shape: tuple[int, ...] | None) -> None:
    classifier = smoothed(input_shape=shape)
    x = torch.rand(4, *SHAPE)
    one, method = getattr(classifier, ask), getattr(classifier, f"{ask}_batch")
    alone = [one(image, n=1100, seed=2) for image in x]
    assert len(set(alone)) > 1
    assert method(x, n=1100, seed=2) == alone
    assert method(x.flip(0), n=1100, seed=2) == alone[::-1]
    assert method(x[2:3], n=1100, seed=2) == alone[2:3]
    assert method(x[:0], n=1100, seed=2) == []
    assert method(x, n=1100, seed=3) != alone
    with pytest.raises(DataError, match="expected a batch of inputs, got one of shape"):
        method(x[0], n=1100, seed=2)
    with pytest.warns(DeprecationWarning, match=f"{ask}_batch") as told:  # as callers of before
        assert one(x, n=1100, seed=2) == alone
    assert told[0].filename == __file__


def test_a_certificate_knows_its_class() -> None:
    names = ("a", "b", "c")
    x = torch.rand(SHAPE)
    network = smoothed().network
    plain = certify(smoothed(network), x)
    named = certify(smoothed(network, class_names=names), x)
    assert plain.label != ABSTAIN
    assert (plain.class_name, named.class_name) == (None, names[plain.label])
    assert named == plain
    assert certify(smoothed(network, class_names=names), x, n=3).class_name is None  # it abstains
    with pytest.raises(ValueError, match=f"expected {CLASSES} class_names, got 1"):
        smoothed(class_names=("a",))


def test_a_network_of_ones_own_is_not_rounded_unless_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(execution, "_multiplies_bfloat16", lambda device: True)
    settings: dict[str, Any] = {"sigma": 0.5, "num_classes": 2, "device": "cpu"}
    network = nn.Linear(2, 2)
    assert rszoo.SmoothedClassifier(network, **settings).precision == "float32"
    auto = rszoo.SmoothedClassifier(network, **settings, precision="auto")
    assert auto.precision == "bfloat16"
    assert "precision='bfloat16'" in repr(auto)


def test_vectors_and_batches_of_vectors() -> None:
    classifier = smoothed(nn.Linear(6, CLASSES))
    x = torch.rand(3, 6)
    alone = [certify(classifier, row) for row in x]
    assert classifier.certify_batch(x, n0=50, n=1200, alpha=0.01) == alone
    same = smoothed(classifier.network, input_shape=(6,))
    assert same.certify_batch(x, n0=50, n=1200, alpha=0.01) == alone
    assert certify(same, x[0]) == alone[0]


def test_any_float_type_and_memory_order_gives_one_answer() -> None:
    classifier, x = smoothed(), torch.rand(SHAPE)
    expected = certify(classifier, x)
    assert certify(classifier, x.double()) == expected
    assert certify(classifier, x.clone().requires_grad_()) == expected
    turned = x.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    assert certify(classifier, turned) == expected


def test_the_input_and_the_global_generator_are_left_alone() -> None:
    classifier, x = smoothed(), torch.rand(SHAPE)
    copy, state = x.clone(), torch.get_rng_state()
    certify(classifier, x)
    predict(classifier, x)
    assert torch.equal(x, copy)
    assert torch.equal(torch.get_rng_state(), state)


def test_progress_adds_up() -> None:
    done: list[int] = []
    certify(smoothed(), torch.rand(SHAPE), n0=50, n=2300, on_progress=done.append)
    assert done == [50, 1000, 1000, 300]
    done.clear()
    smoothed().predict_batch(torch.rand(2, *SHAPE), n=1001, on_progress=done.append)
    assert done == [1000, 1, 1000, 1]


@pytest.mark.parametrize("sigma", [0.12, 0.1, 0.7, 0.5, 1 / 3])
def test_a_sigma_that_float32_cannot_hold_never_gives_a_larger_radius(sigma: float) -> None:
    network = Recorder()
    x = torch.zeros(SHAPE)
    x[0, 0, 0] = 1.0
    certificate = certify(untried(network, sigma=sigma), x, n0=100, n=1000)
    unit = Recorder()
    certify(untried(unit, sigma=1.0), x, n0=100, n=1000)
    pixel = 5  # x is 0 there: what the network sees is the noise itself
    seen, standard = network.rows()[:, pixel].double(), unit.rows()[:, pixel].double()
    applied = float(np.float32(sigma))
    assert torch.allclose(seen / standard, torch.tensor(applied).double(), rtol=2e-7)
    assert certificate.sigma == min(sigma, applied)
    assert certificate.radius == certified_radius(certificate.p_lower, min(sigma, applied))
    assert certificate.radius > 0
    assert predict(untried(network, sigma=sigma), x).sigma == certificate.sigma


def test_the_constructor_moves_the_network_and_leaves_its_mode() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Flatten(), nn.LazyLinear(CLASSES)).train()
    network(torch.rand(1, 3, 4, 4))
    classifier = untried(network)
    weight = network[0].weight
    assert isinstance(weight, Tensor)
    assert weight.is_contiguous(memory_format=torch.channels_last)
    certify(classifier, torch.rand(3, 4, 4))
    assert network.training


def test_repr() -> None:
    assert repr(smoothed(input_shape=(1, 8, 8), sigma=0.25)) == (
        "SmoothedClassifier(sigma=0.25, num_classes=3, input_shape=(1, 8, 8), device='cpu', "
        "precision='float32')"
    )


def test_it_is_the_public_class() -> None:
    assert rszoo.SmoothedClassifier is SmoothedClassifier
    assert rszoo.ABSTAIN == ABSTAIN
