"""The content of `models.toml`: sampling presets, and recommended models beyond the first eight."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

import msgspec

from qwen3_chat.chat import ThinkingSupport
from qwen3_chat.models.shape import QWEN3_N_VOCAB, DeltaNet, Shape, every_nth_is_attention
from qwen3_chat.sampling import SamplingParams

MODELS_FILE: Final = Path(__file__).with_name("models.toml")
DEFAULT_PRESET_NAME = "qwen3"
"""The preset of a model whose family `models.toml` does not name."""


class PresetData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A preset: for models of these architectures, or with one of these parts in their names."""

    name: str
    source: str
    think: SamplingParams
    no_think: SamplingParams
    architectures: tuple[str, ...] = ()
    names: tuple[str, ...] = ()


class ShapeData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sizes of a network, mostly by the names of the model's config.json."""

    architecture: str
    num_hidden_layers: int
    hidden_size: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    intermediate_size: int = 0
    vocab_size: int = QWEN3_N_VOCAB
    num_experts: int = 0
    num_experts_per_tok: int = 0
    moe_intermediate_size: int = 0
    shared_expert_intermediate_size: int = 0
    delta_net_key_heads: int = 0
    delta_net_value_heads: int = 0
    delta_net_head_dim: int = 0
    delta_net_conv_kernel: int = 4
    deepstack_layers: int = 0
    tie_word_embeddings: bool = False

    def to_shape(self) -> Shape:
        """Return the shape."""
        net = DeltaNet(
            every_nth_is_attention(self.num_hidden_layers),
            self.delta_net_conv_kernel,
            self.delta_net_key_heads,
            self.delta_net_value_heads,
            self.delta_net_head_dim,
        )
        return Shape(
            n_layers=self.num_hidden_layers,
            n_embd=self.hidden_size,
            n_ff=self.intermediate_size,
            n_heads=self.num_attention_heads,
            n_kv_heads=self.num_key_value_heads,
            is_tied=self.tie_word_embeddings,
            n_experts=self.num_experts,
            n_experts_used=self.num_experts_per_tok,
            n_expert_ff=self.moe_intermediate_size,
            head_dim=self.head_dim,
            n_vocab=self.vocab_size,
            kind=self.architecture,
            n_shared_ff=self.shared_expert_intermediate_size,
            n_deepstack_layers=self.deepstack_layers,
            delta_net=net if self.delta_net_value_heads else None,
        )


class ModelData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recommended model; `good_for` is the kind of machine that it is made for."""

    name: str
    source: str
    repositories: tuple[str, ...]
    good_for: str
    thinking: ThinkingSupport
    n_ctx: int
    shape: ShapeData
    is_split: bool = False


class ModelsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of `models.toml`."""

    presets: tuple[PresetData, ...]
    models: tuple[ModelData, ...]


@cache
def load_model_data() -> ModelsFile:
    """Read `models.toml`, which comes with the package."""
    data = MODELS_FILE.read_bytes()
    return msgspec.toml.decode(data, type=ModelsFile)
