"""The Qwen3 network in torch: grouped-query attention with QK-norm, SwiGLU, tied embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from demo_model.shape import Shape


class Attention(nn.Module):
    """Self-attention with normalised queries and keys."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = nn.Linear(shape.width, shape.n_heads * shape.head_width, bias=False)
        self.k = nn.Linear(shape.width, shape.n_kv_heads * shape.head_width, bias=False)
        self.v = nn.Linear(shape.width, shape.n_kv_heads * shape.head_width, bias=False)
        self.out = nn.Linear(shape.n_heads * shape.head_width, shape.width, bias=False)
        self.q_norm = nn.RMSNorm(shape.head_width, eps=shape.norm_epsilon)
        self.k_norm = nn.RMSNorm(shape.head_width, eps=shape.norm_epsilon)

    def heads(self, x: Tensor, cosines: Tensor, sines: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (bins, length, width) to queries, keys and values, each (bins, heads, length, head width)."""
        n_bins, length, _ = x.shape
        shape = self.shape
        q = self.q_norm(self.q(x).view(n_bins, length, shape.n_heads, shape.head_width)).transpose(1, 2)
        k = self.k_norm(self.k(x).view(n_bins, length, shape.n_kv_heads, shape.head_width)).transpose(1, 2)
        v = self.v(x).view(n_bins, length, shape.n_kv_heads, shape.head_width).transpose(1, 2)
        return rotate(q, cosines, sines).to(v.dtype), rotate(k, cosines, sines).to(v.dtype), v

    def join(self, mixed: Tensor) -> Tensor:
        """Map what the heads have mixed, (bins, heads, length, head width), to (bins, length, width)."""
        return self.out(mixed.transpose(1, 2).flatten(2))

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor, seen: Tensor | BlockMask) -> Tensor:
        """Map (bins, length, width) to the same shape; `seen` says which tokens see which."""
        q, k, v = self.heads(x, cosines, sines)
        if isinstance(seen, BlockMask):  # on a GPU: skips the blocks in which nothing is seen
            return self.join(flex_attention(q, k, v, block_mask=seen, enable_gqa=True))
        return self.join(functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, enable_gqa=True))


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

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor, seen: Tensor | BlockMask) -> Tensor:
        """Map (bins, length, width) to the same shape."""
        x = x + self.attention(self.attention_norm(x), cosines, sines, seen)
        return x + self.ffn(self.ffn_norm(x))


class Predictions(Protocol):
    """What is predicted in a batch: after which tokens, what, and how much it weighs."""

    @property
    def predictors(self) -> Tensor: ...  # noqa: D102 - as in the batches

    @property
    def targets(self) -> Tensor: ...  # noqa: D102

    @property
    def weights(self) -> Tensor: ...  # noqa: D102


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

    def forward(self, ids: Tensor, positions: Tensor, seen: Tensor | BlockMask) -> Tensor:
        """Map (bins, length) to what the output layer reads, (bins, length, width)."""
        x = self.embedding(ids)
        cosines, sines = rotations(positions, self.shape)
        for block in self.blocks:
            x = block(x, cosines, sines, seen)
        return self.norm(x)

    def begin_with(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take over weights by their names."""
        with torch.no_grad():
            for name, weight in self.named_parameters():
                weight.copy_(torch.from_numpy(weights[name]).reshape(weight.shape))

    def logits(self, states: Tensor) -> Tensor:
        """Map (n, width) to (n, vocabulary)."""
        return functional.linear(states, self.embedding.weight)

    def mean_loss(self, states: Tensor, batch: Predictions) -> Tensor:
        """Return the weighted mean of the cross-entropies of what is predicted from states (…, width)."""
        logits = self.logits(states.flatten(0, -2)[batch.predictors]).float()
        losses = functional.cross_entropy(logits, batch.targets, reduction="none")
        return losses @ batch.weights / batch.weights.sum()


def rotations(positions: Tensor, shape: Shape) -> tuple[Tensor, Tensor]:
    """Return cosines and sines, (bins, 1, length, half a head)."""
    half = shape.head_width // 2
    exponents = -torch.arange(half, dtype=torch.float32, device=positions.device) / half
    angles = positions[:, None, :, None].to(torch.float32) * shape.rope_base**exponents
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate the two halves of each head (the NEOX order that llama.cpp uses for Qwen3)."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cosines - second * sines, second * cosines + first * sines), dim=-1)
