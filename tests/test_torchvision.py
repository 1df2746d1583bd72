"""The one door to torchvision, with and without compiled operators that load."""

import gc
import importlib
import subprocess
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest
import torch

from rszoo import _torchvision

THROUGH_THE_DOOR = """
import gc
from rszoo._torchvision import import_torchvision
torchvision = import_torchvision()
gc.collect()
assert import_torchvision() is torchvision
import torch
assert torchvision.models.resnet18(num_classes=3).eval()(torch.rand(1, 3, 32, 32)).shape == (1, 3)
assert len(torchvision.datasets.FakeData(size=4)) == 4
"""


class FakeImport:
    """Stands in for importlib.import_module: raises each error in turn, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.module = ModuleType("torchvision")

    def __call__(self, name: str) -> ModuleType:
        assert name == "torchvision"
        if self.errors:
            sys.modules["torchvision.half_imported"] = ModuleType("torchvision.half_imported")
            raise self.errors.pop(0)
        return self.module


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Protect the real torchvision modules and operators from what a test does to them."""
    for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(_torchvision, "_declared", [])
    monkeypatch.setattr(_torchvision, "_OPERATORS", ("rszoo_test_only",))
    yield monkeypatch
    sys.modules.pop("torchvision.half_imported", None)


def test_works_in_a_fresh_process_with_warnings_as_errors() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", THROUGH_THE_DOOR],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_missing_operators_are_declared_and_the_half_import_forgotten(
    imports: pytest.MonkeyPatch,
) -> None:
    fake = FakeImport(RuntimeError("operator torchvision::nms does not exist"))
    imports.setattr(importlib, "import_module", fake)

    assert _torchvision.import_torchvision() is fake.module
    assert "torchvision.half_imported" not in sys.modules
    gc.collect()
    schema = torch.ops.torchvision.rszoo_test_only.default._schema
    assert str(schema) == (
        "torchvision::rszoo_test_only(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    )


def test_a_matched_pair_is_left_alone(imports: pytest.MonkeyPatch) -> None:
    fake = FakeImport()
    imports.setattr(importlib, "import_module", fake)
    assert _torchvision.import_torchvision() is fake.module
    assert _torchvision._declared == []


@pytest.mark.parametrize(
    "error", [RuntimeError("CUDA driver is too old"), ImportError("No module named torchvision")]
)
def test_other_failures_pass_through(imports: pytest.MonkeyPatch, error: Exception) -> None:
    imports.setattr(importlib, "import_module", FakeImport(error))
    with pytest.raises(type(error), match=str(error)):
        _torchvision.import_torchvision()
    assert _torchvision._declared == []


def test_the_remedy_is_tried_once(imports: pytest.MonkeyPatch) -> None:
    missing = RuntimeError("operator torchvision::something_new does not exist")
    imports.setattr(importlib, "import_module", FakeImport(missing, missing, missing))
    with pytest.raises(RuntimeError, match="something_new"):
        _torchvision.import_torchvision()
    with pytest.raises(RuntimeError, match="something_new"):
        _torchvision.import_torchvision()
