#!/bin/sh
# Type-checks and lints the program with the feature `cuda` on a machine without CUDA: a script that
# only creates the requested files takes the place of nvcc. Only the Rust code is checked;
# check-cuda.sh and the tests check the kernels.
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
