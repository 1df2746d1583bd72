"""The package's public names, and what importing it costs."""

import subprocess
import sys

import pytest

import rszoo

HEAVY = "torch mlflow torchvision scipy matplotlib sklearn pandas".split()


def test_all_is_sorted_and_complete() -> None:
    assert rszoo.__all__ == sorted(rszoo.__all__)
    assert len(set(rszoo.__all__)) == len(rszoo.__all__)
    own = {name for name, value in vars(rszoo).items() if _is_ours(name, value)}
    assert own <= set(rszoo.__all__)
    assert set(rszoo._LAZY) <= set(rszoo.__all__)
    assert dir(rszoo) == rszoo.__all__


def _is_ours(name: str, value: object) -> bool:
    return not name.startswith("_") and getattr(value, "__module__", "").startswith("rszoo")


@pytest.mark.parametrize("name", rszoo.__all__)
def test_every_name_resolves(name: str) -> None:
    value = getattr(rszoo, name)
    assert value is not None
    assert getattr(value, "__name__", name) == name


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError) as caught:
        rszoo.lod  # noqa: B018
    assert str(caught.value) == "module 'rszoo' has no attribute 'lod'"


def test_importing_is_light() -> None:
    code = f"import sys, rszoo, rszoo.errors; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
