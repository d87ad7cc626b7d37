"""The steps of the GPU suite that run the engine's own tests on the device: every kernel against
the slow reference, and every kernel by itself against the clock. In a dry run the emulated device
stands in for the GPU, with the same commands.
"""

import json
import re
import shutil

from gpu.pack import KERNEL_TESTS, MODEL_TESTS, TIMING_TEST
from gpu.process import Absent, Failed, run, succeed, tail

# Seconds that one test may take on a GPU; the emulated device is a CPU, and compiles its kernels in
# the first test.
TEST_S = 20
DRY_TEST_S = 300
# Seconds that are kept for compute-sanitizer once a test has failed.
SANITIZER_S = 30


def environment(setting):
    """What the tests get: the device is wanted, and in a dry run the emulated one stands in for it."""
    stand_in = {"MASPO_EMULATED_DEVICE": "1"} if setting.dry_run else {}
    return {**setting.environment, "MASPO_KERNELS": "device", "RUST_BACKTRACE": "0", **stand_in}


def kernels(setting, found):
    """The engine's kernel suite on the device, and small models of the kernels beside the CPU's:
    each test in a process of its own, since an error on a GPU stays with the process that made it.
    """
    setting.need_device()
    tests = listed_tests(setting)
    found.update(passed=0, failed=0, ignored=0, failures=[])
    skipped = None
    for index, test in enumerate(tests):
        if setting.left() < (SANITIZER_S if found["failures"] else 0) + 1:
            found["not_run"] = tests[index:]
            setting.note(f"no time was left for: {', '.join(found['not_run'])}")
            break
        text, fault, seconds = kernel_test(setting, test)
        if fault is None and "SKIPPED:" in text:
            skipped = skipped or next(line.strip() for line in text.splitlines() if "SKIPPED:" in line)
            said = "skipped"
        elif fault is None:
            found["passed"] += 1
            said = "passed"
        else:
            if not found["failures"]:
                found["log"] = text[-8000:]
            found["failed"] += 1
            found["failures"].append(test)
            said = f"failed: {fault}"
            setting.note(text[-4000:])
        setting.note(f"{test}: {said} after {seconds:.1f} s")
    if found["failed"]:
        found["sanitizer"] = sanitize(setting, found["failures"][0])
        raise Failed(f"{found['failed']} of {len(tests)} tests failed: {', '.join(found['failures'])}")
    if "not_run" in found:
        raise Failed(
            f"no time was left for {len(found['not_run'])} of {len(tests)} tests, from {found['not_run'][0]} on"
        )
    if skipped:
        raise Absent(skipped)


def listed_tests(setting):
    """The names of the tests on the device, which each run by itself; the small models come after
    the kernels."""
    names = []
    for part in (KERNEL_TESTS, MODEL_TESTS):
        listed = succeed(run([setting.tests, part, "--list"], setting.left(), environment(setting))).stdout
        lines = [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]
        if not lines:
            raise Failed(f"the tests have no `{part}`: built from another tree?")
        names += [line for line in lines if line not in names]
    return names


def kernel_test(setting, test):
    """What one test printed, what was wrong with it in a line or `None`, and its seconds."""
    limit_s = min(DRY_TEST_S if setting.dry_run else TEST_S, setting.left())
    try:
        done = run([setting.tests, test, "--exact", "--show-output"], limit_s, environment(setting))
    except Failed as error:
        return str(error), str(error), limit_s
    text = done.stdout + done.stderr
    counts = parse_tests(text)
    if done.code == 0 and counts["passed"] == 1 and not counts["failed"]:
        return text, None, done.seconds
    return text, fault_of(text) or f"exit code {done.code} and no word", done.seconds


def fault_of(text):
    """The panics of a test in a line, or its last words where it ended in another way."""
    panics = re.findall(r"panicked at ([^\n]*)\n([^\n]*)", text)
    return " / ".join(f"{place} {said}"[:300] for place, said in panics[:3]) or tail(text, lines=2)


def sanitize(setting, test):
    """The last words of NVIDIA's compute-sanitizer on a test that failed; says so where there is
    none."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    command = [tool, setting.tests, test, "--exact", "--show-output"]
    try:
        done = run(command, min(SANITIZER_S, setting.left()), environment(setting))
    except Failed as error:
        return str(error)
    setting.note(done.stdout[-8000:])
    return (done.stdout + done.stderr)[-8000:]


def parse_tests(text):
    """Counts of a libtest run; zeros where it did not get to its result."""
    result = re.search(r"^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored", text, re.MULTILINE)
    counts = [int(count) for count in result.groups()] if result else [0, 0, 0]
    failures = re.findall(r"^test (\S+) \.\.\. FAILED$", text, re.MULTILINE)
    return {**dict(zip(("passed", "failed", "ignored"), counts)), "failures": failures}


def kernel_times(setting, found):
    """Every kernel by itself: microseconds, GB/s and TFLOP/s per format and number of rows. Figures
    printed before a failure are kept."""
    setting.need_device()
    text = ""
    try:
        done = run([setting.tests, TIMING_TEST, "--nocapture"], setting.left(), environment(setting))
        text = done.stdout
    except Failed as error:
        text = error.stdout
        raise
    finally:
        found["times"] = [json.loads(line) for line in re.findall(r"TIMING (\{.*\})", text)]
        for time in found["times"]:
            setting.note(json.dumps(time))
    if done.code != 0 or parse_tests(done.stdout)["passed"] != 1:
        raise Failed(f"the kernels could not all be timed: {tail(done.stdout + done.stderr, lines=4)}")
    if not found["times"]:
        raise Failed(f"the tests have no `{TIMING_TEST}`: built from another tree?")
