#!/usr/bin/env bash
# Pack the wheels that bench/gpu/run.sh needs on a machine without a network: below 25 MB.
#
#     bench/gpu/pack.sh FOLDER [PYTHON]      for Python 3.12 on Linux x86-64, unless e.g. 3.11 is said
#
# The versions are those of constraints.txt. mlflow is mlflow-skinny, which is the same without web
# pages; tests and sources of C are left out of the wheels, and the rest is packed by LZMA, which
# Python's zipfile, and so pip, reads. The machine has to have the rest:
# torch, torchvision, numpy, scipy, scikit-learn, matplotlib and pandas.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${1:?expected a folder for the wheels}
version=${2:-3.12}
python=${PACK_PYTHON:-python3}
mkdir -p "$folder"

names=$(mktemp)
trap 'rm -f "$names"' EXIT
grep -v '^#' "$here/packages.txt" >"$names"
"$python" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary=:all: \
	--python-version "$version" --implementation cp \
	--platform manylinux_2_28_x86_64 --platform manylinux_2_27_x86_64 \
	--platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform any \
	--constraint "$here/../../constraints.txt" --requirement "$names" --dest "$folder"

"$python" - "$folder" <<'PYTHON'
"""Pack wheels again, without tests and sources of C, and say how large they are."""
import sys
import zipfile
from pathlib import Path

folder, most = Path(sys.argv[1]), 25_000_000
unused = ("/tests/", "sqlalchemy/testing/")
sources = (".pyi", ".pyx", ".pxd", ".tp", ".h", ".c", ".cpp")
for path in sorted(folder.glob("*.whl")):
    smaller = path.with_suffix(".part")
    with zipfile.ZipFile(path) as wheel, zipfile.ZipFile(smaller, "w") as packed:
        for name in wheel.namelist():
            if not any(part in name for part in unused) and not name.endswith(sources):
                packed.writestr(wheel.getinfo(name), wheel.read(name), zipfile.ZIP_LZMA)
    smaller.replace(path)
size = sum(path.stat().st_size for path in folder.glob("*.whl"))
print(f"{len(list(folder.glob('*.whl')))} wheels, {size / 1e6:.1f} MB in {folder}")
if size > most:
    sys.exit(f"expected at most {most / 1e6:.0f} MB")
PYTHON
