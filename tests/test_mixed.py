"""The guarantee of a mix, where the truth is known in closed form.

The robust part is a half-space, so that h_y(x') = Phi(m(x') / sigma) with m the signed distance
from the boundary. Against a standard network that contradicts it everywhere the mix answers y as
long as h_y(x') > 1 / (2 alpha_mix): up to the distance m(x) - sigma Phi^-1(1 / (2 alpha_mix)).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch
from scipy.special import ndtr, ndtri
from scipy.stats import binom
from torch import Tensor, nn

from rszoo.certificates.base import ABSTAIN, Certificate, Prediction, certificate_from_votes
from rszoo.certificates.kinds.mixed import Mixing, mixed_certificate
from rszoo.errors import DataError, RszooError
from rszoo.networks.mixing import MixingNetwork
from rszoo.smoothing import mixed as module
from rszoo.smoothing.classifier import SmoothedClassifier
from rszoo.smoothing.mixed import MixedClassifier
from rszoo.smoothing.mixing_weights import FixedWeight, GradientWeight, LearnedWeight, Weight

TRIALS = 1000
SHAPE = (1, 2, 3)
SIGMA = 0.5
ALPHA_MIX = 0.76


class HalfSpace(nn.Module):
    """Class 1 where w.x + b > 0, else class 0."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.w, self.b = w, b

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) @ self.w + self.b
        return torch.stack([-score, score], dim=1)


class Constant(nn.Module):
    """The same logits for every image."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, x: Tensor) -> Tensor:
        return self.logits.expand(len(x), -1)


@dataclass(frozen=True)
class Trial:
    robust: SmoothedClassifier
    x: Tensor
    side: int
    margin: float
    seed: int

    def mixed(self, weight: Weight | float, *, opposed: float = 100.0) -> MixedClassifier:
        """Mix with a standard network that is for the other class everywhere."""
        logits = (opposed, 0.0) if self.side else (0.0, opposed)
        return MixedClassifier(Constant(*logits), self.robust, weight=weight)


def trial(seed: int, *, margins: tuple[float, float]) -> Trial:
    """Return a random half-space and an input at a distance from its boundary, in sigmas."""
    torch.default_generator.manual_seed(seed)  # torch.manual_seed takes as long as a trial
    w, x = torch.randn(6), torch.rand(SHAPE)
    side = seed % 2
    distance = SIGMA * float(torch.empty(()).uniform_(*margins)) * (1 if side else -1)
    b = distance * float(w.norm()) - float(x.flatten() @ w)
    score = float(x.flatten().double() @ w.double()) + b
    robust = SmoothedClassifier(
        HalfSpace(w, b), sigma=SIGMA, num_classes=2, device="cpu", precision="float32"
    )
    return Trial(robust, x, side, abs(score) / float(w.double().norm()), seed)


def tolerance(alpha: float, trials: int = TRIALS) -> int:
    return int(binom.ppf(0.999, trials, alpha))


def truth(one: Trial, alpha_mix: float) -> float:
    """Return how far the mix answers `side` against a standard part that contradicts."""
    return one.margin - SIGMA * float(ndtri(1 / (2 * alpha_mix)))


def overclaims(
    weight: Weight | float,
    *,
    least: float,
    margins: tuple[float, float] = (0.0, 1.5),
    trials: int = TRIALS,
) -> int:
    """Count certificates of 500 draws at alpha = 0.05 that say more than is true."""
    wrong = 0
    for seed in range(trials):
        one = trial(seed, margins=margins)
        given = one.mixed(weight).certify(one.x, n0=50, n=500, alpha=0.05, seed=seed)
        assert isinstance(given, Certificate)
        if given.label == ABSTAIN:
            assert given.radius == 0
        else:
            wrong += given.label != one.side or given.radius > max(0.0, truth(one, least))
    return wrong


@pytest.mark.parametrize("alpha_mix", [0.6, ALPHA_MIX])
def test_certified_radii_exceed_the_truth_at_most_as_often_as_allowed(alpha_mix: float) -> None:
    margins = (0.0, 1.0 + float(ndtri(1 / (2 * alpha_mix))))  # where certificates can be wrong
    failed = overclaims(alpha_mix, least=alpha_mix, margins=margins)
    assert failed <= tolerance(0.05)
    assert failed > 0.2 * 0.05 * TRIALS  # exact bounds are not idle: the test can see failures


def test_the_radius_of_the_robust_part_alone_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mixed_certificate", lambda robust, alpha_mix: robust)
    assert overclaims(ALPHA_MIX, least=ALPHA_MIX, trials=200) > 4 * tolerance(0.05, 200)


def test_a_weight_that_is_claimed_too_large_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def generous(robust: Certificate, alpha_mix: float) -> Certificate:
        return mixed_certificate(robust, alpha_mix=alpha_mix + 0.1)

    monkeypatch.setattr(module, "mixed_certificate", generous)
    assert overclaims(ALPHA_MIX, least=ALPHA_MIX, trials=200) > 4 * tolerance(0.05, 200)


class Anything(MixingNetwork):
    """Answers a number of its own, within [0, 1] or not."""

    def __init__(self, answer: float, alpha_min: float = 0.84, alpha_max: float = 0.99) -> None:
        super().__init__(1, alpha_min=alpha_min, alpha_max=alpha_max)
        self.answer = answer

    def forward(self, standard: Tensor, robust: Tensor) -> Tensor:
        return torch.full((len(standard),), self.answer)


def test_a_learned_weight_is_certified_with_its_least_value() -> None:
    """At the input the network is all for the robust part; elsewhere it may be against it."""
    weight = LearnedWeight(Anything(1.0, 0.7, 1.0))
    failed = overclaims(weight, least=0.7, trials=500)
    assert failed <= tolerance(0.05, 500)
    assert failed > 0.2 * 0.05 * 500


def test_a_learned_weight_certified_with_its_value_at_the_input_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(LearnedWeight, "alpha_min", property(lambda self: 1.0), raising=False)
    weight = object.__new__(LearnedWeight)
    assert overclaims(weight, least=0.7, trials=200) > 4 * tolerance(0.05, 200)


@pytest.mark.parametrize("answer", [-1e30, -1.0, 0.0, 0.3, 1.0, 7.0, math.inf])
def test_no_network_leaves_the_range_of_the_weight(answer: float) -> None:
    weight = LearnedWeight(Anything(answer))
    net = Constant(0.0, 1.0)
    value = weight.evaluate(torch.rand(SHAPE), standard=net, robust=net)
    assert 0.84 <= value <= 0.99
    assert value == pytest.approx(0.84 + 0.15 * min(max(answer, 0.0), 1.0))


def test_a_broken_mixing_network_is_named() -> None:
    weight = LearnedWeight(Anything(math.nan))
    with pytest.raises(RszooError, match="expected a weight from the mixing network, got NaN"):
        weight.evaluate(torch.rand(SHAPE), standard=Constant(0.0, 1.0), robust=Constant(0.0, 1.0))


def test_the_mixing_network_begins_in_the_middle_and_minds_no_order_of_classes() -> None:
    network = MixingNetwork()
    g, h = torch.randn(4, 10), torch.randn(4, 10)
    assert network(g, h).tolist() == [0.5] * 4
    nn.init.normal_(network.out.weight)
    order = torch.randperm(10)
    assert torch.allclose(network(g, h), network(g[:, order], h[:, order]))
    assert not torch.allclose(network(g, h), network(h, g))
    assert not torch.allclose(network(g, h), network(g, h[:, order]), atol=1e-4)
    assert network(torch.randn(3, 2), torch.randn(3, 2)).shape == (3,)  # two classes


def mixed_answer(one: Trial, g: list[float], weight: float) -> int:
    """Return what the mix with the exact vote probabilities answers."""
    own = float(ndtr(one.margin / SIGMA))
    h = [1 - own, own] if one.side else [own, 1 - own]
    values = [(1 - weight) * a + weight * b for a, b in zip(g, h, strict=True)]
    return values.index(max(values))


@pytest.mark.parametrize(("weight", "opposed"), [(0.55, 1.0), (ALPHA_MIX, 1.0), (ALPHA_MIX, 9.0)])
def test_predictions_are_wrong_at_most_as_often_as_allowed(weight: float, opposed: float) -> None:
    wrong = answered = against = 0
    for seed in range(300):
        one = trial(seed, margins=(0.0, 1.0))
        mix = one.mixed(weight, opposed=opposed)
        given = mix.predict(one.x, n=200, alpha=0.05, seed=seed)
        assert isinstance(given, Prediction)
        assert (given.label == ABSTAIN) == (given.p_value > 0.05)
        if given.label != ABSTAIN:
            answered += 1
            against += given.label != one.side
            g = mix.standard_probabilities(one.x)
            wrong += given.label != mixed_answer(one, g, weight)
    assert wrong <= 15
    assert answered > 150
    assert against > 5  # the standard network, against the robust part


def test_answers_without_confidence_are_wrong_too_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "mixed_p_value", lambda label, **_: 0.0)
    wrong = 0
    for seed in range(200):
        one = trial(seed, margins=(0.3, 0.5))  # around the tie, at 0.407
        mix = one.mixed(ALPHA_MIX)
        given = mix.predict(one.x, n=50, alpha=0.05, seed=seed)
        assert isinstance(given, Prediction)
        wrong += given.label != mixed_answer(one, mix.standard_probabilities(one.x), ALPHA_MIX)
    assert wrong > 40


@pytest.fixture
def one() -> Trial:
    return trial(1, margins=(1.0, 1.0))


def certified(mix: MixedClassifier, x: Tensor, **settings: int) -> Certificate:
    given = mix.certify(x, **{"n": 1000, "seed": 3, **settings})  # type: ignore[arg-type]
    assert isinstance(given, Certificate)
    return given


def test_the_votes_are_those_of_the_robust_part(one: Trial) -> None:
    mine = certified(one.mixed(ALPHA_MIX), one.x)
    robust = one.robust.certify(one.x, n=1000, seed=3)
    assert isinstance(robust, Certificate)
    assert mine == mixed_certificate(robust, alpha_mix=ALPHA_MIX)
    assert (mine.label, mine.details, mine.p_lower) == (
        1,
        Mixing(alpha_mix=ALPHA_MIX),
        robust.p_lower,
    )
    lost = SIGMA * float(ndtri(1 / (2 * ALPHA_MIX)))
    assert mine.radius == pytest.approx(robust.radius - lost, rel=1e-9)
    assert replace(mine, radius=0, details=None) == replace(robust, radius=0)


def test_predictions_have_noise_of_their_own(one: Trial) -> None:
    mine = one.mixed(1.0).predict(one.x, n=1000, seed=3)
    robust = one.robust.predict(one.x, n=1000, seed=3)
    assert isinstance(mine, Prediction)
    assert isinstance(robust, Prediction)
    assert (mine.label, mine.votes, mine.sigma) == (robust.label, robust.votes, robust.sigma)
    assert mine.votes != certified(one.mixed(1.0), one.x).votes


def test_all_weight_on_the_robust_part_is_its_certificate(one: Trial) -> None:
    mine = certified(one.mixed(1.0), one.x)
    assert mine.radius == pytest.approx(certified(one.mixed(0.999999), one.x).radius, abs=1e-5)
    robust = one.robust.certify(one.x, n=1000, seed=3)
    assert isinstance(robust, Certificate)
    assert (mine.label, mine.radius) == (robust.label, pytest.approx(robust.radius, rel=1e-11))


def test_between_a_half_and_what_outvotes_the_standard_part_it_abstains() -> None:
    robust = certificate_from_votes(3, 600, n0=9, n=1000, alpha=0.001, sigma=0.5)
    assert robust.label == 3
    mix = mixed_certificate(robust, alpha_mix=ALPHA_MIX)
    assert (mix.label, mix.radius, mix.candidate) == (ABSTAIN, 0.0, 3)
    assert mixed_certificate(robust, alpha_mix=0.99).label == 3


def test_the_standard_network_has_no_say_in_a_certificate(one: Trial) -> None:
    for_it = MixedClassifier(Constant(-9.0, 9.0), one.robust, weight=ALPHA_MIX)
    assert certified(for_it, one.x) == certified(one.mixed(ALPHA_MIX), one.x)


def test_batches(one: Trial) -> None:
    mix = MixedClassifier(Constant(1.0, 0.0), one.robust, weight=ALPHA_MIX)
    batch = torch.stack([one.x, torch.rand(SHAPE)])
    assert mix.certify_batch(batch, n=100) == [certified(mix, x, n=100, seed=0) for x in batch]
    assert mix.predict_batch(batch, n=100) == [mix.predict(x, n=100) for x in batch]
    with pytest.raises(DataError):
        mix.predict(torch.full(SHAPE, math.nan))


def test_radii_and_values_out_of_range_are_refused(one: Trial) -> None:
    mix = one.mixed(ALPHA_MIX)
    for more, message in (
        ({"radii": [9.0]}, "expected radii from 0 to "),
        ({"tolerance": 0.1}, r"expected radii with tolerance=0\.1, got none"),
    ):
        with pytest.raises(ValueError, match=message):
            mix.certify(one.x, **more)  # type: ignore[arg-type]
    for wrong in ({"alpha": 0.0}, {"alpha": 1.0}, {"n": 0}):
        with pytest.raises(ValueError, match="expected"):
            mix.predict(one.x, **wrong)
        with pytest.raises(ValueError, match="expected"):
            mix.certify(one.x, **wrong)


@pytest.mark.parametrize("alpha_mix", [0.5, 0.2, 0.0, 1.2, math.nan])
def test_a_weight_of_a_half_or_less_is_refused(one: Trial, alpha_mix: float) -> None:
    with pytest.raises(ValueError, match="alpha_mix <= 1"):
        one.mixed(alpha_mix)
    with pytest.raises(ValueError, match="alpha_min <= alpha_max"):
        MixingNetwork(alpha_min=alpha_mix, alpha_max=1.0)


def test_bounds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha_min <= alpha_max"):
        MixingNetwork(alpha_min=0.9, alpha_max=0.8)


@pytest.mark.parametrize(
    ("standard", "shown"),
    [
        (Constant(0.0, 1.0, 2.0), r"got \(1, 3\) of which 0 are NaN"),
        (Constant(0.0, math.nan), r"got \(1, 2\) of which 1 are NaN"),
    ],
)
def test_a_standard_network_that_does_not_fit_is_named(
    one: Trial, standard: nn.Module, shown: str
) -> None:
    mix = MixedClassifier(standard, one.robust, weight=ALPHA_MIX)
    with pytest.raises(RszooError, match=f"expected 2 logits that are numbers .* {shown}"):
        mix.predict(one.x, n=10)


class Steep(nn.Module):
    """Two logits, 0 and a linear function of the image."""

    def __init__(self, w: Tensor) -> None:
        super().__init__()
        self.w = w

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) @ self.w
        return torch.stack([torch.zeros_like(score), score], dim=1)


def test_a_weight_by_the_gradient_predicts(one: Trial) -> None:
    w = torch.tensor([3.0, 0, 0, 4.0, 0, 0])
    x = torch.zeros(SHAPE)  # there p = 1/2 and the gradient is w / 4
    weight = GradientWeight(2.0)
    assert weight.evaluate(x, standard=Steep(w), robust=Steep(w)) == pytest.approx(2.5 / 3.5)
    flat = MixedClassifier(Constant(5.0, 0.0), one.robust, weight=FixedWeight(ALPHA_MIX))
    assert weight.evaluate(x, standard=Steep(0 * w), robust=Steep(w)) == 0.0
    steep = MixedClassifier(Steep(1e3 * w), one.robust, weight=GradientWeight(1e6))
    for mix in (flat, steep):
        given = mix.predict(one.x, n=500)
        assert isinstance(given, Prediction)


def test_a_weight_by_the_gradient_is_the_standard_part_where_that_is_flat(one: Trial) -> None:
    class Flat(Constant):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + 0.0 * x.flatten(1).sum(1, keepdim=True)

    mix = MixedClassifier(Flat(1.0, 0.0), one.robust, weight=GradientWeight(5.0))
    given = mix.predict(one.x, n=100)
    assert isinstance(given, Prediction)
    assert (given.label, one.side) == (0, 1)


def test_a_weight_by_the_gradient_certifies_nothing(one: Trial) -> None:
    mix = one.mixed(GradientWeight(2.0))
    expected = r"no certificate holds for GradientWeight\(scale=2.0\): .* predict answers"
    with pytest.raises(RszooError, match=expected):
        mix.certify(one.x, n=10)
    with pytest.raises(RszooError, match=expected):
        _ = mix.protocol_entries
    for scale in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match="expected a positive finite scale"):
            GradientWeight(scale)


@pytest.mark.parametrize(
    ("weight", "entries"),
    [
        (0.76, {"alpha_mix": 0.76, "weight": "fixed"}),
        (
            LearnedWeight(MixingNetwork(alpha_min=0.8, alpha_max=0.9)),
            {"alpha_mix": 0.8, "weight": "learned", "alpha_max": 0.9},
        ),
    ],
)
def test_what_a_protocol_says(one: Trial, weight: Weight | float, entries: dict) -> None:
    assert one.mixed(weight).protocol_entries == {**one.robust.protocol_entries, **entries}


def test_the_networks_are_run_in_eval_mode(one: Trial) -> None:
    standard = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(6, 2)).train()
    mix = MixedClassifier(standard, one.robust, weight=ALPHA_MIX)
    answers: list[Callable[[], list[float]]] = [lambda: mix.standard_probabilities(one.x)] * 5
    assert len({tuple(answer()) for answer in answers}) == 1
    assert standard.training


class InPlace(nn.Module):
    """Overwrites what it is given."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2.0).flatten(1)[:, :2]


@pytest.mark.parametrize(
    "weight",
    [ALPHA_MIX, LearnedWeight(MixingNetwork(alpha_min=0.8, alpha_max=0.9)), GradientWeight(1.0)],
)
def test_no_network_changes_the_image_of_the_caller(one: Trial, weight: Weight | float) -> None:
    robust = SmoothedClassifier(InPlace(), sigma=SIGMA, num_classes=2, device="cpu")
    mix = MixedClassifier(InPlace(), robust, weight=weight)
    image = torch.rand(SHAPE)
    before = image.clone()
    mix.predict(image, n=100)
    assert torch.equal(image, before)
    mix.predict_batch(image[None], n=100)
    assert torch.equal(image, before)
    if mix.weight.alpha_min is not None:
        mix.certify(image, n=100)
        assert torch.equal(image, before)
