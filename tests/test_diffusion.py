"""One step of a diffusion model: which one, and that it gives the image. Without diffusers."""

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from rszoo import networks
from rszoo.errors import RszooError
from rszoo.exchange.published import source_of
from rszoo.networks import library
from rszoo.networks.diffusion import AtTimestep, OfConsistency, OneStep
from rszoo.networks.noise_schedule import alpha_bars, step_of

NAME = "diffusers:somebody/ddpm"
DDPM = {"_class_name": "DDPMScheduler"}
CONSISTENCY = {"_class_name": "CMStochasticIterativeScheduler", "num_train_timesteps": 40}
UNET: dict[str, Any] = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.1",
    "sample_size": 32,
    "in_channels": 3,
    "num_class_embeds": None,
    "attention_head_dim": None,
}


# --- which step


@pytest.mark.parametrize(
    ("sigma", "timestep", "there"),
    [(0.06, 33, 0.0606), (0.12, 70, 0.1207), (0.25, 144, 0.2497), (0.5, 258, 0.4998)],
)
def test_the_timestep_whose_noise_is_nearest(sigma: float, timestep: int, there: float) -> None:
    """Against what was read from the schedule of diffusers 0.42.1, the betas of Ho et al."""
    step = step_of(DDPM, sigma=sigma)
    assert isinstance(step, AtTimestep)
    assert (step.timestep, step.prediction) == (timestep, "epsilon")
    found = math.sqrt((1 - step.alpha_bar) / step.alpha_bar) / 2
    assert found == pytest.approx(there, abs=5e-5)


def test_schedules_by_hand() -> None:
    three = {"num_train_timesteps": 3, "beta_start": 0.1, "beta_end": 0.3}
    assert alpha_bars(three) == pytest.approx([0.9, 0.9 * 0.8, 0.9 * 0.8 * 0.7])
    middle = ((math.sqrt(0.1) + math.sqrt(0.3)) / 2) ** 2
    assert alpha_bars(three | {"beta_schedule": "scaled_linear"}) == pytest.approx(
        np.cumprod([0.9, 1 - middle, 0.7])
    )
    assert alpha_bars({"trained_betas": [0.5, 0.25]}) == pytest.approx([0.5, 0.375])
    sigmoid = alpha_bars(three | {"beta_schedule": "sigmoid"})
    assert sigmoid[1] / sigmoid[0] == pytest.approx(0.8)
    cosine = alpha_bars({"num_train_timesteps": 1000, "beta_schedule": "squaredcos_cap_v2"})
    angles = [(part + 0.008) / 1.008 * math.pi / 2 for part in (0, 0.5)]
    assert cosine[499] == pytest.approx((math.cos(angles[1]) / math.cos(angles[0])) ** 2)


@pytest.mark.parametrize(
    ("scheduler", "sigma", "allowed"),
    [
        (DDPM, 0.005, r"from 0\.0051 to 78\.7"),
        (DDPM, 100.0, r"from 0\.0051 to 78\.7"),
        (CONSISTENCY, 0.0005, r"from 0\.001 to 40\.0"),
        (CONSISTENCY, 41.0, r"from 0\.001 to 40\.0"),
        ({"_class_name": "DDIMScheduler", "trained_betas": [0.5]}, 0.2, r"from 0\.5 to 0\.5"),
    ],
)
def test_noise_that_a_model_was_not_trained_for(
    scheduler: dict[str, Any], sigma: float, allowed: str
) -> None:
    with pytest.raises(RszooError, match=f"expected sigma {allowed}, .* got {sigma}; choose"):
        step_of(scheduler, sigma=sigma)


@pytest.mark.parametrize("ends", [(0.0051, 78.7)])
def test_the_ends_of_the_range_that_are_named_are_in_it(ends: tuple[float, float]) -> None:
    assert [step_of(DDPM, sigma=sigma).scalings.time for sigma in ends] == [0, 999]


@pytest.mark.parametrize(
    ("scheduler", "complaint"),
    [
        ({}, "of one of .*'DDPMScheduler'.* got None"),
        ({"_class_name": "ScoreSdeVeScheduler"}, "others say nothing of the noise"),
        ({"_class_name": ["DDPMScheduler"]}, "others say nothing of the noise"),
        (DDPM | {"beta_schedule": "laplace"}, "another beta_schedule, got 'laplace'"),
        (DDPM | {"prediction_type": "flow_prediction"}, "another prediction_type"),
        (DDPM | {"rescale_betas_zero_snr": True}, "another rescale_betas_zero_snr"),
        (DDPM | {"num_train_timesteps": 10**9}, "another num_train_timesteps"),
        (DDPM | {"num_train_timesteps": "1000"}, "another num_train_timesteps"),
        (DDPM | {"beta_end": 1.0}, "another beta_end"),
        (DDPM | {"beta_end": math.nan}, "another beta_end"),
        (DDPM | {"trained_betas": []}, "another trained_betas"),
        (DDPM | {"trained_betas": [0.1, "x" * 10**6]}, r"another trained_betas, got .*\.\.\."),
        (CONSISTENCY | {"sigma_data": 0.0}, "another sigma_data"),
    ],
)
def test_schedulers_that_are_refused(scheduler: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RszooError, match=complaint):
        step_of(scheduler, sigma=0.5)


# --- what it gives


class Knows(nn.Module):
    """A network that predicts perfectly: what it was trained to say of image and noise."""

    def __init__(self, prediction: str, image: Tensor, noise: Tensor, alpha_bar: float) -> None:
        super().__init__()
        ab = torch.tensor(alpha_bar)
        self.mixed = ab.sqrt() * image + (1 - ab).sqrt() * noise
        self.answer = {
            "epsilon": noise,
            "sample": image,
            "v_prediction": ab.sqrt() * noise - (1 - ab).sqrt() * image,
        }[prediction]

    def forward(self, z: Tensor, times: Tensor) -> object:
        torch.testing.assert_close(z, self.mixed)
        assert times.tolist() == [144.0] * len(z)
        variance = torch.full_like(self.answer, 7.0)  # a network may predict it as well
        return SimpleNamespace(sample=torch.cat([self.answer, variance], 1))


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_a_perfect_network_gives_the_clean_image(prediction: str) -> None:
    scheduler = DDPM | {"prediction_type": prediction}
    step = step_of(scheduler, sigma=0.25)
    assert isinstance(step, AtTimestep)
    sigma = math.sqrt((1 - step.alpha_bar) / step.alpha_bar) / 2  # that of the timestep exactly
    x, e = torch.rand(4, 3, 5, 5), torch.randn(4, 3, 5, 5)
    network = OneStep(Knows(prediction, 2 * x - 1, e, step.alpha_bar), step)
    torch.testing.assert_close(network(x + sigma * e), x, rtol=0, atol=1e-5)


class Answers(nn.Module):
    """A network that gives one number everywhere, and remembers what it was given."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value
        self.given: list[Tensor] = []

    def forward(self, z: Tensor, times: Tensor) -> object:
        self.given += [z, times]
        return SimpleNamespace(sample=torch.full_like(z, self.value))


def test_a_consistency_model_by_hand() -> None:
    network = Answers(0.3)
    found = OneStep(network, step_of(CONSISTENCY, sigma=0.5))(torch.full((2, 1, 1, 1), 0.6))
    z, times = network.given
    assert z.flatten().tolist() == pytest.approx([0.2 / math.sqrt(1.25)] * 2)
    assert times.tolist() == [0.0, 0.0]  # 250 log 1
    kept, added = 0.25 / (0.998**2 + 0.25), 0.998 * 0.5 / math.sqrt(1.25)
    expected = (kept * 0.2 + added * 0.3) / 2 + 0.5
    assert found.flatten().tolist() == pytest.approx([expected] * 2)


def test_at_its_smallest_noise_a_consistency_model_gives_back_the_image() -> None:
    step = step_of(CONSISTENCY, sigma=0.001)
    assert isinstance(step, OfConsistency)
    assert (step.scalings.c_skip, step.scalings.c_out) == (1.0, 0.0)


def test_images_stay_within_zero_and_one() -> None:
    step = AtTimestep(prediction="sample", timestep=0, alpha_bar=0.5)
    for answer, pixel in ((3.0, 1.0), (-3.0, 0.0)):
        assert OneStep(Answers(answer), step)(torch.rand(1, 1, 2, 2)).unique().tolist() == [pixel]


# --- what is published, and what a bundle may say


def published(
    folder: Path, config: dict[str, Any], scheduler: dict[str, Any], *, pipeline: bool = False
) -> Path:
    """Write the JSON files of a diffusion model beside an empty file of weights."""
    unet, schedule = (folder / (name if pipeline else ".") for name in ("unet", "scheduler"))
    for one in (unet, schedule):
        one.mkdir(exist_ok=True)
    save_file({}, unet / "diffusion_pytorch_model.safetensors")
    (unet / "config.json").write_text(json.dumps(config))
    (schedule / "scheduler_config.json").write_text(json.dumps(scheduler))
    return folder


@pytest.mark.parametrize("pipeline", [False, True])
def test_the_folder_of_a_model_and_of_a_pipeline(pipeline: bool, tmp_path: Path) -> None:
    source = source_of(published(tmp_path, UNET, DDPM, pipeline=pipeline), NAME, sigma=0.25)
    assert source.weights.parent.name == ("unet" if pipeline else tmp_path.name)
    assert source.facts.input_shape == (3, 32, 32)
    assert source.options["config"]["block_out_channels"] == [224, 448, 672, 896]
    assert source.options["config"]["attention_head_dim"] is None
    assert source.options["step"]["timestep"] == 144


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"_class_name": "UNet2DConditionModel"}, "got 'UNet2DConditionModel'"),
        ({"_class_name": None}, "expected a config.json of a UNet2DModel"),
        ({"num_class_embeds": 1000}, "'num_class_embeds' is not among the values"),
        ({"class_embed_type": "timestep"}, "'class_embed_type' is not among the values"),
        ({"time_embedding_type": "fourier"}, "time_embedding_type"),
        ({"down_block_types": ["CrossAttnDownBlock2D"] * 4}, "down_block_types.0"),
        ({"down_block_types": ["DownBlock2D"]}, "expected as many down_block_types"),
        ({"block_out_channels": [10**9] * 4}, "block_out_channels.0"),
        ({"block_out_channels": "224"}, "block_out_channels"),
        ({"act_fn": "__import__"}, "act_fn"),
        ({"layers_per_block": 10**6}, "layers_per_block"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, "'auto_map' is not among the values"),
        ({"x" * 10**6: 1}, r"x\.\.\. is not among the values"),
        ({"quantization_config": {"bits": 4}}, "quantization_config"),
    ],
)
def test_configs_that_are_refused(config: dict[str, Any], complaint: str, tmp_path: Path) -> None:
    folder = published(tmp_path, UNET | config, DDPM)
    with pytest.raises(RszooError, match=complaint):
        source_of(folder, NAME, sigma=0.5)


def test_a_folder_without_its_scheduler(tmp_path: Path) -> None:
    folder = published(tmp_path, UNET, DDPM)
    (folder / "scheduler_config.json").unlink()
    with pytest.raises(RszooError, match=r"of one of .*got None"):
        source_of(folder, NAME, sigma=0.5)
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    (folder / "diffusion_pytorch_model.bin").touch()
    with pytest.raises(RszooError, match=r"_model\.safetensors or unet/"):
        source_of(folder, NAME, sigma=0.5)


STEP = {"prediction": "epsilon", "timestep": 144, "alpha_bar": 0.8}


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        (NAME, {}, r"needs the options \['config', 'step'\]"),
        (NAME, {"config": {}, "step": STEP | {"alpha_bar": 0.0}}, "expects another step"),
        (NAME, {"config": {}, "step": STEP | {"prediction": "flow"}}, "expects another step"),
        (NAME, {"config": {}, "step": STEP | {"code": "x"}}, "expects another step"),
        (NAME, {"config": {}, "step": {"prediction": "consistency"}}, "expects another step"),
        (NAME, {"config": {"in_channels": 3}, "step": STEP}, "expects another config"),
        (NAME, {"config": {"trust_remote_code": True}, "step": STEP}, "expects another config"),
        (NAME, {"config": {}, "step": STEP, "pretrained": True}, "has no options"),
        ("diffusers:../../x", {"config": {}, "step": STEP}, "expected a name such as diffusers:"),
    ],
)
def test_what_is_refused(name: str, options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(RszooError, match=complaint):
        networks.outline(name, input_shape=(3, 32, 32), num_classes=2, **options)


def test_the_library_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "package_named", lambda name: None)
    assert networks.gives(NAME) == "images"
    with pytest.raises(RszooError, match=r"not installed; pip install 'rszoo\[diffusers\]'"):
        networks.build(NAME, input_shape=(3, 32, 32), num_classes=2, config={}, step=STEP)
