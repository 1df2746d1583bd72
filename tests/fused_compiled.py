"""Compile the fused kernels for GPUs that need not be there, and print what they take, as JSON.

python tests/fused_compiled.py CAPABILITY...  (80, 90; without TRITON_INTERPRET). For each kernel:
registers that did not fit (bytes of stack) and bytes of shared memory.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rszoo.networks.fused import kernels

SQUARE = {"H": 32, "W": 32, "C": 16, "ROWS": 4, "TILE": 64}
STRIDED = {"IN_H": 64, "IN_W": 64, "D": 32, "KERNEL": 3, "STRIDE": 2, "SPREAD": 1, "ROWS": 1}
FORWARD = {"SHORTCUT": True, "RELU": True, "MASKED": False}
BACK = {"KERNEL": 3, "STRIDE": 1, "SHORTCUT": True, "RELU": False, "MASKED": True, "TILE": 64}
CONVOLVED = (
    {"x": "*bf16", "w": "*bf16", "b": "*fp32", "shortcut": "*bf16", "mask": "*bf16", "y": "*bf16"},
    ["places"],
)


def back(channels: int, rows: int, *, side: int, into: int | None = None) -> dict[str, object]:
    """Return the constants of a gradient; of a convolution with stride 2, into fewer channels."""
    spread = 1 if into is None else 2
    sides = {"H": side, "W": side, "IN_H": side // spread, "IN_W": side // spread}
    return BACK | sides | {"C": channels, "D": into or channels, "ROWS": rows, "SPREAD": spread}


# Of each kernel, or use of one, its pointers, its numbers and its constants.
KERNELS: dict[str, tuple[dict[str, str], list[str], dict[str, object]]] = {
    "images": (
        {"x": "*fp32", "mean": "*fp32", "std": "*fp32", "w": "*bf16", "b": "*fp32", "y": "*bf16"},
        ["pixels", "of_image", "of_channel", "of_row", "of_column"],
        {"H": 32, "W": 32, "CHANNELS": 3, "VALUES": 32, "D": 16, "RELU": True, "TILE": 128},
    ),
    "convolution": (*CONVOLVED, {**SQUARE, **STRIDED, **FORWARD}),
    "convolution, back, 16": (*CONVOLVED, back(16, 4, side=32)),
    "convolution, back, 32 to 16": (*CONVOLVED, back(32, 4, side=32, into=16)),
    "blocks": (
        {"x": "*bf16", "w": "*bf16", "b": "*fp32", "middle": "*bf16", "y": "*bf16"},
        ["number", "count", "tiles"],
        {**SQUARE, "IMAGES": 1},
    ),
}


def taken(name: str, capability: int) -> dict[str, int]:
    """Compile a kernel; return what its machine code takes."""
    pointers, numbers, constants = KERNELS[name]
    aligned = {(place,): [["tt.divisibility", 16]] for place in range(len(pointers))}
    types = dict.fromkeys(numbers, "i32") | dict.fromkeys(constants, "constexpr")
    compiled: Any = triton.compile(
        ASTSource(
            fn=getattr(kernels, name.partition(",")[0]),
            signature=pointers | types,
            constexprs=constants,
            attrs=aligned,
        ),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": 4},
    )
    tool = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [str(tool), "--dump-resource-usage", file.name]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    (stack,) = re.findall(r"STACK:(\d+)", said)
    return {"stack": int(stack), "shared": compiled.metadata.shared}


if __name__ == "__main__":
    found = {f"{name} {one}": taken(name, int(one)) for one in sys.argv[1:] for name in KERNELS}
    print(json.dumps(found))
