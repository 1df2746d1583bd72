"""Every reader refuses mutated input in words, and within limits; see fuzz.py."""

import json
import os
from datetime import date
from pathlib import Path

import fuzz
import pytest
from forks import Forks

SEED = int(os.environ.get("RSZOO_FUZZ_SEED", date.today().toordinal()))


def faults(forks: Forks, tmp_path: Path, inputs: int, *readers: str, seed: int) -> list[str]:
    """Run readers on so many inputs each; return what is wrong with any, in words."""
    print(f"{inputs} inputs each, RSZOO_FUZZ_SEED={seed}")
    with open(tmp_path / "out", "w+b") as out:
        process = forks.start(fuzz.__file__, str(inputs), str(seed), *readers, stdout=out)
        code = process.wait(timeout=600)
    found = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    print(*found, sep="\n")
    wrong = [f"ended with {code} after {len(found)} readers"] if code else []
    if [(one["reader"], one["inputs"]) for one in found] != [(name, inputs) for name in readers]:
        wrong.append(f"expected {inputs} inputs of each of {readers}, got {found}")
    for one in found:
        wrong += one["failures"]
        if one["bytes"] >= fuzz.BYTES or one["slowest"] >= fuzz.SECONDS:
            wrong.append(f"{one['reader']} took {one['bytes']} bytes, {one['slowest']} s")
    return wrong


def test_a_few_inputs(forks: Forks, tmp_path: Path) -> None:
    assert faults(forks, tmp_path, 20, *fuzz.READERS, seed=0) == []


@pytest.mark.slow
@pytest.mark.parametrize("reader", fuzz.READERS)
def test_many_inputs(forks: Forks, tmp_path: Path, reader: str) -> None:
    assert faults(forks, tmp_path, 2000, reader, seed=SEED) == []


# The harness finds what it is there to find


def outcome(read: object) -> str | None:
    return fuzz._outcome(read, Path("x"))  # type: ignore[arg-type]


def test_any_other_error_is_a_failure() -> None:
    def broken(path: Path) -> None:
        raise KeyError(path)

    found = outcome(broken)
    assert found is not None
    assert found.startswith("KeyError in test_fuzz.py:")


def test_inputs_are_a_function_of_the_seed() -> None:
    def made(seed: int) -> list[tuple[int, str, bytes]]:
        return list(fuzz._inputs("protocol", 20, seed))

    assert made(3) == made(3)
    assert made(3) != made(4)
    assert len({content for _, _, content in made(3)}) > 15
