"""A small Qwen3 written for fast training on CPU cores (a GPU works too): static shapes, fused
projections, attention by hand.

It must not know what it is trained on. Shapes: b rows, t tokens a row, n_q query heads, n_kv
key/value heads, d head size, g = n_q / n_kv, c channels. Weights of all layers are stacked along a
leading axis, so that Muon works on batches of matrices. Only attention depends on the row length;
the rest is compiled once, for the tokens of a micro-batch. `hugging_face_weights` gives the layout
that others load.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

EPS = 1e-6


@dataclass(frozen=True)
class Shape:
    vocab: int
    hidden: int = 256
    layers: int = 6
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 64
    ff: int = 512
    rope_theta: float = 10000.0
    positions: int = 1024


def init_params(shape, seed, device):
    """Fused weights, f32. What writes into the residual stream starts at zero, so every block
    starts as the identity.
    """
    s, gen = shape, torch.Generator().manual_seed(seed)

    def normal(*size):
        # Uniform of the variance 1 / fan_in over 3: small enough that early attention is near
        # uniform.
        return torch.empty(size).uniform_(-1, 1, generator=gen) * size[-1] ** -0.5

    qkv = (s.heads + 2 * s.kv_heads) * s.head_dim
    params = {
        "embed": torch.randn(s.vocab, s.hidden, generator=gen) * 0.02,
        "qkv": normal(s.layers, qkv, s.hidden),
        "out": torch.zeros(s.layers, s.hidden, s.heads * s.head_dim),
        "gate_up": normal(s.layers, 2 * s.ff, s.hidden),
        "down": torch.zeros(s.layers, s.hidden, s.ff),
        "norm_attention": torch.ones(s.layers, s.hidden),
        "norm_mlp": torch.ones(s.layers, s.hidden),
        "norm_q": torch.ones(s.layers, s.head_dim),
        "norm_k": torch.ones(s.layers, s.head_dim),
        "norm_final": torch.ones(s.hidden),
    }
    return {name: value.to(device) for name, value in params.items()}


def muon_splits(shape):
    """Which tensors are matrices, and how the rows of a fused one divide."""
    s = shape
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    return {"qkv": [q, kv, kv], "out": [s.hidden], "gate_up": [s.ff, s.ff], "down": [s.hidden]}


def hugging_face_weights(params, shape):
    """The same weights under the names and in the layout of transformers' Qwen3ForCausalLM (tied
    embeddings).
    """
    s = shape
    q, kv = s.heads * s.head_dim, s.kv_heads * s.head_dim
    out = {"model.embed_tokens.weight": params["embed"], "model.norm.weight": params["norm_final"]}
    for layer in range(s.layers):
        at = f"model.layers.{layer}."
        wq, wk, wv = params["qkv"][layer].split([q, kv, kv])
        gate, up = params["gate_up"][layer].split(s.ff)
        out |= {
            at + "input_layernorm.weight": params["norm_attention"][layer],
            at + "post_attention_layernorm.weight": params["norm_mlp"][layer],
            at + "self_attn.q_proj.weight": wq,
            at + "self_attn.k_proj.weight": wk,
            at + "self_attn.v_proj.weight": wv,
            at + "self_attn.o_proj.weight": params["out"][layer],
            at + "self_attn.q_norm.weight": params["norm_q"][layer],
            at + "self_attn.k_norm.weight": params["norm_k"][layer],
            at + "mlp.gate_proj.weight": gate,
            at + "mlp.up_proj.weight": up,
            at + "mlp.down_proj.weight": params["down"][layer],
        }
    return out


def rope_table(shape, device):
    """cos and sin, [positions, d]; the sine carries the sign of Qwen3's rotate_half."""
    half = shape.head_dim // 2
    inverse = shape.rope_theta ** (-torch.arange(half, dtype=torch.float64) / half)
    angle = torch.arange(shape.positions, dtype=torch.float64)[:, None] * inverse
    cos, sin = torch.cos(angle).float(), torch.sin(angle).float()
    return torch.cat([cos, cos], -1).to(device), torch.cat([-sin, sin], -1).to(device)


def rms_norm(x, weight):
    x = x.float()
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight


def rotate(x, cos, sin):
    half = x.shape[-1] // 2
    return x * cos + torch.cat([x[..., half:], x[..., :half]], -1) * sin


@lru_cache(maxsize=None)
def causal_mask(g, start, end, dtype, device):
    """[g * (end - start), end], minus infinity where a query would look ahead."""
    rows = torch.arange(start, end, device=device)[:, None]
    later = torch.arange(end, device=device)[None] > rows
    mask = torch.zeros(end - start, end, device=device).masked_fill(later, -math.inf)
    return mask.repeat(g, 1).to(dtype)


class Attention(torch.autograd.Function):
    """Causal attention, q [n, g, t, d], k and v [n, t, d]. Queries go in chunks that see only the
    keys up to their end. The backward keeps the probabilities: SDPA's backward was the largest cost
    of a step on CPU. Not compiled: these are few large operations, and compiling them for every row
    length took ten minutes.
    """

    @staticmethod
    def chunks(t):
        size = t if t <= 192 else max((n for n in range(16, 161, 16) if t % n == 0), default=t)
        return [(at, at + size) for at in range(0, t, size)]

    @staticmethod
    def forward(ctx, q, k, v):
        n, g, t, d = q.shape
        out, probabilities = torch.empty_like(q), []
        for start, end in Attention.chunks(t):
            part = q[:, :, start:end].reshape(n, -1, d)
            mask = causal_mask(g, start, end, q.dtype, q.device).expand(n, -1, -1)
            p = torch.softmax(torch.baddbmm(mask, part, k[:, :end].transpose(1, 2), alpha=d**-0.5), -1)
            probabilities.append(p)
            out[:, :, start:end] = torch.bmm(p, v[:, :end]).view(n, g, end - start, d)
        ctx.save_for_backward(q, k, v, *probabilities)
        return out

    @staticmethod
    def backward(ctx, d_out):
        q, k, v, *probabilities = ctx.saved_tensors
        n, g, t, d = q.shape
        scale = d**-0.5
        d_q = torch.empty_like(q)
        d_k = d_v = None
        # From the last chunk, which sees every key, so that the sums start at full size.
        for (start, end), p in reversed(list(zip(Attention.chunks(t), probabilities))):
            part_out = d_out[:, :, start:end].reshape(n, -1, d)
            part_q = q[:, :, start:end].reshape(n, -1, d)
            d_p = torch.bmm(part_out, v[:, :end].transpose(1, 2))
            d_s = torch._softmax_backward_data(d_p, p, -1, p.dtype).mul_(scale)
            d_q[:, :, start:end] = torch.bmm(d_s, k[:, :end]).view(n, g, end - start, d)
            add_k, add_v = torch.bmm(d_s.transpose(1, 2), part_q), torch.bmm(p.transpose(1, 2), part_out)
            if d_k is None:
                d_k, d_v = add_k.float(), add_v.float()
            else:
                d_k[:, :end] += add_k
                d_v[:, :end] += add_v
        return d_q, d_k.to(q.dtype), d_v.to(q.dtype)


def attention(q, k, v, t):
    """q [n, n_q, d], k and v [n, n_kv, d] of n tokens in rows of t; returns [n, n_q * d]."""
    n, n_q, d = q.shape
    n_kv, b = k.shape[1], n // t
    q = q.view(b, t, n_q, d).transpose(1, 2).reshape(b * n_kv, n_q // n_kv, t, d)
    k, v = (y.view(b, t, n_kv, d).transpose(1, 2).reshape(b * n_kv, t, d) for y in (k, v))
    return Attention.apply(q, k, v).view(b, n_q, t, d).transpose(1, 2).reshape(n, n_q * d)


def before(x, cos, sin, qkv, norm_attention, norm_q, norm_k, dtype):
    """The queries, keys and values of x [n, c] (f32), whatever the rows are; matrix products in
    `dtype`.
    """
    n, d = x.shape[0], norm_q.shape[0]
    heads = qkv.shape[0] // d
    n_q = x.shape[1] // d
    n_kv = (heads - n_q) // 2
    h = F.linear(rms_norm(x, norm_attention).to(dtype), qkv.to(dtype)).view(n, heads, d)
    q, k, v = h.split([n_q, n_kv, n_kv], 1)
    q = rotate(rms_norm(q, norm_q), cos[:, None], sin[:, None]).to(dtype)
    k = rotate(rms_norm(k, norm_k), cos[:, None], sin[:, None]).to(dtype)
    return q, k, v.contiguous()


def after(x, a, out, norm_mlp, gate_up, down, dtype):
    """Adds what attention found and the feed-forward part to x [n, c]."""
    x = x + F.linear(a, out.to(dtype)).float()
    gate, up = F.linear(rms_norm(x, norm_mlp).to(dtype), gate_up.to(dtype)).float().chunk(2, -1)
    return x + F.linear((F.silu(gate) * up).to(dtype), down.to(dtype)).float()


def head(x, norm_final, embed, targets, weights, dtype):
    """Weighted sum of the cross entropies, and which tokens greedy decoding would get right, [n].
    """
    logits = F.linear(rms_norm(x, norm_final).to(dtype), embed.to(dtype)).float()
    picked = logits.gather(-1, targets[..., None])[..., 0]
    loss = ((torch.logsumexp(logits, -1) - picked) * weights).sum()
    return loss, (picked >= logits.amax(-1)).detach()


BEFORE, AFTER = ("qkv", "norm_attention", "norm_q", "norm_k"), ("out", "norm_mlp", "gate_up", "down")
BLOCK = BEFORE + AFTER


class Model:
    """The forward pass over `params`; compiled once for each shape of a batch. Gradients gather in
    `grads`, where given.
    """

    def __init__(self, shape, params, device, dtype, compiled, grads=None):
        self.shape, self.dtype = shape, dtype
        self.rope = rope_table(shape, device)
        self.leaves = {
            name: [leaf(part) for part in value] if name in BLOCK else leaf(value) for name, value in params.items()
        }
        for name, value in (grads or {}).items():
            if name in BLOCK:
                for part, into in zip(self.leaves[name], value):
                    part.grad = into
            else:
                self.leaves[name].grad = value
        wrap = (lambda f: torch.compile(f, dynamic=False)) if compiled else (lambda f: f)
        self.before, self.after, self.head = map(wrap, (before, after, head))

    def hidden(self, tokens):
        """tokens [b, t] to [b * t, c]."""
        b, t = tokens.shape
        cos, sin = (part[:t].repeat(b, 1) for part in self.rope)
        x = F.embedding(tokens.reshape(-1), self.leaves["embed"])
        for layer in range(self.shape.layers):
            first, second = ([self.leaves[name][layer] for name in names] for names in (BEFORE, AFTER))
            q, k, v = self.before(x, cos, sin, *first, self.dtype)
            x = self.after(x, attention(q, k, v, t), *second, self.dtype)
        return x

    def loss(self, tokens, targets, weights):
        p, flat = self.leaves, (targets.reshape(-1), weights.reshape(-1))
        loss, right = self.head(self.hidden(tokens), p["norm_final"], p["embed"], *flat, self.dtype)
        return loss, right.view(tokens.shape)

    def logits(self, tokens):
        x = rms_norm(self.hidden(tokens), self.leaves["norm_final"])
        return F.linear(x.to(self.dtype), self.leaves["embed"].to(self.dtype)).float().view(*tokens.shape, -1)


def leaf(value):
    return value.detach().requires_grad_()
