"""What other codes save beside the weights and around their names, and files of other formats."""

import gzip
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from typer.testing import CliRunner, Result

from rszoo.errors import RszooError
from rszoo.exchange import checkpoint as checkpoint_module
from rszoo.exchange import formats
from rszoo.exchange.checkpoint import read_checkpoint
from rszoo.exchange.weights import put_weights
from rszoo.hub.bundle import open_bundle
from rszoo.networks import build
from rszoo_cli import app

Weights = dict[str, Tensor]


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return build("small_cnn", input_shape=(1, 8, 8), num_classes=10).eval()


def weights_of(seed: int = 0) -> Weights:
    return dict(network(seed)[1].state_dict())


def put(path: Path, *, key: str | None = None) -> Weights:
    """Return the weights that a network has after the import of a file."""
    made = network(99)
    put_weights(made, read_checkpoint(path), normalization=None, key=key)
    return dict(made[1].state_dict())


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "a.pth")
    return folder / "a.pth"


def same(one: Weights, other: Weights) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def run(path: Path, out: Path, *more: str) -> Result:
    stated = "--name it --dataset digits --sigma 0.25 --architecture small_cnn --device cpu"
    arguments = [str(path), "--out", str(out), "--normalization", "none", *stated.split(), *more]
    return CliRunner().invoke(app, ["import", *arguments])


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(RszooError) as caught:
        put(path, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    "prefix",
    [
        "_orig_mod.",
        "_orig_mod.module.",
        "module._orig_mod.",
        "model.",
        "module.model.",
        "net.module.",
        "1._orig_mod.",
        "_orig_mod.1.module.",
        "model.1.",
        "backbone.encoder.",
    ],
)
def test_wrappers_around_the_network(tmp_path: Path, prefix: str) -> None:
    content = {"state_dict": {prefix + name: tensor for name, tensor in weights_of().items()}}
    assert same(put(saved(tmp_path, content)), weights_of())


@pytest.mark.parametrize("wrapper", ["_orig_mod", "module", "_fsdp_wrapped_module"])
def test_wrappers_inside_of_the_network(tmp_path: Path, wrapper: str) -> None:
    content = {}
    for place, (name, tensor) in enumerate(weights_of().items()):
        parts = name.split(".")
        if place % 3:
            parts.insert(len(parts) - 1, wrapper)
        content[".".join(parts)] = tensor
    assert same(put(saved(tmp_path, content)), weights_of())


@pytest.mark.parametrize(
    "keys", ["state_dict", "net", "model", "model_state_dict", "weights", "model.state_dict"]
)
def test_keys_that_hold_the_weights(tmp_path: Path, keys: str) -> None:
    content: Any = weights_of()
    for key in reversed(keys.split(".")):
        content = {key: content, "epoch": 3, "args": {"lr": 0.1, "names": ["a"]}}
    content["optimizer"] = {"state": {0: {"exp_avg": torch.ones(3)}}, "param_groups": [{}]}
    content["optimizer_state_dict"] = {"step": torch.ones(1)}
    content["lr_scheduler"] = {"last": torch.ones(1)}
    assert same(put(saved(tmp_path, content)), weights_of())


@pytest.mark.parametrize(
    "value",
    [
        np.float64(93.1),
        np.float32(0.5),
        np.int64(7),
        np.bool_(True),
        np.arange(3.0),
        [np.float64(1.0), {"best": np.float16(2)}],
    ],
)
@pytest.mark.parametrize("archive", [True, False])
def test_numbers_of_numpy_beside_the_weights(tmp_path: Path, value: object, archive: bool) -> None:
    content = {"net": weights_of(), "epoch": np.int64(3), "acc": value}
    torch.save(content, tmp_path / "a.pth", _use_new_zipfile_serialization=archive)
    assert same(put(tmp_path / "a.pth"), weights_of())
    assert read_checkpoint(tmp_path / "a.pth").epoch is None


def test_numbers_that_older_numpy_wrote(tmp_path: Path) -> None:
    path = saved(tmp_path, {"net": weights_of(), "acc": np.float64(93.1)})
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content.replace(b"numpy._core.multi", b"numpy.core.multi"))
    assert same(put(path), weights_of())


def test_counts_among_the_weights(tmp_path: Path) -> None:
    content = weights_of()
    for name in list(content):
        content[f"{name.rpartition('.')[0]}.total_ops"] = torch.zeros(1, dtype=torch.float64)
        content[f"{name.rpartition('.')[0]}.total_params"] = torch.zeros(1, dtype=torch.float64)
    content |= {"total_ops": torch.zeros(1), "total_params": torch.zeros(1)}
    assert same(put(saved(tmp_path, {"state_dict": content})), weights_of())
    averaged = torch.optim.swa_utils.AveragedModel(network()[1]).state_dict()
    assert "n_averaged" in averaged
    assert same(put(saved(tmp_path, averaged)), weights_of())


def test_several_sets_of_weights_are_not_chosen_from(tmp_path: Path) -> None:
    content = {
        "model": weights_of(1),
        "model_ema": weights_of(2),
        "normalizer": {"a": torch.ones(1)},
    }
    path = saved(tmp_path, content)
    assert refusal(path) == (
        f"{path}: expected one set of weights for the network, got 2, 'model', 'model_ema'; name "
        "one with --weights"
    )
    assert same(put(path, key="model"), weights_of(1))
    assert same(put(path, key="model_ema"), weights_of(2))
    assert refusal(path, key="ema").startswith(f"{path}: expected one of the sets of weights 'mod")
    result = run(path, tmp_path / "it", "--weights", "model_ema")
    assert result.exit_code == 0, result.output
    bundle = open_bundle(tmp_path / "it")
    assert same(dict(bundle.network()[1].state_dict()), weights_of(2))  # type: ignore[index]
    assert "\nkey: model_ema\n" in bundle.recipe.read_text()
    content = {"generator": weights_of(1), "other": {"a": torch.ones(1)}}  # one fits
    assert same(put(saved(tmp_path, content)), weights_of(1))


def test_an_average_within_the_state_dict(tmp_path: Path) -> None:
    content = {f"model.{name}": tensor for name, tensor in weights_of(1).items()}
    content |= {f"ema.module.{name}": tensor for name, tensor in weights_of(2).items()}
    path = saved(tmp_path, {"state_dict": content})
    message = refusal(path)
    assert message.endswith(
        "; --weights state_dict.model or --weights state_dict.ema takes a part that fits"
    )
    assert same(put(path, key="state_dict.ema"), weights_of(2))


def test_safetensors(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({f"1.{name}": tensor for name, tensor in weights_of().items()}, path)
    assert same(put(path), weights_of())
    save_file(weights_of(), path, metadata={"format": "pt"})
    assert run(path, tmp_path / "it").exit_code == 0
    path.rename(tmp_path / "misnamed.pth")  # what a file is, its name does not say
    assert same(put(tmp_path / "misnamed.pth"), weights_of())
    content = (tmp_path / "misnamed.pth").read_bytes()
    path.write_bytes(content[:-10])
    assert refusal(path).startswith(f"{path}: expected a whole safetensors file, got another (")


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    name = next(iter(weights_of()))
    content = weights_of() | {name: torch.zeros_like(weights_of()[name], dtype=torch.int8)}
    path = saved(tmp_path, content)
    assert refusal(path) == (
        f"{path}: expected {name} as torch.float32, got torch.int8; save the network in float32"
    )


# Files of other formats, all of them whole


def hdf5(path: Path) -> None:
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))


def onnx(path: Path) -> None:
    path.write_bytes(b"\x08\x07\x12\x07pytorch" + bytes(100))


def keras(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"x")


def script(path: Path) -> None:
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), str(path))


def packed(path: Path) -> None:
    torch.save(weights_of(), path)
    path.write_bytes(gzip.compress(path.read_bytes()))


def tar(path: Path) -> None:
    import tarfile

    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "checkpoint.py")


def pickled(path: Path) -> None:
    import pickle

    path.write_bytes(pickle.dumps({"weights": [0.5] * 100}))


CONVERT = "save the network's state dict with PyTorch, or as safetensors"
OTHERS = {
    "x.h5": (hdf5, "an HDF5 file, as Keras writes", CONVERT),
    "x.onnx": (onnx, "an ONNX model", "rszoo.save makes a bundle of it, whose network is opaque"),
    "x.keras": (keras, "a Keras archive", CONVERT),
    "x.pt": (script, "a TorchScript archive", CONVERT),
    "x.pth.gz": (packed, "a gzip file", "unpack it first"),
    "x.tar": (tar, "a tar archive", "unpack it first"),
    "x.pkl": (pickled, "a pickle that torch.save did not write", CONVERT),
    "x.npy": (lambda path: np.save(path, np.zeros(3)), "an array of NumPy", CONVERT),
    "x.npz": (lambda path: np.savez(path, a=[1]), "an archive of NumPy arrays", CONVERT),
    "x.json": (lambda path: path.write_text("{}"), "a JSON text", "name that with the weights"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", OTHERS)
def test_what_cannot_be_read_is_called_by_its_name(tmp_path: Path, name: str) -> None:
    make, called, remedy = OTHERS[name]
    make(tmp_path / name)  # type: ignore[operator]
    path = (tmp_path / name).rename(tmp_path / "checkpoint.pth")  # its name does not tell
    with pytest.raises(RszooError) as caught:
        read_checkpoint(path)
    assert str(caught.value) == (
        f"{path}: expected a checkpoint of torch.save, got {called}; {remedy}"
    )


def test_sizes_are_looked_at_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"x")
        archive.writestr("a/data/0", bytes(100_000))
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    monkeypatch.setattr(checkpoint_module, "MOST_BYTES", 50_000)
    with pytest.raises(RszooError) as caught:
        read_checkpoint(path)
    assert str(caught.value) == (
        f"{path}: expected a checkpoint of torch.save, got an archive that holds 100,001 bytes; "
        "save no more than the state dict; at most 50,000 bytes are read"
    )
    monkeypatch.setattr(checkpoint_module, "MOST_BYTES", 100)
    with pytest.raises(RszooError, match="expected a file of at most 100 bytes, got "):
        read_checkpoint(path)
    monkeypatch.undo()
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was read"))
    monkeypatch.setattr(formats, "_LARGEST_PICKLE", 0)
    with pytest.raises(RszooError, match="got an archive that holds 100,001 bytes"):
        read_checkpoint(path)


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pth")
    with pytest.raises(RszooError) as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert str(caught.value) == f"{tmp_path / 'a.pth'}: expected a file, got a pipe; name a file"
