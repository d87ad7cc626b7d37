"""What the GPU suite does with torch, transformers and vLLM, each a child process of the suite:
small models and their reference, and the speed of `generate`. Gets a job as JSON, prints one JSON
object. Knows nothing of maspo but the files it wrote.
"""

import json
import pathlib
import statistics
import sys
import time

# The exit status of a job that this transformers cannot do.
UNSUITABLE = 3


class Unsuitable(Exception):
    """This transformers has not what a job needs of it: nothing is known of maspo, so the step is
    absent and not failed."""


def work(job):
    """Runs one job and prints what came of it."""
    try:
        jobs = {"make": make, "check": check, "speed": speed, "has_vllm": has_vllm, "vllm": vllm}
        found = jobs[job["command"]](job)
    except (ImportError, Unsuitable) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return UNSUITABLE
    print(json.dumps({"command": job["command"], **found}))
    return 0


def pretrained(model, folder, dtype, attention):
    """`model.from_pretrained` by the name that this version has for the numbers' type: `dtype`,
    before 4.56 `torch_dtype`. Some versions take a name that they do not know in silence, so what
    came out is looked at."""
    for name in ("dtype", "torch_dtype"):
        try:
            loaded = model.from_pretrained(folder, attn_implementation=attention, **{name: dtype})
        except TypeError:
            continue
        if loaded.dtype == dtype:
            return loaded
    raise Unsuitable(f"from_pretrained gives no {dtype}, neither by dtype= nor by torch_dtype=")


def make(job):
    """Writes a model of random bf16 weights for every shape, as transformers saves it."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    for number, (name, shape) in enumerate(job["shapes"].items()):
        torch.manual_seed(number)
        model = Qwen3ForCausalLM(Qwen3Config.from_dict(shape))
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.copy_(1 + 0.1 * torch.randn_like(parameter))
                else:
                    # One over the root of the fan-in: logits spread by about 1, as those of trained
                    # models at least do.
                    parameter.copy_(torch.randn_like(parameter) * parameter.shape[-1] ** -0.5)
        model.to(torch.bfloat16).save_pretrained(pathlib.Path(job["folder"]) / name)
    return {"made": list(job["shapes"])}


def check(job):
    """Compares what maspo wrote with an f32 forward pass on the CPU over the same bf16 weights;
    beside it, what transformers itself gives in bf16 on the device. All differences in units of the
    f32 logits' standard deviation."""
    found = {
        name: check_shape(pathlib.Path(job["folder"]) / name, job["device"], job["modes"]) for name in job["shapes"]
    }
    return {"shapes": found}


def check_shape(folder, device, modes):
    import torch
    from transformers import Qwen3ForCausalLM

    def load(dtype, device, attention):
        return pretrained(Qwen3ForCausalLM, folder, dtype, attention).to(device).eval()

    @torch.no_grad()
    def logits(model, tokens):
        return model(torch.tensor([tokens], device=model.device)).logits[0].float().cpu()

    exact, rounded = load(torch.float32, "cpu", "eager"), load(torch.bfloat16, device, "sdpa")
    asked = json.loads((folder / "requests.json").read_text())
    tables = [logits(exact, text) for text in asked["texts"]]
    sigma = torch.cat([table.flatten() for table in tables]).std().item()
    true = [table.log_softmax(-1) for table in tables]
    peer = [logits(rounded, text).log_softmax(-1) for text in asked["texts"]]
    theirs = []
    for request in asked["score"]:
        text, place = request["asked"]["text"], request["asked"]["place"]
        for token in request["asked"]["tokens"]:
            theirs.append((peer[text][place - 1, token] - true[text][place - 1, token]).item() / sigma)
    found = {mode: check_mode(folder, mode, asked, true, sigma, lambda tokens: logits(exact, tokens)) for mode in modes}
    return {"sigma": sigma, "score_transformers_bf16": errors(theirs), **found}


def check_mode(folder, mode, asked, true, sigma, logits):
    """What maspo wrote in one mode. `true`: the log-probabilities of the texts; `logits`: of
    tokens, exact."""
    import torch

    ours, several = [], []
    for request, answer in zip(asked["score"], lines(folder / f"score.{mode}.jsonl"), strict=True):
        wanted = request["asked"]
        text, place, following = wanted["text"], wanted["place"], wanted["following"]
        *single, together = answer["logprobs"]
        for token, logprob in zip(wanted["tokens"], single, strict=True):
            # JSON has no word for what is not a number.
            logprob = float("nan") if logprob is None else logprob
            ours.append((logprob - true[text][place - 1, token].item()) / sigma)
        summed = sum(true[text][place - 1 + step, token].item() for step, token in enumerate(following))
        together = float("nan") if together is None else together
        several.append((together - summed) / sigma / len(following))
    margins, same = [], 0
    for request, answer in zip(asked["generate"], lines(folder / f"generate.{mode}.jsonl"), strict=True):
        prompt, tokens = request["line"]["input_ids"], answer["token_ids"]
        if len(tokens) != request["line"]["max_tokens"]:
            raise SystemExit(f"{len(tokens)} tokens were generated, {request['line']['max_tokens']} were asked for")
        table = logits(prompt + tokens)[len(prompt) - 1 : -1]
        behind = table.max(-1).values - table[torch.arange(len(tokens)), torch.tensor(tokens)]
        margins += (behind / sigma).tolist()
        same += int((behind == 0).sum())
    return {
        "score": errors(ours),
        "score_three_tokens": errors(several),
        "greedy": {"count": len(margins), "same": same, "largest_margin": max(margins)},
    }


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def errors(values):
    """Without figures where a value is not a number."""
    if any(value != value for value in values):
        return {"count": len(values), "rms": None, "largest": None}
    return {
        "count": len(values),
        "rms": (sum(value * value for value in values) / len(values)) ** 0.5,
        "largest": max(abs(value) for value in values),
    }


def speed(job):
    """Prefill and decode of `generate` with a static cache: greedy, random prompts, no end token.
    Timed where the logits of a step are there, by events in the device's own queue, so that the
    loop is not held up: decode is from the first token's to the last's."""
    import torch
    from transformers import CompileConfig, LogitsProcessor, LogitsProcessorList, Qwen3Config, Qwen3ForCausalLM

    device = torch.device(job["device"])
    on_gpu = device.type == "cuda"
    torch.manual_seed(1)
    torch.set_default_dtype(torch.bfloat16)
    with device:
        model = Qwen3ForCausalLM(Qwen3Config.from_dict(job["config"])).eval()
    torch.set_default_dtype(torch.float32)
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0

    def now():
        if not on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def seconds(first, last):
        return first.elapsed_time(last) / 1e3 if on_gpu else last - first

    class Clock(LogitsProcessor):
        def __init__(self):
            self.times = [now()]

        def __call__(self, input_ids, scores):
            self.times.append(now())
            return scores

    batch, prompt_tokens, new_tokens = job["batch"], job["prompt_tokens"], job["new_tokens"]
    compiling = {"compile_config": CompileConfig()} if job["compile"] else {"disable_compile": True}

    def once():
        prompts = torch.randint(model.config.vocab_size, (batch, prompt_tokens), device=device)
        if on_gpu:
            torch.cuda.synchronize()
        clock = Clock()
        out = model.generate(
            prompts,
            attention_mask=torch.ones_like(prompts),
            do_sample=False,
            max_new_tokens=new_tokens,
            cache_implementation="static",
            logits_processor=LogitsProcessorList([clock]),
            **compiling,
        )
        if on_gpu:
            torch.cuda.synchronize()
        # A loop that looks late whether to stop makes one step more than it keeps.
        if out.shape[1] != prompt_tokens + new_tokens or len(clock.times) < new_tokens + 1:
            raise SystemExit(f"generate made {out.shape[1] - prompt_tokens} tokens, {new_tokens} were asked for")
        return seconds(clock.times[0], clock.times[1]), seconds(clock.times[1], clock.times[new_tokens])

    warmups = []
    for _ in range(job["warmups"]):
        started = time.perf_counter()
        once()
        warmups.append(time.perf_counter() - started)
    prefill_s, decode_s = (list(column) for column in zip(*(once() for _ in range(job["repeats"]))))
    # How many graphs torch.compile made, and why CUDA graphs were left out, if they were.
    counters = torch._dynamo.utils.counters
    return {
        "batch": batch,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "device": job["device"],
        "dtype": "bf16",
        "compiled": hasattr(model, "_compiled_call") and counters["stats"].get("unique_graphs", 0) > 0,
        "graphs": counters["stats"].get("unique_graphs", 0),
        "cudagraph_skips": counters["inductor"].get("cudagraph_skips", 0),
        "attention": model.config._attn_implementation,
        "warmup_s": warmups,
        "prefill_s": prefill_s,
        "decode_s": decode_s,
        "prefill_tokens_per_s": batch * prompt_tokens / statistics.median(prefill_s),
        "decode_tokens_per_s": batch * (new_tokens - 1) / statistics.median(decode_s),
    }


def has_vllm(job):
    """The version of vLLM; `ImportError`, which is absence, where there is none. Its import takes
    long, so it is only looked for."""
    import importlib.metadata

    try:
        return {"version": importlib.metadata.version("vllm")}
    except importlib.metadata.PackageNotFoundError:
        raise ImportError("this Python has no vllm") from None


def vllm(job):
    """The speed of vLLM on random weights: all prompts at once, with one new token and with all of
    them."""
    import random
    import tempfile

    from vllm import LLM, SamplingParams

    batch, prompt_tokens, new_tokens = job["batch"], job["prompt_tokens"], job["new_tokens"]
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(job["config"]))
        llm = LLM(
            folder,
            load_format="dummy",
            dtype="bfloat16",
            skip_tokenizer_init=True,
            enable_prefix_caching=False,
            max_model_len=prompt_tokens + new_tokens + 16,
            max_num_seqs=batch,
        )

    def seconds(count, rng):
        drawn = [[rng.randrange(job["config"]["vocab_size"]) for _ in range(prompt_tokens)] for _ in range(batch)]
        parameters = SamplingParams(
            temperature=0.0, max_tokens=count, min_tokens=count, ignore_eos=True, detokenize=False
        )
        started = time.perf_counter()
        answers = llm.generate([{"prompt_token_ids": tokens} for tokens in drawn], parameters, use_tqdm=False)
        took = time.perf_counter() - started
        if any(len(answer.outputs[0].token_ids) != count for answer in answers):
            raise SystemExit(f"vLLM did not make {count} tokens for each prompt")
        return took

    rng, warmups, prefill_s, decode_s = random.Random(1), [], [], []
    for _ in range(job["warmups"]):
        warmups.append(seconds(new_tokens, rng))
    for _ in range(job["repeats"]):
        prefill_s.append(seconds(1, rng))
        decode_s.append(seconds(new_tokens, rng) - prefill_s[-1])
    return {
        "batch": batch,
        "prompt_tokens": prompt_tokens,
        "new_tokens": new_tokens,
        "device": job["device"],
        "dtype": "bf16",
        "warmup_s": warmups,
        "prefill_s": prefill_s,
        "decode_s": decode_s,
        "prefill_tokens_per_s": batch * prompt_tokens / statistics.median(prefill_s),
        "decode_tokens_per_s": batch * (new_tokens - 1) / statistics.median(decode_s),
    }
