"""One step of a diffusion model, built by diffusers: imported, composed, certified, published.

These need `pip install 'rszoo[diffusers]'`, which is no part of the development tools.
"""

import importlib.util
import inspect
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hub_server import RunningHub
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner, Result

import rszoo
from rszoo import networks
from rszoo._torchvision import import_torchvision
from rszoo.errors import RszooError
from rszoo.hub.bundle import Bundle, open_bundle
from rszoo.networks.libraries._diffusers_config import UNetConfig
from rszoo.networks.noise_schedule import alpha_bars
from rszoo_cli import app

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("diffusers") is None, reason="diffusers is not installed"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]

STANDARD = "builtin/digits-standard-0.00"
SHAPE = (1, 8, 8)
NAME = "diffusers:somebody/ddpm"
WEIGHTS = "diffusion_pytorch_model.safetensors"
TINY: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 1,
    "out_channels": 1,
    "block_out_channels": (8, 8),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 4,
}


def diffusers() -> Any:  # noqa: ANN401  untyped
    import_torchvision()
    import diffusers

    return diffusers


def unet(**changed: Any) -> Any:  # noqa: ANN401
    torch.manual_seed(0)
    return diffusers().UNet2DModel(**TINY | changed).eval()


def published(folder: Path, scheduler: Any = None, **changed: Any) -> Path:  # noqa: ANN401
    """Write a tiny model as diffusers does."""
    unet(**changed).save_pretrained(folder)
    (scheduler or diffusers().DDPMScheduler()).save_pretrained(folder)
    return folder


def run(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def imported(path: Path, *more: object, sigma: float = 0.5) -> Bundle:
    out = path.parent / "denoiser"
    run(
        *("import", path, "--name", "denoiser", "--dataset", "digits", "--sigma", sigma),
        *("--architecture", NAME, "--normalization", "none", "--out", out, *more),
    )
    return open_bundle(out)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Every attempt to connect or to look up a name; each fails."""
    tried: list[object] = []

    def refuse(*place: object) -> None:
        tried.append(place[-1])
        raise OSError("no connections in this test")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield tried
    assert tried == []


# --- against the library itself


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"beta_schedule": "sigmoid", "num_train_timesteps": 50},
        {"trained_betas": [0.1, 0.2, 0.3]},
    ],
)
def test_schedules_are_those_of_the_library(changed: dict[str, Any]) -> None:
    theirs = diffusers().DDPMScheduler(**changed).alphas_cumprod
    torch.testing.assert_close(
        torch.from_numpy(alpha_bars(changed)).float(), theirs, atol=1e-5, rtol=1e-4
    )


def test_defaults_are_those_of_the_library() -> None:
    theirs = inspect.signature(diffusers().UNet2DModel.__init__).parameters
    for name, field in UNetConfig.model_fields.items():
        default = theirs[name].default
        expected = field.get_default(call_default_factory=True)
        assert (list(default) if isinstance(default, tuple) else default) == expected, name


def sees(bundle: Bundle, x: Tensor) -> Tensor:
    with torch.inference_mode():
        return bundle.network()(x)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_image_that_the_library_predicts(
    prediction: str, channels: int, tmp_path: Path
) -> None:
    scheduler = diffusers().DDPMScheduler(
        prediction_type=prediction,
        variance_type="learned_range" if channels == 2 else "fixed_small",
    )
    bundle = imported(published(tmp_path / "net", scheduler, out_channels=channels))
    step = bundle.of_network.architecture["step"]
    assert step["timestep"] == 258
    scheduler.config.clip_sample = True
    x = torch.rand(4, *SHAPE) + 0.5 * torch.randn(4, *SHAPE)
    z = scheduler.alphas_cumprod[258].sqrt() * (2 * x - 1)
    with torch.inference_mode():
        answer = unet(out_channels=channels)(z, 258).sample
        found = scheduler.step(answer, 258, z).pred_original_sample
    torch.testing.assert_close(sees(bundle, x), (found + 1) / 2, rtol=0, atol=2e-5)


def test_the_image_of_a_consistency_model(tmp_path: Path) -> None:
    scheduler = diffusers().CMStochasticIterativeScheduler()
    network = {
        "resnet_time_scale_shift": "scale_shift",
        "down_block_types": ("ResnetDownsampleBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "ResnetUpsampleBlock2D"),
        "attn_norm_num_groups": 4,
        "downsample_type": "resnet",
        "upsample_type": "resnet",
    }
    bundle = imported(published(tmp_path / "net", scheduler, **network))
    x = torch.rand(4, *SHAPE) + 0.5 * torch.randn(4, *SHAPE)
    noise = torch.tensor(1.0)
    c_skip, c_out = scheduler.get_scalings_for_boundary_condition(noise)
    time = torch.tensor(scheduler.sigma_to_t(1.0), dtype=torch.float32)
    u = 2 * x - 1
    with torch.inference_mode():
        answer = unet(**network)(u / (noise**2 + 0.25).sqrt(), time).sample
    expected = (c_out * answer + c_skip * u).clamp(-1, 1)
    torch.testing.assert_close(sees(bundle, x), (expected + 1) / 2, rtol=0, atol=1e-5)


def test_weights_with_the_names_of_before(tmp_path: Path) -> None:
    folder = published(tmp_path / "net")
    x = torch.rand(2, *SHAPE)
    expected = sees(imported(folder), x)
    weights = load_file(folder / WEIGHTS)
    earlier = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in weights.items():
        for now, before in earlier.items():
            name = name.replace(f".{now}.", f".{before}.")
        renamed[name] = tensor
    assert set(renamed) != set(weights)
    save_file(renamed, folder / WEIGHTS)
    assert torch.equal(sees(imported(folder, "--overwrite"), x), expected)


# --- from a published folder to a certificate


def test_from_a_folder_to_a_verified_log(
    tmp_path: Path, hub: RunningHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", hub.token)
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "pipeline"
    unet().save_pretrained(folder / "unet")
    diffusers().DDPMScheduler().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text("{}")
    said = run(
        *("import", folder, "--name", "ddpm-0.50", "--dataset", "digits", "--sigma", 0.5),
        *("--architecture", NAME, "--normalization", "none", "--method", "ddpm"),
    )
    assert "the accuracy was not checked: a denoiser has none" in said.stderr
    config = json.loads(Path("runs/ddpm-0.50/config.json").read_text())
    assert (config["kind"], config["sigma"]) == ("denoiser", 0.5)
    assert config["library"]["name"] == "diffusers"
    assert config["architecture"]["step"]["timestep"] == 258
    run("push", "runs/ddpm-0.50", "org/ddpm", "--uncertified")
    run("compose", "denoised", "--denoiser", "org/ddpm", "--classifier", STANDARD, "--out", "it")
    draws = ("--n0", 10, "--n", 200, "--limit", 3, "--device", "cpu", "--seed", 0)
    run("certify", "--model", "it", *draws, "--attach")
    assert "it" in run("report", "it/certificates.tsv").output
    verified = run("verify", "it", "--sample", 3, "--n", 200, "--seed", 1)
    assert "all agree" in verified.stdout
    pushed = run("push", "it", "org/it", "--uncertified").output.split()[0]
    run("pull", pushed)
    x = torch.rand(SHAPE)
    here = rszoo.load("it", device="cpu").certify(x, n0=10, n=100, seed=1)
    assert rszoo.load(pushed, device="cpu").certify(x, n0=10, n=100, seed=1) == here


def test_images_of_a_batch_are_treated_one_by_one(tmp_path: Path) -> None:
    bundle, x = imported(published(tmp_path / "net")), torch.rand(5, *SHAPE)
    torch.testing.assert_close(sees(bundle, x)[2:3], sees(bundle, x[2:3]), rtol=0, atol=1e-6)


def test_opening_asks_nobody(tmp_path: Path, offline: list[object]) -> None:
    bundle = imported(published(tmp_path / "net"))
    assert sees(open_bundle(bundle.path), torch.rand(2, *SHAPE)).shape == (2, *SHAPE)


def test_odd_sizes_are_named(tmp_path: Path) -> None:
    options = imported(published(tmp_path / "net")).of_network.architecture
    with pytest.raises(RszooError, match="cannot be built for images of 1x9x9"):
        networks.outline(**options, input_shape=(1, 9, 9), num_classes=2)
    with pytest.raises(RszooError, match="gives 1 channels, expected 3 or 6 for images of 3x8x8"):
        networks.outline(**options, input_shape=(3, 8, 8), num_classes=2)


# --- what is refused


def test_missing_and_other_weights(tmp_path: Path) -> None:
    folder = published(tmp_path / "net")
    weights = load_file(folder / WEIGHTS)
    for changed, complaint in (
        ({k: v for k, v in weights.items() if "conv_out" not in k}, "2 missing"),
        (weights | {"more": torch.zeros(1)}, "1 unknown"),
        (weights | {"conv_in.weight": torch.zeros(8, 2, 3, 3)}, "of shape 8x1x3x3"),
        (weights | {"conv_in.bias": torch.full((8,), torch.nan)}, "expected finite numbers"),
    ):
        save_file(changed, folder / WEIGHTS)
        with pytest.raises(RszooError, match=complaint):
            imported(folder)
    assert not (tmp_path / "denoiser").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--sigma", 90), r"expected sigma from 0\.0051 to 78\.7"),
        (("--normalization", "full"), "takes images in .0, 1. as they are"),
    ],
)
def test_statements_that_are_refused(
    arguments: tuple[object, ...], complaint: str, tmp_path: Path
) -> None:
    folder = published(tmp_path / "net")
    with pytest.raises(RszooError, match=complaint):
        imported(folder, *arguments)
