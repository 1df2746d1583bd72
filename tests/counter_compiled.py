"""Compile the kernel of noise by counter for GPUs that need not be there.

python tests/counter_compiled.py CAPABILITY  (80, 90; without TRITON_INTERPRET). Prints as JSON
which operations with floating-point numbers its code has.
"""

import json
import re
import sys
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rszoo.smoothing.schemes._kernel import standard_normals

NUMBERS = ("low", "high", "chunk", "first", "total")
CONSTANTS = {"PAIRS": 1536, "NUMBERS": 3072, "TILE": 256}


def operations(capability: int) -> list[str]:
    """Return the operations on or between floating-point numbers, by their names in PTX."""
    types = dict.fromkeys(NUMBERS, "i32") | dict.fromkeys(CONSTANTS, "constexpr")
    compiled: Any = triton.compile(
        ASTSource(
            fn=standard_normals,
            signature={"y": "*fp32"} | types,
            constexprs=CONSTANTS,
            attrs={(0,): [["tt.divisibility", 16]]},
        ),
        target=GPUTarget("cuda", capability, 32),
        options={"num_warps": 4, "enable_fp_fusion": False},
    )
    found = re.findall(r"^\s*(?:@\S+ )?([a-z]\S*)\s", compiled.asm["ptx"], re.MULTILINE)
    of_bits = ("mov", "ld", "st", "selp", "setp")
    floating = {one for one in found if re.search(r"\.f(16|32|64)", one)}
    return sorted(one for one in floating if not one.startswith(of_bits))


if __name__ == "__main__":
    print(json.dumps(operations(int(sys.argv[1]))))
