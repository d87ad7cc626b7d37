"""From corpus.jsonl to token rows in static shapes: the tokenizer, the chat sequence, buckets and
batches.

It must not know the model. Contents and answers are data: their bytes never become control pieces,
whatever they spell.
"""

import json
import random

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors, trainers
from tokenizers.models import BPE

# Qwen3's order and flags: only the first three are "special" in the sense of skip_special_tokens.
CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<think>", "</think>"]
SPECIAL = 3
# Qwen2 and Qwen3 split text like this before the merges; every digit stands alone.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def read_lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def bare_tokenizer():
    tokenizer = Tokenizer(BPE(byte_fallback=False, fuse_unk=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False)
    return tokenizer


def train_tokenizer(lines, vocab, seed, sample=20000):
    """A byte-level BPE with every byte in it; `vocab` counts the control pieces, which come last.
    """
    chosen = lines if len(lines) <= sample else random.Random(seed).sample(lines, sample)
    texts = (text for line in chosen for text in [*(m["content"] for m in line["messages"]), line["answer"]])
    tokenizer = bare_tokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(CONTROL),
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def with_control(tokenizer):
    """The tokenizer to export: the same merges plus the control pieces. A fresh copy; the plain one
    encodes data.
    """
    full = Tokenizer.from_str(tokenizer.to_str())
    for at, piece in enumerate(CONTROL):
        full.add_tokens([AddedToken(piece, special=at < SPECIAL, normalized=False)])
    return full


def strip_control(full):
    """The inverse of `with_control`, for an exported tokenizer.json."""
    state = json.loads(full.to_str())
    state["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(state))


class Chat:
    """Renders messages as Qwen3 does with thinking off, straight into ids."""

    def __init__(self, plain):
        self.plain = plain
        base = plain.get_vocab_size()
        self.id = {piece: base + at for at, piece in enumerate(CONTROL)}
        self.vocab = base + len(CONTROL)
        start, end = self.id["<|im_start|>"], self.id["<|im_end|>"]
        self.end = end
        newline, blank = self.data("\n"), self.data("\n\n")
        think = [self.id["<think>"], *blank, self.id["</think>"], *blank]
        self.open = {role: [start, *self.data(role + "\n")] for role in ("system", "user", "assistant")}
        self.close = [end, *newline]
        self.answer_open = [*self.open["assistant"], *think]

    def data(self, text):
        return self.plain.encode(text, add_special_tokens=False).ids

    def prompt(self, messages):
        ids = []
        for message in messages:
            ids += self.open[message["role"]] + self.data(message["content"]) + self.close
        return ids + self.answer_open


class Rows:
    """Every line as one row of ids with a loss weight per token; CONTENT marks the content's
    tokens, whose weight changes during the training. `boost` multiplies the weight of a kind.
    """

    CONTENT = -1.0

    def __init__(self, lines, chat, boost):
        self.kinds = sorted({line["kind"] for line in lines})
        self.kind, self.ids, self.weights, self.answer_at, self.too_long = [], [], [], [], 0
        step = 4096
        for at in range(0, len(lines), step):
            part = lines[at : at + step]
            texts = [m["content"] for line in part for m in line["messages"]] + [line["answer"] for line in part]
            encoded = iter(chat.plain.encode_batch_fast(texts, add_special_tokens=False))
            contents = [[next(encoded).ids for _ in line["messages"]] for line in part]
            for line, content in zip(part, contents):
                answer = next(encoded).ids + [chat.end]
                ids, weights = [], []
                for message, body in zip(line["messages"], content):
                    opening = chat.open[message["role"]]
                    ids += opening + body + chat.close
                    weights += [0.0] * len(opening) + [self.CONTENT] * len(body) + [0.0] * len(chat.close)
                ids += chat.answer_open + answer
                if len(ids) > 1024:
                    self.too_long += 1
                    continue
                weight = float(line.get("weight", 1.0)) * boost.get(line["kind"], 1.0)
                weights += [0.0] * len(chat.answer_open) + [weight] * len(answer)
                self.kind.append(self.kinds.index(line["kind"]))
                self.ids.append(np.array(ids, np.int32))
                self.weights.append(np.array(weights, np.float32))
                self.answer_at.append(len(ids) - len(answer) - 1)
        self.kind = np.array(self.kind)
        self.answer_at = np.array(self.answer_at)
        self.lengths = np.array([len(ids) - 1 for ids in self.ids])

    def split(self, held_out, seed):
        """Row numbers to train on and, by kind, `held_out` row numbers kept back."""
        order = np.random.default_rng([seed, 1]).permutation(len(self.ids))
        back, taken = {kind: [] for kind in range(len(self.kinds))}, []
        for row in order:
            kind = self.kind[row]
            if len(back[kind]) < held_out:
                back[kind].append(row)
            else:
                taken.append(row)
        return np.array(taken), back

    def batch(self, rows, t, count, pad, content):
        """ids, targets and weights [count, t]; missing rows are padding of weight 0, `content` is
        the content's weight.
        """
        ids = np.full((count, t), pad, np.int64)
        targets = np.full((count, t), pad, np.int64)
        weights = np.zeros((count, t), np.float32)
        for at, row in enumerate(rows):
            n = self.lengths[row]
            ids[at, :n], targets[at, :n] = self.ids[row][:-1], self.ids[row][1:]
            weights[at, :n] = self.weights[row][1:]
        weights[weights == self.CONTENT] = content
        return ids, targets, weights


def choose_buckets(lengths, tokens, most):
    """At most `most` row lengths that divide `tokens` and waste the least padding (dynamic
    programme over candidates).
    """
    candidates = [t for t in range(32, 1025, 16) if tokens % t == 0]
    assert candidates[-1] >= lengths.max(), f"longest row {lengths.max()} fits no bucket of {candidates}"
    counts = np.array([np.sum(lengths <= t) for t in candidates])
    best = [[(counts[i] * candidates[i], [candidates[i]]) for i in range(len(candidates))]]
    for _ in range(most - 1):
        last = best[-1]
        best.append(
            [
                min(
                    [last[i]]
                    + [
                        (last[j][0] + (counts[i] - counts[j]) * candidates[i], last[j][1] + [candidates[i]])
                        for j in range(i)
                    ]
                )
                for i in range(len(candidates))
            ]
        )
    top = int(np.argmax(counts == counts[-1]))
    return best[-1][top][1]


def bucket_of(buckets, length):
    return next(t for t in buckets if length <= t)


def batches(rows, train, buckets, tokens, seed):
    """Endless (row length, row numbers) in a fixed random order; rows left over at the end of an
    epoch come in the next.
    """
    left = {t: [] for t in buckets}
    fits = np.array([bucket_of(buckets, n) for n in rows.lengths[train]])
    epoch = 0
    while True:
        rng = np.random.default_rng([seed, 2, epoch])
        ready = []
        for t in buckets:
            pool = left[t] + list(rng.permutation(train[fits == t]))
            size = tokens // t
            ready += [(t, pool[at : at + size]) for at in range(0, len(pool) - size + 1, size)]
            left[t] = pool[len(pool) - len(pool) % size :]
        for at in rng.permutation(len(ready)):
            yield epoch, *ready[at]
        epoch += 1
