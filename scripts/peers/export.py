#!/usr/bin/env python3
"""Runs what `maspo export` writes in DSPy, in the package `openai` and in promptfoo.

    scripts/peers/export.py --maspo target/debug/maspo [--promptfoo node_modules/.bin/promptfoo]

It needs `pip install dspy openai` (written with 3.4 and 2.x), and for promptfoo `npm install
promptfoo` (written with 0.121). First it runs the golden files of tests/golden/export against a
server that answers as calls.json says, and compares every message; then the team of a real run
against `maspo serve`, whose answers must be those of `maspo eval`. Exit codes: 0 everything holds,
1 something does not, 2 a package is missing.
"""
import argparse
import http.server
import importlib.machinery
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import threading

try:
    import dspy
    import openai
except ImportError as missing:
    print(f"export: {missing}", file=sys.stderr)
    sys.exit(2)

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
GOLDEN = os.path.join(ROOT, "tests", "golden", "export")
CASES = 30


def check(what, holds, found=None):
    print(f"{'ok    ' if holds else 'FAILED'} {what}")
    if not holds:
        if found is not None:
            print(found)
        sys.exit(1)


class Scripted:
    """A server that answers every message as a table says, and records what it was asked."""

    def __init__(self, calls):
        replies = {call["message"]: call["reply"] for call in calls}
        self.seen = seen = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                contents = [(message["role"], message["content"]) for message in body["messages"]]
                tokens = body.get("max_tokens") or body.get("max_completion_tokens")
                seen.append((contents, tokens, body.get("temperature")))
                reply = replies.get(contents[0][1], "not a message of the team")
                message = {"role": "assistant", "content": reply}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                answer = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
                          "choices": [choice], "usage": usage}
                data = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"


def expected(calls):
    return [([("user", call["message"])], call["max_tokens"], 0) for call in calls]


def load(path):
    loader = importlib.machinery.SourceFileLoader("exported_team", path)
    spec = importlib.util.spec_from_file_location("exported_team", path, loader=loader)
    sys.dont_write_bytecode = True
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def golden_dspy(folder):
    table = json.load(open(os.path.join(GOLDEN, "calls.json")))["summary"]
    server = Scripted(table["calls"])
    module = load(os.path.join(GOLDEN, "team_dspy.py.txt"))
    lm = dspy.LM("openai/made-up", api_base=server.url, api_key="none", cache=False)
    dspy.configure(lm=lm)
    team = module.Team()
    got = team(question=table["question"])
    check("DSPy sends the messages verbatim", server.seen == expected(table["calls"]), server.seen)
    check("DSPy gives the answer", got.answer == table["answer"])
    path = os.path.join(folder, "state.json")
    team.save(path)
    loaded = module.Team()
    loaded.load(path)
    check("the saved team gives the same answer", loaded(question=table["question"]).answer == table["answer"])
    check("and sends the same messages", server.seen[len(table["calls"]):] == expected(table["calls"]))


def promptfoo(command, folder):
    table = json.load(open(os.path.join(GOLDEN, "calls.json")))["extracted"]
    server = Scripted(table["calls"])
    path = os.path.join(folder, "promptfooconfig.yaml")
    text = open(os.path.join(GOLDEN, "promptfoo.yaml")).read()
    env = {**os.environ, "PROMPTFOO_DISABLE_TELEMETRY": "1", "PROMPTFOO_DISABLE_UPDATE": "1", "MASPO_API_KEY": "none",
           "PROMPTFOO_CONFIG_DIR": os.path.join(folder, "state"), "PROMPTFOO_DISABLE_REMOTE_GENERATION": "1"}

    def run(*args):
        return subprocess.run([command, *args], cwd=folder, env=env, capture_output=True, text=True, timeout=300)

    open(path, "w").write(text)
    valid = run("validate", "-c", path)
    check("promptfoo validates the configuration", valid.returncode == 0, valid.stdout + valid.stderr)
    question = json.dumps(table["question"], ensure_ascii=False)
    text = text.replace('"Put the question here."', question).replace("http://127.0.0.1:8080/v1", server.url)
    open(path, "w").write(text)
    out = os.path.join(folder, "out.json")
    done = run("eval", "-c", path, "--no-cache", "--no-progress-bar", "-o", out)
    check("promptfoo runs it", done.returncode == 0, done.stdout + done.stderr)
    check("promptfoo sends the messages verbatim", server.seen == expected(table["calls"]),
          json.dumps(server.seen, indent=1))
    results = json.load(open(out))["results"]["results"]
    check("promptfoo gives the answer", results[-1]["response"]["output"] == table["answer"])


def maspo(options, *args):
    done = subprocess.run([options.maspo, *args], capture_output=True, text=True)
    check(f"maspo {args[0]}", done.returncode == 0, done.stderr)
    return done.stdout


def real(options, folder):
    run = os.path.join(folder, "run")
    config = os.path.join(ROOT, "configs", "triage.toml")
    sets = ["search.rounds=1", "search.steps=2", "search.final_check=4", f"data.test.limit={CASES}"]
    sets = [flag for text in sets for flag in ("--set", text)]
    maspo(options, "optimize", config, *sets, "--out", run)
    items = json.loads(maspo(options, "eval", config, *sets, "--prompts", os.path.join(run, "prompts.json"), "--json"))
    program, requests = os.path.join(folder, "team.py"), os.path.join(folder, "requests.json")
    maspo(options, "export", run, "--format", "dspy", "--out", program)
    maspo(options, "export", run, "--format", "openai-messages", "--out", requests)
    rows = [json.loads(line) for line in open(os.path.join(ROOT, "models", "triage", "test.jsonl"))][:CASES]

    token = os.path.join(folder, "token")
    server = subprocess.Popen([options.maspo, "serve", "--model", "embedded:triage", "--dtype", "q8_0", "--name",
                               "embedded:triage", "--listen", "127.0.0.1:0", "--token-file", token],
                              stderr=subprocess.PIPE, text=True)
    try:
        while "ready: " not in (line := server.stderr.readline()):
            check("the server starts", bool(line))
        url = re.search(r"http://\S+", line).group() + "/v1"
        key = open(token).read().strip()
        done = subprocess.run([sys.executable, program, "--base-url", url], capture_output=True, text=True,
                              env={**os.environ, "OPENAI_API_KEY": key},
                              input="".join(json.dumps({"question": row["question"]}) + "\n" for row in rows))
        check("the program runs from a shell", done.returncode == 0, done.stderr)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        labels = [re.findall(r"<answer>\s*(\w+)\s*</answer>", answer["answer"]) for answer in answers]
        ours = [[item["answer"]] if item["answer"] else [] for item in items["items"]]
        check(f"DSPy's answers to {CASES} questions are those of maspo eval", labels == ours, (labels, ours))

        client = openai.OpenAI(base_url=url, api_key=key)
        first = json.load(open(requests))["requests"][0]
        message = first["request"]["messages"][0]
        message["content"] = message["content"].replace("{question}", rows[0]["question"])
        answer = client.chat.completions.create(**first["request"])
        check("a request of openai-messages gives the agent's output",
              answer.choices[0].message.content == answers[0]["outputs"][first["agent"]])
    finally:
        server.terminate()
        server.wait()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--maspo", required=True)
    parser.add_argument("--promptfoo")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        golden_dspy(folder)
        if options.promptfoo:
            promptfoo(options.promptfoo, folder)
        real(options, folder)


if __name__ == "__main__":
    main()
