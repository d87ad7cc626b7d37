#!/bin/sh
# Type-checks and lints the program with the feature `cuda` where there is no CUDA: in place of nvcc
# stands a script that only makes the files it is asked for. What is checked is Rust; the kernels
# themselves are checked by check-cuda.sh and by the tests.
#
#   scripts/check-features.sh
set -eu
cd "$(dirname "$0")/.."

fake=$(mktemp -d)
trap 'rm -rf "$fake"' EXIT
cat >"$fake/nvcc" <<'NVCC'
#!/bin/sh
while [ $# -gt 0 ]; do
    [ "$1" != -o ] || : >"$2"
    shift
done
NVCC
chmod +x "$fake/nvcc"

env -u CUDARC_CUDA_VERSION NVCC="$fake/nvcc" cargo clippy --release --all-targets --features cuda -- -D warnings
