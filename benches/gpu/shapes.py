"""Shapes, texts and requests of the GPU suite: small Qwen3 configurations for the comparison with
transformers, a tiny one for the dry run, a tokenizer with one word a token, and the lines that
`maspo score` and `maspo generate` get. Draws from fixed seeds; knows no device.
"""

import random

# Every combination that a kernel treats in its own way: tied and untied heads, two and four query
# heads per key head, heads of 64 and 128, heads wider and narrower than hidden/heads, sizes that
# fill no tile, odd vocabularies.
PARITY_SHAPES = {
    "tied-group2-d64": {
        "hidden_size": 256,
        "intermediate_size": 640,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 64,
        "vocab_size": 1009,
        "tie_word_embeddings": True,
    },
    "untied-group4-d128": {
        "hidden_size": 512,
        "intermediate_size": 1088,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 128,
        "vocab_size": 2003,
        "tie_word_embeddings": False,
    },
    "untied-group2-d128-wide-heads": {
        "hidden_size": 320,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 3,
        "head_dim": 128,
        "vocab_size": 1013,
        "tie_word_embeddings": False,
    },
    "tied-group4-d64-narrow-heads": {
        "hidden_size": 448,
        "intermediate_size": 960,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 1,
        "head_dim": 64,
        "vocab_size": 1511,
        "tie_word_embeddings": True,
    },
}
LAYERS_OF_A_DRY_RUN = 2

COMMON = {
    "architectures": ["Qwen3ForCausalLM"],
    "model_type": "qwen3",
    "hidden_act": "silu",
    "max_position_embeddings": 40960,
    "rms_norm_eps": 1e-06,
    "rope_theta": 1000000.0,
    "attention_bias": False,
    "use_sliding_window": False,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "torch_dtype": "bfloat16",
}

# Stands for the large model where there is no GPU: every product's inputs fill whole blocks of
# Q4_K.
TINY = {
    **COMMON,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "vocab_size": 512,
    "tie_word_embeddings": False,
}

ANSWERS = 8
CONTINUATION = 3
# Ends of keys' chunks and of blocks, in the long text.
EDGES = (1, 2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513, 640)


def operations_per_prompt_token(config):
    """Multiplications and additions of the matrices that a token of a prompt passes through: all
    but the embedding and the head, whose logits only the last token needs. Attention is left
    out."""
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    wide = config["head_dim"] * (2 * heads + 2 * config["num_key_value_heads"])
    return 2 * config["num_hidden_layers"] * hidden * (wide + 3 * config["intermediate_size"])


def parity_shapes(dry_run):
    """Name → configuration."""
    shapes = {name: {**COMMON, **shape} for name, shape in PARITY_SHAPES.items()}
    if dry_run:
        shapes = {name: {**shape, "num_hidden_layers": LAYERS_OF_A_DRY_RUN} for name, shape in list(shapes.items())[:2]}
    return shapes


def tokenizer(vocabulary):
    """A `tokenizer.json` in which the word `wN` is the token N, so that every token can be named in
    the text of an answer."""
    model = {"type": "WordLevel", "vocab": {f"w{token}": token for token in range(vocabulary)}, "unk_token": "w0"}
    nothing = ("truncation", "padding", "normalizer", "post_processor", "decoder")
    head = {"version": "1.0", "added_tokens": [], **dict.fromkeys(nothing)}
    return {**head, "pre_tokenizer": {"type": "WhitespaceSplit"}, "model": model}


def requests(name, vocabulary, dry_run):
    """Texts of random tokens, and what is asked about them: `score` wants the log-probabilities of
    single tokens and of the true next three after many prefixes; `generate` wants greedy
    continuations."""
    rng = random.Random(f"parity {name}")
    lengths = (24, 40) if dry_run else (80, 80, 80, 80, 700)
    texts = [[rng.randrange(vocabulary) for _ in range(length)] for length in lengths]
    score, generate = [], []
    for number, text in enumerate(texts):
        places = EDGES if len(text) > max(EDGES) + CONTINUATION else range(1, len(text) - CONTINUATION)
        for place in places:
            tokens = [text[place], *rng.sample(range(vocabulary), ANSWERS - 1)]
            following = text[place : place + CONTINUATION]
            answers = [f"w{token}" for token in tokens] + [" ".join(f"w{token}" for token in following)]
            asked = {"text": number, "place": place, "tokens": tokens, "following": following}
            score.append({"asked": asked, "line": {"id": len(score), "input_ids": text[:place], "answers": answers}})
    new_tokens = 6 if dry_run else 24
    ends = (1, 7, 16, 20) if dry_run else (1, 2, 7, 15, 16, 17, 33, 48, 64, 65, 79)
    prompts = [text[:end] for text in texts[:2] for end in ends]
    prompts += [] if dry_run else [texts[-1][:end] for end in (255, 256, 257, 640)]
    for prompt in prompts:
        line = {"id": len(generate), "input_ids": prompt, "max_tokens": new_tokens, "ignore_eos": True}
        generate.append({"line": line})
    return {"texts": texts, "score": score, "generate": generate}
