#!/bin/sh
# Packs everything that a machine without a network needs into one archive: the sources, the crates
# that they are built of, and models with their manifests.
#
#   scripts/airgap-bundle.sh OUT.tar[.gz] [MODEL_FOLDER...]
#
# A model folder is one that maspo-fetch filled; only the files that its manifest lists are packed,
# and each is compared with it. The same sources, crates and models always give the same bytes:
# files are sorted, and have no owner and the time of the commit. Prints the archive's SHA-256 and
# writes it beside the archive, as sha256sum reads it. Needs git, cargo and python3, and the network
# for crates that are not here yet. docs/fetch.md says how to go on.
#
# Exit: 0 done, 1 a model is not as it was fetched or no room, 2 the input is wrong.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

out=${1:-}
case $out in
*.tar | *.tar.gz) shift ;;
*)
    echo "usage: scripts/airgap-bundle.sh OUT.tar[.gz] [MODEL_FOLDER...]" >&2
    exit 2
    ;;
esac
git -C "$root" rev-parse --verify --quiet HEAD >/dev/null || { echo "error: $root is no git checkout" >&2; exit 2; }

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
(cd "$root" && cargo vendor --locked --quiet "$stage/vendor" >/dev/null) || {
    echo "error: cargo vendor could not fetch the crates" >&2
    exit 1
}
python3 - "$root" "$stage/vendor" "$out" "$@" <<'PYTHON'
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path, PurePosixPath

root, vendor, out = (Path(argument) for argument in sys.argv[1:4])
CONFIG = """
[source.crates-io]
replace-with = "vendored-sources"

[source.vendored-sources]
directory = "vendor"
"""


def fail(code, message):
    out.with_name(out.name + ".part").unlink(missing_ok=True)
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)


def git(*arguments):
    return subprocess.run(["git", "-C", root, *arguments], check=True, capture_output=True).stdout


def sources():
    for name in git("ls-files", "-z").decode().split("\0"):
        if name and (root / name).is_file():
            yield f"maspo/{name}", root / name
    for folder, _, names in os.walk(vendor):
        for name in names:
            path = Path(folder, name)
            yield f"maspo/vendor/{path.relative_to(vendor).as_posix()}", path


def model_files(folder):
    """The files of a model, each compared with the manifest while it is packed."""
    path = folder / "maspo-manifest.json"
    if not path.is_file():
        fail(2, f"{folder} has no maspo-manifest.json: fetch the model with maspo-fetch")
    manifest = json.loads(path.read_text())
    if manifest.get("schema") != 1:
        fail(2, f"{path}: schema {manifest.get('schema')} is unknown")
    name = manifest["model"].replace("/", "--")
    if not all(c.isascii() and (c.isalnum() or c in "-_.") for c in name) or name.startswith("."):
        fail(2, f"{path} names no model of a hub")
    yield f"models/{name}/maspo-manifest.json", path, None
    for file in manifest["files"]:
        inside = PurePosixPath(file["path"])
        if inside.is_absolute() or ".." in inside.parts:
            fail(2, f"{path} lists {file['path']!r}")
        yield f"models/{name}/{inside}", folder / inside, file


class Reader:
    """A file that is hashed while it is read."""

    def __init__(self, file):
        self.file, self.hash = file, hashlib.sha256()

    def read(self, size=-1):
        data = self.file.read(size)
        self.hash.update(data)
        return data


class Writer:
    """The archive, hashed while it is written."""

    def __init__(self, file):
        self.file, self.hash, self.at = file, hashlib.sha256(), 0

    def write(self, data):
        self.hash.update(data)
        self.at += len(data)
        return self.file.write(data)

    def tell(self):
        return self.at

    def flush(self):
        self.file.flush()


def add(archive, name, path, listed, time):
    facts = tarfile.TarInfo(f"maspo-bundle/{name}")
    facts.mtime = time
    if name == "maspo/.cargo/config.toml":
        text = path.read_bytes() + CONFIG.encode()
        facts.size, facts.mode = len(text), 0o644
        archive.addfile(facts, io.BytesIO(text))
        return
    facts.size = path.stat().st_size
    facts.mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
    with open(path, "rb") as file:
        reader = Reader(file)
        archive.addfile(facts, reader)
    if listed and (facts.size, reader.hash.hexdigest()) != (listed["bytes"], listed["sha256"]):
        fail(1, f"{path} is not as it was fetched: fetch it again with maspo-fetch")


time = int(git("log", "-1", "--format=%ct"))
entries = [(name, path, None) for name, path in sources()]
try:
    for folder in sys.argv[4:]:
        entries += model_files(Path(folder))
    names = [name for name, _, _ in entries]
    if len(set(names)) != len(names):
        fail(2, "two of the folders hold the same model")
    part = out.with_name(out.name + ".part")
    with open(part, "wb") as file:
        writer = Writer(file)
        packed = gzip.GzipFile("", "wb", 6, writer, 0) if out.suffix == ".gz" else writer
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, path, listed in sorted(entries, key=lambda entry: entry[0]):
                add(archive, name, path, listed, time)
        if packed is not writer:
            packed.close()
    line = f"{writer.hash.hexdigest()}  {out.name}\n"
    out.with_name(out.name + ".sha256").write_text(line)
    part.rename(out)
except (OSError, KeyError, ValueError) as error:
    fail(1, error)
print(line, end="")
PYTHON
