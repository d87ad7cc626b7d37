"""The steps of the GPU suite. Each is a function of the setting and of the dict of its figures,
which it fills as it goes, so that what was found before a failure is kept; it raises `Failed` or
`Absent`. No step knows another, and none knows the goals.
"""

import itertools
import json
import os
import platform
import shutil
import time

from gpu import shapes
from gpu.decode import bench, candle, decode, first_decode, two_layers, workload
from gpu.goals import MODES
from gpu.kernels import kernel_times, kernels
from gpu.process import Absent, Failed, json_lines, run, succeed

# All that tells the state of the GPU, and the little that every driver knows.
SMI_FIELDS = (
    "name,driver_version,memory.total,memory.used,pstate,clocks.sm,clocks.mem,clocks.max.sm,"
    "power.limit,temperature.gpu",
    "name,driver_version,memory.total",
)

# Starts the driver, which makes device files where it has to, and says how many GPUs it counts.
DRIVER = """
import ctypes
cuda, count = ctypes.CDLL("libcuda.so.1"), ctypes.c_int()
print("cuInit gives", cuda.cuInit(0), "and cuDeviceGetCount", cuda.cuDeviceGetCount(ctypes.byref(count)), count.value)
"""


# --- 1: the machine


def machine(setting, found):
    """The GPU by nvidia-smi, its driver, and what `maspo doctor` says of it."""
    found["system"] = system()
    found["nvidia_smi"] = nvidia_smi()
    for command in (["nvidia-smi"], ["ldd", setting.maspo]):
        setting.note(said_by(command))
    setting.need_device()
    if setting.on_gpu:
        # Without the program, which takes rights of its own away: if this fails, so does
        # everything.
        setting.note(said_by([setting.python, "-c", DRIVER], setting.environment))
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


def peer(setting, found):
    """The versions of Python's torch and transformers, which the second stage compares with. Their
    first import on a machine takes long, so nothing that tells more waits for it."""
    setting.need_device()
    found["versions"] = setting.versions()
    setting.need_torch()


def said_by(command, environment=None):
    """All that a program says, for the log; why not, where it cannot run."""
    try:
        done = run(command, 20, environment)
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


# --- 2: parity with transformers

# In standard deviations of the logits. bf16 has 8 significant bits: one rounding is off by up to
# 2^-8 and by 0.0016 in root mean square. A layer rounds about 8 numbers on the way of the residual
# stream, so four layers give sqrt(32) * 0.0016 = 0.009: twice that is allowed, for one of thousands
# of values five times that. transformers' own bf16 pass on a CPU, which rounds the residual stream
# too, had 0.0138 and 0.062 on these shapes (2026-11-22). Planted in a model's configuration, a
# rope_theta of half the right one gave 0.09 and 0.38, an rms_norm_eps of 1e-3 for 1e-6 gave 0.06
# and 0.23: both are found.
RMS_TOLERANCE = 0.02
LARGEST_TOLERANCE = 0.1
# Two logits, each off by the largest error, may change places.
MARGIN_TOLERANCE = 2 * LARGEST_TOLERANCE


def parity(setting, found):
    """Teacher-forced log-probabilities and greedy tokens on random weights, beside an f32 forward
    pass of transformers: deterministic, and with --fast, where cuBLAS multiplies."""
    setting.need_device()
    setting.need_torch()
    wanted = shapes.parity_shapes(setting.dry_run)
    folder = setting.folder / "parity"
    setting.work("make", folder=str(folder), shapes=wanted)
    for name, shape in wanted.items():
        write_requests(folder / name, name, shape["vocab_size"], setting.dry_run)
        for command, mode in itertools.product(("score", "generate"), MODES):
            files = [
                "--input",
                folder / name / f"{command}.jsonl",
                "--output",
                folder / name / f"{command}.{mode}.jsonl",
            ]
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
        (folder / f"{command}.jsonl").write_text(
            "".join(json.dumps(request["line"]) + "\n" for request in asked[command])
        )


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


# --- 3: beside transformers and vLLM


def transformers(setting, found):
    """Ten sequences in bf16: `generate` of transformers with a static cache and torch.compile, and
    `maspo bench`, in turn."""
    setting.need_device()
    setting.need_torch()
    beside(setting, found, "speed")
    if setting.on_gpu and not found["peer"]["compiled"]:
        raise Failed("transformers did not compile its decode step: this is not the peer that was meant")


def vllm(setting, found):
    """Ten sequences in bf16 by vLLM, where the Python has it, and by `maspo bench`."""
    setting.need_device()
    setting.need_torch()
    if not setting.on_gpu:
        raise Absent("vLLM is compared on a GPU only")
    setting.work("has_vllm")
    beside(setting, found, "vllm")


def beside(setting, found, job):
    """What `maspo bench` and a job of torch_side.py measure with ten sequences in bf16, and the
    ratios of the two."""
    config = json.loads((setting.large_model() / "config.json").read_text())
    load = {key: setting.load[key] for key in ("prompt_tokens", "new_tokens", "repeats")}
    runs = {}
    bench(setting, runs, ["bf16"], "deterministic", [10])
    (figures,) = runs["bf16"]["runs"]
    found["ours"] = {**figures, "device": runs["bf16"]["device"]}
    found["versions"] = setting.versions()
    # Without a GPU the compiler would be what is timed.
    asked = {"config": config, "batch": 10, "device": setting.device, "compile": setting.on_gpu, "warmups": 2}
    found["peer"] = peer = setting.work(job, **asked, **load)
    found["ratio"] = figures["decode_tokens_per_s"] / peer["decode_tokens_per_s"]
    found["prefill_ratio"] = figures["prefill_tokens_per_s"] / peer["prefill_tokens_per_s"]


# --- all of them


class Step:
    """A step: its function, the stage it belongs to, the seconds that it is expected to take on an
    H100, and those after which it is ended. Nothing was measured yet: the seconds are estimates."""

    def __init__(self, function, stage, expected_s, limit_s):
        self.function, self.stage, self.expected_s, self.limit_s = function, stage, expected_s, limit_s


# What tells the most comes first.
STEPS = {
    "machine": Step(machine, 1, 10, 30),
    "kernels": Step(kernels, 1, 75, 120),
    "kernel-times": Step(kernel_times, 1, 15, 40),
    "two-layers": Step(two_layers, 1, 10, 30),
    "bf16-x10": Step(first_decode, 1, 15, 45),
    "peer": Step(peer, 1, 20, 60),
    "parity": Step(parity, 2, 50, 100),
    "decode-deterministic": Step(decode("deterministic"), 2, 45, 90),
    "decode-fast": Step(decode("fast"), 2, 45, 90),
    "transformers": Step(transformers, 2, 75, 140),
    "candle": Step(candle, 2, 25, 60),
    "vllm": Step(vllm, 2, 60, 80),
    "workload": Step(workload, 3, 300, 420),
}

# Seconds after which a stage ends, whatever its steps may take.
STAGE_S = {1: 200, 2: 300, 3: 420}
STAGE_BATCHES = (1, 10, 40)
# Without --stage a step may take so many times its limit: the batches are more, and nobody counts
# the seconds.
PATIENCE = 4


def of_stage(stage):
    """The names of a stage's steps; of all of them for `None`."""
    return [name for name, step in STEPS.items() if stage in (None, step.stage)]


def plan():
    """The table of the stages' steps and seconds; its last line ends with the seconds after which
    stages 1 and 2 end."""
    lines = [f"{'stage':<6} {'step':<22} {'expected':>8} {'ended after':>12}"]
    for stage, end_s in STAGE_S.items():
        chosen = {name: STEPS[name] for name in of_stage(stage)}
        lines += [f"{stage:<6} {name:<22} {step.expected_s:>6} s {step.limit_s:>10} s" for name, step in chosen.items()]
        lines.append(f"{stage:<6} {'in all':<22} {sum(step.expected_s for step in chosen.values()):>6} s {end_s:>10} s")
    expected = sum(STEPS[name].expected_s for stage in (1, 2) for name in of_stage(stage))
    ends = STAGE_S[1] + STAGE_S[2]
    return "\n".join(
        [*lines, f"stages 1 and 2: {expected} s are expected, and they end after at most, in seconds: {ends}"]
    )


def choose(text, stage=None):
    """Names of steps in their order, of a list in which a name or the part before a `-` may stand;
    `None` is all of the stage."""
    steps = of_stage(stage)
    if text is None:
        return steps
    wanted = text.split(",")
    for name in wanted:
        if name not in steps and not any(step.split("-")[0] == name for step in steps):
            raise ValueError(f"{name} is none of {', '.join(steps)}")
    return [
        step for step in steps if step in wanted or (step.split("-")[0] in wanted and step.split("-")[0] not in steps)
    ]


def take(name, setting, stage=None, steps=None):
    """The result of one step; whatever happens in it, the next can be taken."""
    step = (steps or STEPS)[name]
    found, started = {}, time.monotonic()
    status, reason = "ok", None
    try:
        if setting.spent():
            raise Absent("the time for all steps (--budget, or that of the stage) was used up before it")
        setting.begin(step.limit_s * (1 if stage else PATIENCE))
        step.function(setting, found)
    except Absent as error:
        status, reason = "absent", str(error)
    except Failed as error:
        status, reason = "failed", str(error)
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, OSError) as error:
        # JSON of another form, a full disk: said, and the other steps go on.
        status, reason = "failed", f"{type(error).__name__}: {error}"
    return {"step": name, "status": status, "reason": reason, "seconds": round(time.monotonic() - started, 3), **found}
