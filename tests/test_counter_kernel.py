"""The kernel that draws noise by counter: what NumPy draws, to the last bit.

On a GPU or, without one, in Triton's interpreter. What the compiler makes of it for a GPU is
looked at without one, too: only operations that IEEE 754 rounds.
"""

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fused_networks import NEEDS_TRITON
from torch import Tensor

from rszoo.smoothing import schemes
from rszoo.smoothing.noise import CHUNK, Stream
from rszoo.smoothing.schemes import counter
from rszoo.smoothing.schemes._philox import philox

pytestmark = NEEDS_TRITON

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


def both(draws: int, numbers: int, key: int, chunk: int, dtype: torch.dtype) -> list[Tensor]:
    """Return draws by NumPy and by the kernel."""
    drawn = torch.full((draws, numbers), torch.nan, dtype=dtype, device=DEVICE)
    counter._fill(drawn, key=key, chunk=chunk)
    expected = counter._by_numpy(draws, numbers, key=key, chunk=chunk, dtype=dtype)
    return [expected, drawn.cpu()]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("draws", "numbers", "key", "chunk"),
    [
        (CHUNK, 12, 0xFEDCBA9876543210, Stream.ESTIMATION + 3),
        (CHUNK, 1, 0, 0),
        (3, 1001, 0x80000000FFFFFFFF, Stream.SEARCH + (1 << 20) - 1),
        (1, 257, 1, 1),
    ],
)
def test_the_kernel_draws_what_numpy_draws(
    draws: int, numbers: int, key: int, chunk: int, dtype: torch.dtype
) -> None:
    expected, drawn = both(draws, numbers, key, chunk, dtype)
    assert torch.equal(drawn, expected)


@pytest.mark.parametrize("key", [0, 1, 0xFEDCBA9876543210, 0x00000000FFFFFFFF, 2**64 - 1])
def test_the_integers_are_equal(key: int) -> None:
    from counter_words import words

    size, generator = 256, torch.Generator().manual_seed(3)
    counts = [torch.randint(2**31, (size,), generator=generator) for _ in range(2)]
    pair, draw = (count.to(DEVICE, torch.int32) for count in counts)
    found = torch.empty((4, size), dtype=torch.int64, device=DEVICE)
    chunk, halves = 7 << 20, (counter._signed(key & 0xFFFFFFFF), counter._signed(key >> 32))
    run: Any = words
    run[(1,)](found, *halves, pair, draw, chunk, SIZE=size)
    c0, c1 = (count.numpy().astype(np.uint64) for count in counts)
    expected = philox((c0, c1, np.full_like(c0, chunk), np.zeros_like(c0)), key)
    assert found.cpu().numpy().astype(np.uint64).tolist() == np.stack(expected).tolist()


def test_draws_beyond_what_32_bits_count_are_launched_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected = counter._by_numpy(20, 9, key=4, chunk=2, dtype=torch.float32)
    monkeypatch.setattr(counter, "_MOST_PAIRS", 16)  # of three draws
    drawn = torch.empty_like(expected, device=DEVICE)
    counter._fill(drawn, key=4, chunk=2)
    assert torch.equal(drawn.cpu(), expected)


def test_a_kernel_that_draws_something_else_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = counter.kernels_draw.__wrapped__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tried(DEVICE)
    fill = counter._fill

    def off(y: Tensor, *, key: int, chunk: int) -> None:
        fill(y, key=key, chunk=chunk)
        y[-1, -1] = torch.nextafter(y[-1, -1], torch.zeros_like(y[-1, -1]))

    monkeypatch.setattr(counter, "_fill", off)
    with pytest.warns(UserWarning, match="noise by counter is not used: its numbers are not Num"):
        assert not tried(DEVICE)

    def failing(y: Tensor, *, key: int, chunk: int) -> None:
        raise RuntimeError("Failed to find C compiler\nand more")

    monkeypatch.setattr(counter, "_fill", failing)
    with pytest.warns(UserWarning, match="is not used: Failed to find C compiler$"):
        assert not tried(DEVICE)
    monkeypatch.setattr(counter, "find_spec", lambda name: None)
    assert not tried(DEVICE)


@pytest.mark.parametrize("there", [True, False])
def test_new_logs_of_a_gpu_draw_by_counter_where_the_kernel_does(
    monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    monkeypatch.setattr(counter, "kernels_draw", lambda device: there)
    assert schemes.usual(torch.device("cuda")) == ("counter" if there else "generator")
    assert schemes.usual(torch.device("cpu")) == "generator"


def test_the_compiler_rounds_as_numpy_does(tmp_path: Path) -> None:
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    script = Path(__file__).with_name("counter_compiled.py")
    done = subprocess.run(
        [sys.executable, str(script), "90"], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    # "mul" and "add" without "rn" may be contracted by the assembler.
    rounded = {f"{one}.rn.f64" for one in ("add", "sub", "mul", "div", "sqrt")}
    converted = {"cvt.rn.f64.u32", "cvt.rn.f64.s64", "cvt.rn.f32.f64"}
    assert set(json.loads(done.stdout)) == rounded | converted
