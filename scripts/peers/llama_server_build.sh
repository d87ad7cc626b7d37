#!/bin/sh
# Builds llama-server of llama.cpp from the source package of llama-cpp-python on PyPI, for the
# checks of scripts/peers. It is no part of CI: it compiles for half an hour on one core.
#
#   scripts/peers/llama_server_build.sh [DIR]        # DIR is target/llama-server unless given
#   JOBS=4 scripts/peers/llama_server_build.sh       # on more than one core
#
# Needs gcc or clang, pip and PyPI (cmake comes from there). Fills DIR, unless that was done before,
# and prints the path of the program.
#
# Exit: 0 done, 1 the package is another one or does not compile, 2 something is missing.
set -eu
cd "$(dirname "$0")/../.."

folder=${1:-target/llama-server}
version=0.3.36
sha256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e
package=llama_cpp_python-$version.tar.gz
python=${PYTHON:-python3}
mkdir -p "$folder" || { echo "error: cannot make $folder" >&2; exit 2; }
folder=$(cd "$folder" && pwd)
program=$folder/build/bin/llama-server

if [ ! -x "$program" ]; then
    command -v c++ >/dev/null || { echo "error: there is no C++ compiler" >&2; exit 2; }
    [ -e "$folder/$package" ] || "$python" -m pip download --quiet --disable-pip-version-check --no-deps \
        --no-binary llama-cpp-python --dest "$folder" "llama-cpp-python==$version" >&2 || {
        echo "error: llama-cpp-python $version could not be fetched" >&2
        exit 2
    }
    sum=$("$python" -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' \
        "$folder/$package")
    [ "$sum" = "$sha256" ] || { echo "error: $folder/$package is not the package that is known here" >&2; exit 1; }
    [ -d "$folder/source" ] || {
        mkdir "$folder/source.part"
        tar xzf "$folder/$package" -C "$folder/source.part" --strip-components 3 \
            "llama_cpp_python-$version/vendor/llama.cpp"
        mv "$folder/source.part" "$folder/source"
    }
    [ -x "$folder/venv/bin/cmake" ] || {
        "$python" -m venv "$folder/venv"
        "$folder/venv/bin/pip" install --quiet --disable-pip-version-check cmake >&2 || {
            echo "error: cmake could not be fetched" >&2
            exit 2
        }
    }
    # Without the web page, https and what only GPUs or other programs need.
    "$folder/venv/bin/cmake" -S "$folder/source" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release \
        -DBUILD_SHARED_LIBS=OFF -DGGML_OPENMP=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF \
        -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_APP=OFF -DLLAMA_BUILD_UI=OFF -DLLAMA_USE_PREBUILT_UI=OFF >&2
    "$folder/venv/bin/cmake" --build "$folder/build" --target llama-server -j "${JOBS:-1}" >&2
fi
echo "$program"
