"""The folder that is carried to a GPU machine: both binaries, stripped and compressed, the shape of
the large model and the suite itself, with a manifest that says what they were built from; and its
unpacking there. Knows no step.
"""

import datetime
import hashlib
import json
import lzma
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import tempfile

from gpu.process import Failed, InputError, json_object, run, succeed

SCHEMA = 1
LIMIT_BYTES = 48_000_000
MANIFEST = "manifest.json"
BENCHES = pathlib.Path(__file__).resolve().parent.parent
SHAPE = "qwen3-8b"
# Name in the pack → what it is, for messages.
BINARIES = {"maspo": "the program", "maspo-tests": "the engine's tests"}
# The cargo package that has the kernels' tests.
TEST_PACKAGE = "maspo-engine"
KERNEL_TESTS = "kernels::gpu::cuda"
# A whole model of them on the machine's own GPU.
MODEL_TESTS = "this_machine"
TIMING_TEST = "gpu::timing::every_kernel_is_timed"
BUILD_S = 3600


def source_files():
    """Path in the pack → file here. In a pack the suite lies flat beside the script; in a checkout
    in benches/ and scripts/."""
    script = next(
        (p for p in (BENCHES / "gpu-suite.sh", BENCHES.parent / "scripts" / "gpu-suite.sh") if p.is_file()), None
    )
    if script is None:
        raise InputError(f"gpu-suite.sh is neither in {BENCHES} nor in {BENCHES.parent / 'scripts'}")
    files = {"gpu-suite.sh": script, "gpu_suite.py": BENCHES / "gpu_suite.py"}
    files[f"{SHAPE}/config.json"] = BENCHES / SHAPE / "config.json"
    files |= {f"gpu/{path.name}": path for path in sorted((BENCHES / "gpu").glob("*.py"))}
    return files


def pack(folder, binaries, limit_bytes=LIMIT_BYTES, say=print):
    """Fills `folder` with a pack of `binaries` (name → path); gives its size in bytes. None too
    large is left there."""
    folder = pathlib.Path(folder)
    if folder.exists() and not (folder / MANIFEST).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is not empty and no pack of an earlier run: name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as unfinished:
        made = pathlib.Path(unfinished) / "pack"
        (made / "gpu").mkdir(parents=True)
        (made / SHAPE).mkdir()
        for name, source in source_files().items():
            shutil.copy2(source, made / name)
        contents = {}
        for name, path in binaries.items():
            contents[name] = compress(path, made / f"{name}.xz", say)
        manifest = {
            "schema": SCHEMA,
            "kind": "maspo-gpu-pack",
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "git": git_of(binaries),
            "architecture": platform.machine(),
            "version": version(binaries["maspo"]),
            "cuda_architectures": architectures(binaries["maspo"], say),
            "binaries": contents,
        }
        (made / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n")
        sizes = {str(path.relative_to(made)): path.stat().st_size for path in sorted(made.rglob("*")) if path.is_file()}
        total = sum(sizes.values())
        for name, size in sizes.items():
            say(f"{size / 1e6:9.3f} MB  {name}")
        say(f"{total / 1e6:9.3f} MB  in all, of at most {limit_bytes / 1e6:.0f} MB")
        if total > limit_bytes:
            raise InputError(
                f"the pack would be {total / 1e6:.1f} MB, more than {limit_bytes / 1e6:.0f} MB: nothing was written"
            )
        if folder.exists():
            shutil.rmtree(folder)
        made.rename(folder)
    return total


def compress(source, target, say):
    """A stripped and compressed copy; what the unpacked file is."""
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        stripped = pathlib.Path(scratch) / "stripped"
        if shutil.which("strip"):
            done = run(["strip", "-o", stripped, source], 120)
            if done.code:
                say(f"{source} is packed as it is: {done.stderr.strip()}")
                shutil.copyfile(source, stripped)
        else:
            say(f"there is no `strip` here (binutils): {source} is packed as it is")
            shutil.copyfile(source, stripped)
        data = stripped.read_bytes()
    target.write_bytes(lzma.compress(data, preset=6))
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def manifest_of(folder):
    path = pathlib.Path(folder) / MANIFEST
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{folder} is no pack (`--pack` makes one): {error}") from None
    if found.get("kind") != "maspo-gpu-pack" or found.get("schema") != SCHEMA:
        raise InputError(f"{path} is of another version of this suite")
    if found["architecture"] != platform.machine():
        raise InputError(f"{folder} was built for {found['architecture']}, this machine is {platform.machine()}")
    return found


def unpack(folder, target):
    """Writes the binaries into `target`, checked; name → path, and the manifest."""
    manifest, paths = manifest_of(folder), {}
    for name, wanted in manifest["binaries"].items():
        try:
            data = lzma.decompress((pathlib.Path(folder) / f"{name}.xz").read_bytes())
        except (OSError, lzma.LZMAError) as error:
            raise InputError(f"{name}.xz of {folder} cannot be read: {error}") from None
        if hashlib.sha256(data).hexdigest() != wanted["sha256"]:
            raise InputError(f"{name}.xz of {folder} is not what was packed: its digest differs")
        paths[name] = pathlib.Path(target) / name
        paths[name].write_bytes(data)
        paths[name].chmod(0o755)
    return paths, manifest


def built(maspo, tests, cuda, say=print):
    """The binaries named on the command line, or those that cargo says it has built: with the
    feature cuda, or as they are."""
    named = {"maspo": maspo, "maspo-tests": tests}
    for name, path in named.items():
        if path and not os.access(path, os.X_OK):
            raise InputError(f"{path}: no such program ({BINARIES[name]})")
    # Of the whole workspace, as README and CI build it: for one package alone, cargo would build
    # shared crates again with other features.
    features = ["--features", "cuda"] if cuda else []
    release = ["--release", *features, "--message-format=json-render-diagnostics"]
    found = {
        "maspo": maspo or cargo(["build", *release], is_program, say),
        "maspo-tests": tests or cargo(["test", "--lib", "--no-run", *release], is_tests, say),
    }
    return {name: pathlib.Path(path).resolve() for name, path in found.items()}


def cargo(arguments, wanted, say):
    """The executable that cargo names in an artifact that is `wanted`; it builds it first, unless
    that was done before."""
    command = ["cargo", *arguments]
    say(shlex.join(command))
    try:
        # What it says of warnings and progress goes where it always goes.
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, cwd=BENCHES.parent, timeout=BUILD_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{error}; build elsewhere, and name the binaries with --maspo and --tests") from None
    if done.returncode:
        raise InputError(f"`{shlex.join(command)}` failed with exit code {done.returncode}")
    return executable(done.stdout, wanted)


def executable(messages, wanted):
    """The executable of the last artifact in cargo's messages that is `wanted`."""
    found = None
    for line in messages.splitlines():
        message = json.loads(line) if line.startswith("{") else {}
        if message.get("reason") == "compiler-artifact" and message.get("executable") and wanted(message):
            found = message["executable"]
    if found is None:
        raise InputError("cargo names no executable of what it has built")
    return pathlib.Path(found)


def is_program(artifact):
    return artifact["target"]["name"] == "maspo" and "bin" in artifact["target"]["kind"]


def is_tests(artifact):
    return artifact["profile"]["test"] and artifact["target"]["name"] == TEST_PACKAGE.replace("-", "_")


def git_of(binaries):
    """The checkout that the program was built in, where its folder lies in one; else that of the
    suite."""
    return git(binaries["maspo"].parent) or git(BENCHES)


def git(folder):
    """Commit of the checkout that `folder` is in, and whether it has changes; `None` without git."""
    try:
        ask = ["git", "-C", str(folder)]
        commit = subprocess.run([*ask, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=20)
        changes = subprocess.run([*ask, "status", "--porcelain"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"commit": commit.stdout.strip(), "dirty": bool(changes.stdout.strip())} if commit.returncode == 0 else None


def architectures(maspo, say):
    """The GPUs that the program has kernels for; says so where there are none, since a pack of it
    shows nothing on a GPU."""
    try:
        found = json_object(succeed(run([maspo, "doctor", "--json"], 60)).stdout, "doctor").get("cuda_architectures")
    except Failed as error:
        say(f"warning: {error}")
        return None
    if not found:
        say(f"warning: {maspo} has no CUDA kernels: `cargo build --release --features cuda`")
    return found


def version(maspo):
    try:
        return succeed(run([maspo, "--version"], 20)).stdout.strip()
    except Failed as error:
        raise InputError(f"{maspo} does not start here: {error}") from None
