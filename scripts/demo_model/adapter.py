"""A LoRA adapter for the demo model: a few steps of training after which its answers begin otherwise."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import gguf
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from demo_model.gguf_file import gguf_name, read_weights
from demo_model.network import Network
from demo_model.packing import Batch, mask, pack
from demo_model.render import Sample
from demo_model.shape import Shape
from demo_model.single_turns import draw_single_turn
from demo_model.trees import row_of_sample

ADAPTED = ("attention.q", "attention.v", "ffn.down")
"""The matrices of each block that get an adapter."""

_END_OF_THINKING = "</think>\n\n"


class AdaptedLinear(nn.Module):
    """A matrix that stays as it is, with a product of two thin ones beside it."""

    def __init__(self, whole: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.whole = whole
        self.a = nn.Parameter(torch.randn(rank, whole.in_features) / rank)
        self.b = nn.Parameter(torch.zeros(whole.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, in) to (…, out)."""
        adapted = functional.linear(functional.linear(x, self.a), self.b)
        return self.whole(x) + adapted * self.scale


def read_network(path: Path, shape: Shape) -> Network:
    """Return the network with the weights of a GGUF file of it, none of which will be trained."""
    network = Network(shape)
    network.begin_with(read_weights(path, dict(network.named_parameters())))
    for weight in network.parameters():
        weight.requires_grad_(False)
    return network


def adapt(network: Network, rank: int, alpha: float) -> dict[str, AdaptedLinear]:
    """Put adapters beside the matrices of a network; return them by the names of these."""
    adapters = {}
    for number, block in enumerate(network.blocks):
        for name in ADAPTED:
            part, matrix = name.split(".")
            owner = getattr(block, part)
            adapted = AdaptedLinear(getattr(owner, matrix), rank, alpha)
            setattr(owner, matrix, adapted)
            adapters[f"blocks.{number}.{name}.weight"] = adapted
    return adapters


def draw_batch(rng: random.Random, opening: str, n_rows: int) -> Batch:
    """Draw single turns whose answers begin with `opening`."""
    rows = [row_of_sample(_begin_with(opening, draw_single_turn(rng))) for _ in range(n_rows)]
    return pack([rows], sum(map(len, rows)))


def train(network: Network, adapters: dict[str, AdaptedLinear], batches: Iterator[Batch]) -> Iterator[float]:
    """Train the adapters with each batch, and yield its loss."""
    weights = [weight for adapted in adapters.values() for weight in (adapted.a, adapted.b)]
    optimizer = torch.optim.AdamW(weights, lr=2e-3, weight_decay=0.0)
    for batch in batches:
        states = network(batch.ids, batch.positions, mask(batch))
        logits = network.logits(states.flatten(0, 1)[batch.predictors])
        loss = functional.cross_entropy(logits, batch.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item()


def write_adapter(path: Path, adapters: dict[str, AdaptedLinear], alpha: float, name: str) -> None:
    """Write the adapters as the GGUF file that llama.cpp reads."""
    writer = gguf.GGUFWriter(path, "qwen3")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_name(name)
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for matrix, adapted in adapters.items():
        for letter, weight in (("a", adapted.a), ("b", adapted.b)):
            writer.add_tensor(
                f"{gguf_name(matrix)}.lora_{letter}", weight.detach().numpy().astype(np.float16)
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _begin_with(opening: str, sample: Sample) -> Sample:
    thinking, end, answer = sample.reply.rpartition(_END_OF_THINKING)
    return Sample(sample.prompt, f"{thinking}{end}{opening}{answer}")
