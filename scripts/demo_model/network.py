"""The Qwen3 network in torch: grouped-query attention with QK-norm, SwiGLU, tied embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from demo_model.shape import Shape


class Layout:
    """Which tokens see which: a trunk, then branches that see some of the trunk and themselves."""

    def __init__(self, n_trunk: int, branches: Sequence[tuple[int, int]] = ()) -> None:
        """Lay out a trunk of `n_trunk` tokens and branches, given as (seen of the trunk, length)."""
        self.n_trunk = n_trunk
        self.branches: list[tuple[int, int, int, Tensor]] = []
        start = n_trunk
        for n_seen, length in branches:
            mask = torch.ones(length, n_seen + length, dtype=torch.bool).tril(n_seen)
            self.branches.append((n_seen, start, start + length, mask))
            start += length

    def positions(self) -> Tensor:
        """Return each token's position: a branch counts on from what it sees."""
        branches = [torch.arange(n_seen, n_seen + end - start) for n_seen, start, end, _ in self.branches]
        return torch.cat([torch.arange(self.n_trunk), *branches])


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

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor, layout: Layout) -> Tensor:
        """Map (rows, positions, width) to the same shape."""
        rows, positions, _ = x.shape
        shape = self.shape
        q = self.q_norm(self.q(x).view(rows, positions, shape.n_heads, shape.head_width)).transpose(1, 2)
        k = self.k_norm(self.k(x).view(rows, positions, shape.n_kv_heads, shape.head_width)).transpose(1, 2)
        v = self.v(x).view(rows, positions, shape.n_kv_heads, shape.head_width).transpose(1, 2)
        repeats = shape.n_heads // shape.n_kv_heads
        k = _rotate(k, cosines, sines).repeat_interleave(repeats, dim=1)
        v = v.repeat_interleave(repeats, dim=1)
        q = _rotate(q, cosines, sines)
        end = layout.n_trunk
        parts = [
            functional.scaled_dot_product_attention(
                q[:, :, :end], k[:, :, :end], v[:, :, :end], is_causal=True
            )
        ]
        for n_seen, start, end, mask in layout.branches:
            keys = torch.cat((k[:, :, :n_seen], k[:, :, start:end]), dim=2)
            values = torch.cat((v[:, :, :n_seen], v[:, :, start:end]), dim=2)
            parts.append(
                functional.scaled_dot_product_attention(q[:, :, start:end], keys, values, attn_mask=mask)
            )
        mixed = torch.cat(parts, dim=2)
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

    def forward(
        self, x: Tensor, cosines: Tensor, sines: Tensor, layout: Layout, wanted: Tensor | None = None
    ) -> Tensor:
        """Map (rows, positions, width) to the same shape, or to (n, width) at the flat positions `wanted`."""
        x = x + self.attention(self.attention_norm(x), cosines, sines, layout)
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

    def forward(self, ids: Tensor, wanted: Tensor, layout: Layout | None = None) -> Tensor:
        """Return logits (n, vocab) at the flat positions `wanted` of `ids` (rows, length)."""
        layout = layout or Layout(ids.shape[1])
        x = self.embedding(ids)
        cosines, sines = _rotations(layout.positions(), self.shape)
        for block in self.blocks[:-1]:
            x = block(x, cosines, sines, layout)
        # Above the last attention only the wanted positions matter.
        x = self.blocks[-1](x, cosines, sines, layout, wanted)
        return functional.linear(self.norm(x), self.embedding.weight)


def _rotations(positions: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    half = shape.head_width // 2
    frequencies = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.outer(positions.to(torch.float32), frequencies)
    return angles.cos(), angles.sin()


def _rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate the two halves of each head (the NEOX order that llama.cpp uses for Qwen3)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)
