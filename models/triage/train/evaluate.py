"""Measures the exported model on the generator's probes (clause combinations that no training line
has), in f32.

Agents: the whole answer under greedy decoding. Judge: the letter by logit in both orders, and
whether both orders agree. Proposals: sampled at a temperature; well formed, and different from the
parent.

    python evaluate.py [--json metrics.json]
"""

import argparse
import json
import re
from collections import defaultdict
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

import corpus as data
from check import training_params
from model import Model, Shape

PARENT = re.compile(r"Current prompt:\n<data>\n(.*)\n</data>\n\nNew prompt:\Z", re.DOTALL)
REPLY = re.compile(r"\A\s*<prompt>(.*)</prompt>\s*\Z", re.DOTALL)


def main():
    here = Path(__file__).resolve().parent
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=str(here.parent))
    p.add_argument("--probes", default=str(here.parent / "probes"))
    p.add_argument("--json", help="write the figures here")
    p.add_argument("--replies", help="write the sampled proposals here, for the generator's `edits`")
    p.add_argument("--temperature", type=float, default=1.0)
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)

    folder = Path(args.model)
    c = json.loads((folder / "config.json").read_text())
    shape = Shape(c["vocab_size"], c["hidden_size"], c["num_hidden_layers"], c["num_attention_heads"],
                  c["num_key_value_heads"], c["head_dim"], c["intermediate_size"])
    weights = {name: value.float() for name, value in load_file(folder / "model.safetensors").items()}
    model = Model(shape, training_params(weights, shape), "cpu", torch.float32, False)
    chat = data.Chat(data.strip_control(Tokenizer.from_file(str(folder / "tokenizer.json"))))

    figures = {}
    for path in sorted(Path(args.probes).glob("*.jsonl")):
        lines = data.read_lines(path)
        measure = {"a": agents, "j": judge, "p": proposals}[path.stem[0]]
        figures[path.stem] = measure(model, chat, lines, args)
        parts = (f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in figures[path.stem].items())
        print(f"{path.stem:24s} " + "  ".join(parts), flush=True)
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def batches(rows, size=24):
    """Rows (any tuples that start with ids) of like length together, padded on the right, where
    causal rows cannot see.
    """
    order = sorted(range(len(rows)), key=lambda at: len(rows[at][0]))
    for at in range(0, len(order), size):
        part = order[at : at + size]
        longest = max(len(rows[i][0]) for i in part)
        yield part, torch.tensor([rows[i][0] + [0] * (longest - len(rows[i][0])) for i in part])


def agents(model, chat, lines, args):
    rows = []
    for line in lines:
        prompt = chat.prompt(line["messages"])
        answer = chat.data(line["answer"]) + [chat.end]
        rows.append((prompt + answer, len(prompt)))
    exact = 0
    for part, ids in batches(rows):
        best = model.logits(ids).argmax(-1)
        for at, i in enumerate(part):
            row, start = rows[i]
            exact += best[at, start - 1 : len(row) - 1].tolist() == row[start:]
    return {"n": len(rows), "exact": exact / len(rows)}


def judge(model, chat, lines, args):
    letters = [chat.data(letter)[0] for letter in "AB"]
    rows = [(chat.prompt(line["messages"]), line) for line in lines]
    lead = {}
    for part, ids in batches(rows):
        logits = model.logits(ids)
        for at, i in enumerate(part):
            a, b = logits[at, len(rows[i][0]) - 1, letters].tolist()
            lead[i] = a - b
    right = sum((lead[i] > 0) == (line["answer"] == "A") for i, (_, line) in enumerate(rows))
    pairs = defaultdict(list)
    for i, (_, line) in enumerate(rows):
        # Towards the answer that is better, whichever letter it has in this order.
        pairs[line["pair"]].append(lead[i] if line["answer"] == "A" else -lead[i])
    both = [two for two in pairs.values() if len(two) == 2]
    return {
        "n": len(rows),
        "each_order": right / len(rows),
        "pairs": len(both),
        "averaged": sum(sum(two) > 0 for two in both) / len(both),
        "consistent": sum((two[0] > 0) == (two[1] > 0) for two in both) / len(both),
    }


def proposals(model, chat, lines, args, most=96):
    formed, differ, replies = 0, 0, []
    for line, new in zip(lines, sample(chat, [chat.prompt(line["messages"]) for line in lines], args, most)):
        text = chat.plain.decode([i for i in new if i < chat.plain.get_vocab_size()])
        content = line["messages"][0]["content"]
        parent, reply = PARENT.search(content).group(1), REPLY.match(text)
        slot = "{context}" if "{context}" in parent else "{question}"
        frozen = "<answer>label</answer>"
        ok = reply is not None and reply.group(1).count(slot) == 1
        ok = ok and (frozen not in parent or frozen in reply.group(1))
        formed += ok
        differ += ok and reply.group(1) != parent
        replies.append({"kind": line["kind"], "parent": parent, "reply": text})
    if args.replies:
        with open(args.replies, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(reply) + "\n" for reply in replies)
    return {"n": len(lines), "formed": formed / len(lines), "different": differ / len(lines)}


def sample(chat, prompts, args, most):
    """Generates with transformers, whose cache makes it fast; prompts padded on the left."""
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).eval()
    pad, longest = chat.id["<|endoftext|>"], max(map(len, prompts))
    ids = torch.tensor([[pad] * (longest - len(prompt)) + prompt for prompt in prompts])
    sampling = {"do_sample": False}
    if args.temperature > 0:
        sampling = {"do_sample": True, "temperature": args.temperature, "top_k": 0}
    mask = (ids != pad).long()
    options = {"max_new_tokens": most, "eos_token_id": [chat.end], "pad_token_id": pad}
    out = theirs.generate(ids, attention_mask=mask, **options, **sampling)
    return [row[: row.index(chat.end)] if chat.end in row else row for row in out[:, longest:].tolist()]


if __name__ == "__main__":
    main()
