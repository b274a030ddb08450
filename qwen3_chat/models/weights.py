"""The bytes of a model's tensors by the places they can go to, added up from names and sizes."""

from __future__ import annotations

import re

from msgspec import Struct, field

_LAYER = re.compile(r"blk\.(\d{1,4})\.")
_EXPERTS = re.compile(r"ffn_(up|down|gate|gate_up)_(ch)?exps\b")  # as --n-cpu-moe in llama.cpp's common.h
_INPUT_PREFIXES = ("token_embd", "per_layer_token_embd", "position_embd", "token_types")


class Weights(Struct, frozen=True):
    """The bytes of a model's tensors by the places they can go to; layers from first to last, experts apart.

    A tied embedding is the output too: on a GPU it takes its bytes there as well as in RAM. `unused_bytes`
    are in the file, but not loaded: layers that draft tokens.
    """

    embedding_bytes: int
    output_bytes: int
    layer_bytes: tuple[int, ...]
    expert_bytes: tuple[int, ...]
    is_tied: bool
    unused_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """The bytes of all tensors that are loaded."""
        output = 0 if self.is_tied else self.output_bytes
        return self.embedding_bytes + output + sum(self.layer_bytes) + sum(self.expert_bytes)

    def scaled_to(self, file_bytes: int) -> Weights:
        """Scale every part alike: an estimate for a file whose mix of types is not known."""
        factor = file_bytes / (self.total_bytes + self.unused_bytes)
        return Weights(
            round(self.embedding_bytes * factor),
            round(self.output_bytes * factor),
            tuple(round(size * factor) for size in self.layer_bytes),
            tuple(round(size * factor) for size in self.expert_bytes),
            self.is_tied,
            round(self.unused_bytes * factor),
        )


class WeightsSum(Struct):
    """The sum of the tensors of a file, or of all parts of a split one."""

    input_bytes: int = 0
    output_bytes: int = 0
    has_output: bool = False
    layers: dict[int, int] = field(default_factory=dict)
    experts: dict[int, int] = field(default_factory=dict)

    def add(self, name: str, size_bytes: int) -> None:
        """Add a tensor by the name that it has in GGUF files."""
        if layer := _LAYER.match(name):
            sizes = self.experts if _EXPERTS.search(name) else self.layers
            sizes[int(layer[1])] = sizes.get(int(layer[1]), 0) + size_bytes
        elif name.startswith(_INPUT_PREFIXES):
            self.input_bytes += size_bytes
        else:
            self.has_output |= name == "output.weight"
            self.output_bytes += size_bytes

    def add_all(self, other: WeightsSum) -> None:
        """Add the tensors of another part."""
        self.input_bytes += other.input_bytes
        self.output_bytes += other.output_bytes
        self.has_output |= other.has_output
        for mine, sizes in ((self.layers, other.layers), (self.experts, other.experts)):
            for layer, size_bytes in sizes.items():
                mine[layer] = mine.get(layer, 0) + size_bytes

    def weights(self, n_layers: int, n_unused_layers: int = 0) -> Weights | None:
        """Return the weights of a network of that many layers, of which the last ones are not used.

        Returns:
            None if layers are missing: the tensors are those of one part of a split file.
        """
        n_used = n_layers - n_unused_layers
        if not self.input_bytes or any(layer not in self.layers for layer in range(n_used)):
            return None
        is_tied = not self.has_output
        unused = sum(
            size for sizes in (self.layers, self.experts) for layer, size in sizes.items() if layer >= n_used
        )
        return Weights(
            embedding_bytes=self.input_bytes + (self.output_bytes if is_tied else 0),
            output_bytes=self.output_bytes + (self.input_bytes if is_tied else 0),
            layer_bytes=_by_layer(self.layers, n_layers, n_used),
            expert_bytes=_by_layer(self.experts, n_layers, n_used) if self.experts else (),
            is_tied=is_tied,
            unused_bytes=unused,
        )


def _by_layer(sizes: dict[int, int], n_layers: int, n_used: int) -> tuple[int, ...]:
    return tuple(sizes.get(layer, 0) if layer < n_used else 0 for layer in range(n_layers))
