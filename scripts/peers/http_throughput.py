#!/usr/bin/env python3
"""Decode speed of `maspo serve` over HTTP beside that of `maspo bench` in one process: same weights,
same streams, in turn.

    scripts/peers/http_throughput.py --maspo target/release/maspo          # 10 and 40 streams
    scripts/peers/http_throughput.py --maspo target/debug/maspo --tiny     # seconds: tries the script

It makes a model in the shape of Qwen3-0.6B with random weights (1.2 GB, once) and runs both on an
otherwise idle machine. Both are timed the same way: N prompts of token ids whose keys and values
are cached, once for one new token and once for all of them; the difference is the time of the
decode steps. The server streams every token as an event and drafts none, as the bench does.

Exit codes: 0 the median ratio is at least 0.95 everywhere, 1 it is not, 2 the input is wrong. Needs
Python's standard library only.
"""

import argparse
import contextlib
import http.client
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOAL = 0.95
REPEATS = 3
SHAPE = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "vocab_size": 151936, "hidden_size": 1024,
    "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16, "num_key_value_heads": 8,
    "head_dim": 128, "max_position_embeddings": 40960, "rms_norm_eps": 1e-6, "rope_theta": 1000000,
    "tie_word_embeddings": True, "torch_dtype": "bfloat16", "hidden_act": "silu", "attention_bias": False,
    "bos_token_id": 1, "eos_token_id": 2,
}
TINY = SHAPE | {
    "vocab_size": 8192, "hidden_size": 512, "intermediate_size": 1536, "num_hidden_layers": 8, "head_dim": 64,
    "num_attention_heads": 8, "num_key_value_heads": 4, "max_position_embeddings": 1024,
}


def tensors(config):
    """The names and shapes of all weights, in the order of the file."""
    hidden, inner, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    queries, keys = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    yield "model.embed_tokens.weight", [config["vocab_size"], hidden]
    for layer in range(config["num_hidden_layers"]):
        for name, shape in [
            ("input_layernorm", [hidden]), ("self_attn.q_proj", [queries, hidden]),
            ("self_attn.k_proj", [keys, hidden]), ("self_attn.v_proj", [keys, hidden]),
            ("self_attn.o_proj", [hidden, queries]),
            ("self_attn.q_norm", [head]), ("self_attn.k_norm", [head]), ("post_attention_layernorm", [hidden]),
            ("mlp.gate_proj", [inner, hidden]), ("mlp.up_proj", [inner, hidden]), ("mlp.down_proj", [hidden, inner]),
        ]:
            yield f"model.layers.{layer}.{name}.weight", shape
    yield "model.norm.weight", [hidden]


def make_model(folder, config):
    """Writes a folder with random weights in bf16, half of them negative, from 1/128 to 1/32."""
    if (folder / "model.safetensors").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(ROOT / "tests/golden/tokenizer" / name, folder)
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    header, at = {}, 0
    for name, shape in tensors(config):
        size = 2 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    high = bytes(0x3C if byte < 128 else 0xBC for byte in range(256))
    draw = random.Random(1)
    with open(folder / "part", "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, shape in tensors(config):
            left = shape[0] * (shape[1] if len(shape) > 1 else 1)
            while left:
                count = min(left, 1 << 20)
                both = bytearray(2 * count)
                if len(shape) == 1:
                    both[0::2], both[1::2] = b"\x80" * count, b"\x3f" * count
                else:
                    both[0::2] = draw.randbytes(count)
                    both[1::2] = draw.randbytes(count).translate(high)
                file.write(both)
                left -= count
    (folder / "part").rename(folder / "model.safetensors")


@contextlib.contextmanager
def served(options, folder):
    """Starts the server and gives its port and token."""
    with tempfile.TemporaryDirectory() as temporary:
        token = pathlib.Path(temporary, "token")
        command = [options.maspo, "serve", "--model", folder, "--dtype", options.dtype, "--listen", "127.0.0.1:0",
                   "--token-file", token, "--draft-tokens", "0", *threads(options)]
        server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            for line in server.stderr:
                if line.startswith("ready: "):
                    port = int(line.split(" ")[1].rsplit(":", 1)[1])
                    break
            else:
                sys.exit("error: the server did not start")
            drain = threading.Thread(target=server.stderr.read, daemon=True)
            drain.start()
            yield port, token.read_text().strip()
        finally:
            server.terminate()
            server.wait()


def threads(options):
    return ["--threads", str(options.threads)] if options.threads else []


def stream(port, token, model, prompt, new_tokens):
    """One streamed completion; returns the number of its tokens."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = {"model": model, "prompt": prompt, "max_tokens": new_tokens, "temperature": 0, "ignore_eos": True,
            "stream": True, "stream_options": {"include_usage": True}}
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/completions", json.dumps(body), headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status}: {answer.read()[:300]}")
    tokens = 0
    for line in answer:
        if line.startswith(b"data: {"):
            usage = json.loads(line[6:]).get("usage")
            tokens = usage["completion_tokens"] if usage else tokens
    connection.close()
    return tokens


def wall(port, token, model, prompts, new_tokens):
    """The seconds that all prompts take at once."""
    found = [None] * len(prompts)

    def one(at):
        found[at] = stream(port, token, model, prompts[at], new_tokens)

    workers = [threading.Thread(target=one, args=(at,)) for at in range(len(prompts))]
    begin = time.perf_counter()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seconds = time.perf_counter() - begin
    if found != [new_tokens] * len(prompts):
        sys.exit(f"error: {new_tokens} tokens were asked for, and {found} came")
    return seconds


def over_http(options, folder, vocabulary, streams):
    """New tokens a second over HTTP."""
    steps = []
    with served(options, folder) as (port, token):
        for repeat in range(REPEATS):
            draw = random.Random(f"{streams} {repeat}")
            prompts = [[draw.randrange(3, vocabulary) for _ in range(options.prompt_tokens)] for _ in range(streams)]
            wall(port, token, folder.name, prompts, 1)
            one = wall(port, token, folder.name, prompts, 1)
            seconds = wall(port, token, folder.name, prompts, options.new_tokens) - one
            # As in the bench: with a tiny model on a busy machine, noise can make it negative.
            steps.append(max(seconds, 1e-6) / (options.new_tokens - 1))
    return streams / statistics.median(steps)


def in_process(options, folder, streams):
    """New tokens a second of `maspo bench`."""
    command = [options.maspo, "bench", "--model", folder, "--dtype", options.dtype, "--batch", str(streams),
               "--prompt-tokens", str(options.prompt_tokens), "--new-tokens", str(options.new_tokens), "--json",
               *threads(options)]
    report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    (figures,) = report["runs"]
    return figures["decode_tokens_per_s"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--maspo", required=True, type=pathlib.Path, help="the program, built with --release")
    parser.add_argument("--streams", default="10,40", help="streams at once (default: 10,40)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dtype", default="q8_0")
    parser.add_argument("--prompt-tokens", type=int, default=256)
    parser.add_argument("--new-tokens", type=int, default=64)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--tiny", action="store_true", help="a tiny model, to try the script")
    options = parser.parse_args()
    if not options.maspo.is_file():
        parser.error(f"{options.maspo} is no file: build it first")
    options.maspo = options.maspo.resolve()
    config = TINY if options.tiny else SHAPE
    folder = ROOT / "target" / ("qwen3-tiny-random" if options.tiny else "qwen3-0.6b-random")
    make_model(folder, config)
    reached = True
    for streams in map(int, options.streams.split(",")):
        ratios = []
        for turn in range(options.rounds):
            # They change places from round to round.
            sides = [lambda: in_process(options, folder, streams),
                     lambda: over_http(options, folder, config["vocab_size"], streams)]
            if turn % 2:
                remote, own = sides[1](), sides[0]()
            else:
                own, remote = sides[0](), sides[1]()
            ratios.append(remote / own)
            print(f"{streams} streams, round {turn + 1}: in process {own:.1f} tok/s, over HTTP {remote:.1f} tok/s, "
                  f"ratio {remote / own:.3f}", flush=True)
        median = statistics.median(ratios)
        reached &= median >= GOAL
        print(f"{streams} streams: ratio {median:.3f} ({min(ratios):.3f} to {max(ratios):.3f}), goal {GOAL}")
    sys.exit(0 if reached else 1)


if __name__ == "__main__":
    main()
