"""A larger made-up model that mostly agrees with the demo model: its weights, and more layers of small noise.

It has the demo model's vocabulary, so that the demo model can draft for it, and some drafts are rejected.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from numpy.typing import NDArray

from demo_model.gguf_file import Weights, gguf_name, write_gguf
from demo_model.shape import Shape
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.record_copies import replace

N_LAYERS = 52
"""The layers by which it is eight times as large as the demo model."""

_MATRICES = ("attention.q", "attention.k", "attention.v", "attention.out", "ffn.gate", "ffn.up", "ffn.down")
_NORMS = ("attention_norm", "attention.q_norm", "attention.k_norm", "ffn_norm")
_ADDED = ("attention.out", "ffn.down")
"""The matrices whose results are added to what passes through a layer: small ones change little."""


def write_deepened_demo(path: Path, noise: float, n_layers: int = N_LAYERS, seed: int = 0) -> None:
    """Write the model; the more `noise`, the more often it goes on otherwise than the demo model."""
    stored = {tensor.name: tensor for tensor in gguf.GGUFReader(DEMO_FILE).tensors}

    def read(name: str) -> NDArray[np.float32]:
        tensor = stored[gguf_name(name)]
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        return np.array(values, np.float32)

    weights: Weights = {name: read(name) for name in ("embedding.weight", "norm.weight")}
    shape = Shape(len(weights["embedding.weight"]))
    random = np.random.default_rng(seed)
    for layer in range(n_layers):
        for part in (*_NORMS, *_MATRICES):
            source = read(f"blocks.{layer % shape.n_layers}.{part}.weight")
            name = f"blocks.{layer}.{part}.weight"
            if layer < shape.n_layers:
                weights[name] = source
            elif part in _NORMS:
                weights[name] = np.ones_like(source)
            else:
                scale = noise if part in _ADDED else 0.05
                weights[name] = (scale * random.standard_normal(source.shape)).astype(np.float32)
    write_gguf(path, weights, replace(shape, n_layers=n_layers), f"made up: {noise:g} of noise")
