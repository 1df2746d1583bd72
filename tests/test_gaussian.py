"""Gaussian augmentation against the formula, written again in NumPy."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from rszoo.methods import gaussian


def test_the_loss_is_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    x, y = torch.rand(5, 3, 2, 2), torch.tensor([0, 2, 1, 1, 0])
    noise = 0.5 * torch.randn(1, 5, 3, 2, 2)
    monkeypatch.setattr(gaussian, "gaussian_copies", lambda x, m, sigma: noise)
    loss = gaussian.loss(model, x, y, sigma=0.5, progress=1.0)

    weight, bias = (p.detach().double().numpy() for p in model.parameters())
    z = (x + noise[0]).flatten(1).double().numpy() @ weight.T + bias
    cross_entropies = np.log(np.exp(z).sum(1)) - z[np.arange(5), y]
    assert loss.item() == pytest.approx(cross_entropies.mean(), rel=1e-6)


def test_the_gradient_is_softmax_minus_label() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Parameter(torch.tensor([1.0, 2.0, 0.0]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.logits.expand(len(x), 3)

    model = Constant()
    x, y = torch.rand(4, 1, 2, 2), torch.tensor([0, 0, 1, 2])
    gaussian.loss(model, x, y, sigma=1.0, progress=1.0).backward()
    expected = model.logits.detach().softmax(0) - torch.tensor([0.5, 0.25, 0.25])
    assert torch.allclose(model.logits.grad, expected, atol=1e-6)


def test_uniform_answers_cost_log_of_the_classes() -> None:
    def uniform(x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(len(x), 7)

    x, y = torch.rand(4, 1, 2, 2), torch.arange(4)
    loss = gaussian.loss(uniform, x, y, sigma=0.25, progress=0.1)  # type: ignore[arg-type]
    assert loss.item() == pytest.approx(math.log(7), rel=1e-6)
