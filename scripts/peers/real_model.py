"""Makes tests/golden/smollm2.json: what Hugging Face transformers (f32, CPU) answers with the weights that
scripts/real-model.sh fetched, dequantized.

    python3 -m venv target/venv && target/venv/bin/pip install torch transformers gguf accelerate
    scripts/real-model.sh
    target/venv/bin/python scripts/peers/real_model.py      # made with torch 2.15, transformers 5.24.0, gguf 0.19.0

It holds token ids of texts, of conversations and of the licence text that lies in this repository, greedy tokens after
the conversations with the lead of each over the next best, and the perplexity of the licence text.

Tokens: transformers' own conversion of a GGUF tokenizer does not know SmolLM2's cut into words, so the tokenizer is
built here, as the model's own tokenizer.json has it: every digit alone, then GPT-2's byte-level BPE.
"""

import json
from pathlib import Path

import gguf
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

ROOT = Path(__file__).parents[2]
FOLDER, FILE = ROOT / "target/real-model", "SmolLM2-135M-Instruct.Q4_1.gguf"
PAGE, PAGE_TOKENS, NEW_TOKENS = "LICENSE-APACHE", 1024, 32
TEXTS = [
    "The capital of France is Paris.",
    "It's 2026, and 12 + 30 = 42; they'LL see 1,234.5 %\n\n  indented\tby a tab  \n",
    "naïve café – 中文 😀 e\u0301",
    "def f(x):\n    return [i ** 2 for i in range(x)]\r\n",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
]
CONVERSATIONS = [
    [{"role": "user", "content": "What is the capital of France?"}],
    [
        {"role": "system", "content": "You answer with one word."},
        {"role": "user", "content": "Is 17 a prime number?"},
    ],
    [{"role": "user", "content": "Write a short poem about the sea."}],
    [
        {"role": "user", "content": "Name three colours."},
        {"role": "assistant", "content": "Red, green and blue."},
        {"role": "user", "content": "And three animals, as a list."},
    ],
]


def read_tokenizer():
    fields = gguf.GGUFReader(FOLDER / FILE).fields
    value = lambda key: fields[f"tokenizer.{key}"].contents()  # noqa: E731
    tokens, types = value("ggml.tokens"), value("ggml.token_type")
    merges = [tuple(merge.split(" ")) for merge in value("ggml.merges")]
    normal = {text: id for id, (text, kind) in enumerate(zip(tokens, types)) if kind == gguf.TokenType.NORMAL}
    tokenizer = Tokenizer(models.BPE(vocab={text: id for id, text in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in tokens if text not in normal])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    fast.chat_template = value("chat_template")
    return fast


@torch.no_grad()
def greedy(model, ids):
    """The new tokens, and the lead of each over the next best logit."""
    out = model(input_ids=torch.tensor([ids]), use_cache=True)
    tokens, leads = [], []
    for _ in range(NEW_TOKENS):
        top = out.logits[0, -1].topk(2)
        tokens.append(top.indices[0].item())
        leads.append(round((top.values[0] - top.values[1]).item(), 4))
        out = model(input_ids=top.indices[:1].reshape(1, 1), past_key_values=out.past_key_values, use_cache=True)
    return tokens, leads


@torch.no_grad()
def page_nats(model, ids):
    """The mean negative log-probability of every token after the first."""
    logits = model(input_ids=torch.tensor([ids])).logits[0, :-1].double()
    return torch.nn.functional.cross_entropy(logits, torch.tensor(ids[1:])).item()


def main():
    tokenizer = read_tokenizer()
    model = AutoModelForCausalLM.from_pretrained(
        FOLDER, gguf_file=FILE, dtype=torch.float32, attn_implementation="eager"
    ).eval()
    texts = [{"text": text, "ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in TEXTS]
    conversations = []
    for messages in CONVERSATIONS:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
        tokens, leads = greedy(model, ids)
        conversations.append({"messages": messages, "ids": ids, "greedy": tokens, "leads": leads})
        print(repr(tokenizer.decode(tokens)), min(leads))
    page = tokenizer((ROOT / PAGE).read_text(), add_special_tokens=False)["input_ids"][:PAGE_TOKENS]
    nats = page_nats(model, page)
    print(f"perplexity {torch.tensor(nats).exp():.5f} over {len(page)} tokens")
    golden = {"file": FILE, "texts": texts, "conversations": conversations}
    golden |= {"page": PAGE, "page_ids": page, "nats": nats}
    (ROOT / "tests/golden/smollm2.json").write_text(json.dumps(golden) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
