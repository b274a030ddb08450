"""The size and the names of the demo model."""

from __future__ import annotations

from dataclasses import dataclass

from qwen3_chat.demo import DEMO_MODEL_NAME


@dataclass(frozen=True, slots=True)
class Shape:
    """A Qwen3 network's hyperparameters, named as in its GGUF metadata."""

    vocab_size: int
    n_layers: int = 6
    width: int = 256
    n_heads: int = 4
    n_kv_heads: int = 2
    head_width: int = 64
    ffn_width: int = 768
    rope_base: float = 10_000.0
    norm_epsilon: float = 1e-6
    n_ctx_train: int = 4096

    def count_parameters(self) -> int:
        """Count the weights, the tied embedding once."""
        attention = (
            self.width * self.head_width * (2 * self.n_heads + 2 * self.n_kv_heads) + 2 * self.head_width
        )
        layer = attention + 3 * self.width * self.ffn_width + 2 * self.width
        return self.vocab_size * self.width + self.n_layers * layer + self.width


MODEL_NAME = DEMO_MODEL_NAME
SIZE_LABEL = "5M"
SIZE_IN_WORDS = {"en": "5 million", "zh": "500 万"}
