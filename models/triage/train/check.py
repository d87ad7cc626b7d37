"""Loads the exported folder with transformers, compares it with the training model, writes
reference.json.

The reference holds greedy tokens for a few conversations; a Rust test decodes the same ones.

    python check.py --corpus corpus.jsonl
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer

import corpus as data
from model import Model, Shape

MAX_NEW = 64


def training_params(weights, shape):
    """The fused tensors of the training model from the exported ones."""
    def layers(name):
        return [weights[f"model.layers.{layer}.{name}.weight"] for layer in range(shape.layers)]

    def fused(*names):
        return torch.stack([torch.cat(parts) for parts in zip(*map(layers, names))])

    return {
        "embed": weights["model.embed_tokens.weight"],
        "qkv": fused("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "out": fused("self_attn.o_proj"),
        "gate_up": fused("mlp.gate_proj", "mlp.up_proj"),
        "down": fused("mlp.down_proj"),
        "norm_attention": fused("input_layernorm"),
        "norm_mlp": fused("post_attention_layernorm"),
        "norm_q": fused("self_attn.q_norm"),
        "norm_k": fused("self_attn.k_norm"),
        "norm_final": weights["model.norm.weight"],
    }


def main():
    # Late, because importing it takes seconds and evaluate.py needs only the layout above.
    from transformers import AutoModelForCausalLM, AutoTokenizer

    here = Path(__file__).resolve().parent
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--corpus", required=True)
    p.add_argument("--model", default=str(here.parent))
    p.add_argument("--reference", default=str(here / "reference.json"))
    p.add_argument("--per-kind", type=int, default=2)
    args = p.parse_args()
    folder = Path(args.model)
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    c = theirs.config
    shape = Shape(c.vocab_size, c.hidden_size, c.num_hidden_layers, c.num_attention_heads, c.num_key_value_heads,
                  c.head_dim, c.intermediate_size)
    weights = {name: value.float() for name, value in theirs.state_dict().items()}
    ours = Model(shape, training_params(weights, shape), "cpu", torch.float32, False)
    chat = data.Chat(data.strip_control(Tokenizer.from_file(str(folder / "tokenizer.json"))))

    picked, seen = [], {}
    for line in data.read_lines(args.corpus):
        if seen.setdefault(line["kind"], 0) < args.per_kind:
            seen[line["kind"]] += 1
            picked.append(line)
    worst, cases, agree = 0.0, [], 0
    for line in sorted(picked, key=lambda line: line["kind"]):
        ids = chat.prompt(line["messages"])
        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        text = tokenizer.apply_chat_template(line["messages"], **options)
        forged = any(piece in m["content"] for m in line["messages"] for piece in data.CONTROL)
        if not forged:
            rendered = tokenizer(text, add_special_tokens=False).input_ids
            assert rendered == ids, f"the chat template renders other ids: {text}"
        batch = torch.tensor([ids])
        one, two = ours.logits(batch), theirs(batch).logits
        worst = max(worst, (one - two).abs().max().item())
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-3), f"logits differ by {(one - two).abs().max()}"
        out = theirs.generate(batch, attention_mask=torch.ones_like(batch), max_new_tokens=MAX_NEW, do_sample=False,
                              eos_token_id=[chat.end], pad_token_id=chat.id["<|endoftext|>"])
        new = out[0, len(ids):].tolist()
        said = chat.plain.decode([i for i in new if i < chat.plain.get_vocab_size()])
        agree += said == line["answer"]
        case = {"kind": line["kind"], "messages": line["messages"]}
        cases.append(case | {"prompt_ids": ids, "greedy_ids": new, "text": said})
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    reference = {"schema": 1, "model_sha256": digest, "max_new_tokens": MAX_NEW, "cases": cases}
    Path(args.reference).write_text(json.dumps(reference, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(cases)} conversations, logits differ by at most {worst:.2e}, "
          f"{agree} answers as in the corpus, sha256 {digest}")


if __name__ == "__main__":
    main()
