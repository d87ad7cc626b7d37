#!/bin/sh
# Compiles every kernels/cuda/*.cu with the real nvcc for all architectures of a release, without a
# GPU, and prints what each kernel takes of a multiprocessor. Spilled registers are an error.
#
#   scripts/check-cuda.sh [--few | ARCH ...]
#
# The default is sm_80 sm_86 sm_89 sm_90a, sm_100 and sm_120 if nvcc knows them, compute_80 (PTX).
# --few leaves out what lies between: sm_80, sm_90a and the newest.
#
# Exit: 0 all compile and nothing spills, 1 not so, 2 there is no nvcc.
set -eu
cd "$(dirname "$0")/.."

nvcc=${NVCC:-${CUDA_HOME:+$CUDA_HOME/bin/nvcc}}
[ -n "$nvcc" ] || nvcc=$(command -v nvcc || true)
if [ -z "$nvcc" ] || ! "$nvcc" --version >/dev/null 2>&1; then
    echo "error: no nvcc: set NVCC or CUDA_HOME, or run" >&2
    # shellcheck disable=SC2016 # to be read, not run
    echo '  eval "$(scripts/cuda-toolkit.sh target/cuda)"' >&2
    exit 2
fi

few=
if [ "${1:-}" = --few ]; then
    few=yes
    shift
fi
if [ $# -eq 0 ]; then
    known=$("$nvcc" --list-gpu-code)
    newer=
    for arch in sm_100 sm_120; do
        if echo "$known" | grep -qx "$arch"; then
            newer="$newer $arch"
        else
            echo "SKIPPED: $arch, which this nvcc does not know" >&2
        fi
    done
    # shellcheck disable=SC2086 # the list is meant to be split
    if [ -n "$few" ]; then set -- sm_80 sm_90a ${newer##* }; else set -- sm_80 sm_86 sm_89 sm_90a $newer compute_80; fi
fi
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0
for arch in "$@"; do
    case $arch in
        compute_*) what=-ptx; gencode="-arch=$arch" ;;
        sm_*) what=-cubin; gencode="-gencode=arch=compute_${arch#sm_},code=$arch" ;;
        *) echo "error: what is $arch?" >&2; exit 2 ;;
    esac
    for source in kernels/cuda/*.cu; do
        name=$(basename "$source" .cu)
        if ! "$nvcc" -std=c++17 -O3 "$gencode" $what -Werror all-warnings -Xptxas -v -Xptxas -warn-spills \
            -o "$out/$name" "$source" >"$out/log" 2>&1; then
            echo "$arch $name: does not compile" >&2
            cat "$out/log" >&2
            failed=1
            continue
        fi
        # ptxas says: Compiling entry function 'NAME' …, then bytes of spills, then the registers.
        awk -v arch="$arch" -v file="$name" '
            /Compiling entry function/ { split($0, part, "\x27"); kernel = part[2] }
            /bytes spill/ { for (i = 1; i <= NF; i++) if ($i == "spill" && $(i + 1) ~ /^stores/) stores = $(i - 2) }
            /bytes stack frame/ { stack = $1 }
            /Used [0-9]+ registers/ {
                for (i = 1; i <= NF; i++) if ($i == "Used") registers = $(i + 1)
                printf "%s %s %s %s %s %s\n", arch, file, kernel, registers, stack, stores
            }' "$out/log" >"$out/rows"
        # ptxas may say it in other words one day, and a table without rows would pass. PTX is not
        # assembled, and two files have no kernel.
        case $arch-$name in
            compute_*-* | *-abi | *-pack) ;;
            *)
                if ! grep -Eq "^$arch $name [^ ]+ [0-9]+ [0-9]+ [0-9]+\$" "$out/rows"; then
                    echo "$arch $name: nvcc says nothing of registers and spills, or in another form:" >&2
                    cat "$out/log" >&2
                    failed=1
                fi
                ;;
        esac
        cat "$out/rows" >>"$out/table"
    done
done

if [ -s "$out/table" ]; then
    # binutils' filter does for kernels' names; without it they stay as the linker knows them.
    filter=$(command -v c++filt || true)
    printf '%-8s %-18s %-62s %9s %5s %6s\n' arch file kernel registers stack spills
    while read -r arch file kernel registers stack spills; do
        readable=$kernel
        [ -z "$filter" ] || readable=$("$filter" -p "$kernel")
        readable=$(echo "$readable" | sed 's/(unsigned int)//g; s/\([0-9]\)u/\1/g; s/maspo:://g; s/^void //')
        printf '%-8s %-18s %-62s %9s %5s %6s\n' "$arch" "$file" "$readable" "$registers" "$stack" "$spills"
        [ "$spills" = 0 ] || echo spilled >>"$out/spilled"
    done <"$out/table"
fi
[ ! -e "$out/spilled" ] || { echo "error: registers are spilled" >&2; failed=1; }
exit $failed
