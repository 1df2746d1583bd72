# What run.sh, cifar10.sh and denoised.sh of bench/gpu begin with: options, wheels, and where things are.
# To be sourced, with `usage` defined, and the defaults of minutes, out, wheels, device and dataset.

while [ $# -gt 0 ]; do
	[ $# -gt 1 ] || usage
	case $1 in
	--minutes) minutes=$2 ;;
	--out) out=$2 ;;
	--wheels) wheels=$2 ;;
	--device) device=$2 ;;
	--dataset) dataset=$2 ;;
	*) usage ;;
	esac
	shift 2
done
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
mkdir -p "$out"
out=$(cd "$out" && pwd)
begun=$(date +%s)
end=$((begun + minutes * 60))

export PYTHONPATH="$root/zoo:$root/cli"
if [ -n "$wheels" ]; then
	site=$(mktemp -d)
	trap 'rm -rf "$site"' EXIT
	"$python" - "$wheels" "$site" <<'PYTHON' || exit 1
import sys
import zipfile
from pathlib import Path

found = sorted(Path(sys.argv[1]).glob("*.whl"))
if not found:
    sys.exit(f"expected wheels in {sys.argv[1]}, got none; bench/gpu/pack.sh packs them")
for wheel in found:
    zipfile.ZipFile(wheel).extractall(sys.argv[2])
PYTHON
	PYTHONPATH="$PYTHONPATH:$site"
fi
export MLFLOW_TRACKING_URI="sqlite:///$out/mlflow.db"
[ ! -e "$dataset" ] || dataset=$(cd "$dataset" && pwd)
cd "$root" || exit 1

# within COMMAND...: run it in the time that is left; 124 where that is not enough.
within() {
	left=$((end - $(date +%s)))
	[ "$left" -gt 5 ] || return 124
	timeout --signal=INT --kill-after=20 "$left" "$python" "$@"
}
