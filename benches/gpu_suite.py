#!/usr/bin/env python3
"""Everything that a GPU has to show, in one command, on a machine that has no network: packs what
is carried there, runs the steps there, and puts their results together. `scripts/gpu-suite.sh`
calls it; docs/gpu-suite.md says how. It needs the standard library only. The parts that compare
with transformers and vLLM run in the Python of --python, and are absent where that has no torch.

    scripts/gpu-suite.sh --pack DIR                      # builds both binaries; they and the suite
    sh DIR/gpu-suite.sh --run DIR --out OUT --stage 1    # on the GPU machine, Python 3.10 or newer
    scripts/gpu-suite.sh --plan                          # the stages, and the seconds they may take
    scripts/gpu-suite.sh --merge PART.json... --out OUT  # the parts of a run as one report
    scripts/gpu-suite.sh --dry-run --out OUT             # every step without a GPU, tiny shapes
    scripts/gpu-suite.sh --self-test                     # the suite's own tests, seconds

Exit codes: 0 done (steps may be absent), 1 a step failed, 2 the input is wrong, 130 stopped (what
was measured is written).
"""

import argparse
import datetime
import json
import pathlib
import shlex
import signal
import sys
import tempfile
import time
import unittest

from gpu import pack, report, steps, torch_side
from gpu.process import InputError
from gpu.setting import Setting


def main(arguments=None):
    options = parse(arguments)
    # A polite kill ends like ctrl-C: the child that runs is ended too, and what was measured is
    # kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.torch_side:
            return torch_side.work(json.loads(options.torch_side))
        if options.self_test:
            return self_test()
        if options.plan:
            print(steps.plan())
            return 0
        if options.pack:
            pack.pack(options.pack, pack.built(options.maspo, options.tests, cuda=True, say=say), say=say)
            return 0
        if options.merge:
            merged = report.merge(options.merge)
            say(f"written to {report.write(merged, options.out, whole=True)}")
            print(report.markdown(merged))
            return code(merged)
        return suite(options)
    except InputError as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        return 130


def suite(options):
    """Runs the chosen steps; the report is written after each."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="maspo-gpu-suite.") as folder:
        if options.run:
            binaries, manifest = pack.unpack(options.run, folder)
        else:
            binaries = pack.built(options.maspo, options.tests, cuda=not options.dry_run, say=say)
            manifest = {"git": pack.git_of(binaries), "version": pack.version(binaries["maspo"])}
        budgets = [budget for budget in (options.budget, steps.STAGE_S.get(options.stage)) if budget is not None]
        setting = Setting(binaries, options.python, options.device, options.dry_run, folder, min(budgets, default=None))
        setting.load["queries"] = options.queries or setting.load["queries"]
        if options.stage:
            setting.load["batches"] = list(steps.STAGE_BATCHES)
        options.out.mkdir(parents=True, exist_ok=True)
        setting.log = options.out / "gpu-suite.log"
        gpus = steps.nvidia_smi()
        found = {
            "schema": report.SCHEMA,
            "kind": report.KIND,
            "name": options.name or ("dry-run" if options.dry_run else gpus[0]["name"] if gpus else "no-gpu"),
            "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "dry_run": options.dry_run,
            "git": manifest["git"],
            "version": manifest["version"],
            "device": options.device,
            "driver": gpus[0]["driver_version"] if gpus else None,
            "machine": {**steps.system(), "gpus": gpus},
            "load": setting.load,
            "commands": [shlex.join(sys.argv)],
            "asked": options.steps,
            "seconds": 0.0,
            "steps": [],
        }
        whole = options.steps == list(steps.STEPS)
        path, stopped = None, False
        for name in options.steps:
            say(f"{name} ...")
            try:
                found["steps"].append(steps.take(name, setting, options.stage))
            except KeyboardInterrupt:
                stopped = True
                break
            last = found["steps"][-1]
            setting.note(json.dumps(last))
            say(
                f"{name}: {last['status']} after {last['seconds']:.1f} s"
                + (f": {last['reason']}" if last["reason"] else "")
            )
            found["seconds"] = round(time.monotonic() - started, 3)
            path = report.write(report.finish(found), options.out, whole)
    print(report.markdown(report.finish(found)))
    if path:
        say(f"written to {path}")
    return 130 if stopped else code(found)


def code(found):
    return 1 if any(step["status"] == "failed" for step in found["steps"]) else 0


def self_test():
    from gpu import test_goals, test_suite, test_torch_side

    load = unittest.defaultTestLoader.loadTestsFromModule
    found = unittest.TestSuite(load(module) for module in (test_goals, test_suite, test_torch_side))
    return 0 if unittest.TextTestRunner(stream=sys.stderr).run(found).wasSuccessful() else 1


def say(line):
    print(line, file=sys.stderr, flush=True)


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    path = pathlib.Path
    parser.add_argument("--pack", type=path, metavar="DIR", help="make the folder to be carried")
    parser.add_argument("--run", type=path, metavar="DIR", help="run such a folder (default: the binaries built here)")
    parser.add_argument("--merge", type=path, nargs="+", metavar="JSON", help="put the parts of a run together")
    parser.add_argument(
        "--dry-run", action="store_true", help="every step on the CPU with tiny shapes; no goal is met by it"
    )
    parser.add_argument("--self-test", action="store_true", help="run the suite's own tests")
    parser.add_argument("--out", type=path, metavar="DIR", help="the report goes into DIR/benches/results")
    parser.add_argument("--steps", metavar="A,B", help=f"of {', '.join(steps.STEPS)}; decode is both of its modes")
    parser.add_argument(
        "--stage", type=int, choices=list(steps.STAGE_S), help="a stage of --plan, or with --steps a part of one"
    )
    parser.add_argument(
        "--plan", action="store_true", help="print the stages, their steps and the seconds that they may take"
    )
    parser.add_argument("--budget", type=float, metavar="S", help="seconds for all steps together")
    parser.add_argument("--device", metavar="D", help="of the GPU steps (default: cuda; in a dry run cpu)")
    parser.add_argument("--queries", type=int, metavar="N", help="of the recorded step's mini-batch (default: all)")
    parser.add_argument(
        "--python", default=sys.executable, metavar="PATH", help="the Python with torch (default: this one)"
    )
    parser.add_argument("--name", metavar="NAME", help="of the machine, in the report's file name (default: the GPU's)")
    parser.add_argument("--maspo", type=path, metavar="PATH", help="our binary (default: the one that cargo builds)")
    parser.add_argument(
        "--tests", type=path, metavar="PATH", help="the engine's tests (default: those that cargo builds)"
    )
    parser.add_argument("--torch-side", metavar="JOB", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.pack or options.self_test or options.plan or options.torch_side:
        return options
    if not (options.run or options.merge or options.dry_run or options.steps or options.stage):
        parser.error("one of --pack, --run, --merge, --dry-run, --steps or --self-test is called for")
    if not options.out:
        parser.error("--out DIR is called for: where the report goes")
    options.device = options.device or ("cpu" if options.dry_run else "cuda")
    if options.dry_run and options.device != "cpu":
        parser.error("a dry run is on the CPU")
    try:
        options.steps = steps.choose(options.steps, options.stage)
    except ValueError as error:
        parser.error(f"--steps: {error}")
    return options


if __name__ == "__main__":
    sys.exit(main())
