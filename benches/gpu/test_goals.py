"""Tests of the goals' arithmetic: what is met, missed and not measured. Results of steps are
written by hand here.
"""

import unittest

from gpu import goals


def decoding(dtype, rate, fast_rate, fraction=0.85, batches=goals.BATCHES, device="cuda:0"):
    """What the two decode steps found of a number format: tokens per second and sequence."""

    def found(rate):
        figures = {"prefill_tokens_per_s": 1e4, "bandwidth_fraction": fraction}
        runs = [{"batch": n, "decode_tokens_per_s": n * rate, **figures} for n in batches]
        return {"device": device, "runs": runs}

    return {"dtype": dtype, "deterministic": found(rate), "fast": found(fast_rate)}


def peer(ratio, compiled=True):
    sides = {"peer": {"device": "cuda", "compiled": compiled}, "ours": {"device": "cuda:0", "bandwidth_fraction": 0.8}}
    return {"step": "transformers", "status": "ok", "ratio": ratio, **sides}


def candle(ratio, device="cuda:0"):
    sides = {"peer": {"device": device}, "ours": {"device": device, "bandwidth_fraction": 0.8}}
    return {"step": "candle", "status": "ok", "ratio": ratio, **sides}


def peak(tflop_per_s):
    """Ten prompts take 1e4 tokens a second here, each of 2e10 operations: 200 TFLOP/s."""
    times = [{"kernel": "gemm", "matrix": "qkv", "tflop_per_s": 900.0}, {"matrix": "peak", "tflop_per_s": tflop_per_s}]
    return {"step": "kernel-times", "status": "ok", "times": times}


def states(*results, dry_run=False):
    decoded, others = [[r for r in results if ("dtype" in r) is wanted] for wanted in (True, False)]
    checks = [
        {"step": name, "status": "ok"} for name in goals.CHECKS if name not in [result["step"] for result in others]
    ]
    for mode in goals.MODES:
        runs = {result["dtype"]: result[mode] for result in decoded}
        operations = {"operations_per_prompt_token": 2e10}
        checks.append({"step": f"decode-{mode}", "status": "ok", "runs": runs, **operations})
    return {row["goal"]: row for row in goals.evaluate({"dry_run": dry_run, "steps": [*checks, *others]})}


class Goals(unittest.TestCase):
    DECODED = [decoding("bf16", 100, 105), decoding("q8_0", 170, 171), decoding("q4_k", 200, 201)]
    ALL = [*DECODED, candle(2.5), peer(3.5), peak(400.0)]

    def check(self, found, expected):
        self.assertEqual([row["state"] for row in found.values()], expected)

    def test_all_met(self):
        found = states(*self.ALL)
        self.check(found, ["met"] * 7)
        figures = [round(row["figure"], 4) for row in found.values()]
        self.assertEqual(figures, [0.85, 0.85, 1.7, 2.5, 3.5, 0.5, round(100 / 105, 4)])

    def test_each_missed(self):
        slow = [
            decoding("bf16", 100, 120, fraction=0.7),
            decoding("q8_0", 150, 151),
            decoding("q4_k", 200, 201),
            candle(1.9),
            peer(1.9),
            peak(501.0),
        ]
        found = states(*slow)
        self.check(found, ["missed"] * 7)
        self.assertIn("bf16 x1, of 15 pairs", list(found.values())[6]["note"])

    def test_a_bar_is_met_by_its_own_value(self):
        steps = [
            decoding("bf16", 100, 100, fraction=0.80),
            decoding("q8_0", 160, 160),
            decoding("q4_k", 1, 1),
            candle(2.0),
            peer(2.0),
            peak(500.0),
        ]
        self.check(states(*steps), ["met"] * 7)

    def test_nothing_measured(self):
        self.check(states(), ["not measured"] * 7)

    def test_a_dry_run_meets_nothing(self):
        self.check(states(*self.ALL, dry_run=True), ["not measured"] * 7)

    def test_a_cpu_meets_nothing(self):
        on_cpu = [decoding(dtype, 100, 100, device="cpu") for dtype in goals.DTYPES]
        self.check(states(*on_cpu, candle(9.0, device="cpu"), peak(400.0)), ["not measured"] * 7)

    def test_wrong_results_meet_nothing(self):
        for name in goals.CHECKS:
            found = states(*self.ALL, {"step": name, "status": "failed"})
            self.check(found, ["not measured"] * 7)

    def test_results_that_were_not_checked_say_so(self):
        found = states(*self.ALL, {"step": "parity", "status": "absent"})
        self.check(found, ["met"] * 7)
        self.assertTrue(all("parity not run beside it" in row["note"] for row in found.values()))

    def test_pairs_that_lack_leave_determinism_open_unless_one_misses(self):
        name = "deterministic decode over --fast, worst case"
        self.assertEqual(states(decoding("bf16", 100, 101))[name]["state"], "not measured")
        self.assertEqual(states(decoding("bf16", 100, 130))[name]["state"], "missed")

    def test_more_than_the_bandwidth_is_no_figure(self):
        impossible = [decoding("bf16", 100, 101, fraction=1.2), *self.ALL[1:]]
        found = states(*impossible)
        self.check(found, ["not measured"] * 3 + ["met"] * 3 + ["not measured"])
        self.assertIn(goals.TOO_FAST, list(found.values())[2]["note"])

    def test_a_peer_that_did_not_compile_is_not_the_peer(self):
        self.assertEqual([row["state"] for row in states(peer(9.0, compiled=False)).values()][4], "not measured")

    def test_a_share_of_the_peak_wants_a_peak_that_was_not_beaten(self):
        name = "bf16 prefill x10: share of the measured bf16 peak"
        for found in (self.DECODED, [*self.DECODED, peak(150.0)]):
            self.assertEqual(states(*found)[name]["state"], "not measured")
