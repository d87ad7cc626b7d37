"""The steps of the GPU suite that time `maspo bench` on random weights in the shape of Qwen3-8B.
Knows no goal.
"""

import json

from gpu import shapes
from gpu.process import Absent, Failed, json_objects


def decode(mode):
    """The step for one mode, deterministic or fast: every number format and batch size, in one
    process."""

    def step(setting, found):
        setting.need_device()
        found["runs"] = {}
        config = json.loads((setting.large_model() / "config.json").read_text())
        found["operations_per_prompt_token"] = shapes.operations_per_prompt_token(config)
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


def candle(setting, found):
    """The large shape in bf16 with ten sequences by our kernels and by candle's, in turn. Only a
    build with the feature `candle-cuda` has candle's for a GPU."""
    setting.need_device()
    ours, theirs = {}, {}
    # What may be missing comes first: nothing is measured in vain.
    try:
        bench(setting, theirs, ["bf16"], "candle", [10])
    except Failed as error:
        if "--features candle-cuda" in str(error):
            raise Absent("this build has no candle for NVIDIA GPUs (`--features candle-cuda`)") from None
        raise
    bench(setting, ours, ["bf16"], "deterministic", [10])
    for name, runs in (("ours", ours), ("peer", theirs)):
        (figures,) = runs["bf16"]["runs"]
        found[name] = {**figures, "device": runs["bf16"]["device"]}
    for name, figure in (("ratio", "decode_tokens_per_s"), ("prefill_ratio", "prefill_tokens_per_s")):
        found[name] = found["ours"][figure] / found["peer"][figure]


RUN_FIGURES = ("prefill_tokens_per_s", "decode_tokens_per_s", "ms_per_step", "bytes_per_step", "bandwidth_fraction")
# candle does not measure a bandwidth.
CANDLE_FIGURES = RUN_FIGURES[:3]


def bench(setting, found, dtypes, mode, batches, model=None, environment=None):
    """`maspo bench` on random weights of a model, the large shape if none is given: adds what it
    says of every number format to `found`, also where it failed after some of them, and checks that
    it measured what was asked for."""
    load = setting.load
    arguments = ["--model", model or setting.large_model(), "--random-weights", "--device", setting.device]
    arguments += ["--dtype", ",".join(dtypes), "--batch", ",".join(str(batch) for batch in batches)]
    arguments += ["--prompt-tokens", load["prompt_tokens"], "--new-tokens", load["new_tokens"]]
    arguments += {"fast": ["--fast"], "candle": ["--backend", "candle"]}.get(mode, [])
    try:
        text = setting.call("bench", *arguments, "--json", environment=environment).stdout
    except Failed as error:
        add(setting, found, error.stdout, batches, mode)
        raise
    add(setting, found, text, batches, mode)
    if list(found) != list(dtypes):
        raise Failed(
            f"number formats {', '.join(dtypes)} were asked for, the binary measured {', '.join(found) or 'none'}"
        )


def add(setting, found, text, batches, mode):
    """Checks what `maspo bench` printed, and adds it by number format."""
    for figures in json_objects(text, "bench"):
        setting.note(json.dumps(figures))
        check_device(setting, figures)
        measured = [run["batch"] for run in figures["runs"]]
        if measured != list(batches):
            raise Failed(f"batches {batches} were asked for, {measured} were measured")
        if mode != "candle":
            check_numbers(figures, ("read_bandwidth_bytes_per_s",))
        for run in figures["runs"]:
            check_numbers(run, CANDLE_FIGURES if mode == "candle" else RUN_FIGURES)
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
