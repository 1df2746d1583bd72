"""What every test runs under: its own seeded random state, and one thread."""

import gc
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from forks import Forks, forking
from typer.testing import CliRunner
from unsynced import unsynced

from rszoo._locks import exclusive

# Where there is no GPU, Triton's kernels run in its interpreter, for which it looks when imported.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

pytest_plugins = ["hub_server", "hub_files", "hub_wire"]  # the last two import the first


@pytest.fixture(scope="module", autouse=True)
def little_to_look_through() -> Iterator[None]:
    # Modules stay: to look through all that torch and MLflow hold for garbage takes long. A file
    # that a test has left open is found here, at the end of its module.
    gc.freeze()
    yield
    gc.collect()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    import torch  # not by the process that only hands out files to others

    # Tests run side by side; sums over threads could also differ in their last bits.
    torch.set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> None:
    # A shell starts its background jobs with SIGINT ignored, and Python then leaves it so.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def no_waiting_for_disks() -> Iterator[None]:
    with unsynced():
        yield


@pytest.fixture(scope="session", autouse=True)
def no_hub() -> Iterator[None]:
    # A mistyped path may look like a hub's id: no test asks the world for it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
        yield


@pytest.fixture(scope="session", autouse=True)
def no_chance() -> Iterator[None]:
    # The seed of a certificate that names none: a test that fails is to fail again.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rszoo.smoothing.noise.secrets", SimpleNamespace(randbits=lambda bits: 0))
        yield


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the processes which share the tests have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def store_template(shared: Path) -> Path:
    """The tables of an MLflow store. Not to be changed."""
    from stores import make_template

    path = shared / "template.db"
    with exclusive(shared / "template.lock"):
        if not path.exists():
            make_template(path)
    return path


@pytest.fixture(scope="session")
def quick_pictures() -> Iterator[None]:
    """From here on, the curve of a log is drawn once: to draw one takes a tenth of a second."""
    from quick_pictures import drawn_once

    with drawn_once():
        yield


@pytest.fixture(scope="session")
def quick_stores(store_template: Path, quick_pictures: None) -> Iterator[None]:
    """From here on, fresh MLflow stores are made by a copy: by migrations it takes a second."""
    from stores import copied_stores

    with copied_stores(store_template):
        yield


@pytest.fixture(scope="session")
def forks(shared: Path, store_template: Path) -> Iterator[Forks]:
    """Starts Python processes in which everything is imported."""
    with forking(shared, store_template) as forks:
        yield forks


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, quick_stores: None) -> Path:
    """The folder `runs` of one short training by the command line. Not to be changed."""
    from rszoo_cli import app

    runs = tmp_path_factory.mktemp("trained") / "runs"
    arguments = ["train", "gaussian", "--sigma", "0.25", "train.epochs=2", "--out", str(runs)]
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return runs


@pytest.fixture
def bundle_folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained bundle, to do with as one likes."""
    name = "digits-gaussian-0.25"
    return Path(shutil.copytree(trained / name, tmp_path / "runs" / name))


@pytest.fixture
def constant_bundle(tmp_path: Path) -> Path:
    """A bundle whose network answers 3 to everything: its certificates are known exactly."""
    import torch

    from rszoo import data, networks
    from rszoo.hub.configs.network import NetworkConfig
    from rszoo.hub.origin import Origin
    from rszoo.hub.writing import write_bundle

    images = data.load("digits", "test")
    network = networks.build("small_cnn", input_shape=images.shape, num_classes=10)
    *_, bias = network.parameters()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        bias[3] = 1.0
    config = NetworkConfig.of(
        images,
        name="digits-gaussian-0.25",
        method="gaussian",
        dataset="digits",
        architecture={"name": "small_cnn"},
        sigma=0.25,
        trained_precision="float32",
    )
    folder = tmp_path / "runs" / config.name
    origin = Origin(seed=0, parents=())
    return write_bundle(folder, config=config, network=network, recipe="", origin=origin).path
