"""Checkpoints: what is loaded is what was saved, of the same training, and never code."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from rszoo.errors import RszooError
from rszoo.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint

IDENTITY = {"recipe": "r" * 64, "data": "d" * 64}


def state(*, seed: int, steps: int = 0) -> TrainingState:
    torch.manual_seed(seed)
    network = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1)
    for _ in range(steps):
        network(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
    return TrainingState(network, optimizer, epoch=steps)


def weights(of: TrainingState) -> list[Tensor]:
    return [value.clone() for value in of.network.state_dict().values()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "checkpoint.pt", state(seed=0, steps=2), identity=IDENTITY)
    return tmp_path / "checkpoint.pt"


def refused(path: Path, identity: dict[str, str] = IDENTITY) -> str:
    """Return the message; whatever was refused must not have changed anything."""
    current = state(seed=1)
    before = weights(current)
    with pytest.raises(RszooError) as caught:
        load_checkpoint(path, current, identity=identity)
    assert all(map(torch.equal, weights(current), before))
    assert current.epoch == 0
    return str(caught.value)


def unreadable(path: Path) -> str:
    return (
        f"{path}: expected a training checkpoint, got an unreadable file; remove it to start again"
    )


def test_everything_that_changes_in_training_comes_back(path: Path) -> None:
    saved, loaded = state(seed=0, steps=2), state(seed=1)
    load_checkpoint(path, loaded, identity=IDENTITY)
    assert loaded.epoch == 2
    assert all(map(torch.equal, weights(loaded), weights(saved)))
    for one, two in zip(
        saved.optimizer.state_dict()["state"].values(),
        loaded.optimizer.state_dict()["state"].values(),
        strict=True,
    ):
        assert one.keys() == two.keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_checkpoint(path: Path, share: float) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert refused(path) == unreadable(path)


def test_a_pipe_is_not_waited_for(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)
    assert refused(path) == unreadable(path)


def test_a_checkpoint_of_random_bytes(path: Path) -> None:
    path.write_bytes(torch.randint(256, (5000,), dtype=torch.uint8).numpy().tobytes())
    assert refused(path) == unreadable(path)


def test_something_else_that_torch_saved(path: Path) -> None:
    torch.save([1, 2, 3], path)
    assert refused(path) == unreadable(path)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        (["recipe"], "another recipe"),
        (["data"], "another data"),
        (["recipe", "data"], "another data and another recipe"),
    ],
)
def test_a_checkpoint_of_another_training(path: Path, changed: list[str], named: str) -> None:
    assert refused(path, IDENTITY | dict.fromkeys(changed, "other")) == (
        f"{path}: expected a checkpoint of this training, got one with {named}; "
        "use another --out, or --overwrite"
    )


class Malicious:
    def __init__(self, proof: Path) -> None:
        self.proof = proof

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.proof),)


@pytest.mark.parametrize("container", ["pickle", "torch"])
def test_a_checkpoint_with_code_is_not_executed(path: Path, container: str) -> None:
    proof = path.with_name("executed")
    content = {"facts": IDENTITY, "epoch": 1, "network": Malicious(proof), "optimizer": {}}
    if container == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path)
    assert refused(path) == unreadable(path)
    assert not proof.exists()
    # The file is armed: reading it carelessly runs the code.
    if container == "pickle":
        pickle.loads(path.read_bytes())
    else:
        torch.load(path, weights_only=False)
    assert proof.exists()


def test_a_failed_save_leaves_the_old_checkpoint(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RszooError) as caught:
        save_checkpoint(path, state(seed=2, steps=1), identity=IDENTITY)
    assert str(caught.value) == f"cannot write {str(path)!r}: No space left on device"
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
