"""Writes the folder that transformers and the binary load: weights in bf16 under Qwen3's names,
tokenizer, chat template.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer

import corpus as data
from model import Shape, hugging_face_weights

# Qwen3's template without tools and reasoning history: what the binary renders, thinking on or off.
CHAT_TEMPLATE = """{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' -}}
{%- if enable_thinking is defined and enable_thinking is false -%}
{{- '<think>\\n\\n</think>\\n\\n' -}}
{%- endif -%}
{%- endif -%}
"""


def from_checkpoint(checkpoint, tokenizer, out):
    blob = torch.load(checkpoint, map_location="cpu", weights_only=True)
    shape = Shape(**blob["shape"])
    plain = Tokenizer.from_file(str(tokenizer))
    write(Path(out), shape, blob["params"], plain)
    print(f"exported {blob['state']} to {out}", flush=True)


def write(out, shape, params, plain):
    out.mkdir(parents=True, exist_ok=True)
    chat = data.Chat(plain)
    end, pad = chat.id["<|im_end|>"], chat.id["<|endoftext|>"]
    tensors = hugging_face_weights(params, shape)
    weights = {k: v.detach().to(torch.bfloat16).clone().contiguous() for k, v in tensors.items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    text(out / "config.json", config(shape, end))
    text(out / "generation_config.json", {"do_sample": False, "eos_token_id": [end, pad], "pad_token_id": pad})
    full = data.with_control(plain)
    full.save(str(out / "tokenizer.json"))
    added = {
        str(chat.id[piece]): {
            "content": piece,
            "lstrip": False,
            "normalized": False,
            "rstrip": False,
            "single_word": False,
            "special": at < data.SPECIAL,
        }
        for at, piece in enumerate(data.CONTROL)
    }
    text(
        out / "tokenizer_config.json",
        {
            "add_bos_token": False,
            "add_prefix_space": False,
            "added_tokens_decoder": added,
            "additional_special_tokens": data.CONTROL[1:3],
            "bos_token": None,
            "chat_template": CHAT_TEMPLATE,
            "clean_up_tokenization_spaces": False,
            "eos_token": "<|im_end|>",
            "errors": "replace",
            "model_max_length": shape.positions,
            "pad_token": "<|endoftext|>",
            "split_special_tokens": False,
            "tokenizer_class": "Qwen2Tokenizer",
            "unk_token": None,
        },
    )


def config(shape, end):
    return {
        "architectures": ["Qwen3ForCausalLM"],
        "attention_bias": False,
        "attention_dropout": 0.0,
        "bos_token_id": None,
        "eos_token_id": end,
        "head_dim": shape.head_dim,
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "initializer_range": 0.02,
        "intermediate_size": shape.ff,
        "max_position_embeddings": shape.positions,
        "max_window_layers": shape.layers,
        "model_type": "qwen3",
        "num_attention_heads": shape.heads,
        "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads,
        "rms_norm_eps": 1e-6,
        "rope_scaling": None,
        "rope_theta": shape.rope_theta,
        "sliding_window": None,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
        "use_cache": True,
        "use_sliding_window": False,
        "vocab_size": shape.vocab,
    }


def text(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
