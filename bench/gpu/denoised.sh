#!/usr/bin/env bash
# A classifier without noise, behind a denoiser, beside one that is trained for the noise: CIFAR-10.
#
#     bench/gpu/denoised.sh SIGMA [--minutes 9] [--out FOLDER] [--wheels FOLDER]
#                           [--dataset cifar10] [--device cuda|cpu]
#
# ResNet-20 by the short profiles of standard and gaussian, the denoiser of denoising's; then every
# 20th test image of the Gaussian network, of the denoised one, and the accuracy without noise. When
# the minutes are over it stops: the same call with the same FOLDER goes on from there. --dataset and
# the machine are those of bench/gpu/cifar10.sh. --device cpu tries it, tiny.
set -u
usage() {
	sed -n '2,10s/^# \{0,1\}//p' "$0"
	exit 2
}
[ $# -ge 1 ] || usage
case $1 in -*) usage ;; esac
sigma=$1
shift
minutes=9 out=bench-gpu-denoised wheels= device=cuda dataset=cifar10
. "$(dirname "$0")/_machine.sh"

epochs= draws=10000 limit=
network="network.name=cifar_resnet network.depth=20"
if [ "$device" = cpu ]; then
	epochs=train.epochs=1 draws=100 limit="--limit 2"
	network="network.name=cifar_resnet network.depth=8"
fi
profile="--profile short"
[ ! -e "$dataset" ] || profile= # folders and arrays have but one

train() { # METHOD SIGMA OVERRIDES...
	within -m rszoo_cli train "$1" --sigma "$2" --dataset "$dataset" $profile --resume \
		--device "$device" --out "$out/runs" $epochs "${@:3}"
}
certify() { # BUNDLE
	within -m rszoo_cli certify --model "$1" --dataset "$dataset" --device "$device" --skip 20 \
		--n $draws $limit --resume --out "$out/$(basename "$1").tsv"
}
all() {
	train standard 0 $network || return
	train gaussian "$sigma" $network || return
	standard=$(ls -d "$out"/runs/*-standard-0.00)
	gaussian=$(ls -d "$out"/runs/*-gaussian-"$(printf %.2f "$sigma")")
	train denoising "$sigma" denoised.classifier="$standard" || return
	denoiser=$(ls -d "$out"/runs/*-denoising-"$(printf %.2f "$sigma")")
	[ -d "$out/denoised-$sigma" ] || within -m rszoo_cli compose denoised --denoiser "$denoiser" \
		--classifier "$standard" --out "$out/denoised-$sigma" || return
	certify "$gaussian" && certify "$out/denoised-$sigma"
}

all 2>&1 | tee -a "$out/denoised-$sigma.log"
code=${PIPESTATUS[0]}
if [ "$code" != 0 ]; then
	echo "stopped ($code) after $(($(date +%s) - begun)) s; the same call goes on"
	exit "$code"
fi
"$python" -m rszoo_cli report "$out"/*-gaussian-"$(printf %.2f "$sigma")".tsv \
	"$out/denoised-$sigma.tsv" | tee "$out/denoised-$sigma.txt"
echo "$(($(date +%s) - begun)) seconds; results in $out"
