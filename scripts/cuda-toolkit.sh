#!/bin/sh
# Assembles a CUDA toolkit (nvcc, headers, the static runtime) from PyPI's wheels, for machines
# without one: enough to compile kernels/cuda and to link the program, whose CUDA runtime is static
# and which loads the driver at run time. It needs no GPU and no root.
#
# Programs built with it need NVIDIA's driver 580 or newer at run time (CUDA 13).
#
#   scripts/cuda-toolkit.sh DIR
#
# Fills DIR (about 300 MB), unless that was done before, and prints the variables to set.
#
# Exit: 0 done, 2 wrong call, 3 something is missing (pip, the network, room).
set -eu

[ $# -eq 1 ] || { echo "usage: scripts/cuda-toolkit.sh DIR" >&2; exit 2; }

# The wheels of one release of the toolkit, which must fit each other.
wheels="nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88"
wheels="$wheels nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85"

mkdir -p "$1" || { echo "error: cannot make $1" >&2; exit 3; }
home=$(cd "$1" && pwd)
stamp="$home/.maspo-wheels"

if [ "$(cat "$stamp" 2>/dev/null || true)" != "$wheels" ]; then
    python=${PYTHON:-python3}
    "$python" -m pip --version >/dev/null 2>&1 || {
        echo "error: $python has no pip; set PYTHON to a Python that has, or install a CUDA toolkit" >&2
        exit 3
    }
    unpacked=$(mktemp -d "$home/.unpack.XXXXXX")
    trap 'rm -rf "$unpacked"' EXIT
    # shellcheck disable=SC2086 # the list is meant to be split
    "$python" -m pip install --quiet --disable-pip-version-check --no-deps --no-compile --only-binary :all: \
        --target "$unpacked" $wheels >"$unpacked.log" 2>&1 || {
        sed 's/^/pip: /' "$unpacked.log" >&2
        rm -f "$unpacked.log"
        echo "error: the wheels could not be fetched (no network, no room, or no x86-64 or ARM Linux);" >&2
        echo "on a machine with network:" >&2
        echo "  $python -m pip download --no-deps -d wheels $wheels" >&2
        echo "and here: PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels scripts/cuda-toolkit.sh $1" >&2
        exit 3
    }
    rm -f "$unpacked.log"
    for part in bin include nvvm lib; do
        [ -d "$unpacked/nvidia/cu13/$part" ] || { echo "error: the wheels have no $part" >&2; exit 3; }
        rm -rf "${home:?}/$part"
        mv "$unpacked/nvidia/cu13/$part" "$home/$part"
    done
    # Wheels lack executable bits with some versions of pip, and the names that linkers look for.
    chmod +x "$home"/bin/* "$home"/nvvm/bin/* 2>/dev/null || true
    ln -sfn lib "$home/lib64"
    for library in "$home"/lib/lib*.so.*; do
        [ -e "$library" ] || continue
        name=$(basename "$library")
        ln -sfn "$name" "$home/lib/${name%%.so.*}.so"
    done
    "$home/bin/nvcc" --version >/dev/null || { echo "error: the assembled nvcc does not run" >&2; exit 3; }
    printf '%s' "$wheels" >"$stamp"
    release=$("$home/bin/nvcc" --version | sed -n 's/.*release \([^,]*\),.*/CUDA \1/p')
    echo "assembled $release in $home; what it builds wants NVIDIA's driver 580 or newer" >&2
fi

cat <<VARIABLES
export CUDA_HOME=$home
export NVCC=$home/bin/nvcc
VARIABLES
