"""Several processes: they share the work, agree on every weight, and one of them writes."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import mlflow
import pytest
import torch
from forks import Forks
from safetensors.torch import load_file
from torch import nn

from rszoo.training.distributed import ALONE, Processes, processes
from rszoo.training.recipes.shipped import recipe_names

NAME = "digits-gaussian-0.25"

# Each process says what it has ended with: only rank 0 writes files.
WITNESS = """
import hashlib, sys
from pathlib import Path
from rszoo.training import trainer
from rszoo_cli import main

epochs = trainer.Trainer._epochs

def watched(self, output, state, *rest):
    accuracy = epochs(self, output, state, *rest)
    processes = self.setting.processes
    weights = b"".join(value.numpy().tobytes() for value in state.network.state_dict().values())
    text = hashlib.sha256(weights).hexdigest()
    Path(f"weights-{processes.rank}-of-{processes.world}").write_text(text)
    return accuracy

trainer.Trainer._epochs = watched
main()
"""


def launched(
    here: Path, method: str, *arguments: str, python: Sequence[str] = (sys.executable,)
) -> "subprocess.CompletedProcess[str]":
    """Train on two processes with gloo, in the folder `here`."""
    (here / "witness.py").write_text(WITNESS)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["--no-python", *python, "witness.py", "train", method, *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    environment.pop("MLFLOW_TRACKING_URI", None)
    return subprocess.run(
        [*python, *launcher, *command],
        cwd=here,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_two_processes_train_one_model(tmp_path: Path, trained: Path, forks: Forks) -> None:
    few = ["--sigma", "0.25", "train.epochs=2"]
    done = launched(tmp_path, "gaussian", *few, python=forks.command)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"runs/{NAME}"]

    first, second = (tmp_path / f"weights-{rank}-of-2" for rank in (0, 1))
    assert first.read_text() == second.read_text()

    runs = tmp_path / "runs"
    assert sorted(path.name for path in runs.glob("digits-*")) == [NAME]
    client = mlflow.MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rszoo")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in found) == ["digits-gaussian", NAME]
    assert {run.info.status for run in found} == {"FINISHED"}

    def losses(store: mlflow.MlflowClient, name: str) -> list[float]:
        experiment = store.get_experiment_by_name("rszoo")
        assert experiment is not None
        (run,) = store.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'")
        return [m.value for m in store.get_metric_history(run.info.run_id, "loss")]

    # The same images in each step, with other noise: the same training up to chance.
    alone = losses(mlflow.MlflowClient(f"sqlite:///{trained / 'mlflow.db'}"), NAME)
    assert losses(client, NAME) == pytest.approx(alone, rel=0.05)
    weights, others = (
        load_file(folder / NAME / "model.safetensors") for folder in (runs, trained)
    )
    apart = sum((weights[key] - others[key]).square().sum() for key in weights)
    size = sum(others[key].square().sum() for key in weights)
    assert 0 < apart < 0.1 * size


def test_batch_normalisation_ends_with_the_same_statistics_everywhere(
    tmp_path: Path, forks: Forks
) -> None:
    network = ["--sigma", "0.25", "network.name=cifar_resnet", "network.depth=8"]
    done = launched(tmp_path, "gaussian", "train.epochs=1", *network, python=forks.command)
    assert done.returncode == 0, done.stderr
    first, second = (tmp_path / f"weights-{rank}-of-2" for rank in (0, 1))
    assert first.read_text() == second.read_text()


def test_averaging_gradients_is_what_one_process_with_the_whole_batch_does() -> None:
    class Together(Processes):
        """Adds what the other process would send."""

        def __init__(self, other: torch.Tensor) -> None:
            super().__init__(rank=0, world=2)
            object.__setattr__(self, "other", other)

        def sum(self, tensor: torch.Tensor) -> torch.Tensor:
            return tensor.add_(self.other)  # type: ignore[attr-defined]

    def gradients(x: torch.Tensor) -> torch.Tensor:
        network.zero_grad()
        network(x).square().mean().backward()
        return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])

    network = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    x = torch.randn(8, 3)
    whole = gradients(x).clone()
    other = gradients(x[4:]).clone()
    gradients(x[:4])
    Together(other).average_gradients(network)
    averaged = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
    assert torch.allclose(averaged, whole, atol=1e-6)

    norm = nn.BatchNorm1d(2)
    norm(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))  # means 2 and 3, variances 2, momentum 0.1
    Together(torch.tensor([0.6, 0.1, 1.3, 1.5])).average_statistics(norm)
    assert torch.allclose(norm.running_mean, torch.tensor([0.4, 0.2]))
    assert torch.allclose(norm.running_var, torch.tensor([1.2, 1.3]))
    assert norm.num_batches_tracked == 1


def test_a_process_that_torchrun_did_not_start_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for world in (None, "1"):
        monkeypatch.delenv("WORLD_SIZE", raising=False)
        if world:
            monkeypatch.setenv("WORLD_SIZE", world)
        with processes(torch.device("cpu")) as together:
            assert together is ALONE
    ALONE.wait()


@pytest.mark.slow
def test_a_batch_that_two_processes_cannot_share(tmp_path: Path) -> None:
    done = launched(tmp_path, "gaussian", "--sigma", "0.25", "train.batch_size=63")
    assert done.returncode == 1
    expected = (
        "error: expected a batch size that 2 processes can share evenly, got 63; "
        "change train.batch_size"
    )
    assert expected in done.stderr.splitlines()
    assert not (tmp_path / "runs" / NAME).exists()


# What the training of a method needs besides two epochs.
_MORE = {
    "cat_rs": ["targets.draws=10"],
    "dual_rs": [
        "experts.bundles=[builtin/digits-cat_rs-0.25,builtin/digits-cat_rs-0.50]",
        "experts.draws=20",
    ],
    "mixing": [
        "--sigma=0.5",
        "parts.standard=builtin/digits-standard-0.00",
        "parts.robust=builtin/digits-cat_rs-0.50",
    ],
    "mixing_standard": [
        "parts.standard=builtin/digits-standard-0.00",
        "parts.robust=builtin/digits-standard-0.00",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("method", recipe_names())
def test_two_processes_train_a_model_of_each_method(tmp_path: Path, method: str) -> None:
    done = launched(tmp_path, method, "train.epochs=2", *_MORE.get(method, []))
    assert done.returncode == 0, done.stderr
    first, second = (tmp_path / f"weights-{rank}-of-2" for rank in (0, 1))
    assert first.read_text() == second.read_text()
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("rszoo")
    assert experiment is not None
    names = [run.info.run_name for run in client.search_runs([experiment.experiment_id])]
    for line in done.stdout.splitlines():
        assert names.count(Path(line).name) == 1  # logged once
