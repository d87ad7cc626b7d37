#!/bin/sh
# Builds the program with the feature `cuda` and the real nvcc, for one architecture, and starts it
# without a driver: it must link, need no CUDA library to start, and report what is missing. Without
# nvcc the exit code is 2.
#
#   scripts/check-cuda-build.sh
set -eu
cd "$(dirname "$0")/.."

nvcc=${NVCC:-${CUDA_HOME:+$CUDA_HOME/bin/nvcc}}
[ -n "$nvcc" ] || nvcc=$(command -v nvcc || true)
if [ -z "$nvcc" ] || ! "$nvcc" --version >/dev/null 2>&1; then
    # shellcheck disable=SC2016 # to be read, not run
    echo 'error: no nvcc: run eval "$(scripts/cuda-toolkit.sh target/cuda)"' >&2
    exit 2
fi

# What is checked is that all of it compiles, links and starts, so our own crates are not optimized.
export MASPO_CUDA_ARCHITECTURES=90
unoptimized() {
    command=$1
    shift
    cargo "$command" --release --features cuda \
        --config 'profile.release.package.maspo.opt-level=0' \
        --config 'profile.release.package.maspo-engine.opt-level=0' "$@"
}
unoptimized build
program=${CARGO_TARGET_DIR:-target}/release/maspo
if ldd "$program" | grep -E 'cuda|cublas|nvidia|not found'; then
    echo 'error: the program needs these to start' >&2
    exit 1
fi
"$program" doctor --json | python3 -c '
import json, sys
doctor = json.load(sys.stdin)
cuda = [device for device in doctor["devices"] if device["device"].startswith("cuda")]
print("CUDA kernels for", doctor["cuda_architectures"], "-", cuda[0]["problem"] or cuda[0]["name"])
sys.exit(0 if doctor["cuda_architectures"] == "90" else 1)'

# The kernels that nvcc compiled pack weights as the emulated ones do, and cuBLAS reports what is
# missing without a device. (The tests of the whole workspace, so that no crate is built again with
# the features that the engine alone would have.)
unoptimized test --lib -- \
    kernels::gpu::cuda::tests::own executor::gpu::cublas
