"""A tiny model of any of Qwen's architectures, with random weights and the demo model's tokenizer."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np

from demo_model.gguf_file import add_tokenizer
from demo_model.vocabulary import build_vocabulary
from qwen3_chat.models.catalog import Shape
from qwen3_chat.models.shape import DeltaNet, TensorRole, every_nth_is_attention
from qwen3_chat.record_copies import replace
from tests.models.fit.hollow_gguf import metadata_of

_STANDARD_DEVIATION = 0.1
_DECAY = np.float32(-0.01)
"""The rate at which a state fades: so slowly that it remembers the beginning of a chat."""

TINY_QWEN35 = Shape(
    4, 64, 128, 2, 1, head_dim=32, kind="qwen35",
    delta_net=DeltaNet(every_nth_is_attention(4), 4, 2, 4, 16),
)  # fmt: skip
TINY_QWEN35_MOE = replace(
    TINY_QWEN35, kind="qwen35moe", n_experts=4, n_experts_used=2, n_expert_ff=64, n_shared_ff=64
)
TINY_QWEN3_NEXT = replace(TINY_QWEN35_MOE, kind="qwen3next")


def write_random_model(path: Path, shape: Shape, seed: int = 0) -> Path:
    """Write a model of a shape, whose vocabulary is the demo model's; return its path."""
    shape = replace(shape, n_vocab=len(build_vocabulary().tokens))
    random = np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, shape.architecture)
    for key, value in metadata_of(shape).items():
        match value:
            case str():
                pass  # the writer has the name of the architecture
            case int():
                writer.add_uint32(key, value)
            case float():
                writer.add_float32(key, value)
            case list():
                writer.add_array(key, value)
    add_tokenizer(writer)
    for tensor in shape.tensors():
        dimensions = tensor.dimensions[::-1]
        if tensor.role is TensorRole.UNQUANTISED and len(dimensions) == 1:
            weight = np.ones(dimensions, np.float32)
        else:
            weight = random.normal(0, _STANDARD_DEVIATION, dimensions).astype(np.float32)
        writer.add_tensor(tensor.name, weight * _DECAY if tensor.name.endswith("ssm_a") else weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
