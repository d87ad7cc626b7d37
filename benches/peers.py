#!/usr/bin/env python3
"""Speed of `maspo` beside llama.cpp and OpenVINO GenAI: same shape, same weights, same work,
one run, in turn.

    python3 benches/peers.py --maspo target/release/maspo --peers /work/peers    # both peers
    python3 benches/peers.py --maspo target/release/maspo --peers /work/peers \\
        --batch 10 --precision 8 --rounds 1
    python3 benches/peers.py --maspo target/release/maspo --smoke    # CI: no peer, no model, seconds

The driver needs Python's standard library only. docs/peers.md says how to install the peers and
make the models (`--make-models`, run with the Python of the peers' environment); a peer that is not
there is reported as absent.

What is measured. N sequences, each with its own random prompt tokens, no prefix cache between them,
greedy, no end token:
  maspo      `maspo bench`: prefill is the wall time of N requests for one new token; decode is the
             difference between two runs on prompts whose keys and values are already there, one for
             all new tokens and one for a single token.
  llama.cpp  `llama-batched-bench`: prefill is the evaluation of all prompts; decode is `new tokens`
             steps of N tokens. Tokens are fed at random, so neither contains sampling (ours and
             OpenVINO's do: one argmax per sequence and step).
  openvino   continuous batching, driven step by step, prompts first: prefill ends when the last
             sequence has its first token; decode is the time of the steps after that.
Prefill tok/s = N * prompt tokens / prefill time. Decode tok/s = new tokens of all sequences in the
decode time / decode time. Each engine is started afresh for every batch size and round, runs once
untimed and then three times in one process, and gives the median of the three. The engines take
turns within a round and change places from round to round. Ratios are formed within a round.

Exit codes: 0 done, 1 an engine failed, 2 the input is wrong, 130 stopped by ctrl-C (what was
measured is printed and written).
"""

import argparse
import ctypes
import datetime
import hashlib
import json
import mmap
import os
import pathlib
import platform
import random
import resource
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

SCHEMA = 1
MODEL = "qwen3-0.6b-random"
# Precision -> engine -> what the engine calls it.
PRECISIONS = {
    "8": {"maspo": "q8_0", "llama.cpp": "Q8_0", "openvino": "int8"},
    "4": {"maspo": "q4_k", "llama.cpp": "Q4_K_M"},
    "32": {"maspo": "f32"},
}
ENGINES = ("maspo", "llama.cpp", "openvino")
OURS = "maspo"


class InputError(Exception):
    """The command line or a path is wrong."""


class EngineError(Exception):
    """An engine ran and failed."""


# --- the engines: each returns {batch, prefill tok/s, decode tok/s, bytes of weights a decode step
# reads, raw output}


class Maspo:
    name = OURS

    def __init__(self, options, layout):
        self.path = layout["maspo"]
        self.model = layout["hf"]
        self.absent = None

    def version(self):
        text = output([self.path, "--version"]).strip()
        digest = hashlib.sha256(pathlib.Path(self.path).read_bytes()).hexdigest()
        return {"version": text, "sha256": digest}

    def measure(self, options, dtype, batch):
        command = [self.path, "bench", "--model", str(self.model), "--batch", str(batch), "--json"]
        command += ["--prompt-tokens", str(options.prompt_tokens), "--new-tokens", str(options.new_tokens)]
        command += ["--threads", str(options.threads), "--dtype", dtype]
        command += ["--kv-dtype", options.kv_dtype] if options.kv_dtype else []
        found = json_line(run(command, options.timeout), "command")
        if found.get("dtype") != dtype:
            raise EngineError(f"asked for {dtype}, the binary measured {found.get('dtype')}")
        (figures,) = found["runs"]
        return {
            "prefill_tok_s": figures["prefill_tokens_per_s"],
            "decode_tok_s": figures["decode_tokens_per_s"],
            "weight_bytes": found["weight_bytes_per_step"],
            "raw": found,
        }


class LlamaCpp:
    name = "llama.cpp"

    def __init__(self, options, layout):
        self.path = layout["llama"]
        self.models = layout["gguf"]
        self.absent = missing(self.path, *(self.file(dtype) for dtype in self.dtypes(options)))

    def dtypes(self, options):
        return [PRECISIONS[p][self.name] for p in options.precision if self.name in PRECISIONS[p]]

    def file(self, dtype):
        return self.models / f"{dtype.lower()}.gguf"

    def version(self):
        """The build says which instructions it may use; the log of a loaded model says whether AMX takes them."""
        cache = pathlib.Path(self.path).parent.parent / "CMakeCache.txt"
        wanted = ("GGML_AMX_INT8:", "GGML_AVX512_VNNI:", "GGML_NATIVE:", "CMAKE_CXX_COMPILER:", "GGML_OPENMP:")
        lines = cache.read_text().splitlines() if cache.is_file() else []
        done = subprocess.run([self.path, "--version"], capture_output=True, text=True)
        return {
            "version": " ".join((done.stdout + done.stderr).split()),
            "build": [line for line in lines if line.startswith(wanted)],
        }

    def measure(self, options, dtype, batch):
        # A sequence's share of the context is rounded up to 256 tokens.
        context = batch * -(-(options.prompt_tokens + options.new_tokens) // 256) * 256
        command = [self.path, "-m", str(self.file(dtype)), "-c", str(context), "-b", str(options.llama_batch)]
        command += [
            "-ub",
            str(options.llama_ubatch),
            "-npp",
            str(options.prompt_tokens),
            "-ntg",
            str(options.new_tokens),
        ]
        # One run more than is counted: the first is for warm caches and pages.
        command += [
            "-npl",
            ",".join([str(batch)] * (1 + options.repeats)),
            "-t",
            str(options.threads),
            "-tb",
            str(options.threads),
        ]
        # -lv 4 so that the log names the buffers that hold the weights (AMX or not).
        command += ["-lv", "4", "--output-format", "jsonl", *shlex.split(options.llama_args)]
        text = run(command, options.timeout, both=True)
        rows = [json.loads(line[line.index("{") :]) for line in text.splitlines() if '{"n_kv_max"' in line]
        if len(rows) != 1 + options.repeats:
            raise EngineError(f"expected {1 + options.repeats} lines of figures, found {len(rows)}: {tail(text)}")
        del rows[0]
        return {
            "prefill_tok_s": statistics.median(row["speed_pp"] for row in rows),
            "decode_tok_s": statistics.median(row["speed_tg"] for row in rows),
            "weight_bytes": self.file(dtype).stat().st_size,
            "raw": {"rows": rows, "buffers": [line.strip() for line in text.splitlines() if "buffer size" in line]},
        }


class OpenVino:
    name = "openvino"

    def __init__(self, options, layout):
        self.python = layout["openvino_python"]
        self.models = layout["openvino"]
        self.absent = missing(self.python, self.models / "openvino_model.xml")
        if (
            not self.absent
            and subprocess.run([self.python, "-c", "import openvino_genai"], capture_output=True).returncode
        ):
            self.absent = f"{self.python} has no openvino_genai"

    def version(self):
        code = "import openvino_genai, openvino; print(openvino_genai.__version__, '| runtime', openvino.get_version())"
        return {"version": output([self.python, "-c", code]).strip()}

    def measure(self, options, dtype, batch):
        job = {
            "model": str(self.models),
            "batch": batch,
            "prompt_tokens": options.prompt_tokens,
            "new_tokens": options.new_tokens,
            "threads": options.threads,
            "repeats": options.repeats,
            "batched_tokens": max(options.openvino_batch, options.prompt_tokens),
            "properties": dict(pair.split("=", 1) for pair in options.openvino_property),
        }
        command = [str(self.python), os.path.abspath(__file__), "--openvino-worker", json.dumps(job)]
        found = json_line(run(command, options.timeout), "prefill_s")
        prompt = batch * options.prompt_tokens
        return {
            "prefill_tok_s": statistics.median(prompt / seconds for seconds in found["prefill_s"]),
            "decode_tok_s": statistics.median(t / s for t, s in zip(found["decode_tokens"], found["decode_s"])),
            "weight_bytes": (self.models / "openvino_model.bin").stat().st_size,
            "raw": found,
        }


def openvino_worker(job):
    """Runs in the peers' environment. Prints one line of JSON."""
    import numpy
    import openvino
    import openvino_genai

    scheduler = openvino_genai.SchedulerConfig()
    scheduler.max_num_batched_tokens = job["batched_tokens"]
    scheduler.max_num_seqs = max(job["batch"], 1)
    # Prompts first, whole: prefill and decode do not mix in a step, so each can be timed.
    scheduler.dynamic_split_fuse = False
    scheduler.enable_prefix_caching = False
    scheduler.cache_size = 0
    tokens = job["prompt_tokens"] + job["new_tokens"]
    scheduler.num_kv_blocks = job["batch"] * (tokens // 16 + 2)
    properties = {"INFERENCE_NUM_THREADS": job["threads"], **job["properties"]}
    pipeline = openvino_genai.ContinuousBatchingPipeline(job["model"], scheduler, "CPU", properties)
    vocabulary = json.loads((pathlib.Path(job["model"]) / "config.json").read_text())["vocab_size"]
    config = openvino_genai.GenerationConfig(max_new_tokens=job["new_tokens"], ignore_eos=True, do_sample=False)
    rng = random.Random(1)

    def once():
        prompts = [[rng.randrange(vocabulary) for _ in range(job["prompt_tokens"])] for _ in range(job["batch"])]
        tensors = [openvino.Tensor(numpy.array([prompt], dtype=numpy.int64)) for prompt in prompts]
        handles = [pipeline.add_request(number, tensor, config) for number, tensor in enumerate(tensors)]
        produced = [0] * len(handles)
        steps, first_at, early = 0, None, 0
        start = time.perf_counter()
        while pipeline.has_non_finished_requests():
            pipeline.step()
            steps += 1
            for number, handle in enumerate(handles):
                while handle.can_read():
                    produced[number] += sum(len(part.generated_ids) for part in handle.read().values())
            if first_at is None and all(produced):
                first_at, early, prefill_steps = time.perf_counter(), sum(produced), steps
        end = time.perf_counter()
        if sum(produced) != job["batch"] * job["new_tokens"]:
            raise SystemExit(f"OpenVINO produced {produced} tokens, {job['new_tokens']} each were asked for")
        return first_at - start, end - first_at, sum(produced) - early, prefill_steps, steps - prefill_steps

    once()  # not counted: for warm caches and pages, and shapes that the plugin has compiled for
    runs = [once() for _ in range(job["repeats"])]
    columns = dict(
        zip(("prefill_s", "decode_s", "decode_tokens", "prefill_steps", "decode_steps"), map(list, zip(*runs)))
    )
    core = openvino.Core()
    compiled = {}
    for key in ("INFERENCE_PRECISION_HINT", "KV_CACHE_PRECISION", "DYNAMIC_QUANTIZATION_GROUP_SIZE"):
        try:
            compiled[key] = str(core.get_property("CPU", key))
        except RuntimeError:
            compiled[key] = "unknown"
    print(json.dumps({**columns, "cpu_defaults": compiled, "job": job}))


# --- subprocesses


def run(command, limit, both=False):
    """What the command prints; its error text and last lines if it fails."""
    try:
        done = subprocess.run(
            [str(part) for part in command], capture_output=True, text=True, timeout=limit, errors="replace"
        )
    except subprocess.TimeoutExpired:
        raise EngineError(f"no answer within {limit} s: {shlex.join(map(str, command))}") from None
    except OSError as error:
        raise EngineError(f"cannot run {command[0]}: {error}") from None
    if done.returncode:
        raise EngineError(
            f"exit code {done.returncode} from {shlex.join(map(str, command))}: {tail(done.stderr or done.stdout)}"
        )
    return done.stdout + done.stderr if both else done.stdout


def output(command):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    return done.stdout or done.stderr


def json_line(text, key):
    for line in reversed(text.splitlines()):
        if line.startswith("{"):
            found = json.loads(line)
            if key in found:
                return found
    raise EngineError(f"no JSON in the output: {tail(text)}")


def tail(text):
    return " / ".join(text.strip().splitlines()[-6:])


def missing(*paths):
    for path in paths:
        if not pathlib.Path(path).exists():
            return f"{path} is not there"
    return None


# --- the machine


def machine():
    fields = {}
    if shutil.which("lscpu"):
        for line in output(["lscpu"]).splitlines():
            key, _, value = line.partition(":")
            fields[key.strip()] = value.strip()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "model": fields.get("Model name", platform.processor() or platform.machine()),
        "family_model_stepping": [fields.get(key) for key in ("CPU family", "Model", "Stepping")],
        "cores": os.cpu_count(),
        "usable_cores": cores(),
        "hypervisor": fields.get("Hypervisor vendor"),
        "l2": fields.get("L2 cache"),
        "l3": fields.get("L3 cache"),
        "flags": fields.get("Flags", fields.get("Features", "")).split(),
        "memory_bytes": memory,
        "system": platform.platform(),
        "python": platform.python_version(),
    }


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def read_bandwidth(threads, bytes_each=256 << 20, passes=7):
    """Bytes per second that `threads` threads read at once: every pass, each thread looking with the
    C library's vectorized `memchr` for a byte that its own buffer does not hold. ctypes releases
    Python's lock during the call."""
    libc = ctypes.CDLL(None)
    libc.memchr.restype = ctypes.c_void_p
    libc.memchr.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t)
    barrier = threading.Barrier(threads + 1)

    def reader():
        with mmap.mmap(-1, bytes_each) as buffer:
            view = (ctypes.c_char * bytes_each).from_buffer(buffer)
            address = ctypes.addressof(view)
            ctypes.memset(address, 1, bytes_each)
            try:
                for _ in range(passes):
                    barrier.wait()
                    libc.memchr(address, 0, bytes_each)
                    barrier.wait()
            except threading.BrokenBarrierError:
                pass  # interrupted
            del view

    workers = [threading.Thread(target=reader, daemon=True) for _ in range(threads)]
    for worker in workers:
        worker.start()
    rates = []
    try:
        for _ in range(passes):
            barrier.wait()
            start = time.perf_counter()
            barrier.wait()
            rates.append(threads * bytes_each / (time.perf_counter() - start))
    finally:
        barrier.abort()
    for worker in workers:
        worker.join()
    return max(rates)


class Disturbance:
    """Processor time that others took while our child ran, as a share of the machine (Linux; elsewhere unknown)."""

    def __enter__(self):
        self.before, self.child = self.busy(), self.children()
        self.share, self.load = None, os.getloadavg()[0]
        return self

    def __exit__(self, *_):
        after = self.busy()
        if self.before and after and after[1] > self.before[1]:
            ours = (self.children() - self.child) * os.sysconf("SC_CLK_TCK")
            self.share = max(0.0, (after[0] - self.before[0] - ours) / (after[1] - self.before[1]))

    @staticmethod
    def busy():
        try:
            ticks = [int(field) for field in open("/proc/stat").readline().split()[1:9]]
        except OSError:
            return None
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)  # without idle and iowait; steal counts as taken by others

    @staticmethod
    def children():
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime


# --- the run


def measure_all(options, engines, samples, bandwidths, failures, save):
    for number in range(options.rounds):
        bandwidths.append(read_bandwidth(options.threads))
        say(f"round {number + 1} of {options.rounds}: read bandwidth {bandwidths[-1] / 1e9:.1f} GB/s")
        for batch in options.batch:
            for precision in options.precision:
                turn = [engine for engine in engines if engine.name in PRECISIONS[precision]]
                shift = number % len(turn) if turn else 0
                for engine in turn[shift:] + turn[:shift]:
                    key = (engine.name, precision, batch)
                    if key in failures:
                        continue
                    dtype = PRECISIONS[precision][engine.name]
                    label = f"  {engine.name} {dtype} x{batch}"
                    with Disturbance() as disturbance:
                        try:
                            figures = engine.measure(options, dtype, batch)
                        except EngineError as error:
                            failures[key] = str(error)
                            say(f"{label}: FAILED, not tried again: {error}")
                            continue
                    sample = {"round": number + 1, "engine": engine.name, "precision": precision, "dtype": dtype}
                    sample |= {
                        "batch": batch,
                        **figures,
                        "load_before": disturbance.load,
                        "others_share": disturbance.share,
                    }
                    samples.append(sample)
                    others = (
                        "" if disturbance.share is None else f", others used {disturbance.share:.0%} of the machine"
                    )
                    say(
                        f"{label}: prefill {figures['prefill_tok_s']:.1f}, "
                        f"decode {figures['decode_tok_s']:.1f} tok/s{others}"
                    )
        save()


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def summarize(samples, bandwidths):
    """Medians over rounds per engine, precision and batch; and ours over each peer, round by round."""
    table, ratios = [], []
    keys = list(dict.fromkeys((s["precision"], s["batch"], s["engine"], s["dtype"]) for s in samples))
    order = {name: place for place, name in enumerate(ENGINES)}
    keys.sort(key=lambda key: (-int(key[0]), key[1], order[key[2]]))
    bandwidth = statistics.median(bandwidths) if bandwidths else None
    for precision, batch, engine, dtype in keys:
        own = {
            s["round"]: s for s in samples if (s["precision"], s["batch"], s["engine"]) == (precision, batch, engine)
        }
        decode = spread([s["decode_tok_s"] for s in own.values()])
        rate = decode["median"] / batch * next(iter(own.values()))["weight_bytes"]
        row = {"precision": precision, "batch": batch, "engine": engine, "dtype": dtype}
        row |= {"prefill_tok_s": spread([s["prefill_tok_s"] for s in own.values()]), "decode_tok_s": decode}
        row |= {"decode_weight_bytes_per_s": rate, "of_read_bandwidth": rate / bandwidth if bandwidth else None}
        table.append(row)
        if engine == OURS:
            continue
        ours = {s["round"]: s for s in samples if (s["precision"], s["batch"], s["engine"]) == (precision, batch, OURS)}
        both = sorted(own.keys() & ours.keys())
        if both:
            ratio = {"precision": precision, "batch": batch, "peer": engine, "peer_dtype": dtype}
            for what in ("prefill_tok_s", "decode_tok_s"):
                ratio[what] = spread([ours[r][what] / own[r][what] for r in both])
            ratios.append(ratio)
    return table, ratios


def print_tables(report):
    def cell(found, digits):
        return f"{found['median']:.{digits}f} ({found['min']:.{digits}f}..{found['max']:.{digits}f})"

    def lines(head, rows):
        rows = [head] + rows
        widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
        for number, row in enumerate(rows):
            print("| " + " | ".join(text.ljust(width) for text, width in zip(row, widths)) + " |")
            if number == 0:
                print("|" + "|".join("-" * (width + 2) for width in widths) + "|")

    load = report["load"]
    host = report["machine"]
    print(f"\n{host['model']}, {load['threads']} threads of {host['usable_cores']} cores, {report['date']}")
    for name, engine in report["engines"].items():
        print(f"{name}: {engine.get('version') or engine['state']}")
    if report["read_bandwidth_bytes_per_s"]:
        found = {key: value / 1e9 for key, value in spread(report["read_bandwidth_bytes_per_s"]).items() if key != "n"}
        print(f"read bandwidth, {load['threads']} threads: {cell(found, 1)} GB/s")
    shares = [s["others_share"] for s in report["samples"] if s["others_share"] is not None]
    if shares:
        disturbed = " - DISTURBED, draw no conclusions" if max(shares) > 0.05 else ""
        print(
            f"others used {statistics.median(shares):.0%} of the machine (median; at most {max(shares):.0%}){disturbed}"
        )
    print(
        f"{load['prompt_tokens']} prompt + {load['new_tokens']} new tokens, "
        f"{load['rounds']} rounds: median (min..max), tok/s\n"
    )
    rows = []
    for row in report["table"]:
        share = "" if row["of_read_bandwidth"] is None else f"{row['of_read_bandwidth']:.0%}"
        names = [f"{row['precision']}-bit", str(row["batch"]), row["engine"], row["dtype"]]
        digits = 0 if row["decode_tok_s"]["median"] >= 1000 else 1
        rows.append([*names, cell(row["prefill_tok_s"], 0), cell(row["decode_tok_s"], digits), share])
    if not rows:
        print("nothing was measured")
    else:
        lines(["", "batch", "engine", "weights", "prefill", "decode", "weights read, of bandwidth"], rows)
    if report["ratios"]:
        print("\nOurs over the peer, round by round: median (min..max)\n")
        names = [
            [f"{row['precision']}-bit", str(row["batch"]), f"{row['peer']} {row['peer_dtype']}"]
            for row in report["ratios"]
        ]
        cells = [[cell(row["prefill_tok_s"], 2), cell(row["decode_tok_s"], 2)] for row in report["ratios"]]
        lines(["", "batch", "peer", "prefill", "decode"], [left + right for left, right in zip(names, cells)])
    for failure in report["failures"]:
        print(f"\nFAILED {failure['engine']} {failure['precision']}-bit x{failure['batch']}: {failure['error']}")


def bench(options):
    layout = locate(options)
    kinds = {Maspo: not options.peers_only, LlamaCpp: not options.ours_only, OpenVino: not options.ours_only}
    engines, states = [], {}
    for kind, wanted in kinds.items():
        if not wanted or not any(kind.name in PRECISIONS[precision] for precision in options.precision):
            continue
        engine = kind(options, layout)
        if engine.absent:
            states[engine.name] = {"state": f"absent: {engine.absent}"}
            say(f"{engine.name} is absent: {engine.absent}")
        else:
            states[engine.name] = {"state": "measured", **engine.version()}
            engines.append(engine)
    samples, bandwidths, failures = [], [], {}
    report = {
        "schema": SCHEMA,
        "kind": "maspo-peers",
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": shlex.join([sys.executable, *sys.argv]),
        "machine": machine(),
        "engines": states,
        "load": {
            key: getattr(options, key)
            for key in ("batch", "prompt_tokens", "new_tokens", "threads", "rounds", "repeats", "kv_dtype")
        },
        "method": __doc__.split("What is measured. ")[1].split("\n\nExit codes")[0],
    }

    def save():
        table, ratios = summarize(samples, bandwidths)
        failed = [dict(zip(("engine", "precision", "batch"), key), error=error) for key, error in failures.items()]
        report.update(
            read_bandwidth_bytes_per_s=bandwidths, table=table, ratios=ratios, failures=failed, samples=samples
        )
        if options.out:
            options.out.parent.mkdir(parents=True, exist_ok=True)
            partial = options.out.with_name(options.out.name + ".part")
            partial.write_text(json.dumps(report, indent=1) + "\n")
            partial.replace(options.out)

    stopped = False
    try:
        measure_all(options, engines, samples, bandwidths, failures, save)
    except KeyboardInterrupt:
        stopped = True
    save()
    print_tables(report)
    if options.out:
        print(f"\nwritten to {options.out}")
    return 130 if stopped else 1 if failures else 0


def locate(options):
    """Where everything should be. What was named on the command line must exist."""
    root = options.peers
    named = [("--peers", root), ("--models", options.models), ("--model", options.model)]
    named += [("--llama", options.llama), ("--openvino-python", options.openvino_python)]
    if not options.peers_only:
        if not options.maspo:
            raise InputError("--maspo PATH is needed, or --peers-only")
        named.append(("--maspo", options.maspo))
    for flag, path in named:
        if path and not str(path).startswith("embedded:") and not pathlib.Path(path).exists():
            raise InputError(f"{flag} {path}: no such file or folder")
    if options.maspo and not os.access(options.maspo, os.X_OK):
        raise InputError(f"--maspo {options.maspo}: not a program that may be run")
    if not root and not options.ours_only and not (options.llama or options.openvino_python):
        raise InputError("--peers DIR is needed (docs/peers.md says how to fill it), or --ours-only")
    root = root or pathlib.Path("peers")
    models = options.models or root / "models" / MODEL
    hf = options.model or models / "hf"
    if (
        not options.peers_only
        and not str(hf).startswith("embedded:")
        and not (pathlib.Path(hf) / "config.json").is_file()
    ):
        raise InputError(f"{hf}: no config.json of a model there; --make-models writes one, --model names another")
    return {
        "maspo": os.path.abspath(options.maspo) if options.maspo else None,
        "hf": hf,
        "llama": options.llama or root / "llama.cpp" / "bin" / "llama-batched-bench",
        "gguf": models / "gguf",
        "openvino_python": options.openvino_python or root / "venv" / "bin" / "python",
        "openvino": models / "openvino-int8",
    }


# --- models


CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "vocab_size": 151936,
    "hidden_size": 1024,
    "intermediate_size": 3072,
    "num_hidden_layers": 28,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "hidden_act": "silu",
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "rope_scaling": None,
    "tie_word_embeddings": True,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "initializer_range": 0.02,
    "use_cache": True,
    "use_sliding_window": False,
    "sliding_window": None,
    "max_window_layers": 28,
    "bos_token_id": 151643,
    "eos_token_id": 151645,
    "torch_dtype": "bfloat16",
}
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def make_models(options):
    """One set of random weights in three formats. Runs in the peers' environment, with torch and optimum-intel."""
    if not options.tokenizer:
        raise InputError("--make-models needs --tokenizer DIR with tokenizer.json and tokenizer_config.json of a Qwen3")
    for name in TOKENIZER_FILES[:2]:
        if not (options.tokenizer / name).is_file():
            raise InputError(f"--tokenizer {options.tokenizer}: no {name} there")
    for flag, path in (("--llama-source", options.llama_source), ("--llama", options.llama)):
        if path and not path.exists():
            raise InputError(f"{flag} {path}: no such file or folder")
    root = options.make_models
    hf, gguf, openvino = root / "hf", root / "gguf", root / "openvino-int8"
    if not (hf / "model.safetensors").is_file():
        write_hugging_face(hf, options.tokenizer)
    if options.llama_source and options.llama:
        gguf.mkdir(parents=True, exist_ok=True)
        whole = gguf / "bf16.gguf"
        if not whole.is_file():
            partial = gguf / "bf16.gguf.part"
            call(
                [
                    sys.executable,
                    options.llama_source / "convert_hf_to_gguf.py",
                    hf,
                    "--outtype",
                    "bf16",
                    "--outfile",
                    partial,
                ]
            )
            partial.rename(whole)
        quantize = options.llama.parent / "llama-quantize"
        for kind in ("Q8_0", "Q4_K_M"):
            target = gguf / f"{kind.lower()}.gguf"
            if not target.is_file():
                call([quantize, whole, target, kind, str(options.threads)])
    else:
        say(
            "no GGUF files: --llama-source (the llama.cpp source) and --llama (the built llama-batched-bench) "
            "were not both given"
        )
    if not (openvino / "openvino_model.xml").is_file():
        tool = pathlib.Path(sys.executable).parent / "optimum-cli"
        if tool.exists():
            command = [tool, "export", "openvino", "--model", hf, "--task", "text-generation-with-past"]
            call([*command, "--weight-format", "int8", openvino])
        else:
            say(f"no OpenVINO model: {tool} is not there")
    for path in sorted(root.glob("*/*")):
        say(f"{path.stat().st_size / 1e6:10.1f} MB  {path}")
    return 0


def write_hugging_face(folder, tokenizer):
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    hidden, inner, heads, groups, size = (
        CONFIG[key]
        for key in ("hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads", "head_dim")
    )

    def weight(rows, columns):
        """Normal with a standard deviation of one over the root of the fan-in: no zeros, and no activation explodes."""
        return (torch.randn(rows, columns) * columns**-0.5).to(torch.bfloat16)

    def norm(length):
        return (1 + 0.1 * torch.randn(length)).to(torch.bfloat16)

    tensors = {"model.embed_tokens.weight": weight(CONFIG["vocab_size"], hidden), "model.norm.weight": norm(hidden)}
    for layer in range(CONFIG["num_hidden_layers"]):
        name = f"model.layers.{layer}"
        tensors |= {
            f"{name}.input_layernorm.weight": norm(hidden),
            f"{name}.post_attention_layernorm.weight": norm(hidden),
            f"{name}.self_attn.q_proj.weight": weight(heads * size, hidden),
            f"{name}.self_attn.k_proj.weight": weight(groups * size, hidden),
            f"{name}.self_attn.v_proj.weight": weight(groups * size, hidden),
            f"{name}.self_attn.o_proj.weight": weight(hidden, heads * size),
            f"{name}.self_attn.q_norm.weight": norm(size),
            f"{name}.self_attn.k_norm.weight": norm(size),
            f"{name}.mlp.gate_proj.weight": weight(inner, hidden),
            f"{name}.mlp.up_proj.weight": weight(inner, hidden),
            f"{name}.mlp.down_proj.weight": weight(hidden, inner),
        }
    (folder / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    generation = {"bos_token_id": 151643, "eos_token_id": [151645, 151643], "pad_token_id": 151643, "do_sample": False}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    for name in TOKENIZER_FILES:
        if (tokenizer / name).is_file():
            shutil.copyfile(tokenizer / name, folder / name)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def call(command):
    command = [str(part) for part in command]
    say("$ " + shlex.join(command))
    if subprocess.run(command).returncode:
        raise EngineError(f"failed: {shlex.join(command)}")


# --- the command line


def say(line):
    print(line, file=sys.stderr, flush=True)


def positive(text):
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of at least 1")
    return int(text)


def numbers(text):
    return [positive(part) for part in text.split(",")]


def precisions(text):
    found = text.split(",")
    for part in found:
        if part not in PRECISIONS:
            raise argparse.ArgumentTypeError(f"{part} is none of {', '.join(PRECISIONS)}")
    return found


def parse():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    path = pathlib.Path
    parser.add_argument("--maspo", type=path, metavar="PATH", help="our binary")
    parser.add_argument(
        "--peers", type=path, metavar="DIR", help="llama.cpp/bin, venv and models, as docs/peers.md makes them"
    )
    parser.add_argument(
        "--models", type=path, metavar="DIR", help=f"hf, gguf, openvino-int8 (default: PEERS/models/{MODEL})"
    )
    parser.add_argument("--model", metavar="DIR", help="the model for us alone (default: MODELS/hf)")
    parser.add_argument(
        "--llama", type=path, metavar="PATH", help="llama-batched-bench (default: PEERS/llama.cpp/bin/...)"
    )
    parser.add_argument(
        "--openvino-python", type=path, metavar="PATH", help="Python with openvino_genai (default: PEERS/venv)"
    )
    parser.add_argument("--batch", type=numbers, metavar="N,...", help="sequences at once (default: 1,10,40)")
    parser.add_argument(
        "--precision", type=precisions, metavar="8,4,32", help="bits of the weights (default: 8,4; 32 is us alone)"
    )
    parser.add_argument("--prompt-tokens", type=positive, metavar="N", help="of each sequence (default: 128)")
    parser.add_argument("--new-tokens", type=positive, metavar="N", help="of each sequence, at least 2 (default: 64)")
    parser.add_argument(
        "--threads", type=positive, metavar="N", default=cores(), help="in every engine (default: all cores)"
    )
    parser.add_argument("--rounds", type=positive, metavar="N", help="default: 5")
    parser.add_argument(
        "--repeats", type=positive, metavar="N", default=3, help="of a peer within a round; ours are always 3"
    )
    parser.add_argument("--timeout", type=positive, metavar="S", default=3600, help="of one engine at one batch size")
    parser.add_argument(
        "--kv-dtype",
        metavar="DTYPE",
        help="of our keys and values: auto or int8 (default: auto, f16 here; OpenVINO's is u8)",
    )
    parser.add_argument(
        "--llama-batch", type=positive, metavar="N", default=2048, help="llama.cpp's -b (default: its own, 2048)"
    )
    parser.add_argument(
        "--llama-ubatch", type=positive, metavar="N", default=512, help="llama.cpp's -ub (default: its own, 512)"
    )
    parser.add_argument("--llama-args", metavar="'...'", default="", help="further arguments for llama-batched-bench")
    parser.add_argument(
        "--openvino-batch", type=positive, metavar="N", default=1024, help="prompt tokens a step (default: 1024)"
    )
    parser.add_argument(
        "--openvino-property", metavar="KEY=VALUE", action="append", default=[], help="of OpenVINO's CPU plugin"
    )
    parser.add_argument(
        "--out", type=path, metavar="FILE", help="JSON (default: runs/peers-TIME.json; none for --smoke)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--peers-only", action="store_true")
    which.add_argument("--ours-only", action="store_true")
    which.add_argument(
        "--smoke", action="store_true", help="one short round of ours on the embedded model: does it run at all"
    )
    parser.add_argument(
        "--make-models", type=path, metavar="DIR", help="write the random model in all formats and stop"
    )
    parser.add_argument(
        "--tokenizer", type=path, metavar="DIR", help="for --make-models: a folder with Qwen3's tokenizer"
    )
    parser.add_argument("--llama-source", type=path, metavar="DIR", help="for --make-models: the source of llama.cpp")
    parser.add_argument("--openvino-worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.ours_only |= options.smoke
    small = {"batch": [1, 2], "precision": ["32"], "prompt_tokens": 16, "new_tokens": 4, "rounds": 1}
    usual = {"batch": [1, 10, 40], "precision": ["8", "4"], "prompt_tokens": 128, "new_tokens": 64, "rounds": 5}
    for key, value in (small if options.smoke else usual).items():
        if getattr(options, key) is None:
            setattr(options, key, value)
    if options.smoke:
        options.model = options.model or "embedded:triage"
    elif not options.out:
        options.out = path("runs") / time.strftime("peers-%Y%m%dT%H%M%SZ.json", time.gmtime())
    if options.new_tokens < 2:
        parser.error("--new-tokens must be at least 2: the first comes from the prefill")
    for pair in options.openvino_property:
        if "=" not in pair:
            parser.error(f"--openvino-property {pair}: KEY=VALUE is needed")
    return options


def main():
    options = parse()
    # A polite kill ends like ctrl-C: the engine that runs is ended too, and what was measured is
    # kept.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.openvino_worker:
            openvino_worker(json.loads(options.openvino_worker))
            return 0
        if options.make_models:
            return make_models(options)
        return bench(options)
    except KeyboardInterrupt:
        return 130
    except InputError as error:
        say(f"error: {error}")
        return 2
    except EngineError as error:
        say(f"error: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main())
