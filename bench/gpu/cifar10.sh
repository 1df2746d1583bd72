#!/usr/bin/env bash
# One cell of the table for CIFAR-10: train ResNet-110, certify, compare with the published ACR.
#
#     bench/gpu/cifar10.sh METHOD SIGMA [--minutes 9] [--out FOLDER] [--wheels FOLDER]
#                          [--dataset cifar10] [--device cuda|cpu]
#
# The recipe's short profile (one cycle, 30 epochs) at depth 110, in bfloat16; then every 20th test
# image, n = 100,000. When the minutes are over it stops: the same call with the same FOLDER, which
# holds checkpoints and log, goes on from there. --dataset is a name (RSZOO_DATA says where it lies)
# or a folder of class folders. The machine is that of bench/gpu/run.sh. --device cpu tries it, tiny.
set -u
usage() {
	sed -n '2,12s/^# \{0,1\}//p' "$0"
	exit 2
}
[ $# -ge 2 ] || usage
method=$1 sigma=$2
shift 2
minutes=9 out=bench-gpu-cifar10 wheels= device=cuda dataset=cifar10
. "$(dirname "$0")/_machine.sh"

depth=110 epochs= draws=100000 skip=20 limit=
if [ "$device" = cpu ]; then
	depth=8 epochs=train.epochs=1 draws=100 limit="--limit 2"
fi
profile="--profile short"
[ ! -e "$dataset" ] || profile= # folders and arrays have but one

log="$out/$method-$sigma.log"
within -m rszoo_cli train "$method" --sigma "$sigma" --dataset "$dataset" $profile --resume \
	--device "$device" --out "$out/runs" network.name=cifar_resnet network.depth=$depth $epochs 2>&1 | tee -a "$log"
code=${PIPESTATUS[0]}
if [ "$code" = 0 ]; then
	bundle=$(ls -d "$out"/runs/*-"$method"-"$(printf %.2f "$sigma")")
	certificates="$out/$(basename "$bundle").tsv"
	within -m rszoo_cli certify --model "$bundle" --dataset "$dataset" --device "$device" \
		--skip $skip --n $draws $limit --resume --out "$certificates" 2>&1 | tee -a "$log"
	code=${PIPESTATUS[0]}
fi
if [ "$code" != 0 ]; then
	echo "stopped ($code) after $(($(date +%s) - begun)) s; the same call goes on" | tee -a "$log"
	exit "$code"
fi
"$python" bench/against_published.py "$certificates" | tee "$out/$method-$sigma.txt"
echo "$(($(date +%s) - begun)) seconds; results in $out" | tee -a "$log"
