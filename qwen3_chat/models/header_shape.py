"""The sizes of a network as the header of its file gives them, for every architecture that can chat.

The rules are those of llama.cpp's src/llama-model.cpp (`load_hparams`) and src/llama-hparams.cpp. The numbers
come checked, from `models.gguf`.
"""

from __future__ import annotations

from collections.abc import Mapping

from qwen3_chat.models.gguf_names import CHAT_ARCHITECTURES
from qwen3_chat.models.shape import (
    DEFAULT_ATTENTION_INTERVAL,
    QWEN3_N_VOCAB,
    DeltaNet,
    Shape,
    Widths,
    every_nth_is_attention,
)
from qwen3_chat.record_copies import replace

_GATED_DELTA = frozenset({"qwen3next", "qwen35", "qwen35moe", "qwen4exp"})
_ALL_RECURRENT = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
_BOTH_IN_EACH_LAYER = frozenset({"falcon-h1"})
_DEFAULT_MINIMAX_INTERVAL = 8
_GEMMA3N_KV_LAYERS = 20  # a constant of llama.cpp's gemma3n.cpp
_DEFAULT_SHIFTED_TOKENS = 2


def shape_from_metadata(
    metadata: Mapping[str, object], n_vocab: int, n_weights: int, is_tied: bool
) -> Shape | None:
    """Return the shape by the metadata of a file, or None where it is no language model or says too little.

    Args:
        metadata: The entries of a header, whose numbers have been checked.
        n_vocab: The number of tokens by the embedding's tensor, 0 where that is not known.
        n_weights: The number of all weights.
        is_tied: Whether the file has no matrix for the output.
    """
    numbers = _Numbers(metadata)
    if numbers.architecture not in CHAT_ARCHITECTURES:
        return None
    n_layers, n_embd = numbers.largest("block_count"), numbers.largest("embedding_length")
    n_heads = numbers.largest("attention.head_count")
    if not n_layers or not n_embd or not (n_heads or numbers.architecture in _ALL_RECURRENT):
        return None
    kv_heads = numbers.per_layer("attention.head_count_kv", n_layers, default=n_heads)
    unused = min(numbers.largest("nextn_predict_layers"), n_layers - 1)
    shape = Shape(
        n_layers=n_layers,
        n_embd=n_embd,
        n_ff=numbers.largest("feed_forward_length"),
        n_heads=n_heads,
        n_kv_heads=max(kv_heads),
        is_tied=is_tied,
        n_experts=numbers.largest("expert_count"),
        n_experts_used=min(numbers.largest("expert_used_count"), numbers.largest("expert_count")),
        n_expert_ff=numbers.largest("expert_feed_forward_length"),
        head_dim=numbers.largest("attention.key_length") or n_embd // max(1, n_heads),
        n_vocab=n_vocab or numbers.largest("vocab_size") or QWEN3_N_VOCAB,
        n_shared_ff=numbers.largest("expert_shared_feed_forward_length"),
        n_deepstack_layers=numbers.largest("n_deepstack_layers"),
        n_unused_layers=unused,
        delta_net=_delta_net(numbers, n_layers, n_layers - unused),
        n_weights=n_weights,
    )
    if numbers.architecture != shape.architecture:
        shape = replace(shape, kind=numbers.architecture)
    if shape.delta_net:
        return shape
    recurrent = _recurrent_layers(numbers, kv_heads, shape)
    shape = replace(shape, state_values=sum(recurrent) * _state_values(numbers, n_embd, n_heads))
    widths = _layer_widths(numbers, kv_heads, recurrent, shape)
    return shape if widths == shape.layer_widths else replace(shape, widths=widths)


def _delta_net(numbers: _Numbers, n_layers: int, n_used_layers: int) -> DeltaNet | None:
    if numbers.architecture not in _GATED_DELTA:
        return None
    interval = numbers.largest("full_attention_interval") or DEFAULT_ATTENTION_INTERVAL
    recurrent = numbers.flags("attention.recurrent_layers", n_layers)
    if recurrent is None:
        recurrent = every_nth_is_attention(n_layers, interval)
    return DeltaNet(
        recurrent=tuple(is_one and layer < n_used_layers for layer, is_one in enumerate(recurrent)),
        n_conv=numbers.largest("ssm.conv_kernel"),
        n_key_heads=numbers.largest("ssm.group_count"),
        n_value_heads=numbers.largest("ssm.time_step_rank"),
        head_dim=numbers.largest("ssm.state_size"),
    )


def _recurrent_layers(numbers: _Numbers, kv_heads: tuple[int, ...], shape: Shape) -> tuple[bool, ...]:
    """Return which layers keep a state; in nearly all hybrid networks those without KV heads."""
    n_layers = shape.n_layers
    if numbers.architecture in _ALL_RECURRENT | _BOTH_IN_EACH_LAYER:
        return (True,) * n_layers
    stated = numbers.flags("attention.recurrent_layers", n_layers)
    if stated is not None:
        return stated
    if numbers.architecture == "minimax-01":
        interval = numbers.largest("full_attention_interval") or _DEFAULT_MINIMAX_INTERVAL
        return every_nth_is_attention(n_layers, interval)
    has_states = any(map(numbers.has, ("ssm.conv_kernel", "shortconv.l_cache", "kda.head_dim")))
    feed_forward = numbers.per_layer("feed_forward_length", n_layers, default=0)
    is_mixer_only = numbers.architecture.startswith("nemotron_h")  # its other layers are feed-forward ones
    return tuple(
        has_states and heads == 0 and not (is_mixer_only and width)
        for heads, width in zip(kv_heads, feed_forward, strict=True)
    )


def _state_values(numbers: _Numbers, n_embd: int, n_heads: int) -> int:
    """Return what a recurrent layer keeps for a sequence, as `n_embd_r` and `n_embd_s` of llama.cpp do."""
    n_conv = max(1, numbers.largest("ssm.conv_kernel")) - 1
    if head := numbers.largest("wkv.head_size"):
        return (numbers.largest("token_shift_count") or _DEFAULT_SHIFTED_TOKENS) * n_embd + n_embd * head
    if kept := numbers.largest("shortconv.l_cache"):
        return n_embd * (kept - 1)
    if head := numbers.largest("kda.head_dim"):
        return 3 * (n_conv or 3) * n_heads * head + head * head * n_heads
    if numbers.architecture == "minimax-01":
        head = numbers.largest("attention.key_length")
        return head * head * n_heads
    inner, state = numbers.largest("ssm.inner_size"), numbers.largest("ssm.state_size")
    return n_conv * (inner + 2 * numbers.largest("ssm.group_count") * state) + state * inner


def _layer_widths(
    numbers: _Numbers, kv_heads: tuple[int, ...], recurrent: tuple[bool, ...], shape: Shape
) -> tuple[Widths, ...]:
    """Return what a token puts into the KV cache of each layer; windows are cached at full length."""
    keys = shape.head_dim
    values = numbers.largest("attention.value_length") or shape.n_embd // max(1, shape.n_heads)
    windows = numbers.flags("attention.sliding_window_pattern", shape.n_layers) or (False,) * shape.n_layers
    window_keys = numbers.largest("attention.key_length_swa") or keys
    window_values = numbers.largest("attention.value_length_swa") or values
    has_values = not numbers.has("attention.key_length_mla")  # latent attention: values are made of keys
    n_cached = shape.n_used_layers
    if numbers.architecture == "gemma3n":
        n_cached = _GEMMA3N_KV_LAYERS
    n_cached -= numbers.largest("attention.shared_kv_layers")
    has_both = numbers.architecture in _BOTH_IN_EACH_LAYER

    def widths(layer: int) -> Widths:
        heads = kv_heads[layer]
        if layer >= n_cached or (recurrent[layer] and not has_both):
            return 0, 0
        key, value = (window_keys, window_values) if windows[layer] else (keys, values)
        return heads * key, heads * value if has_values else 0

    return tuple(widths(layer) for layer in range(shape.n_layers))


class _Numbers:
    """The numbers of a network in a header, by their keys without the name of the architecture."""

    def __init__(self, metadata: Mapping[str, object]) -> None:
        self._metadata = metadata
        architecture = metadata.get("general.architecture")
        self.architecture = architecture if isinstance(architecture, str) else ""

    def has(self, key: str) -> bool:
        """Return whether there is such an entry."""
        return f"{self.architecture}.{key}" in self._metadata

    def largest(self, key: str) -> int:
        """Return a number, or the largest of a number for each layer; 0 where there is none."""
        value = self._metadata.get(f"{self.architecture}.{key}")
        numbers = value if isinstance(value, list) else [value]
        return max((number for number in numbers if isinstance(number, int)), default=0)

    def per_layer(self, key: str, n_layers: int, default: int) -> tuple[int, ...]:
        """Return a number for each layer, from a list or from one number for all."""
        value = self._metadata.get(f"{self.architecture}.{key}")
        if isinstance(value, list):
            numbers = [number if isinstance(number, int) else default for number in value[:n_layers]]
            return (*numbers, *(default,) * (n_layers - len(numbers)))
        return (value if isinstance(value, int) else default,) * n_layers

    def flags(self, key: str, n_layers: int) -> tuple[bool, ...] | None:
        """Return a truth value for each layer from a list; None where there is no such list."""
        value = self._metadata.get(f"{self.architecture}.{key}")
        if not isinstance(value, list) or len(value) < n_layers:
            return None
        return tuple(bool(flag) for flag in value[:n_layers])
