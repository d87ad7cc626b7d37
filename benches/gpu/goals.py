"""The goals of the GPU suite against a report of it: each met, missed or not measured, with its
figure. Arithmetic on plain dicts; knows nothing of how they were measured.
"""

BATCHES = (1, 10, 20, 40, 80)
DTYPES = ("bf16", "q8_0", "q4_k")
MODES = ("deterministic", "fast")

# More of the bandwidth than was measured cannot be read; a tenth is what that measurement may be
# off.
MOST_OF_BANDWIDTH = 1.1
TOO_FAST = "more than the bandwidth measured beside it was read: one of the two is wrong"
# Speed of kernels that compute something else counts nothing.
CHECKS = ("kernels", "parity")


def evaluate(report):
    """One dict per goal: name, bar, unit, figure (None if there is none), state and a note."""
    steps = {step["step"]: step for step in report["steps"]}
    rows = [
        of_bandwidth(steps, "bf16", 10, 0.80),
        of_bandwidth(steps, "bf16", 40, 0.75),
        eight_bits(steps),
        candle(steps),
        transformers(steps),
        prefill(steps),
        determinism(steps),
    ]
    return [judge(row, report, steps) for row in rows]


def judge(row, report, steps):
    """Adds `state`; a figure alone does not meet a goal, it has to come from a GPU whose results
    are right."""
    figure, why, on_gpu = row["figure"], row.pop("doubt", None), row.pop("on_gpu")
    broken = [name for name in CHECKS if steps.get(name, {}).get("status") == "failed"]
    if figure is None:
        state = "not measured"
    elif report["dry_run"]:
        state, why = "not measured", "dry run: the figure is a CPU's, of a tiny shape"
    elif not on_gpu:
        state, why = "not measured", "the figure is not a GPU's"
    elif why:
        state = "not measured"
    elif broken:
        state, why = "not measured", f"failed: {', '.join(broken)}; speed counts only where results are right"
    else:
        state = "met" if figure >= row["bar"] else "missed"
    notes = [note for note in (row.pop("note", None), why) if note]
    if state in ("met", "missed"):
        notes += [f"{name} not run beside it" for name in CHECKS if steps.get(name, {}).get("status") != "ok"]
    return {**row, "state": state, "note": "; ".join(notes)}


def runs(steps, dtype, mode):
    """Batch → figures of that decode step, and whether they are a GPU's."""
    found = steps.get(f"decode-{mode}", {}).get("runs", {}).get(dtype)
    if not found:
        return {}, False
    return {run["batch"]: run for run in found["runs"]}, str(found.get("device", "")).startswith("cuda")


def doubt(row, *measured):
    """A figure that rests on something impossible is none."""
    if any(run["bandwidth_fraction"] > MOST_OF_BANDWIDTH for run in measured):
        row["doubt"] = TOO_FAST


def of_bandwidth(steps, dtype, batch, bar):
    row = {"goal": f"{dtype} decode x{batch}: share of measured bandwidth", "bar": bar, "unit": "share", "figure": None}
    found, on_gpu = runs(steps, dtype, "deterministic")
    if batch in found:
        row["figure"] = found[batch]["bandwidth_fraction"]
        doubt(row, found[batch])
    fast = runs(steps, dtype, "fast")[0].get(batch)
    note = f"deterministic; --fast: {fast['bandwidth_fraction']:.3f}" if fast else "deterministic"
    return {**row, "on_gpu": on_gpu, "note": note}


def eight_bits(steps):
    row = {"goal": "q8_0 decode x10 over bf16", "bar": 1.6, "unit": "times", "figure": None}
    eight, on_gpu = runs(steps, "q8_0", "deterministic")
    sixteen, also = runs(steps, "bf16", "deterministic")
    if 10 in eight and 10 in sixteen:
        row["figure"] = eight[10]["decode_tokens_per_s"] / sixteen[10]["decode_tokens_per_s"]
        doubt(row, eight[10], sixteen[10])
    return {**row, "on_gpu": on_gpu and also, "note": "deterministic, new tokens per second"}


def over_peer(steps, name, called):
    """The peer's half of the step `name`, and the goal of our decode speed over it at ten
    sequences."""
    row = {"goal": f"bf16 decode x10 over {called}", "bar": 2.0, "unit": "times"}
    step = steps.get(name, {})
    peer, ours = step.get("peer"), step.get("ours")
    row["figure"] = step.get("ratio")
    if ours:
        doubt(row, ours)
    row["on_gpu"] = bool(ours and peer) and all(
        str(side.get("device", "")).startswith("cuda") for side in (ours, peer)
    )
    return peer, row


def candle(steps):
    _, row = over_peer(steps, "candle", "candle")
    return {**row, "note": "deterministic, both in one step and of one binary"}


def prefill(steps):
    """Prompt tokens of ten sequences, in operations of the matrices that they pass through, over
    the largest product of the device's own library."""
    row = {"goal": "bf16 prefill x10: share of the measured bf16 peak", "bar": 0.4, "unit": "share", "figure": None}
    found, on_gpu = runs(steps, "bf16", "deterministic")
    operations = steps.get("decode-deterministic", {}).get("operations_per_prompt_token")
    times = steps.get("kernel-times", {}).get("times", [])
    peaks = [time["tflop_per_s"] * 1e12 for time in times if time.get("matrix") == "peak"]
    if 10 in found and operations and peaks:
        row["figure"] = found[10]["prefill_tokens_per_s"] * operations / peaks[-1]
        if row["figure"] > 1:
            row["doubt"] = "more than the peak measured beside it: one of the two is wrong"
    note = f"deterministic; the peak is {peaks[-1] / 1e12:.0f} TFLOP/s" if peaks else "deterministic; no peak"
    return {**row, "on_gpu": on_gpu, "note": note}


def transformers(steps):
    peer, row = over_peer(steps, "transformers", "transformers (static cache, torch.compile)")
    if peer and not peer.get("compiled"):
        row["doubt"] = "transformers did not compile"
    # Then torch.compile gives its kernels, but not the graphs that make it fast: worth knowing
    # beside a ratio.
    skipped = "; transformers without CUDA graphs" if peer and peer.get("cudagraph_skips") else ""
    return {**row, "note": f"deterministic, both in one step{skipped}"}


def determinism(steps):
    """The worst of all batches and number formats; without all of them only a miss is certain."""
    row = {"goal": "deterministic decode over --fast, worst case", "bar": 0.9, "unit": "times", "figure": None}
    ratios, all_on_gpu = {}, True
    for dtype in DTYPES:
        (slow, on_gpu), (fast, also) = (runs(steps, dtype, mode) for mode in MODES)
        for batch in sorted(slow.keys() & fast.keys()):
            ratios[dtype, batch] = slow[batch]["decode_tokens_per_s"] / fast[batch]["decode_tokens_per_s"]
            all_on_gpu = all_on_gpu and on_gpu and also
            doubt(row, slow[batch], fast[batch])
    note = None
    if ratios:
        worst = min(ratios, key=ratios.get)
        row["figure"] = ratios[worst]
        wanted = len(DTYPES) * len(BATCHES)
        note = f"{worst[0]} x{worst[1]}, of {len(ratios)} pairs"
        if len(ratios) < wanted and row["figure"] >= row["bar"]:
            row["doubt"] = f"{wanted} pairs are called for"
    return {**row, "on_gpu": bool(ratios) and all_on_gpu, "note": note}
