"""The steps of the GPU suite that time `maspo bench` on random weights in the shape of Qwen3-8B.
Knows no goal.
"""

import json

from gpu.process import Failed, json_objects


def decode(mode):
    """The step for one mode, deterministic or fast: every number format and batch size, in one
    process."""

    def step(setting, found):
        setting.need_device()
        found["runs"] = {}
        bench(setting, found["runs"], setting.load["dtypes"], mode, setting.load["batches"])

    step.__doc__ = f"Random weights of the large shape, {mode}: every number format and batch size."
    return step


def first_decode(setting, found):
    """The large shape in bf16 with ten sequences, deterministic: the first figure that a GPU has to
    show."""
    setting.need_device()
    found["runs"] = {}
    bench(setting, found["runs"], ["bf16"], "deterministic", [10])


def two_layers(setting, found):
    """Two layers of the large shape in bf16 with ten sequences, with decode steps captured as
    graphs and launched one by one."""
    setting.need_device()
    model = setting.two_layers()
    for name, environment in (("graphs", {}), ("no_graphs", {"MASPO_GPU_DEBUG": "no-graphs"})):
        runs = {}
        bench(setting, runs, ["bf16"], "deterministic", [10], model, environment)
        found[name] = runs["bf16"]
    steps_ms = [found[name]["runs"][0]["ms_per_step"] for name in ("graphs", "no_graphs")]
    found["ratio"] = steps_ms[1] / steps_ms[0]


RUN_FIGURES = ("prefill_tokens_per_s", "decode_tokens_per_s", "ms_per_step", "bytes_per_step", "bandwidth_fraction")


def bench(setting, found, dtypes, mode, batches, model=None, environment=None):
    """`maspo bench` on random weights of a model, the large shape if none is given: adds what it
    says of every number format to `found`, also where it failed after some of them, and checks that
    it measured what was asked for."""
    load = setting.load
    arguments = ["--model", model or setting.large_model(), "--random-weights", "--device", setting.device]
    arguments += ["--dtype", ",".join(dtypes), "--batch", ",".join(str(batch) for batch in batches)]
    arguments += ["--prompt-tokens", load["prompt_tokens"], "--new-tokens", load["new_tokens"]]
    arguments += ["--fast"] if mode == "fast" else []
    try:
        text = setting.call("bench", *arguments, "--json", environment=environment).stdout
    except Failed as error:
        add(setting, found, error.stdout, batches)
        raise
    add(setting, found, text, batches)
    if list(found) != list(dtypes):
        raise Failed(
            f"number formats {', '.join(dtypes)} were asked for, the binary measured {', '.join(found) or 'none'}"
        )


def add(setting, found, text, batches):
    """Checks what `maspo bench` printed, and adds it by number format."""
    for figures in json_objects(text, "bench"):
        setting.note(json.dumps(figures))
        check_device(setting, figures)
        measured = [run["batch"] for run in figures["runs"]]
        if measured != list(batches):
            raise Failed(f"batches {batches} were asked for, {measured} were measured")
        for part in (figures, *figures["runs"]):
            check_numbers(part, ("read_bandwidth_bytes_per_s",) if part is figures else RUN_FIGURES)
        found[figures["dtype"]] = figures


def check_numbers(figures, names):
    """What tables and goals take for granted."""
    for name in names:
        value = figures.get(name)
        if not isinstance(value, (int, float)) or not value > 0:
            raise Failed(f"the binary's JSON has no usable `{name}`: {value}")


def check_device(setting, found):
    """A figure of another device is none."""
    numbered = setting.device if ":" in setting.device else f"{setting.device}:0"
    if found.get("device") not in (setting.device, numbered):
        said = found.get("device") or "nothing of it"
        raise Failed(f"--device {setting.device} was asked for, the binary's JSON says {said}")


def workload(setting, found):
    """A recorded mini-batch step of MASPO on the large shape, in every mode."""
    setting.need_device()
    arguments = ["--model", setting.large_model(), "--random-weights", "--device", setting.device, "--dtype", "bf16"]
    arguments += ["--workload", "maspo", "--rounds", setting.load["rounds"]]
    if setting.load["queries"]:
        arguments += ["--queries", setting.load["queries"]]
    found["bench"] = setting.ask("bench", *arguments)
    check_device(setting, found["bench"])
    if not found["bench"].get("answers_identical"):
        raise Failed("the modes did not give the same answers")
    for mode in found["bench"]["modes"]:
        check_numbers(mode["seconds"], ("median",))
        check_numbers(mode["speedup_of_first"], ("median",))
