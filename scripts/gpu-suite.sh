#!/bin/sh
# Everything that a GPU has to show, in one command: `--pack DIR` here, `--run DIR --out OUT` on the
# GPU machine, which needs no network, `--dry-run --out OUT` without a GPU. docs/gpu-suite.md has
# the rest; benches/gpu_suite.py does the work, here and in a pack.
#
#   scripts/gpu-suite.sh --help
set -eu
here=$(cd "$(dirname "$0")" && pwd)
suite=$here/gpu_suite.py
[ -f "$suite" ] || suite=$here/../benches/gpu_suite.py
exec "${PYTHON:-python3}" "$suite" "$@"
