"""The report of the GPU suite: one JSON file, parts of one run put together, and the tables in
Markdown. Knows the form of the steps' results and measures nothing.
"""

import json
import pathlib
import re

from gpu import goals
from gpu.process import InputError

SCHEMA = 1
KIND = "maspo-gpu-suite"


def finish(report):
    """Adds the goals."""
    report["goals"] = goals.evaluate(report)
    return report


def file_name(report, whole):
    """`gpu-NAME-DATE.json`; a part also names its steps."""
    name = re.sub(r"[^a-z0-9.]+", "-", report["name"].lower()).strip("-") or "unnamed"
    part = "" if whole else "-" + "-".join(report["asked"])
    return f"gpu-{name}-{report['date'][:10]}{part}.json"


def write(report, out, whole):
    """Writes the report into `OUT/benches/results`; its path."""
    path = pathlib.Path(out) / "benches" / "results" / file_name(report, whole)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_text(json.dumps(report, indent=1) + "\n")
    partial.replace(path)
    return path


def read(path):
    try:
        report = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None
    if report.get("kind") != KIND or report.get("schema") != SCHEMA:
        raise InputError(f"{path} is no report of this suite")
    return report


def merge(paths):
    """One report of several parts of a run: of the same build, on machines of the same kind. Of a
    step that is in two of them the one that came out right counts, else the later."""
    parts = sorted((read(path) for path in paths), key=lambda part: part["date"])
    merged = dict(parts[0])
    for part in parts[1:]:
        for field in ("dry_run", "git", "version", "device", "name", "driver", "load"):
            if part[field] != merged[field]:
                raise InputError(
                    f"these are no parts of one run: {field} is {merged[field]} in one and {part[field]} in another"
                )
    steps = {}
    for part in parts:
        for step in part["steps"]:
            if steps.get(step["step"], {}).get("status") != "ok" or step["status"] == "ok":
                steps[step["step"]] = {**step, "date": part["date"]}
    order = list(dict.fromkeys(name for part in parts for name in part["asked"]))
    merged["asked"] = order
    merged["steps"] = [steps[name] for name in order if name in steps]
    merged["seconds"] = round(sum(part["seconds"] for part in parts), 3)
    merged["commands"] = [command for part in parts for command in part["commands"]]
    return finish(merged)


# --- Markdown


def markdown(report):
    """Everything that a reader wants to see, as Markdown."""
    steps = {step["step"]: step for step in report["steps"]}
    lines = [f"## GPU suite: {report['name']}, {report['date']}", ""]
    if report["dry_run"]:
        lines += ["**Dry run on a CPU with tiny shapes: no figure here says anything about a GPU.**", ""]
    commit = (
        report["git"]["commit"][:12] + (" with changes" if report["git"]["dirty"] else "")
        if report["git"]
        else "unknown"
    )
    lines += [
        f"{report['version']}, commit {commit}, driver {report['driver'] or 'none'}, device {report['device']}.",
        "",
    ]
    rows = [[step["step"], step["status"], f"{step['seconds']:.1f}", gist(step)] for step in report["steps"]]
    lines += table(["step", "status", "seconds", ""], rows)
    lines += decode_table(steps) + workload_table(steps) + times_table(steps)
    rows = []
    for goal in report["goals"]:
        figure = "–" if goal["figure"] is None else f"{goal['figure']:.3f}"
        rows.append([goal["goal"], f"≥ {goal['bar']} {goal['unit']}", figure, goal["state"], goal["note"]])
    lines += table(["goal", "bar", "figure", "", "note"], rows)
    return "\n".join(lines).rstrip() + "\n"


def gist(step):
    """One cell about a step."""
    if step["reason"]:
        return step["reason"][:400].replace("|", "/").replace("\n", " ")
    kind = step["step"]
    if kind == "machine":
        devices = [
            f"{d.get('name')} ({d.get('compute_capability')})"
            for d in step["doctor"]["devices"]
            if not d.get("problem")
        ]
        return ", ".join(devices) or "no GPU"
    if kind == "kernels":
        return f"{step['passed']} tests passed"
    if kind == "kernel-times":
        return f"{len(step['times'])} figures"
    if kind == "two-layers":
        slower = f"launched one by one, a decode step takes {step['ratio']:.2f} times as long as captured"
        return slower + refused(step["graphs"])
    if kind == "bf16-x10":
        (run,) = step["runs"]["bf16"]["runs"]
        share = f"{100 * run['bandwidth_fraction']:.1f} % of the bandwidth"
        return f"{run['ms_per_step']:.3f} ms a step, {share}{refused(step['runs']['bf16'])}"
    if kind.startswith("decode-"):
        return "; ".join(f"{dtype}{text}" for dtype, found in step["runs"].items() if (text := refused(found)))
    if kind == "parity":
        return parity_gist(step)
    if kind in ("transformers", "candle", "vllm"):
        peer, ours = step["peer"], step["ours"]
        return f"{ours['decode_tokens_per_s']:.1f} over {peer['decode_tokens_per_s']:.1f} tok/s = {step['ratio']:.2f}"
    return ""


def refused(found):
    """What to say of sizes of decode steps that could not be captured; nothing where all could."""
    count = found.get("refused_captures", 0)
    return f", {count} captures refused" if count else ""


def parity_gist(step):
    shapes = step["shapes"].values()
    found = [shape[mode] for shape in shapes for mode in goals.MODES]
    same, count = (sum(figures["greedy"][key] for figures in found) for key in ("same", "count"))
    ours = max(figures["score"]["rms"] for figures in found)
    theirs = max(shape["score_transformers_bf16"]["rms"] for shape in shapes)
    errors = f"rms error at most {ours:.4f} of the logits' deviation (transformers in bf16: {theirs:.4f})"
    return f"{len(step['shapes'])} shapes, deterministic and fast, {errors}, greedy tokens the same {same} of {count}"


def decode_table(steps):
    rows = []
    for mode in goals.MODES:
        for dtype, found in steps.get(f"decode-{mode}", {}).get("runs", {}).items():
            for run in found["runs"]:
                share = f"{100 * run['bandwidth_fraction']:.1f} %"
                rates = [
                    f"{run['prefill_tokens_per_s']:.0f}",
                    f"{run['decode_tokens_per_s']:.1f}",
                    f"{run['ms_per_step']:.3f}",
                ]
                bandwidth = f"{found['read_bandwidth_bytes_per_s'] / 1e9:.0f}"
                rows.append([dtype, mode, str(run["batch"]), *rates, share, bandwidth])
    head = ["weights", "mode", "batch", "prefill tok/s", "decode tok/s", "ms a step", "of bandwidth", "GB/s measured"]
    return table(head, rows)


def times_table(steps):
    """Every kernel by itself."""
    rows = []
    for time in steps.get("kernel-times", {}).get("times", []):
        what = [time["kernel"], time.get("matrix", ""), time.get("format", ""), str(time["rows"])]
        operations = f"{time['tflop_per_s']:.1f}" if time["tflop_per_s"] else ""
        rows.append([*what, f"{time['us']:.2f}", f"{time['gb_per_s']:.0f}", operations])
    return table(["kernel", "matrix", "weights", "rows", "µs", "GB/s", "TFLOP/s"], rows)


def workload_table(steps):
    rows = []
    found = steps.get("workload", {}).get("bench", {})
    for mode in found.get("modes", []):
        seconds, ratio = mode["seconds"]["median"], mode["speedup_of_first"]["median"]
        tokens = [str(mode.get(key)) for key in ("prefilled_tokens", "reused_tokens", "decoded_tokens")]
        rows.append([str(mode.get("name")), *tokens, f"{seconds:.2f}", f"{ratio:.2f}"])
    return table(["recorded step, calls made", "prefilled", "reused", "decoded", "seconds", "times the first"], rows)


def table(head, rows):
    if not rows:
        return []
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)] + [""]
