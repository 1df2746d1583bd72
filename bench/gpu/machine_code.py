"""What the fused kernels take on a GPU that need not be there, from their machine code.

    python bench/gpu/machine_code.py [--capability 90] [--channels 16 32 64]

For every way to share out a block's convolutions: registers of a thread, bytes that did not fit
(stack), shared memory, and, for 256 pixels, instructions of a scheduler and words of 128 bytes
through the first cache or shared memory, which is what narrow convolutions wait for. From this
`rszoo.networks.fused.packing` has its tilings. With one row at a
time each pixel is read nine times.
"""

import argparse
import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import triton
from rich.console import Console
from rich.table import Table
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rszoo.networks.fused import kernels

TOOLS = Path(triton.__file__).parent / "backends/nvidia/bin"
TYPES = {"x": "*bf16", "w": "*bf16", "b": "*fp32", "middle": "*bf16", "y": "*bf16"}
NUMBERS = dict.fromkeys(("number", "count", "tiles"), "i32")
SIDES = {16: 32, 32: 16, 64: 8}
# Threads move 4, 8 or 16 bytes each at once: 1, 2 or 4 words of 128 bytes for 32 of them.
WORDS = {".128": 4, ".64": 2}
MOVING = ("LDG", "STG", "LDS", "STS", "LDSM", "STSM", "LDL", "STL")


def compiled(constants: dict[str, object], *, warps: int, capability: int) -> Any:  # noqa: ANN401
    """Return `blocks` compiled with some constants, its pointers aligned to 16 bytes."""
    source = ASTSource(
        fn=kernels.blocks,
        signature=TYPES | NUMBERS | dict.fromkeys(constants, "constexpr"),
        constexprs=constants,
        attrs={(place,): [["tt.divisibility", 16]] for place in range(len(TYPES))},
    )
    target = GPUTarget("cuda", capability, 32)
    return triton.compile(source, target=target, options={"num_warps": warps})


def said(tool: str, *options: str, code: bytes) -> str:
    """Return what a tool says of machine code."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(code)
        file.flush()
        command = [str(TOOLS / tool), *options, file.name]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def words(instructions: Counter[str]) -> int:
    """Return how many words of 128 bytes a warp moves through cache and shared memory."""
    total = 0
    for name, count in instructions.items():
        family = name.split(".")[0]
        if family in ("LDSM", "STSM"):
            total += count * (4 if name.endswith(".4") else 2 if name.endswith(".2") else 1)
        elif family in MOVING:
            total += count * next((n for width, n in WORDS.items() if width in name), 1)
    return total


def row(channels: int, rows: int, tile: int, warps: int, capability: int) -> list[str]:
    """Return what one way to share out takes."""
    side = SIDES[channels]
    places = side // rows * side
    constants: dict[str, object] = {
        "H": side,
        "W": side,
        "C": channels,
        "ROWS": rows,
        "TILE": tile,
        "IMAGES": max(1, tile // places),
    }
    kernel = compiled(constants, warps=warps, capability=capability)
    code = kernel.asm["cubin"]
    usage = said("cuobjdump", "--dump-resource-usage", code=code)
    registers, stack = re.findall(r"REG:(\d+) STACK:(\d+)", usage)[0]
    listing = re.findall(
        r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z][\w.]*)",
        said("nvdisasm", "-c", code=code),
        re.MULTILINE,
    )
    share = 256 / (rows * tile)
    issued = round(len(listing) * warps / 4 * share)
    moved = round(words(Counter(listing)) * warps * share)
    shared = kernel.metadata.shared
    return [
        str(one) for one in (channels, rows, tile, warps, registers, stack, shared, issued, moved)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--capability", type=int, default=90)
    parser.add_argument("--channels", type=int, nargs="*", default=list(SIDES))
    options = parser.parse_args()
    table = Table(
        "channels", "rows", "tile", "warps", "registers", "stack", "shared", "issued", "words"
    )
    for channels in options.channels:
        for rows, tile in ((1, 256), (1, 64), (2, 64), (2, 128), (4, 64)):
            table.add_row(*row(channels, rows, tile, 4, options.capability))
    Console().print(table)


if __name__ == "__main__":
    main()
