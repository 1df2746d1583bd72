#!/usr/bin/env bash
# Certifies the shipped models again, under the seed and n of their logs, with the runner-up bounded.
#   usage: runner_up.sh FOLDER [PATTERN]      then: python bench/runner_up.py FOLDER
# Goes on where it was stopped. 30 models, 360 images, 10,000 draws: 25 minutes on one core.
set -euo pipefail
folder=${1:?usage: runner_up.sh FOLDER [PATTERN]}
cd "$(dirname "$0")/.."
mkdir -p "$folder"
for path in zoo/rszoo/builtin/digits-*${2:-}; do
  name=$(basename "$path")
  stated=$(python -c 'import json, sys; p = json.load(open(sys.argv[1])); print(p.get("kind", "fixed"), p["seed"], p["n"], p.get("sigma"))' "$path/certificates.json" 2> /dev/null) || continue
  read -r kind seed n sigma <<< "$stated"
  [ "$kind" = fixed ] && [ "$sigma" != None ] || continue
  rszoo certify --model "builtin/$name" --runner-up --n "$n" --seed "$seed" --skip 1 \
    --precision float32 --batch-size 1000 --out "$folder/$name.tsv" --resume
done
