"""Makes families.json: what Hugging Face transformers answers on small models of the families Qwen2, Llama and Mistral.

    python tests/golden/make_families.py        # needs torch and transformers 5 (made with 2.15 and 5.24.0)

`config` holds the keys of a config.json in the layout of transformers 4. Weights and prompts are made as in
make_reference.py.
"""

import json
import random

from make_reference import CLEAR_LEAD, HERE, greedy, numbers
import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = dict(
    vocab_size=80, hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=6,
    num_key_value_heads=2, head_dim=None, tie_word_embeddings=True, max_position_embeddings=1024, rms_norm_eps=1e-6,
)  # fmt: skip
LENGTHS = [1, 100, 600]
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 128}  # fmt: skip
MODELS = [
    ("Qwen2, tied", "qwen2", {"rope_theta": 1e6}),
    ("Qwen2, untied, yarn", "qwen2", {"rope_theta": 1e6, "tie_word_embeddings": False, "rope_scaling": YARN}),
    ("Llama, 9 heads for 3, as SmolLM2", "llama",
     {"rope_theta": 1e5, "hidden_size": 72, "num_attention_heads": 9, "num_key_value_heads": 3}),
    ("Llama, untied, biases, llama3", "llama",
     {"rope_theta": 5e5, "tie_word_embeddings": False, "attention_bias": True, "rope_scaling": LLAMA3}),
    ("Llama, as many key heads as heads, head size apart, linear", "llama",
     {"rope_theta": 1e4, "head_dim": 16, "num_key_value_heads": 6,
      "rope_scaling": {"rope_type": "linear", "factor": 2.5}}),
    ("Mistral", "mistral", {"rope_theta": 1e6, "head_dim": 16, "sliding_window": None, "tie_word_embeddings": False}),
]  # fmt: skip


def load(config, seed):
    keys = {key: value for key, value in config.items() if value is not None or key == "sliding_window"}
    hf = AutoConfig.for_model(keys.pop("model_type"), **keys)
    hf._attn_implementation = "eager"
    model = AutoModelForCausalLM.from_config(hf, dtype=torch.float32).eval()
    for name, tensor in model.state_dict().items():
        name = "model.embed_tokens.weight" if name == "lm_head.weight" and config["tie_word_embeddings"] else name
        tensor.copy_(numbers(seed, name, tuple(tensor.shape)))
    return model


def prompts(name, config, seed):
    model = load(config, seed)
    for length in LENGTHS:
        for attempt in range(100):
            draw = random.Random(f"{seed} {length} {attempt}")
            prompt = [draw.randrange(config["vocab_size"]) for _ in range(length)]
            logits, tokens, lead = greedy(model, prompt)
            if lead > CLEAR_LEAD:
                break
        else:
            raise SystemExit(f"{name}: no prompt of {length} tokens with a clear lead")
        yield {"prompt": prompt, "logits": [float(f"{value:.7g}") for value in logits.tolist()], "greedy": tokens}


def main():
    cases = []
    for seed, (name, family, keys) in enumerate(MODELS, 40):
        config = {"model_type": family, **SIZES, **keys}
        cases.append({"name": name, "seed": seed, "storage": "f32", "shards": 1, "config": config,
                      "prompts": list(prompts(name, config, seed))})  # fmt: skip
    (HERE / "families.json").write_text(json.dumps(cases) + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    torch.set_num_threads(1)
    main()
