"""SmoothAdv: both attacks and the loss against their formulas, written again in NumPy."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rszoo.methods import gaussian, smoothadv

Array = NDArray[np.float64]
M, BATCH, CLASSES, SHAPE, PIXELS = 4, 6, 3, (3, 2, 2), 12
LABELS = torch.arange(BATCH) % CLASSES


@pytest.fixture
def noise(monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """Fix the noise of the loss."""
    fixed = 0.5 * torch.randn(M, BATCH, *SHAPE)
    monkeypatch.setattr(smoothadv, "gaussian_copies", lambda x, m, sigma: fixed[:m])
    return fixed


class Linear(nn.Linear):
    """A linear network for images, with logits that are not all alike."""

    def __init__(self, scale: float = 3.0) -> None:
        super().__init__(PIXELS, CLASSES)
        with torch.no_grad():
            self.weight.mul_(scale)

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.flatten(1))


def images() -> Tensor:
    """Images of 256 grey levels, some of them at the ends."""
    return (1.6 * torch.rand(BATCH, *SHAPE) - 0.3).clamp(0, 1).mul(255).round().div(255)


def flat(t: Tensor, start: int) -> Array:
    return t.flatten(start).double().numpy()


class Reading:
    """A linear network, its smoothed predictions, and what the attacks make of one image."""

    def __init__(self, model: nn.Module) -> None:
        self.weight, self.bias = (p.detach().double().numpy() for p in model.parameters())

    def softmax(self, pixels: Array) -> Array:
        z = np.exp(pixels @ self.weight.T + self.bias)
        return z / z.sum(-1, keepdims=True)

    def gradient(self, point: Array, noise: Array, label: int) -> Array:
        """Of -log mean_i F_y(point + e_i), divided by its length."""
        f = self.softmax(point + noise)
        total = np.zeros(PIXELS)
        for copy in f:
            total -= copy[label] * (self.weight[label] - copy @ self.weight)
        total /= f[:, label].sum()
        return total / np.linalg.norm(total)

    def pgd(self, x: Array, noise: Array, label: int, steps: int, radius: float) -> Array:
        point = x.copy()
        for _ in range(steps):
            point = point + 2 * radius / steps * self.gradient(point, noise, label)
            shift = np.minimum(np.maximum(point, 0), 1) - x
            length = np.linalg.norm(shift)
            point = x + (shift * radius / length if length > radius else shift)
        return point

    def ddn(self, x: Array, noise: Array, label: int, steps: int, radius: float) -> Array:
        largest = np.sqrt(np.sum(np.maximum(x, 1 - x) ** 2))
        shift, length = np.zeros(PIXELS), radius
        found: list[Array] = []
        for t in range(1, steps + 1):
            answers = self.softmax(x + shift + noise).argmax(-1)
            wrong = np.bincount(answers, minlength=CLASSES).argmax() != label
            if wrong and np.linalg.norm(shift) < largest:
                found.append(shift)
            step = 0.01 + (1 - 0.01) * (1 + np.cos(np.pi * t / steps)) / 2
            moved = shift + step * self.gradient(x + shift, noise, label)
            length = min(length * (1 - 0.05 if wrong else 1 + 0.05), largest)
            shift = rounded(x + moved * length / np.linalg.norm(moved)) - x
        best = min(found, key=lambda s: float(np.linalg.norm(s)), default=np.zeros(PIXELS))
        if np.linalg.norm(best) > radius:
            best = best * radius / np.linalg.norm(best)
        return rounded(x + best) if best.any() else x

    def loss(self, points: Array, noise: Array, y: Array) -> float:
        total = 0.0
        for copy in noise:
            for pixels, label in zip(points + copy, y, strict=True):
                total -= np.log(self.softmax(pixels)[label])
        return float(total) / (len(noise) * len(points))


def rounded(pixels: Array) -> Array:
    # Nearer to a tie than this, float32 might round to the other side.
    assert np.abs(pixels * 255 % 1 - 0.5).min() > 1e-4
    return np.clip(np.floor(pixels * 255 + 0.5) / 255, 0, 1)


def attacked(
    model: nn.Module,
    x: Tensor,
    noise: Tensor,
    attack: str,
    steps: int,
    radius: float,
    y: Tensor = LABELS,
) -> Array:
    """The NumPy reading of x* for a batch, [BATCH, PIXELS]."""
    search = getattr(Reading(model), attack)
    rows, copies = flat(x, 1), flat(noise, 2)
    moved = [search(rows[b], copies[:, b], int(y[b]), steps, radius) for b in range(BATCH)]
    return np.stack(moved)


def mostly_right(model: nn.Module, x: Tensor, noise: Tensor) -> Tensor:
    """Return labels that the smoothed network predicts, but for the last."""
    reading = Reading(model)
    mean = reading.softmax(flat(x, 1) + flat(noise, 2)).mean(0)
    mean[-1] *= -1
    return torch.from_numpy(mean.argmax(1))


@pytest.mark.parametrize("radius", [0.1, 0.6, 2.0])
@pytest.mark.parametrize("steps", [1, 2, 10])
@pytest.mark.parametrize("m", [1, M])
def test_the_pgd_attack_step_by_step(noise: Tensor, m: int, steps: int, radius: float) -> None:
    model, x = Linear(), images()
    moved = smoothadv.adversarial_images(model, x, LABELS, noise[:m], steps=steps, radius=radius)
    expected = attacked(model, x, noise[:m], "pgd", steps, radius)
    assert moved.shape == x.shape
    assert np.allclose(flat(moved, 1), expected, atol=1e-5)
    assert np.linalg.norm(expected - flat(x, 1), axis=1).max() > 0.5 * radius


@pytest.mark.parametrize(
    ("m", "steps", "radius"),
    [(1, 2, 0.25), (M, 1, 0.6), (M, 2, 8.0), (1, 5, 0.6), (M, 12, 0.6), (1, 12, 8.0)],
)
def test_the_ddn_attack_step_by_step(m: int, steps: int, radius: float) -> None:
    torch.manual_seed(10)  # a seed far from ties in the rounding, see `rounded`
    noise = 0.5 * torch.randn(M, BATCH, *SHAPE)[:m]
    model, x = Linear(), images()
    y = mostly_right(model, x, noise)
    moved = smoothadv.adversarial_images(
        model, x, y, noise, steps=steps, radius=radius, attack="ddn"
    )
    expected = attacked(model, x, noise, "ddn", steps, radius, y)
    assert moved.shape == x.shape
    assert np.allclose(flat(moved, 1), expected, atol=1e-6)
    shifts = np.linalg.norm(expected - flat(x, 1), axis=1)
    assert shifts[-1] < 1e-6  # wrong from the start
    assert (shifts.max() > 0.1) == (steps > 1)


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
@pytest.mark.parametrize(("m", "steps", "epsilon"), [(M, 10, 0.6), (2, 3, 1.5), (1, 10, 0.6)])
def test_the_loss_is_the_mean_cross_entropy_at_the_adversarial_images(
    noise: Tensor, attack: str, m: int, steps: int, epsilon: float
) -> None:
    model, x = Linear(), images()
    loss = smoothadv.loss(
        model,
        x,
        LABELS,
        sigma=0.5,
        progress=1.0,
        m=m,
        attack=attack,  # type: ignore[arg-type]
        attack_steps=steps,
        epsilon=epsilon,
    )
    reading, copies = Reading(model), flat(noise[:m], 2)
    moved = attacked(model, x, noise[:m], attack, steps, epsilon)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(reading.loss(moved, copies, LABELS.numpy()), rel=1e-5)
    assert loss.item() > reading.loss(flat(x, 1), copies, LABELS.numpy()) + 0.01


def test_the_gradient_is_that_of_the_formula_at_fixed_adversarial_images(noise: Tensor) -> None:
    model, x = Linear(), images()
    smoothadv.loss(model, x, LABELS, sigma=0.5, progress=1.0, m=M).backward()
    moved = attacked(model, x, noise, "pgd", 10, 1.0)
    reading, copies = Reading(model), flat(noise, 2)
    weight = reading.weight
    numeric, step = np.zeros_like(weight), 1e-6
    for entry in np.ndindex(*weight.shape):
        values = []
        for sign in (1, -1):
            reading.weight = weight.copy()
            reading.weight[entry] += sign * step
            values.append(reading.loss(moved, copies, LABELS.numpy()))
        numeric[entry] = (values[0] - values[1]) / (2 * step)
    assert np.abs(numeric).max() > 0.05
    assert model.weight.grad is not None
    assert np.allclose(model.weight.grad.numpy(), numeric, atol=1e-5, rtol=1e-4)


def test_the_attack_raises_the_log_of_the_mean_prediction_not_the_mean_of_the_logs() -> None:
    # One copy is right and one wrong, with gradients that point apart. The mean prediction weighs
    # each by its F_y, and so moves the last pixel most; the mean of the logs, the first.
    class Given(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = x.flatten(1)
            return torch.stack([x[:, 0] * x[:, 2], 0 * x[:, 0]], 1)

    x = torch.full((1, 3, 1, 1), 0.5)
    noise = torch.tensor([[0.0, 0.0, 4.0], [0.0, 0.0, -4.0]]).view(2, 1, 3, 1, 1)
    moved = smoothadv.adversarial_images(
        Given(), x, torch.tensor([0]), noise, steps=1, radius=0.01
    )
    # Logits of class 0 are z = x0 (x2 + e): 2.25 and -1.75, d/dx0 = 4.5 and -3.5, d/dx2 = .5.
    f = 1 / (1 + np.exp(-np.array([2.25, -1.75])))
    slope = -f * (1 - f) / f.sum()
    direction = np.array([slope @ [4.5, -3.5], 0.0, slope @ [0.5, 0.5]])
    expected = 0.5 + 0.01 * direction / np.linalg.norm(direction)
    assert np.allclose(moved.flatten().numpy(), expected, atol=1e-6)


def radius_of(monkeypatch: pytest.MonkeyPatch, **arguments: float) -> float:
    """Return the radius that the loss gives to the attack."""
    seen: list[float] = []

    def record(
        model: nn.Module, x: Tensor, y: Tensor, noise: Tensor, *, radius: float, **rest: object
    ) -> Tensor:
        seen.append(radius)
        return x

    monkeypatch.setattr(smoothadv, "adversarial_images", record)
    smoothadv.loss(Linear(), images(), LABELS, sigma=0.5, **arguments)  # type: ignore[arg-type]
    (radius,) = seen
    return radius


@pytest.mark.parametrize(
    ("progress", "warmup", "share"),
    [
        (0.05, 0.1, 0.5),
        (0.01, 0.1, 0.1),
        (0.1, 0.1, 1.0),
        (0.7, 0.1, 1.0),
        (0.3, 0.4, 0.75),
        (1e-6, 0.0, 1.0),
        (1.0, 0.0, 1.0),
    ],
)
def test_the_radius_rises_in_the_warm_up(
    monkeypatch: pytest.MonkeyPatch, progress: float, warmup: float, share: float
) -> None:
    radius = radius_of(monkeypatch, progress=progress, epsilon=2.0, warmup=warmup)
    assert radius == pytest.approx(2 * share)


def test_the_radius_is_1_and_the_warm_up_a_tenth_unless_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert radius_of(monkeypatch, progress=0.05) == pytest.approx(0.5)


def test_the_step_follows_the_radius_of_the_warm_up(noise: Tensor) -> None:
    model, x = Linear(), images()
    loss = smoothadv.loss(
        model, x, LABELS, sigma=0.5, progress=0.03, m=M, epsilon=2.0, warmup=0.1, attack_steps=3
    )
    moved = attacked(model, x, noise, "pgd", 3, 0.6)
    expected = Reading(model).loss(moved, flat(noise, 2), LABELS.numpy())
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
def test_no_steps_are_the_mean_cross_entropy_of_the_noisy_copies(attack: str) -> None:
    model, x = Linear(), images()
    torch.manual_seed(3)
    loss = smoothadv.loss(
        model,
        x,
        LABELS,
        sigma=0.5,
        progress=1.0,
        m=3,
        attack=attack,  # type: ignore[arg-type]
        attack_steps=0,
    )
    torch.manual_seed(3)
    repeated = gaussian.loss(
        model, x.repeat(3, 1, 1, 1), LABELS.repeat(3), sigma=0.5, progress=1.0
    )
    assert loss.item() == pytest.approx(repeated.item(), rel=1e-6)


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
def test_one_copy_and_no_steps_are_gaussian(attack: str) -> None:
    model, x = Linear(), images()
    torch.manual_seed(4)
    one = smoothadv.loss(
        model,
        x,
        LABELS,
        sigma=0.5,
        progress=1.0,
        m=1,
        attack=attack,  # type: ignore[arg-type]
        attack_steps=0,
    )
    torch.manual_seed(4)
    other = gaussian.loss(model, x, LABELS, sigma=0.5, progress=1.0)
    assert one.item() == pytest.approx(other.item(), rel=1e-6)


def network() -> nn.Sequential:
    """A network that is not linear, with batch statistics."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(PIXELS, 16),
        nn.BatchNorm1d(16),
        nn.Tanh(),
        nn.Linear(16, CLASSES),
    )


@pytest.mark.parametrize("steps", [1, 3, 10])
@pytest.mark.parametrize("radius", [0.05, 0.5, 5.0])
def test_pgd_stays_in_the_ball_and_in_the_range_of_pixels(steps: int, radius: float) -> None:
    x, noise = images(), 0.3 * torch.randn(2, BATCH, *SHAPE)
    moved = smoothadv.adversarial_images(network(), x, LABELS, noise, steps=steps, radius=radius)
    assert (moved - x).flatten(1).norm(dim=1).max() <= radius * (1 + 1e-5)
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert not moved.requires_grad


@pytest.mark.parametrize("steps", [2, 5, 20])
@pytest.mark.parametrize("radius", [0.05, 0.5, 5.0])
def test_ddn_stays_in_the_ball_and_on_256_grey_levels(steps: int, radius: float) -> None:
    model, x, noise = Linear(), images(), 0.3 * torch.randn(3, BATCH, *SHAPE)
    with torch.no_grad():
        model.weight[1:] = model.weight[0] + 0.2 * torch.randn(2, PIXELS)
        model.bias.zero_()
    y = mostly_right(model, x, noise)
    moved = smoothadv.adversarial_images(
        model, x, y, noise, steps=steps, radius=radius, attack="ddn"
    )
    rounding = PIXELS**0.5 / 510  # the projection comes first, then half a level for each pixel
    assert (moved - x).flatten(1).norm(dim=1).max() <= radius + rounding + 1e-6
    if radius > 0.05:  # so short a shift reaches no boundary in a few steps
        assert not torch.equal(moved, x)
    levels = moved.double() * 255
    assert (levels - levels.round()).abs().max() < 1e-3
    assert moved.min() >= 0
    assert moved.max() <= 1
    assert not moved.requires_grad


def test_ddn_leaves_an_image_that_is_never_misclassified() -> None:
    model, x, noise = Linear(), images(), 0.3 * torch.randn(2, BATCH, *SHAPE)
    with torch.no_grad():
        model.bias.copy_(torch.tensor([60.0, 0.0, 0.0]))
    y = torch.zeros(BATCH, dtype=torch.long)
    pgd = smoothadv.adversarial_images(model, x, y, noise, steps=8, radius=1.0)
    ddn = smoothadv.adversarial_images(model, x, y, noise, steps=8, radius=1.0, attack="ddn")
    assert (pgd - x).abs().amax((1, 2, 3)).min() > 0.05
    assert torch.allclose(ddn, x, atol=1e-6)


def test_ddn_comes_closer_to_the_boundary_than_pgd() -> None:
    # One pixel decides, and the boundary is at .5, .3 of grey away from the image.
    class Threshold(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([20 * (x[:, 0, 0, 0] - 0.5), 0 * x[:, 0, 0, 0]], 1)

    x, noise = torch.full((1, 1, 1, 1), 204 / 255), torch.zeros(1, 1, 1, 1, 1)
    given = {"steps": 40, "radius": 0.7}
    y = torch.tensor([0])
    pgd = smoothadv.adversarial_images(Threshold(), x, y, noise, **given)
    ddn = smoothadv.adversarial_images(Threshold(), x, y, noise, attack="ddn", **given)
    assert pgd.item() == pytest.approx(0.1, abs=1e-5)
    assert 0.5 - 0.05 * 0.3 - 1 / 255 <= ddn.item() < 0.5


class Watched(nn.Module):
    """Records the images, the mode and whether parameters are trainable in each forward."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = network()
        self.seen: list[Tensor] = []
        self.states: list[tuple[bool, bool]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        self.states.append((self.training, all(p.requires_grad for p in self.parameters())))
        return self.inner(x)


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
@pytest.mark.parametrize("steps", [0, 1, 5])
def test_the_attack_runs_in_eval_mode_with_frozen_parameters(attack: str, steps: int) -> None:
    model, x = Watched(), images()
    loss = smoothadv.loss(
        model,
        x,
        LABELS,
        sigma=0.5,
        progress=1.0,
        attack=attack,  # type: ignore[arg-type]
        attack_steps=steps,
    )
    assert model.states == [(False, False)] * steps + [(True, True)]
    assert int(model.state_dict()["inner.2.num_batches_tracked"]) == 1
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
def test_the_attack_leaves_the_batch_statistics(attack: str) -> None:
    model, x = network(), images()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    noise = torch.randn(2, BATCH, *SHAPE)
    smoothadv.adversarial_images(model, x, LABELS, noise, steps=3, radius=1.0, attack=attack)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("attack", ["pgd", "ddn"])
def test_the_attack_and_the_loss_share_the_noise(attack: str) -> None:
    model, x = Watched(), images()
    smoothadv.loss(
        model,
        x,
        LABELS,
        sigma=0.5,
        progress=1.0,
        m=3,
        attack=attack,  # type: ignore[arg-type]
        attack_steps=2,
    )
    first, _, last = (seen.unflatten(0, (3, BATCH)) for seen in model.seen)
    noise = first - x
    assert noise.std() > 0.3
    moved = last - noise
    assert torch.allclose(moved, moved[:1].expand_as(moved), atol=1e-5)


def test_images_are_attacked_on_their_own(noise: Tensor) -> None:
    model, x = Linear(), images()
    together = smoothadv.adversarial_images(model, x, LABELS, noise, steps=4, radius=0.5)
    alone = smoothadv.adversarial_images(
        model, x[2:3], LABELS[2:3], noise[:, 2:3], steps=4, radius=0.5
    )
    assert torch.allclose(together[2:3], alone, atol=1e-5)


class Threshold(nn.Module):
    """Class 0 where the first pixel is positive."""

    def forward(self, x: Tensor) -> Tensor:
        z = x.flatten(1)[:, 0]
        return torch.stack([z, 0 * z], 1)


def test_ddn_asks_the_majority_of_the_copies() -> None:
    # Two copies of three are wrong from the start; the mean prediction is right.
    x, y = torch.full((1, 1, 1, 1), 1.0), torch.tensor([0])
    noise = torch.tensor([9.0, -2.0, -2.0]).view(3, 1, 1, 1, 1)
    moved = smoothadv.adversarial_images(
        Threshold(), x, y, noise, steps=10, radius=0.9, attack="ddn"
    )
    assert torch.equal(moved, x)
