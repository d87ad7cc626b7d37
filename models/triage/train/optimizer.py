"""Muon for the matrices, AdamW for embeddings and norms, on flat buffers shared by the worker
processes.

It must not know the model beyond the names of its tensors. Each worker updates its own share of the
tensors.
"""

import torch

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
MOMENTUM, BETAS, ADAM_EPS = 0.95, (0.9, 0.95), 1e-8


def orthogonalize(matrices, dtype, steps=5):
    """Newton-Schulz towards the nearest orthogonal matrix, for a batch [n, rows, columns]."""
    a, b, c = NEWTON_SCHULZ
    x = matrices
    tall = x.shape[1] > x.shape[2]
    if tall:
        x = x.transpose(1, 2)
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x.transpose(1, 2) if tall else x).float()


class Flat:
    """Named tensors as views of one flat f32 buffer, which processes can share."""

    def __init__(self, sizes, device, shared):
        self.sizes = {name: torch.Size(size) for name, size in sizes.items()}
        self.buffer = torch.zeros(sum(size.numel() for size in self.sizes.values()), device=device)
        if shared:
            self.buffer.share_memory_()

    def views(self):
        at, out = 0, {}
        for name, size in self.sizes.items():
            out[name] = self.buffer[at : at + size.numel()].view(size)
            at += size.numel()
        return out


class Optimizer:
    def __init__(self, params, grads, first, second, splits, world, rank, dtype, muon_lr, adam_lr, weight_decay):
        """`params`, `first`, `second`: views by name. `grads`: one dict of views for each worker,
        summed here in order. `splits`: how the rows of a fused matrix divide into matrices of their
        own.
        """
        self.params, self.grads, self.first, self.second = params, grads, first, second
        self.splits, self.world, self.rank, self.dtype = splits, world, rank, dtype
        self.muon_lr, self.adam_lr, self.weight_decay = muon_lr, adam_lr, weight_decay

    def step(self, number, rate):
        """`rate` in 0..1 scales both learning rates; `number` counts from 1."""
        with torch.no_grad():
            for name, value in self.params.items():
                if name in self.splits:
                    self.muon(name, value, rate)
                elif self.rank == 0:
                    self.adam(name, value, number, rate)

    def mine(self, layers):
        return slice(layers * self.rank // self.world, layers * (self.rank + 1) // self.world)

    def total(self, name, part=slice(None)):
        grad = self.grads[0][name][part].clone()
        for other in self.grads[1:]:
            grad += other[name][part]
        return grad

    def muon(self, name, value, rate):
        part = self.mine(value.shape[0])
        grad, momentum, weight = self.total(name, part), self.first[name][part], value[part]
        momentum.lerp_(grad, 1 - MOMENTUM)
        grad.lerp_(momentum, MOMENTUM)
        weight.mul_(1 - rate * self.muon_lr * self.weight_decay)
        for piece, target in zip(grad.split(self.splits[name], 1), weight.split(self.splits[name], 1)):
            scale = max(1.0, piece.shape[1] / piece.shape[2]) ** 0.5
            target.add_(orthogonalize(piece, self.dtype), alpha=-rate * self.muon_lr * scale)

    def adam(self, name, value, number, rate):
        grad, first, second = self.total(name), self.first[name], self.second[name]
        first.lerp_(grad, 1 - BETAS[0])
        second.lerp_(grad.square(), 1 - BETAS[1])
        update = first / (1 - BETAS[0] ** number) / ((second / (1 - BETAS[1] ** number)).sqrt() + ADAM_EPS)
        value.add_(update, alpha=-rate * self.adam_lr)
