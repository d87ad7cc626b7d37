"""Makes the golden files of this folder: what Hugging Face transformers (f32, CPU, eager attention)
answers on small Qwen3 models with random weights, and how it tokenizes conversations.

    python tests/golden/make_reference.py        # needs torch and transformers (made with 2.15 and 5.23)

The weights are not stored: `numbers` below and `RandomWeights` in src/engine/weights/random.rs are
the same function.
Writes tokenizer/ (a byte-level BPE with Qwen3's control tokens, trained on the text below), chat.json and models.json.
"""

import json
import math
import random
from pathlib import Path

import numpy as np
import torch
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

HERE = Path(__file__).parent
CORPUS = """
You are a careful analyst. Read the report and answer the question with one word between <answer> and </answer>.
The client sent 3 requests in 40 seconds from one address; the user agent was python-requests/2.31.
Look at the session: path, status, delay. A human reads pages, a scraper walks the catalogue in order.
def solve(x):\n    total = 0\n    for i in range(x):\n        total += i * i\n    return total\n
What is the capital of France? The capital of France is Paris. Is it true that 12 + 30 = 42? Yes, it is.
Question: which of the two answers is better? Answer: the first one, because it names the evidence.
Write a better prompt for the agent. Keep {question} and {context}. Do not copy text from the traces.
""".strip()

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
NOT_SPECIAL = ["<tool_call>", "</tool_call>", "<think>", "</think>"]
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# A template of Qwen3's shape: ChatML, earlier thinking dropped, an empty think block when thinking
# is off.
TEMPLATE = """{%- for message in messages %}
    {%- set content = message.content %}
    {%- if message.role == 'assistant' and '</think>' in content %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}"""


def make_tokenizer():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()), show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS.splitlines(), trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in SPECIAL])
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in NOT_SPECIAL])
    folder = HERE / "tokenizer"
    folder.mkdir(exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = {"tokenizer_class": "Qwen2Tokenizer", "eos_token": "<|im_end|>", "chat_template": TEMPLATE}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1) + "\n")
    eos = [tokenizer.token_to_id("<|im_end|>"), tokenizer.token_to_id("<|endoftext|>")]
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": eos}) + "\n")
    fast = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
    fast.chat_template = TEMPLATE
    return fast


FRAGMENTS = [
    " ", "  ", "\n", "\n\n", "\t", "a", "Hello", " world", "3", "33", "'s", "é", "e\u0301", "😀", "中文",
    "<", ">", "|", "<|", "|>", "im_end", "def f(x):\n    return x", "\r\n", "\u00a0", "{question}", '"',
    "\\n", "<answer>A</answer>", "The capital",
]  # fmt: skip


def make_chat(tokenizer):
    draw = random.Random(1)

    def text():
        while True:
            made = "".join(draw.choice(FRAGMENTS) for _ in range(draw.randint(0, 9)))
            if not any(token in made for token in SPECIAL + NOT_SPECIAL):
                return made

    cases = []
    for _ in range(150):
        messages = []
        if draw.random() < 0.3:
            messages.append({"role": "system", "content": text()})
        messages.append({"role": "user", "content": text()})
        while draw.random() < 0.3:
            answer = text()
            if draw.random() < 0.5:
                answer = "<think>\n" + text() + "\n</think>\n\n" + answer
            messages.append({"role": "assistant", "content": answer})
            messages.append({"role": "user", "content": text()})
        thinking = draw.random() < 0.3
        ids = tokenizer.apply_chat_template(
            messages, add_generation_prompt=True, enable_thinking=thinking, tokenize=True, return_dict=False
        )
        cases.append({"messages": messages, "thinking": thinking, "ids": ids})
    raw = []
    for _ in range(60):
        middle, end = SPECIAL + NOT_SPECIAL, ["", "<|im_end|><|im_end|>", "<think>"]
        prompt = text() + draw.choice(middle) + text() + draw.choice(end)
        ids = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        plain = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        raw.append({"prompt": prompt, "ids": ids, "decoded": plain})
    (HERE / "chat.json").write_text(json.dumps({"chat": cases, "raw": raw}) + "\n")


def mix(x):
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def fnv1a(text):
    hash = 0xCBF29CE484222325
    for byte in text.encode():
        hash = ((hash ^ byte) * 0x100000001B3) % 2**64
    return hash


def numbers(seed, name, shape):
    with np.errstate(over="ignore"):
        key = mix(np.array([seed ^ fnv1a(name)], dtype=np.uint64))
        bits = mix(key + np.arange(math.prod(shape), dtype=np.uint64))
    unit = (bits >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    if len(shape) > 1:
        scale, offset = np.float32(math.sqrt(3 / shape[-1])), np.float32(0)
    else:
        scale, offset = np.float32(0.1), np.float32(1 if name.endswith("norm.weight") else 0)
    return torch.from_numpy(offset + scale * unit).reshape(shape)


def shape(name, seed, storage, shards, **config):
    return {"name": name, "seed": seed, "storage": storage, "shards": shards, "config": config}


SHAPES = [
    shape("tied, 2 query heads per key head, head size above hidden/heads", 1, "f32", 1,
          vocab_size=160, hidden_size=32, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
          num_key_value_heads=2, head_dim=16, tie_word_embeddings=True, rope_theta=1e6),
    shape("untied, as many key heads as query heads, odd sizes", 2, "f32", 1,
          vocab_size=131, hidden_size=27, intermediate_size=45, num_hidden_layers=3, num_attention_heads=3,
          num_key_value_heads=3, head_dim=10, tie_word_embeddings=False, rope_theta=1e4),
    shape("bias, 4 query heads per key head, bf16 in 3 shards", 3, "bf16", 3,
          vocab_size=192, hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=8,
          num_key_value_heads=2, head_dim=32, tie_word_embeddings=False, attention_bias=True, rope_theta=5e5),
    shape("one key head, head size 128, f16", 4, "f16", 1,
          vocab_size=144, hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=3,
          num_key_value_heads=1, head_dim=128, tie_word_embeddings=True, rope_theta=1e6),
    shape("tied with bias, head size below hidden/heads, bf16 in 2 shards", 5, "bf16", 2,
          vocab_size=136, hidden_size=80, intermediate_size=72, num_hidden_layers=4, num_attention_heads=4,
          num_key_value_heads=4, head_dim=8, tie_word_embeddings=True, attention_bias=True, rope_theta=1e4),
]  # fmt: skip
STORAGE = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}
LENGTHS = [1, 2, 17, 130, 700, 2000]
NEW_TOKENS = 24
# Greedy tokens are only compared where the best logit leads by more than rounding can move it.
CLEAR_LEAD = 2e-3


def greedy(model, prompt):
    """The new tokens, and the least lead of the chosen logit over the next."""
    with torch.no_grad():
        out = model(input_ids=torch.tensor([prompt]), use_cache=True)
        first, tokens, lead = out.logits[0, -1].float(), [], math.inf
        logits = first
        for _ in range(NEW_TOKENS):
            top = logits.topk(2)
            lead = min(lead, (top.values[0] - top.values[1]).item())
            tokens.append(top.indices[0].item())
            out = model(input_ids=top.indices[:1].reshape(1, 1), past_key_values=out.past_key_values, use_cache=True)
            logits = out.logits[0, -1].float()
    return first, tokens, lead


def make_models():
    cases = []
    for case in SHAPES:
        config = dict(case["config"])
        rope = {"rope_type": "default", "rope_theta": config.pop("rope_theta")}
        hf = Qwen3Config(**config, rope_parameters=rope, max_position_embeddings=4096, rms_norm_eps=1e-6)
        hf._attn_implementation = "eager"
        model = Qwen3ForCausalLM(hf).eval()
        state = model.state_dict()
        for name, tensor in state.items():
            if name == "lm_head.weight" and case["config"]["tie_word_embeddings"]:
                name = "model.embed_tokens.weight"
            made = numbers(case["seed"], name, tuple(tensor.shape))
            tensor.copy_(made.to(STORAGE[case["storage"]]).float())
        prompts = []
        for length in LENGTHS:
            for attempt in range(100):
                draw = random.Random(f"{case['seed']} {length} {attempt}")
                prompt = [draw.randrange(config["vocab_size"]) for _ in range(length)]
                logits, tokens, lead = greedy(model, prompt)
                if lead > CLEAR_LEAD:
                    break
            else:
                raise SystemExit(f"{case['name']}: no prompt of {length} tokens with a clear lead")
            values = [float(f"{value:.7g}") for value in logits.tolist()]
            prompts.append({"prompt": prompt, "logits": values, "greedy": tokens})
        cases.append({**case, "prompts": prompts})
    (HERE / "models.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    make_chat(make_tokenizer())
    make_models()
