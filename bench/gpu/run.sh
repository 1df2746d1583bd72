#!/usr/bin/env bash
# Measure rszoo on a GPU: tests, draws per second, training steps, a small real run, questions.
#
#     bench/gpu/run.sh [--minutes 4] [--out FOLDER] [--wheels FOLDER] [--device cuda|cpu]
#
# For a bare machine with a GPU, torch, torchvision, numpy, scipy, scikit-learn, matplotlib and
# pandas, and no network: it needs this repository and a folder of wheels from bench/gpu/pack.sh
# (without --wheels, what is installed). Every row is written when it is measured, so that little is
# lost when time runs out: FOLDER has a log and JSON for each step, and results.md, the table of all.
# --device cpu tries all of it without a GPU, in tiny sizes, which measure nothing.
set -u
usage() {
	sed -n '2,12s/^# \{0,1\}//p' "$0"
	exit 2
}
minutes=4 out=bench-gpu wheels= device=cuda dataset=
. "$(dirname "$0")/_machine.sh"

# step NAME MOST COMMAND...: run it for at most MOST seconds of those that are left.
step() {
	name=$1 most=$2
	shift 2
	now=$(date +%s)
	left=$((end - now))
	if [ "$left" -lt 5 ]; then
		echo "$name: no time left"
		echo "{\"step\": \"$name\", \"seconds\": 0, \"ends\": \"no time left\"}" >>"$out/steps.jsonl"
		return
	fi
	[ "$left" -lt "$most" ] && most=$left
	timeout --kill-after=5 "$most" "$@" >"$out/$name.log" 2>&1
	code=$?
	took=$(($(date +%s) - now))
	echo "$name: exit $code after $took s"
	echo "{\"step\": \"$name\", \"seconds\": $took, \"ends\": \"exit $code\"}" >>"$out/steps.jsonl"
	"$python" bench/gpu/table.py "$out" >/dev/null 2>>"$out/table.log"
}

rm -f "$out/steps.jsonl"
if [ "$device" = cpu ]; then
	small="small_cnn/digits" large="lenet/mnist" networks="lenet"
	how="--seconds 0.05 --repeats 1 --engines rszoo fused classic"
	steps="--seconds 0.05 --threads 1" epochs=1 draws=200
	tests=tests/test_execution.py
else
	small="lenet/mnist" large="cifar_resnet20/cifar10 cifar_resnet110/cifar10" networks="cifar_resnet110"
	how="--seconds 0.5 --repeats 3" steps="--seconds 1" epochs=3 draws=100000
	# Only files that have such tests: others import what a bare machine lacks.
	tests="-m gpu $(grep -l 'mark\.gpu' tests/test_*.py | tr '\n' ' ')"
fi
training="bench/training_speed.py --device $device $steps"
zoo="-m rszoo_cli"

# The order is that of worth: what is cut off by the time limit comes last.
step tests 90 "$python" -m pytest -q -p no:cacheprovider $tests
[ "$device" = cpu ] || step kernels 40 "$python" -m pytest -q -p no:cacheprovider tests/test_fused.py \
	-k "resnet or float16 or alone or launch"
for workload in $large $small; do
	step "certify-${workload%%/*}" 70 "$python" bench/certify_speed.py $workload --device $device $how --out "$out/certify-${workload%%/*}.json"
done
for network in $networks; do
	step "training-$network" 90 "$python" $training gaussian cat_rs --network $network \
		--out "$out/training-$network.json"
done
step questions 60 "$python" bench/gpu/questions.py --device $device --out "$out/questions.json"
step train 60 "$python" $zoo train gaussian --sigma 0.5 --device $device --out "$out/runs" --overwrite \
	train.epochs=$epochs
rm -f "$out"/digits.*
step certify 60 "$python" $zoo certify --model "$out/runs/digits-gaussian-0.50" --device $device \
	--n $draws --limit 20 --out "$out/digits.tsv"
"$python" bench/gpu/table.py "$out"
echo "$(($(date +%s) - begun)) seconds; results in $out/results.md"
