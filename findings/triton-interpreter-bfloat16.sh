#!/usr/bin/env bash
# Triton's interpreter takes the bits of bfloat16 numbers for integers when it multiplies, and says
# nothing; float32 and float16 are right.
#
# triton 3.7.1, torch 2.13.0, numpy 2.4.6. Seen with TRITON_INTERPRET=1: a * b of two bfloat16 blocks
# is the product of their 16-bit patterns modulo 2^16, and tl.dot of two bfloat16 blocks is some 10^9
# times as large as it should be. Loads of bfloat16 are right, and so is what is converted to float32
# before it is multiplied.
#
# It matters to whoever tests a kernel without a GPU: the bfloat16 that it runs in is the one type that
# the interpreter cannot vouch for.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT
python3 -m venv "$W/v"
"$W/v/bin/pip" install --quiet triton==3.7.1 torch==2.13.0 numpy==2.4.6
cat > "$W/kernels.py" <<'P'
import sys

import torch
import triton
import triton.language as tl


@triton.jit
def products(a, b, dots, times, wide, N: tl.constexpr):
    i = tl.arange(0, N)
    at = i[:, None] * N + i[None, :]
    x, y = tl.load(a + at), tl.load(b + at)
    tl.store(dots + at, tl.dot(x, y, out_dtype=tl.float32))
    tl.store(times + at, (x * y).to(tl.float32))
    tl.store(wide + at, x.to(tl.float32) * y.to(tl.float32))


torch.manual_seed(0)
print(f"triton {triton.__version__}, torch {torch.__version__}, interpreted")
as_described = True
for kind in (torch.float32, torch.float16, torch.bfloat16):
    a, b = (torch.randn(16, 16).to(kind) for _ in "ab")
    dots, times, wide = (torch.zeros(16, 16) for _ in range(3))
    products[(1,)](a, b, dots, times, wide, N=16)
    a, b = a.double(), b.double()
    errors = [
        float((found.double() - right).abs().max() / right.abs().max())
        for found, right in ((dots, a @ b), (times, a * b), (wide, a * b))
    ]
    print(f"{kind}: relative error of dot {errors[0]:.1e}, a * b {errors[1]:.1e}, ", end="")
    print(f"float32(a) * float32(b) {errors[2]:.1e}")
    as_described &= errors[2] < 1e-6
    as_described &= [error < 1e-3 for error in errors[:2]] == [kind != torch.bfloat16] * 2
    if kind == torch.bfloat16:
        x, y = (each.to(kind).view(torch.int16).long() for each in (a, b))
        bits = (x * y).to(torch.int16).view(kind).float()
        same = bool(torch.equal(bits.nan_to_num(), times.nan_to_num()))
        print(f"a * b has the bits of the product of the patterns, modulo 2^16: {same}")
        as_described &= same
sys.exit(0 if as_described else 1)
P
TRITON_INTERPRET=1 "$W/v/bin/python" "$W/kernels.py"
