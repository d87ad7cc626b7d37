"""The steps of the GPU suite. Each is a function of the setting and of the dict of its figures, which it fills as it goes, so that
what was found before a failure is kept; it raises `Failed` or `Absent`. No step knows another, and none knows the goals.
"""

import itertools
import json
import os
import platform
import re
import shutil
import time

from gpu import shapes
from gpu.goals import DTYPES, MODES
from gpu.pack import KERNEL_TESTS, MODEL_TESTS
from gpu.process import Absent, Failed, json_lines, run, succeed, tail

# All that tells the state of the GPU, and the little that every driver knows.
SMI_FIELDS = (
    "name,driver_version,memory.total,memory.used,pstate,clocks.sm,clocks.mem,clocks.max.sm,power.limit,temperature.gpu",
    "name,driver_version,memory.total",
)


# --- 1: the machine


def machine(setting, found):
    """The GPU by nvidia-smi, its driver, and what `maspo doctor` says of it."""
    found["system"] = system()
    found["nvidia_smi"] = nvidia_smi()
    for command in (["nvidia-smi"], ["ldd", setting.maspo]):
        setting.note(said_by(command))
    found["python"] = setting.versions()
    setting.need_device()
    found["doctor"] = doctor = setting.ask("doctor")
    if not setting.on_gpu:
        return
    name = setting.device if ":" in setting.device else f"{setting.device}:0"
    # Without a driver there is no number, only the kind and what is wrong with it.
    named = {device["device"]: device for device in doctor["devices"]}
    device = named.get(name) or named.get(setting.device.split(":")[0])
    if device is None:
        raise Failed(f"`maspo doctor` does not find {name}, but nvidia-smi says {found['nvidia_smi'] or 'nothing'}")
    if device.get("problem"):
        raise Failed(f"`maspo doctor` on {name}: {device['problem']}")


def said_by(command):
    """All that a program says, for the log; why not, where it cannot run."""
    try:
        done = run(command, 20)
    except Failed as error:
        return str(error)
    return done.stdout + done.stderr


def system():
    model = ""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as lines:
            model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return {
        "processor": model or platform.processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def nvidia_smi():
    """A dict per GPU; empty without one."""
    if not shutil.which("nvidia-smi"):
        return []
    for fields in SMI_FIELDS:
        try:
            done = succeed(run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"], 30))
        except Failed:
            continue
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        return [dict(zip(fields.split(","), (field.strip() for field in line.split(",")))) for line in lines]
    return []


# --- 2: every kernel against the slow reference


# Seconds that one test may take. The emulation compiles its kernels in the first one.
TEST_S = 20
DRY_TEST_S = 300
# Seconds that are kept for compute-sanitizer once a test has failed.
SANITIZER_S = 30


def kernels(setting, found):
    """The library's kernel suite on the device, and small models of the kernels beside the CPU's: each test in a process of its own,
    since an error on a GPU stays with the process that made it. A dry run lists them and runs the first under the emulation."""
    setting.need_device()
    environment = dict(setting.environment)
    tests = listed_tests(setting, environment)
    if setting.dry_run:
        found["listed"] = len(tests)
        tests = tests[:1]
    else:
        environment["MASPO_KERNELS"] = "device"
    found.update(passed=0, failed=0, ignored=0, failures=[])
    skipped = None
    for index, test in enumerate(tests):
        if setting.left() < (SANITIZER_S if found["failures"] else 0) + 1:
            found["not_run"] = tests[index:]
            setting.note(f"no time was left for: {', '.join(found['not_run'])}")
            break
        text, fault = kernel_test(setting, test, environment)
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
        setting.note(f"{test}: {said}")
    if found["failed"]:
        if not setting.dry_run:
            found["sanitizer"] = sanitize(setting, found["failures"][0], environment)
        raise Failed(f"{found['failed']} of {len(tests)} tests failed: {', '.join(found['failures'])}")
    if "not_run" in found:
        raise Failed(f"no time was left for {len(found['not_run'])} of {len(tests)} tests, from {found['not_run'][0]} on")
    if skipped:
        raise Absent(skipped)


def listed_tests(setting, environment):
    """The names of the tests on the device, which each run by itself; the small models come after the kernels."""
    names = []
    for part in (KERNEL_TESTS, MODEL_TESTS):
        listed = succeed(run([setting.tests, part, "--list"], setting.left(), environment)).stdout
        lines = [line.removesuffix(": test") for line in listed.splitlines() if line.endswith(": test")]
        if part == KERNEL_TESTS and not lines:
            raise Failed(f"the tests have no `{KERNEL_TESTS}`: built from another tree?")
        names += [line for line in lines if line not in names]
    return names


def kernel_test(setting, test, environment):
    """What one test printed, and what was wrong with it in a line, or `None`."""
    limit_s = min(DRY_TEST_S if setting.dry_run else TEST_S, setting.left())
    try:
        done = run([setting.tests, test, "--exact", "--show-output"], limit_s, environment)
    except Failed as error:
        return str(error), str(error)
    text = done.stdout + done.stderr
    counts = parse_tests(text)
    if done.code == 0 and counts["passed"] == 1 and not counts["failed"]:
        return text, None
    return text, tail(text, lines=2) or f"exit code {done.code} and no word"


def sanitize(setting, test, environment):
    """The last words of NVIDIA's compute-sanitizer on a test that failed; says so where there is none."""
    tool = shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer"
    try:
        done = run([tool, setting.tests, test, "--exact", "--show-output"], min(SANITIZER_S, setting.left()), environment)
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


# --- 3: parity with transformers

# In standard deviations of the logits. bf16 has 8 significant bits: one rounding is off by up to 2^-8 and by 0.0016 in root mean
# square. A layer rounds about 8 numbers on the way of the residual stream, so four layers give sqrt(32) * 0.0016 = 0.009: twice
# that is allowed, for one of thousands of values five times that. transformers' own bf16 pass on a CPU, which rounds the residual
# stream too, had 0.0138 and 0.062 on these shapes (2026-11-22). Planted in a model's configuration, a rope_theta of half the right
# one gave 0.09 and 0.38, an rms_norm_eps of 1e-3 for 1e-6 gave 0.06 and 0.23: both are found.
RMS_TOLERANCE = 0.02
LARGEST_TOLERANCE = 0.1
# Two logits, each off by the largest error, may change places.
MARGIN_TOLERANCE = 2 * LARGEST_TOLERANCE


def parity(setting, found):
    """Teacher-forced log-probabilities and greedy tokens on random weights, beside an f32 forward pass of transformers: deterministic,
    and with --fast, where cuBLAS multiplies."""
    setting.need_device()
    setting.need_torch()
    wanted = shapes.parity_shapes(setting.dry_run)
    folder = setting.folder / "parity"
    setting.work("make", folder=str(folder), shapes=wanted)
    for name, shape in wanted.items():
        write_requests(folder / name, name, shape["vocab_size"], setting.dry_run)
        for command, mode in itertools.product(("score", "generate"), MODES):
            files = ["--input", folder / name / f"{command}.jsonl", "--output", folder / name / f"{command}.{mode}.jsonl"]
            how = ["--device", setting.device, "--dtype", "bf16", f"--{mode}"]
            setting.call(command, "--model", folder / name, *how, *files)
    tolerances = {"rms": RMS_TOLERANCE, "largest": LARGEST_TOLERANCE, "greedy_margin": MARGIN_TOLERANCE}
    found.update(tolerances=tolerances, versions=setting.versions())
    job = {"folder": str(folder), "shapes": list(wanted), "modes": list(MODES), "device": setting.device}
    found["shapes"] = setting.work("check", **job)["shapes"]
    faults = []
    for (name, shape), mode in itertools.product(found["shapes"].items(), MODES):
        faults += parity_faults(f"{name} --{mode}", shape[mode])
    if faults:
        raise Failed("; ".join(faults))


def write_requests(folder, name, vocabulary, dry_run):
    asked = shapes.requests(name, vocabulary, dry_run)
    (folder / "requests.json").write_text(json.dumps(asked))
    (folder / "tokenizer.json").write_text(json.dumps(shapes.tokenizer(vocabulary)))
    for command in ("score", "generate"):
        (folder / f"{command}.jsonl").write_text("".join(json.dumps(request["line"]) + "\n" for request in asked[command]))


def parity_faults(name, figures):
    """What is beyond the tolerances, in words."""
    checks = [("greedy margin", figures["greedy"]["largest_margin"], MARGIN_TOLERANCE)]
    for what in ("score", "score_three_tokens"):
        checks.append((f"{what} rms", figures[what]["rms"], RMS_TOLERANCE))
        checks.append((f"{what} largest", figures[what]["largest"], LARGEST_TOLERANCE))
    faults = []
    for what, value, tolerance in checks:
        if value is None or not value <= tolerance:
            said = "not a number" if value is None else f"{value:.4f}"
            faults.append(f"{name}: {what} is {said}, at most {tolerance} of the logits' deviation is allowed")
    return faults


# --- 4: decode and prefill of the large shape


def decode(dtype):
    """The step for one number format: all batch sizes, deterministic and fast."""

    def step(setting, found):
        setting.need_device()
        found["runs"] = {}
        for mode in MODES:
            found["runs"][mode] = bench(setting, dtype, mode, setting.load["batches"])

    step.__doc__ = f"Random weights of the large shape in {dtype}: every batch size, deterministic and --fast."
    return step


def first_decode(setting, found):
    """The large shape in bf16 with ten sequences, deterministic: the first figure that a GPU has to show."""
    setting.need_device()
    found["runs"] = {"deterministic": bench(setting, "bf16", "deterministic", [10])}


RUN_FIGURES = ("prefill_tokens_per_s", "decode_tokens_per_s", "ms_per_step", "bytes_per_step", "bandwidth_fraction")


def bench(setting, dtype, mode, batches):
    """`maspo bench` on random weights of the large shape; checks that it measured what was asked for."""
    load = setting.load
    arguments = ["--model", setting.large_model(), "--random-weights", "--device", setting.device, "--dtype", dtype]
    arguments += ["--batch", ",".join(str(batch) for batch in batches)]
    arguments += ["--prompt-tokens", load["prompt_tokens"], "--new-tokens", load["new_tokens"]]
    arguments += ["--fast"] if mode == "fast" else []
    found = setting.ask("bench", *arguments)
    check_asked(setting, found, dtype)
    measured = [run["batch"] for run in found["runs"]]
    if measured != list(batches):
        raise Failed(f"batches {batches} were asked for, {measured} were measured")
    for figures in (found, *found["runs"]):
        check_numbers(figures, ("read_bandwidth_bytes_per_s",) if figures is found else RUN_FIGURES)
    return found


def check_numbers(figures, names):
    """What tables and goals take for granted."""
    for name in names:
        value = figures.get(name)
        if not isinstance(value, (int, float)) or not value > 0:
            raise Failed(f"the binary's JSON has no usable `{name}`: {value}")


def check_asked(setting, found, dtype):
    numbered = setting.device if ":" in setting.device else f"{setting.device}:0"
    if found.get("device") not in (setting.device, numbered):
        said = found.get("device") or "nothing of it"
        raise Failed(f"--device {setting.device} was asked for, the binary's JSON says {said}")
    if found.get("dtype") != dtype:
        raise Failed(f"--dtype {dtype} was asked for, the binary measured {found.get('dtype')}")


# --- 5: beside transformers


def transformers(setting, found):
    """Ten sequences in bf16: `generate` of transformers with a static cache and torch.compile, and `maspo bench`, in turn."""
    setting.need_device()
    setting.need_torch()
    config = json.loads((setting.large_model() / "config.json").read_text())
    load = {key: setting.load[key] for key in ("prompt_tokens", "new_tokens", "repeats")}
    # Without a GPU the compiler would be what is timed.
    job = {"config": config, "batch": 10, "device": setting.device, "compile": setting.on_gpu, "warmups": 2, **load}
    ours = bench(setting, "bf16", "deterministic", [10])
    (figures,) = ours["runs"]
    found["ours"] = {**figures, "device": ours["device"]}
    found["versions"] = setting.versions()
    found["peer"] = peer = setting.work("speed", **job)
    found["ratio"] = figures["decode_tokens_per_s"] / peer["decode_tokens_per_s"]
    found["prefill_ratio"] = figures["prefill_tokens_per_s"] / peer["prefill_tokens_per_s"]
    if job["compile"] and not peer["compiled"]:
        raise Failed("transformers did not compile its decode step: this is not the peer that was meant")


# --- 6: the recorded step of a search


def workload(setting, found):
    """A recorded mini-batch step of MASPO on the large shape, in every mode."""
    setting.need_device()
    arguments = ["--model", setting.large_model(), "--random-weights", "--device", setting.device, "--dtype", "bf16"]
    arguments += ["--workload", "maspo", "--rounds", setting.load["rounds"]]
    if setting.load["queries"]:
        arguments += ["--queries", setting.load["queries"]]
    found["bench"] = setting.ask("bench", *arguments)
    check_asked(setting, found["bench"], "bf16")
    if not found["bench"].get("answers_identical"):
        raise Failed("the modes did not give the same answers")
    for mode in found["bench"]["modes"]:
        check_numbers(mode["seconds"], ("median",))
        check_numbers(mode["speedup_of_first"], ("median",))


# --- all of them


# Name → function, seconds it may take.
STEPS = {
    "machine": (machine, 60),
    "kernels": (kernels, 300),
    "parity": (parity, 240),
    "transformers": (transformers, 330),
    **{f"decode-{dtype}": (decode(dtype), 240) for dtype in DTYPES},
    "workload": (workload, 420),
}


# What tells the most comes first. A stage's limits are kept by ending what outlasts them, so that their sum is what it takes at most.
STAGES = {
    1: {"machine": (machine, 30), "kernels": (kernels, 110), "bf16-x10": (first_decode, 60)},
    2: {
        "parity": (parity, 75),
        **{f"decode-{dtype}": (decode(dtype), 50) for dtype in DTYPES},
        "transformers": (transformers, 75),
    },
    3: {"workload": (workload, 420)},
}

STAGE_BATCHES = (1, 10, 40)


def plan():
    """The table of the stages' steps and seconds; its last line ends with the sum of stages 1 and 2."""
    lines = []
    for stage, chosen in STAGES.items():
        lines += [f"stage {stage}  {name:<14} {limit_s:>4} s" for name, (_, limit_s) in chosen.items()]
    most = sum(limit_s for stage in (1, 2) for _, limit_s in STAGES[stage].values())
    return "\n".join([*lines, f"stages 1 and 2 take at most, in seconds: {most}"])


def choose(text, steps=None):
    """Names of steps in their order, of a list in which a name or the part before a `-` may stand; `None` is all."""
    steps = STEPS if steps is None else steps
    if text is None:
        return list(steps)
    wanted = text.split(",")
    for name in wanted:
        if name not in steps and not any(step.split("-")[0] == name for step in steps):
            raise ValueError(f"{name} is none of {', '.join(steps)}")
    return [step for step in steps if step in wanted or step.split("-")[0] in wanted]


def take(name, setting, steps=None):
    """The result of one step; whatever happens in it, the next can be taken."""
    step, limit_s = (steps or STEPS)[name]
    found, started = {}, time.monotonic()
    status, reason = "ok", None
    try:
        if setting.spent():
            raise Absent("the time for all steps (--budget) was used up before it")
        setting.begin(limit_s)
        step(setting, found)
    except Absent as error:
        status, reason = "absent", str(error)
    except Failed as error:
        status, reason = "failed", str(error)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError) as error:
        # JSON of another form, a full disk: said, and the other steps go on.
        status, reason = "failed", f"{type(error).__name__}: {error}"
    return {"step": name, "status": status, "reason": reason, "seconds": round(time.monotonic() - started, 3), **found}
