#!/bin/sh
# Checks that `cargo test --release` after `cargo build --release` compiles no crate of others a
# second time: cargo plans both, and no crate may have other features or another profile in the
# second plan. The plan is an unstable output of cargo, hence RUSTC_BOOTSTRAP.
#
#   scripts/check-built-once.sh
#
# Exit: 0 every crate is built once, 1 some are built twice.
set -eu
cd "$(dirname "$0")/.."

plans=$(mktemp -d)
trap 'rm -rf "$plans"' EXIT
RUSTC_BOOTSTRAP=1 cargo build --release --unit-graph -Z unstable-options >"$plans/build"
RUSTC_BOOTSTRAP=1 cargo test --release --no-run --unit-graph -Z unstable-options >"$plans/test"

python3 - "$plans/build" "$plans/test" <<'PYTHON'
import json
import sys


def plan(path):
    """For every part of a crate of others, how it is built: features and profile."""
    found = {}
    for unit in json.load(open(path))["units"]:
        if "path+file" in unit["pkg_id"]:
            continue
        part = (unit["pkg_id"], unit["target"]["name"], unit["mode"], unit["platform"])
        found.setdefault(part, set()).add(json.dumps([sorted(unit["features"]), unit["profile"]]))
    return found


built, tested = plan(sys.argv[1]), plan(sys.argv[2])
twice = sorted({part[0].split("/")[-1] for part in tested if part in built and not tested[part] <= built[part]})
for crate in twice:
    print(f"error: {crate} is built a second time for the tests: give it the same features in both", file=sys.stderr)
print(f"{len(built)} parts for the program, {len(tested)} for the tests, {len(twice)} crates built twice")
sys.exit(bool(twice))
PYTHON
