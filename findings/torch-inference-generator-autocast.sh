#!/usr/bin/env bash
# A generator decorated with torch.inference_mode() leaves its own autocast for good at its first
# yield: what it computes afterwards, still inside of the with statement, is in float32.
#
# torch 2.13.0, on a CPU. Seen: three products in one `with torch.autocast("cpu", torch.bfloat16)`
#   - inference_mode around the generator: bfloat16, float32, float32
#   - no_grad around it, or nothing:       bfloat16, bfloat16, bfloat16
# The decorator leaves and enters its mode at every yield; leaving inference mode restores the
# settings from before it was entered, autocast's among them.
#
# It matters to streamed evaluation, such as votes under noise that are looked at while they arrive:
# the first part is counted by one function and the rest by another, and no message says so.
# Exit code 0: as described; 1: it has changed.
set -euo pipefail
W=$(mktemp -d)
trap 'rm -rf "$W"' EXIT
python3 -m venv "$W/v"
"$W/v/bin/pip" install --quiet torch==2.13.0 numpy
"$W/v/bin/python" - <<'P'
import sys

import torch

ONES = torch.ones(4, 4)


def products():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            yield str((ONES @ ONES).dtype).removeprefix("torch.")


inference = list(torch.inference_mode()(products)())
without = list(torch.no_grad()(products)())
print(f"torch {torch.__version__}")
print("inference_mode:", *inference)
print("no_grad:       ", *without)
as_described = inference == ["bfloat16", "float32", "float32"] and without == ["bfloat16"] * 3
sys.exit(0 if as_described else 1)
P
