"""Many short continuations of one long prompt, learnt at the price of their own tokens and one prompt."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from demo_model.network import Network, rotations
from demo_model.trees import Row


@dataclass(frozen=True, slots=True)
class PrefixBatch:
    """A prompt (1, longest prompt) and its continuations (n, longest continuation), padded with zeros."""

    prefix: Tensor
    n_prefix: Tensor
    ids: Tensor
    predictors: Tensor
    """Flat indices of the tokens in `ids` after which the next one is predicted."""
    targets: Tensor
    weights: Tensor


def pack_branches(row: Row, prefix_length: int, n_branches: int, length: int) -> PrefixBatch:
    """Lay out branches that all see the whole trunk of their row; those that are too long are left out."""
    prefix = torch.zeros((1, prefix_length), dtype=torch.int32)
    # The last token of the trunk begins each branch, so that what follows it is predicted from there.
    prompt, last = row.trunk.ids[:-1], row.trunk.ids[-1]
    prefix[0, : len(prompt)] = torch.tensor(prompt)
    ids = torch.zeros((n_branches, length), dtype=torch.int32)
    predictors: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    fitting = [branch for _, branch in row.branches if len(branch.ids) < length][:n_branches]
    for number, branch in enumerate(fitting):
        ids[number, : len(branch.ids) + 1] = torch.tensor([last, *branch.ids])
        for index, weight in enumerate(branch.weights):
            if weight:
                predictors.append(number * length + index)
                targets.append(branch.ids[index])
                weights.append(weight)
    counted = torch.tensor(predictors), torch.tensor(targets), torch.tensor(weights)
    return PrefixBatch(prefix, torch.tensor(len(prompt)), ids, *counted)


def continue_prefix(network: Network, prefix: Tensor, n_prefix: Tensor, ids: Tensor) -> Tensor:
    """Map a prompt (1, p) and continuations (n, length) to what the output layer reads of these."""
    n_padded, length = prefix.shape[1], ids.shape[1]
    steps = torch.arange(length)
    places = torch.arange(n_padded)
    before = (places < n_prefix)[None].expand(length, -1)
    seen = torch.cat((before, steps[:, None] >= steps[None]), dim=1)
    of_prefix = rotations(places[None], network.shape)
    of_ids = rotations((n_prefix + steps)[None], network.shape)
    x, y = network.embedding(prefix), network.embedding(ids)
    for block in network.blocks:
        q, k, v = block.attention.heads(block.attention_norm(x), *of_prefix)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        x = x + block.attention.join(mixed)
        x = x + block.ffn(block.ffn_norm(x))
        own_q, own_k, own_v = block.attention.heads(block.attention_norm(y), *of_ids)
        keys = torch.cat((k.expand(len(y), -1, -1, -1), own_k), dim=2)
        values = torch.cat((v.expand(len(y), -1, -1, -1), own_v), dim=2)
        mixed = functional.scaled_dot_product_attention(own_q, keys, values, attn_mask=seen, enable_gqa=True)
        y = y + block.attention.join(mixed)
        y = y + block.ffn(block.ffn_norm(y))
    return network.norm(y)
