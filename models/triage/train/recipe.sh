#!/usr/bin/env bash
# From nothing to the model in `models/triage`: three lessons, each from its own corpus, then the
# checks. Run from the repository's root with the Python that has requirements.txt; WORK is a folder
# for corpora and checkpoints (1 GB).
#
#   PYTHON=.venv/bin/python models/triage/train/recipe.sh WORK
set -euo pipefail
work=$(mkdir -p "${1:?give a folder for corpora and checkpoints}" && cd "$1" && pwd)
python=$(realpath -s "${PYTHON:-python3}")
train=$(cd "$(dirname "$0")" && pwd)

corpus() {
    (cd "$train/../../.." &&
        cargo run --release --example triage -- corpus --out "$work/$1" --lesson "$2" --count "$3" --seed "$4")
}

cd "$train"
# Everything: agents, judge, optimizer.
corpus first first 260000 1
"$python" train.py --corpus "$work/first/corpus.jsonl" --tokens 22000000 --run "$work/run-first" --out "$work/out-first"
# To judge a verdict by the session, which needs a label that nobody has written down.
corpus second second 70000 1
"$python" train.py --corpus "$work/second/corpus.jsonl" --after "$work/run-first" --tokens 6500000 \
  --muon-lr 0.008 --adam-lr 0.002 --content-weight 0 --run "$work/run-second" --out "$work/out-second"
# Everything once more, at a falling rate: what the second lesson pushed aside comes back, and
# prompts near the best, whose answers are the longest, become usual.
corpus last last 26000 2
"$python" train.py --corpus "$work/last/corpus.jsonl" --after "$work/run-second" --tokens 3400000 \
  --muon-lr 0.006 --adam-lr 0.0015 --content-weight 0 --decay 1.0 --run "$work/run-last"

"$python" check.py --corpus "$work/first/corpus.jsonl"
"$python" evaluate.py --json metrics.json
