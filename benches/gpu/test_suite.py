"""Tests of the GPU suite itself: packing, steps, reports, and a whole dry run on programs that only
pretend. Standard library, seconds, no GPU: `scripts/gpu-suite.sh --self-test`.
"""

import contextlib
import io
import json
import os
import pathlib
import re
import sys
import tempfile
import time
import unittest
from unittest import mock

import gpu_suite
from gpu import decode, kernels, pack, process, report, shapes, steps
from gpu.process import Absent, Failed, InputError
from gpu.setting import Setting

# A `maspo` that answers as the real one does, with figures made up from what it was asked.
MASPO = """#!{python}
import json, os, sys
args = sys.argv[1:]
def value(flag, default=None):
    return args[args.index(flag) + 1] if flag in args else default
head = {{"schema": 1, "command": "bench", "device": value("--device"), "dtype": value("--dtype")}}
if "--version" in args:
    print("maspo 0.0.0-pretended")
elif value("--backend") == "candle" and value("--device") != "cpu":
    why = "this build has no CUDA of candle: build it with `cargo build --features candle-cuda`"
    print("error: " + why, file=sys.stderr)
    sys.exit(3)
elif args[0] in {unknown!r} or any(flag in args for flag in {unknown!r}):
    print("error: unexpected argument '--device' found", file=sys.stderr)
    sys.exit(2)
elif args[0] == "doctor":
    print(json.dumps({{"schema": 1, "command": "doctor", "cpu": {{}}, "devices": []}}))
elif args[0] == "bench" and "--workload" in args:
    spread = {{"median": 1.0, "min": 1.0, "max": 1.0}}
    mode = {{"name": "as a search does it", "prefilled_tokens": 2, "reused_tokens": 1, "decoded_tokens": 3}}
    mode |= {{"seconds": spread, "speedup_of_first": spread}}
    print(json.dumps({{**head, "answers_identical": True, "modes": [mode]}}))
elif args[0] == "bench":
    slow = 2.0 if os.environ.get("MASPO_GPU_DEBUG") == "no-graphs" else 1.0
    for dtype in value("--dtype").split(","):
        rate = {{"bf16": 100.0, "q8_0": 170.0, "q4_k": 200.0}}[dtype] * (1.05 if "--fast" in args else 1.0)
        figures = {{"prefill_tokens_per_s": 10.0, "ms_per_step": slow, "bytes_per_step": 10, "bandwidth_fraction": 0.9}}
        batches = [int(batch) for batch in value("--batch").split(",")]
        runs = [{{"batch": batch, "decode_tokens_per_s": rate * batch, **figures}} for batch in batches]
        figures = {{"runs": runs, "refused_captures": 2, "read_bandwidth_bytes_per_s": 1e9}}
        print(json.dumps({{**head, "dtype": dtype, **figures}}))
else:
    sys.exit(1)
"""
TESTS = """#!{python}
import json, os, sys
if os.environ.get("MASPO_KERNELS") != "device" or os.environ.get("MASPO_EMULATED_DEVICE") != "1":
    sys.exit("a dry run wants the emulated device")
if "--list" in sys.argv:
    print("kernels::gpu::cuda::tests::one: test" if "cuda" in sys.argv[1] else "on_this_machine: test")
elif "timing" in sys.argv[1]:
    time = {{"kernel": "linear", "matrix": "qkv", "format": "bf16", "rows": 10}}
    time |= {{"us": 20.5, "gb_per_s": 2454.0, "tflop_per_s": 25.0}}
    print("test timing ... TIMING", json.dumps(time))
    print("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.00s")
else:
    print("test kernels::gpu::cuda::tests::one ... ok")
    print("test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 7 filtered out; finished in 0.00s")
"""
NO_TORCH = "#!/bin/sh\necho \"ModuleNotFoundError: No module named 'torch'\" >&2\nexit 1\n"


def program(folder, name, text):
    path = pathlib.Path(folder) / name
    path.write_text(text)
    path.chmod(0o755)
    return path


def pretended(folder, unknown=("nothing",)):
    return {
        "maspo": program(folder, "maspo", MASPO.format(python=sys.executable, unknown=tuple(unknown))),
        "maspo-tests": program(folder, "maspo-1a2b", TESTS.format(python=sys.executable)),
    }


def call(*arguments):
    """Exit code, standard output and standard error of the suite."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = gpu_suite.main([str(argument) for argument in arguments])
        except SystemExit as error:
            code = error.code
    return code, out.getvalue(), err.getvalue()


class Packing(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def pack(self, **options):
        return pack.pack(self.folder / "pack", pretended(self.folder), say=lambda line: None, **options)

    def test_what_is_packed_comes_out_again(self):
        size = self.pack()
        self.assertEqual(size, sum(path.stat().st_size for path in (self.folder / "pack").rglob("*") if path.is_file()))
        (self.folder / "there").mkdir()
        paths, manifest = pack.unpack(self.folder / "pack", self.folder / "there")
        self.assertEqual(set(paths), set(pack.BINARIES))
        self.assertEqual(paths["maspo"].read_text(), (self.folder / "maspo").read_text())
        self.assertTrue(os.access(paths["maspo"], os.X_OK))
        self.assertEqual(manifest["version"], "maspo 0.0.0-pretended")
        for name in ("gpu-suite.sh", "gpu_suite.py", "gpu/steps.py", "qwen3-8b/config.json"):
            self.assertTrue((self.folder / "pack" / name).is_file(), name)
        self.pack()  # again, over itself

    def test_a_pack_that_is_too_large_is_refused_and_not_left_there(self):
        with self.assertRaisesRegex(InputError, "more than 0 MB: nothing was written"):
            self.pack(limit_bytes=1000)
        self.assertEqual(sorted(path.name for path in self.folder.iterdir()), ["maspo", "maspo-1a2b"])

    def test_the_limit_is_48_megabytes(self):
        self.assertEqual(pack.LIMIT_BYTES, 48_000_000)

    def test_a_folder_with_something_else_is_left_alone(self):
        (self.folder / "pack").mkdir()
        (self.folder / "pack" / "mine").write_text("kept")
        with self.assertRaisesRegex(InputError, "no pack of an earlier run"):
            self.pack()
        self.assertEqual((self.folder / "pack" / "mine").read_text(), "kept")

    def test_a_damaged_binary_is_found(self):
        self.pack()
        (self.folder / "pack" / "maspo.xz").write_bytes((self.folder / "pack" / "maspo-tests.xz").read_bytes())
        with self.assertRaisesRegex(InputError, "digest differs"):
            pack.unpack(self.folder / "pack", self.folder)

    def test_another_architecture_is_said(self):
        self.pack()
        with (
            mock.patch("platform.machine", return_value="riscv64"),
            self.assertRaisesRegex(InputError, "this machine is riscv64"),
        ):
            pack.unpack(self.folder / "pack", self.folder)

    def test_a_pack_runs_from_its_own_script(self):
        self.pack()
        out = self.folder / "out"
        command = [
            "sh",
            self.folder / "pack" / "gpu-suite.sh",
            "--run",
            self.folder / "pack",
            "--dry-run",
            "--out",
            out,
        ]
        done = process.run(
            [*command, "--steps", "machine,decode-fast", "--python", program(self.folder, "nothing", NO_TORCH)], 60
        )
        self.assertEqual(done.code, 0, done.stderr)
        (path,) = (out / "benches" / "results").iterdir()
        self.assertRegex(path.name, r"^gpu-dry-run-\d{4}-\d\d-\d\d-machine-decode-fast\.json$")


class Steps(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.no_torch = program(self.folder, "python-without-torch", NO_TORCH)

    def setting(self, unknown=("nothing",), device="cpu", dry_run=True, budget_s=None):
        return Setting(pretended(self.folder, unknown), self.no_torch, device, dry_run, self.folder, budget_s)

    def test_a_build_without_candle_for_a_gpu_has_no_candle_step(self):
        with mock.patch.object(Setting, "need_device"):
            found = steps.take("candle", self.setting(device="cuda", dry_run=False))
        self.assertEqual((found["status"], "candle-cuda" in found["reason"]), ("absent", True), found)

    def test_a_step_that_fails_stops_nothing(self):
        def broken(setting, found):
            found["half"] = 1
            raise Failed("it broke")

        def odd(setting, found):
            return {}["no such field"]

        table = {
            "broken": steps.Step(broken, 1, 1, 9),
            "odd": steps.Step(odd, 1, 1, 9),
            "machine": steps.STEPS["machine"],
        }
        setting = self.setting()
        found = [steps.take(name, setting, 1, table) for name in table]
        self.assertEqual([result["status"] for result in found], ["failed", "failed", "ok"])
        self.assertEqual((found[0]["half"], found[0]["reason"]), (1, "it broke"))
        self.assertIn("no such field", found[1]["reason"])

    def test_without_torch_its_steps_are_absent(self):
        for name in ("parity", "transformers", "vllm"):
            found = steps.take(name, self.setting())
            self.assertEqual(found["status"], "absent")
            self.assertIn("No module named 'torch'", found["reason"])

    def test_without_a_gpu_its_steps_are_absent(self):
        with mock.patch("shutil.which", return_value=None), mock.patch("glob.glob", return_value=[]):
            for name in steps.STEPS:
                found = steps.take(name, self.setting(device="cuda", dry_run=False))
                self.assertEqual((found["status"], "no NVIDIA GPU" in found["reason"]), ("absent", True), name)

    def test_a_binary_without_the_flags_is_said_clearly(self):
        found = steps.take("decode-fast", self.setting(unknown=["--device"]))
        self.assertEqual(found["status"], "failed")
        self.assertIn("this build does not know what the suite asks of it (error: unexpected argument", found["reason"])

    def test_time_that_is_used_up(self):
        found = steps.take("machine", self.setting(budget_s=0))
        self.assertEqual((found["status"], "--budget" in found["reason"]), ("absent", True))
        slow = program(self.folder, "slow", "#!/bin/sh\necho begun\nsleep 60 & sleep 60\n")
        started = time.monotonic()
        with self.assertRaisesRegex(Failed, "no answer within 0 s: .*begun"):
            process.run([slow], 0.4)
        self.assertLess(time.monotonic() - started, 20)

    def test_arguments_of_a_measurement(self):
        setting = self.setting(device="cuda:1", dry_run=False)
        with mock.patch.object(setting, "call", side_effect=Absent("recorded")) as call, self.assertRaises(Absent):
            decode.bench(setting, {}, ["bf16", "q8_0"], "fast", [1, 10])
        expected = "bench --model MODEL --random-weights --device cuda:1 --dtype bf16,q8_0 --batch 1,10"
        expected += " --prompt-tokens 256 --new-tokens 128 --fast --json"
        given = ["MODEL" if str(argument).endswith("qwen3-8b") else str(argument) for argument in call.call_args.args]
        self.assertEqual(given, expected.split())

    def test_a_measurement_of_another_device_is_refused(self):
        setting = self.setting(device="cuda")
        decode.check_device(setting, {"device": "cuda:0"})
        for wrong in ({"device": "cpu"}, {"device": "cuda:1"}, {}):
            with self.assertRaises(Failed):
                decode.check_device(setting, wrong)

    def test_number_formats_that_were_not_measured_are_named(self):
        setting = self.setting()
        line = process.run([setting.maspo, "bench", "--device", "cpu", "--dtype", "bf16", "--batch", "10"], 9).stdout
        with (
            mock.patch.object(setting, "call", return_value=mock.Mock(stdout=line)),
            self.assertRaises(Failed) as failed,
        ):
            decode.bench(setting, {}, ["bf16", "q8_0"], "fast", [10])
        self.assertIn("the binary measured bf16", str(failed.exception))

    def test_a_run_that_is_ended_keeps_the_number_formats_that_it_had(self):
        setting, found = self.setting(), {}
        line = process.run([setting.maspo, "bench", "--device", "cpu", "--dtype", "bf16", "--batch", "10"], 9).stdout
        ended = Failed("no answer within 9 s", line + line[:40])
        with mock.patch.object(setting, "call", side_effect=ended), self.assertRaises(Failed):
            decode.bench(setting, found, ["bf16", "q8_0"], "fast", [10])
        self.assertEqual(list(found), ["bf16"])

    def test_two_layers_with_graphs_and_without(self):
        found = steps.take("two-layers", self.setting())
        self.assertEqual((found["status"], found["ratio"]), ("ok", 2.0), found["reason"])
        config = json.loads((self.folder / "two-layers" / "config.json").read_text())
        self.assertEqual(config, {**shapes.TINY, "num_hidden_layers": 2})

    def test_times_of_kernels_that_were_printed_before_a_fault_are_kept(self):
        setting = self.setting(device="cuda", dry_run=False)
        ended = Failed("no answer within 40 s", 'test timing ... TIMING {"kernel": "linear", "us": 20.5}\nTIMING {"ker')
        with mock.patch.object(setting, "need_device"), mock.patch("gpu.kernels.run", side_effect=ended) as run:
            found = steps.take("kernel-times", setting)
        self.assertEqual((found["status"], found["times"]), ("failed", [{"kernel": "linear", "us": 20.5}]))
        self.assertEqual(run.call_args.args[2]["MASPO_KERNELS"], "device")
        self.assertNotIn("MASPO_EMULATED_DEVICE", run.call_args.args[2])

    def test_a_failed_test_is_told_by_its_panic(self):
        text = "---- a::b stdout ----\n\nthread 'a::b' (7) panicked at src/a.rs:1:2:\n3 is not 4\nnote: run with\n"
        self.assertEqual(kernels.fault_of(text + "test result: FAILED. 0 passed"), "src/a.rs:1:2: 3 is not 4")
        self.assertEqual(kernels.fault_of("Segmentation fault"), "Segmentation fault")

    def test_the_driver_is_started_without_the_program_first(self):
        setting = self.setting(device="cuda", dry_run=False)
        setting.log, setting.python = self.folder / "log", sys.executable
        with mock.patch.object(setting, "need_device"), mock.patch.object(setting, "ask", return_value={"devices": []}):
            steps.take("machine", setting)
        self.assertRegex(setting.log.read_text(), "cuInit gives|libcuda.so.1")

    def test_what_nvidia_smi_says(self):
        line = "NVIDIA H200, 580.159.03, 143771 MiB\n"
        answers = [process.Done([], 2, "", "Field is not a valid field", 0.0), process.Done([], 0, line, "", 0.0)]
        with mock.patch("shutil.which", return_value="nvidia-smi"), mock.patch("gpu.steps.run", side_effect=answers):
            (found,) = steps.nvidia_smi()
        self.assertEqual(found, {"name": "NVIDIA H200", "driver_version": "580.159.03", "memory.total": "143771 MiB"})

    def test_the_doctor_has_to_find_the_gpu_without_a_problem(self):
        setting = self.setting(device="cuda", dry_run=False)
        device = {"device": "cuda:0", "name": "NVIDIA H200", "problem": None}
        old, none = {**device, "problem": "old"}, {"device": "cuda", "problem": "no driver"}
        cases = (
            ([device], None),
            ([], "does not find cuda:0"),
            ([old], "on cuda:0: old"),
            ([none], "on cuda:0: no driver"),
        )
        for devices, reason in cases:
            with (
                mock.patch.object(setting, "need_device"),
                mock.patch.object(setting, "ask", return_value={"devices": devices}),
            ):
                found = steps.take("machine", setting)
            self.assertEqual(found["status"], "failed" if reason else "ok")
            self.assertIn(reason or "", found["reason"] or "")

    def test_results_of_rusts_tests(self):
        text = (
            "test a::b ... ok\ntest a::c ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed; 2 ignored; 0 measured\n"
        )
        self.assertEqual(kernels.parse_tests(text), {"passed": 1, "failed": 1, "ignored": 2, "failures": ["a::c"]})
        self.assertEqual(
            kernels.parse_tests("no such library"), {"passed": 0, "failed": 0, "ignored": 0, "failures": []}
        )

    def kernels(self, tests, answers):
        """The step on a GPU with these tests, whose runs come out like this; and the children that
        it started."""
        setting = self.setting(device="cuda", dry_run=False)
        started = []

        def run(command, limit_s, env=None, cwd=None):
            started.append((command, limit_s, env))
            self.assertNotIn("MASPO_EMULATED_DEVICE", env)
            if "--list" in command:
                names = [test for test in tests if command[1] in test]
                return process.Done(command, 0, "".join(f"{name}: test\n" for name in names), "", 0.0)
            answer = answers[next(test for test in tests if test in command)]
            if isinstance(answer, Exception):
                raise answer
            return process.Done(command, int("FAILED" in answer), answer, "", 0.0)

        with mock.patch.object(setting, "need_device"), mock.patch("gpu.kernels.run", side_effect=run):
            return steps.take("kernels", setting), started

    def test_kernels_run_each_in_a_process_of_its_own(self):
        good = "test a ... ok\ntest result: ok. 1 passed; 0 failed; 0 ignored\n"
        bad = "test a ... FAILED\ntest result: FAILED. 0 passed; 1 failed; 0 ignored\n"
        tests = [f"kernels::gpu::cuda::{name}" for name in ("one", "two", "three")] + ["tests::on_this_machine"]
        slow = Failed("no answer within 20 s")
        found, started = self.kernels(tests, dict(zip(tests, (good, bad, slow, good))))
        self.assertEqual((found["status"], found["passed"], found["failed"]), ("failed", 2, 2))
        self.assertEqual(found["failures"], tests[1:3])
        runs = [(command, limit_s, env) for command, limit_s, env in started if "--list" not in command]
        self.assertEqual([command[1] for command, _, _ in runs[:4]], tests)
        self.assertTrue(
            all(limit_s <= kernels.TEST_S and env["MASPO_KERNELS"] == "device" for _, limit_s, env in runs[:4])
        )
        self.assertIn("compute-sanitizer", runs[4][0][0])
        self.assertIn(tests[1], runs[4][0])
        self.assertEqual(len(runs), 5)

    def test_kernels_for_which_no_time_is_left_are_no_failures_of_theirs(self):
        good = "test result: ok. 1 passed; 0 failed; 0 ignored\n"
        tests = [f"kernels::gpu::cuda::{name}" for name in ("one", "two")] + ["tests::on_this_machine"]
        with mock.patch.object(Setting, "left", side_effect=[9, 9, 9, 9, 0]):
            found, _ = self.kernels(tests, dict.fromkeys(tests, good))
        self.assertEqual((found["passed"], found["failures"], found["not_run"]), (1, [], tests[1:]))
        self.assertIn("no time was left for 2 of 3 tests", found["reason"])

    def test_kernels_that_are_not_there_or_do_not_run_are_a_failure(self):
        self.assertIn("built from another tree", self.kernels([], {})[0]["reason"])
        nothing = "test result: ok. 0 passed; 0 failed; 0 ignored\n"
        names = ["kernels::gpu::cuda::one", "tests::on_this_machine"]
        self.assertEqual(self.kernels(names, dict.fromkeys(names, nothing))[0]["failures"], names)

    def test_the_plan_says_what_is_expected_and_ends_with_the_seconds_of_stages_1_and_2(self):
        lines = steps.plan().splitlines()
        named = [re.fullmatch(r"(\d) +(\S.*\S) +(\d+) s +(\d+) s", line).groups() for line in lines[1:-1]]
        ends = 0
        for stage, most in (("1", 200), ("2", 300)):
            (whole,) = [row for row in named if row[0] == stage and row[1] == "in all"]
            expected = [int(row[2]) for row in named if row[0] == stage and row[1] != "in all"]
            self.assertEqual(int(whole[2]), sum(expected))
            self.assertLessEqual(int(whole[2]), int(whole[3]))
            self.assertLessEqual(int(whole[3]), most)
            ends += int(whole[3])
        self.assertEqual(int(lines[-1].split()[-1]), ends)
        self.assertTrue(all(step.expected_s <= step.limit_s for step in steps.STEPS.values()))

    def test_a_stage_ends_in_time_whatever_its_steps_may_take(self):
        with mock.patch("gpu_suite.Setting", side_effect=InputError("looked at")) as made:
            for given, most in ((["--stage", "1"], 200), (["--stage", "2", "--budget", "90"], 90)):
                binaries = [
                    "--maspo",
                    program(self.folder, "maspo", MASPO),
                    "--tests",
                    program(self.folder, "t", NO_TORCH),
                ]
                with mock.patch("gpu.pack.version", return_value="1"):
                    call("--out", self.folder, "--device", "cuda", *binaries, *given)
                self.assertEqual(made.call_args.args[-1], most)

    def test_a_part_of_a_stage(self):
        self.assertEqual(steps.choose("decode-fast,transformers", 2), ["decode-fast", "transformers"])
        with self.assertRaisesRegex(
            ValueError, "workload is none of machine, kernels, kernel-times, two-layers, bf16-x10"
        ):
            steps.choose("workload", 1)

    def test_choosing(self):
        self.assertEqual(steps.choose("decode,machine"), ["machine", "decode-deterministic", "decode-fast"])
        self.assertEqual(steps.choose("decode-fast"), ["decode-fast"])
        self.assertEqual(steps.choose("kernels"), ["kernels"])
        with self.assertRaisesRegex(ValueError, "speed is none of machine"):
            steps.choose("speed")

    def test_cargo_says_where_the_binaries_are(self):
        artifact = {"reason": "compiler-artifact", "profile": {"test": True}, "executable": "/t/release/deps/maspo-1"}
        package = pack.TEST_PACKAGE.replace("-", "_")
        tests = {**artifact, "target": {"name": package, "kind": ["lib"]}}
        old = {**tests, "executable": None}
        bin = {
            **artifact,
            "profile": {"test": False},
            "target": {"name": "maspo", "kind": ["bin"]},
            "executable": "/t/release/maspo",
        }
        messages = "\n".join(json.dumps(line) for line in (old, bin, tests, {"reason": "build-finished"}))
        self.assertEqual(str(pack.executable(messages, pack.is_tests)), "/t/release/deps/maspo-1")
        self.assertEqual(str(pack.executable(messages, pack.is_program)), "/t/release/maspo")
        with self.assertRaisesRegex(InputError, "no executable"):
            pack.executable(json.dumps(old), pack.is_tests)


class Parity(unittest.TestCase):
    GOOD = {
        "score": {"rms": 0.01, "largest": 0.05},
        "score_three_tokens": {"rms": 0.01, "largest": 0.05},
        "greedy": {"largest_margin": 0.1},
    }

    def test_within_the_tolerance(self):
        self.assertEqual(steps.parity_faults("shape", self.GOOD), [])

    def test_beyond_it(self):
        far, none = {"rms": 0.03, "largest": 0.05}, {"rms": None, "largest": None}
        for what, figures in (("score", far), ("score", none), ("greedy", {"largest_margin": 0.3})):
            faults = steps.parity_faults("shape", {**self.GOOD, what: figures})
            self.assertTrue(faults and all(fault.startswith(f"shape: {what}") for fault in faults), faults)

    def test_requests_name_what_they_are_asked_for(self):
        asked = shapes.requests("any", 101, dry_run=False)
        for request in asked["score"]:
            wanted, line = request["asked"], request["line"]
            text = asked["texts"][wanted["text"]]
            self.assertEqual(line["input_ids"], text[: wanted["place"]])
            self.assertEqual(wanted["tokens"][0], text[wanted["place"]])
            self.assertEqual(line["answers"][0], f"w{text[wanted['place']]}")
            self.assertEqual(line["answers"][-1].split(), [f"w{token}" for token in wanted["following"]])
            self.assertEqual(len(wanted["following"]), shapes.CONTINUATION)
        self.assertEqual([request["line"]["id"] for request in asked["score"]], list(range(len(asked["score"]))))
        self.assertEqual(asked, shapes.requests("any", 101, dry_run=False))

    def test_shapes_are_those_of_the_issue(self):
        found = shapes.PARITY_SHAPES.values()
        groups = {shape["num_attention_heads"] // shape["num_key_value_heads"] for shape in found}
        self.assertEqual((groups, {shape["head_dim"] for shape in found}), ({2, 4}, {64, 128}))
        self.assertTrue(all(shape["vocab_size"] % 2 and shape["hidden_size"] % 64 == 0 for shape in found))
        large = json.loads((pack.BENCHES / pack.SHAPE / "config.json").read_text())
        hidden, inner, layers, size = (
            large[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "head_dim")
        )
        heads = 2 * size * (large["num_attention_heads"] + large["num_key_value_heads"])
        matrices = layers * hidden * (heads + 3 * inner)
        self.assertEqual(shapes.operations_per_prompt_token(large), 2 * matrices)
        weights = matrices + 2 * large["vocab_size"] * hidden
        self.assertAlmostEqual(weights / 1e9, 8.19, places=2)
        self.assertEqual(2 * 2 * layers * large["num_key_value_heads"] * size, 147_456)


class Whole(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)
        self.out = self.folder / "out"
        found = pretended(self.folder)
        no_torch = program(self.folder, "nothing", NO_TORCH)
        self.ours = ["--maspo", found["maspo"], "--tests", found["maspo-tests"], "--python", no_torch]

    def written(self):
        return sorted((self.out / "benches" / "results").iterdir())

    def test_a_dry_run_of_everything(self):
        code, out, err = call("--dry-run", "--out", self.out, *self.ours)
        self.assertEqual(code, 0, err)
        (path,) = self.written()
        self.assertRegex(path.name, r"^gpu-dry-run-\d{4}-\d\d-\d\d\.json$")
        found = json.loads(path.read_text())
        status = {step["step"]: step["status"] for step in found["steps"]}
        absent = dict.fromkeys(("peer", "parity", "transformers", "vllm"), "absent")
        self.assertEqual(status, {**dict.fromkeys(steps.STEPS, "ok"), **absent})
        self.assertIs(found["dry_run"], True)
        self.assertEqual({goal["state"] for goal in found["goals"]}, {"not measured"})
        for text in (
            "**Dry run on a CPU",
            "| bf16 | deterministic | 80 |",
            "as a search does it",
            "| not measured | ",
            "2 captures refused",
        ):
            self.assertIn(text, out)

    def test_a_failed_step_gives_exit_code_1_and_the_report_all_the_same(self):
        found = pretended(self.folder, unknown=["doctor"])
        code, _, err = call(
            "--dry-run", "--out", self.out, *self.ours, "--maspo", found["maspo"], "--steps", "machine,workload"
        )
        self.assertEqual(code, 1, err)
        (path,) = self.written()
        self.assertEqual([step["status"] for step in json.loads(path.read_text())["steps"]], ["failed", "ok"])

    def test_parts_become_one_report(self):
        for part in (
            "machine,decode-deterministic",
            "decode-fast,bf16-x10,two",
            "kernels,kernel-times,peer,parity,workload,transformers,candle,vllm",
        ):
            self.assertEqual(call("--dry-run", "--out", self.out, *self.ours, "--steps", part)[0], 0)
        parts = self.written()
        self.assertEqual(len(parts), 3)
        code, out, err = call("--merge", *parts, "--out", self.folder / "merged")
        self.assertEqual(code, 0, err)
        (path,) = (self.folder / "merged" / "benches" / "results").iterdir()
        found = json.loads(path.read_text())
        self.assertEqual(len(found["steps"]), len(steps.STEPS))
        self.assertEqual({goal["state"] for goal in found["goals"]}, {"not measured"})
        self.assertIsNotNone(found["goals"][6]["figure"])
        self.assertIn("| q4_k | fast | 80 |", out)

    def test_parts_of_different_runs_are_not_mixed(self):
        call("--dry-run", "--out", self.out, *self.ours, "--steps", "machine")
        (part,) = self.written()
        other = self.folder / "other.json"
        other.write_text(json.dumps({**report.read(part), "dry_run": False}))
        code, _, err = call("--merge", part, other, "--out", self.out)
        self.assertEqual((code, "no parts of one run" in err), (2, True))

    def test_likely_mistakes(self):
        for arguments, said in (
            ([], "is called for"),
            (["--dry-run"], "--out DIR is called for"),
            (["--dry-run", "--out", self.out, "--steps", "speed"], "speed is none of"),
            (["--dry-run", "--out", self.out, "--device", "cuda"], "a dry run is on the CPU"),
            (["--dry-run", "--out", self.out, "--maspo", "/nowhere/maspo"], "no such program"),
            (["--run", self.folder, "--out", self.out], "is no pack"),
            (["--merge", "/nowhere.json", "--out", self.out], "cannot be read"),
        ):
            code, _, err = call(*arguments)
            self.assertEqual((code, said in err), (2, True), err)
