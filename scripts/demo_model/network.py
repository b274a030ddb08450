"""The Qwen3 network in torch: grouped-query attention with QK-norm, SwiGLU, tied embeddings."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from demo_model.shape import Shape


class Attention(nn.Module):
    """Causal self-attention with normalised queries and keys."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = nn.Linear(shape.width, shape.n_heads * shape.head_width, bias=False)
        self.k = nn.Linear(shape.width, shape.n_kv_heads * shape.head_width, bias=False)
        self.v = nn.Linear(shape.width, shape.n_kv_heads * shape.head_width, bias=False)
        self.out = nn.Linear(shape.n_heads * shape.head_width, shape.width, bias=False)
        self.q_norm = nn.RMSNorm(shape.head_width, eps=shape.norm_epsilon)
        self.k_norm = nn.RMSNorm(shape.head_width, eps=shape.norm_epsilon)

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        """Map (rows, positions, width) to the same shape."""
        rows, positions, _ = x.shape
        shape = self.shape
        q = self.q_norm(self.q(x).view(rows, positions, shape.n_heads, shape.head_width)).transpose(1, 2)
        k = self.k_norm(self.k(x).view(rows, positions, shape.n_kv_heads, shape.head_width)).transpose(1, 2)
        v = self.v(x).view(rows, positions, shape.n_kv_heads, shape.head_width).transpose(1, 2)
        repeats = shape.n_heads // shape.n_kv_heads
        k = _rotate(k, cosines, sines).repeat_interleave(repeats, dim=1)
        v = v.repeat_interleave(repeats, dim=1)
        mixed = functional.scaled_dot_product_attention(_rotate(q, cosines, sines), k, v, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(rows, positions, -1))


class FeedForward(nn.Module):
    """SwiGLU: a gated projection up, one projection down."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate = nn.Linear(shape.width, shape.ffn_width, bias=False)
        self.up = nn.Linear(shape.width, shape.ffn_width, bias=False)
        self.down = nn.Linear(shape.ffn_width, shape.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, width) to the same shape."""
        return self.down(functional.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """One layer: attention, then feed-forward, each after a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.attention = Attention(shape)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        self.ffn = FeedForward(shape)

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor, wanted: Tensor | None = None) -> Tensor:
        """Map (rows, positions, width) to the same shape, or to (n, width) at the flat positions `wanted`."""
        x = x + self.attention(self.attention_norm(x), cosines, sines)
        if wanted is not None:
            x = x.flatten(0, 1)[wanted]
        return x + self.ffn(self.ffn_norm(x))


class Network(nn.Module):
    """The whole model; the output layer is the embedding, transposed."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = nn.Embedding(shape.vocab_size, shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.n_layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_epsilon)
        for weight in self.parameters():
            if weight.dim() == 2:
                nn.init.normal_(weight, std=0.02)
        for name, weight in self.named_parameters():
            if name.endswith(("out.weight", "down.weight")):
                nn.init.zeros_(weight)

    def forward(self, ids: Tensor, wanted: Tensor) -> Tensor:
        """Return logits (n, vocab) at the flat positions `wanted` of `ids` (rows, positions)."""
        x = self.embedding(ids)
        cosines, sines = _rotations(ids.shape[1], self.shape)
        for block in self.blocks[:-1]:
            x = block(x, cosines, sines)
        # Above the last attention only the wanted positions matter.
        x = self.blocks[-1](x, cosines, sines, wanted)
        return functional.linear(self.norm(x), self.embedding.weight)


def _rotations(positions: int, shape: Shape) -> tuple[Tensor, Tensor]:
    half = shape.head_width // 2
    frequencies = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(positions, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate the two halves of each head (the NEOX order that llama.cpp uses for Qwen3)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)
