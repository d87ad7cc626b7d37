#!/bin/sh
# Type-checks and lints the program with the features `cuda` and `candle-cuda` on a machine without
# CUDA: a script that only creates the requested files takes the place of nvcc. Only the Rust code
# is checked; check-cuda.sh and the tests check our kernels. The feature `tls` is checked too.
#
#   scripts/check-features.sh
set -eu
cd "$(dirname "$0")/.."

fake=$(mktemp -d)
trap 'rm -rf "$fake"' EXIT
cat >"$fake/nvcc" <<'NVCC'
#!/bin/sh
folder=
while [ $# -gt 0 ]; do
    case $1 in
    -o) : >"$2" ;;
    --output-directory) folder=$2 ;;
    *.cu)
        source=${1##*/}
        [ -z "$folder" ] || : >"$folder/${source%.cu}.ptx"
        ;;
    esac
    shift
done
NVCC
chmod +x "$fake/nvcc"

lint() {
    env -u CUDARC_CUDA_VERSION NVCC="$fake/nvcc" CUDA_COMPUTE_CAP=80 \
        cargo clippy --release --features "$@" -- -D warnings
}
# `candle-cuda` includes `cuda`, so the tests are checked once.
lint candle-cuda --all-targets
lint cuda --lib --bins
lint tls --lib --bins
