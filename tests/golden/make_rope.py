"""Makes rope.json: what Hugging Face transformers answers on small Qwen3 models whose rotary
frequencies are scaled, and the scaled frequencies themselves.

    python tests/golden/make_rope.py        # needs torch and transformers 4 (made with 2.15 and 4.57.6)

`config` holds the keys as a config.json has them, in the layout of transformers 4 or 5; `rope` is the same scaling as
transformers 4 takes it. Weights and prompts are made as in make_reference.py.
"""

import json
import random

from make_reference import CLEAR_LEAD, HERE, greedy, numbers
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

SIZES = dict(
    vocab_size=80, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=32, tie_word_embeddings=True,
)  # fmt: skip
LENGTHS = [1, 100, 600]


def scaling(name, theta, rope, config=None, context=1024, head_dim=32):
    """`config` defaults to the layout of transformers 4."""
    config = config or {"rope_theta": theta, "rope_scaling": rope}
    return {"name": name, "theta": theta, "rope": rope, "config": config, "context": context, "head_dim": head_dim}


def yarn(**keys):
    return {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, **keys}


def llama3(**keys):
    return {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 128, **keys}  # fmt: skip


def in_five(theta, rope):
    """The layout of transformers 5."""
    return {"rope_parameters": {"rope_theta": theta, **rope}}


def older(rope):
    """The key that older files have."""
    return {"type" if key == "rope_type" else key: value for key, value in rope.items()}


NEAR = yarn(beta_fast=16.0, beta_slow=2.0, attention_factor=1.3)
SMOOTH = yarn(factor=2.5, truncate=False, mscale=0.7, mscale_all_dim=1.1)
TUNED = llama3(factor=32.0, low_freq_factor=2.0, high_freq_factor=3.5, original_max_position_embeddings=256)
BOTH = {"rope_theta": 1e6, **yarn()}
LINEAR = {"rope_type": "linear", "factor": 2.5}
MODELS = [
    scaling("default", 1e4, {"rope_type": "default"}),
    scaling("linear", 1e4, LINEAR),
    scaling("linear by `type`, layout of transformers 5", 1e6, LINEAR, in_five(1e6, older(LINEAR))),
    scaling("yarn", 1e6, yarn()),
    scaling("yarn by `type`", 1e6, yarn(), {"rope_theta": 1e6, "rope_scaling": older(yarn())}),
    scaling("yarn with numbers of its own, layout of transformers 5", 1e4, NEAR, in_five(1e4, NEAR)),
    scaling("yarn without whole bounds, with mscale", 1e6, SMOOTH),
    scaling("yarn, one table for each type of layers", 1e6, yarn(), {"rope_parameters": {"full_attention": BOTH}}),
    scaling("llama3", 5e5, llama3()),
    scaling("llama3 with numbers of its own, layout of transformers 5", 1e4, TUNED, in_five(1e4, TUNED)),
]
# Of these only the frequencies are compared: settings of published models.
FREQUENCIES = [
    scaling("Qwen3 to 131,072 tokens", 1e6, yarn(original_max_position_embeddings=32768), context=131072, head_dim=128),
    scaling("Llama 3.1", 5e5, llama3(original_max_position_embeddings=8192), context=131072, head_dim=128),
    scaling("Llama 3.2", 5e5, llama3(factor=32.0, original_max_position_embeddings=8192), context=131072, head_dim=64),
    scaling("a linear factor of 4", 1e6, {"rope_type": "linear", "factor": 4.0}, context=32768, head_dim=128),
]  # fmt: skip


def configuration(case):
    sizes = {**SIZES, "head_dim": case["head_dim"]}
    return Qwen3Config(
        **sizes, rope_theta=case["theta"], rope_scaling=dict(case["rope"]), max_position_embeddings=case["context"],
        rms_norm_eps=1e-6,
    )  # fmt: skip


def frequencies(case):
    inverse, factor = ROPE_INIT_FUNCTIONS[case["rope"]["rope_type"]](configuration(case), "cpu")
    return {"inverse_frequencies": [float(f"{value:.9g}") for value in inverse.tolist()], "attention_factor": factor}


def prompts(case, seed):
    config = configuration(case)
    config._attn_implementation = "eager"
    model = Qwen3ForCausalLM(config).eval()
    for name, tensor in model.state_dict().items():
        name = "model.embed_tokens.weight" if name == "lm_head.weight" else name
        tensor.copy_(numbers(seed, name, tuple(tensor.shape)))
    for length in LENGTHS:
        for attempt in range(100):
            draw = random.Random(f"{seed} {length} {attempt}")
            prompt = [draw.randrange(config.vocab_size) for _ in range(length)]
            logits, tokens, lead = greedy(model, prompt)
            if lead > CLEAR_LEAD:
                break
        else:
            raise SystemExit(f"{case['name']}: no prompt of {length} tokens with a clear lead")
        yield {"prompt": prompt, "logits": [float(f"{value:.7g}") for value in logits.tolist()], "greedy": tokens}


def main():
    models = []
    for seed, case in enumerate(MODELS, 20):
        config = {**SIZES, **case["config"], "max_position_embeddings": case["context"]}
        models.append({"name": case["name"], "seed": seed, "storage": "f32", "shards": 1, "config": config,
                       "prompts": list(prompts(case, seed))})  # fmt: skip
    tables = []
    for case in MODELS + FREQUENCIES:
        kept = {key: case[key] for key in ("name", "config", "context", "head_dim")}
        tables.append({**kept, **frequencies(case)})
    (HERE / "rope.json").write_text(json.dumps({"models": models, "frequencies": tables}) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
