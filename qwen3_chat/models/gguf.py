"""The header of a GGUF file: its metadata, its number of parameters, the length of the whole file.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (versions 2 and 3, little-endian).
Long arrays such as the vocabulary are skipped, so a header is read in well under 0.1 s.

A file may say anything. So nothing is read, kept or counted on the word of a number alone: everything has a
limit, and a header with a number that no model has is damaged. Who gets a header can compute with it.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import BinaryIO

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError
from qwen3_chat.models.header_shape import shape_from_metadata
from qwen3_chat.models.shape import Shape
from qwen3_chat.models.weights import Weights, WeightsSum
from qwen3_chat.record_copies import replace

MAGIC = b"GGUF"
COMPARED_EVERY = 61
"""Every so many tokens of two vocabularies are compared, and all special ones."""
_SPECIAL_KINDS = (3, 4)  # control and user-defined tokens, by `llama_token_type` in llama.h
_DEFAULT_ALIGNMENT_BYTES = 32
_CHUNK_BYTES = 1 << 20
_MAX_HEADER_BYTES = 1 << 26
_MAX_STRING_BYTES = 1 << 24
_MAX_KEPT_BYTES = 1 << 25
_MAX_FILE_BYTES = 1 << 50
_MAX_ARRAY_ITEMS = 64
_MAX_NUMBERS_IN_ARRAY = 512  # a number for each layer
_MAX_ENTRIES = 1 << 16
_MAX_TENSORS = 1 << 18
_MAX_SKIPPED_STRINGS = 1 << 22
_MAX_VOCABULARY_TOKENS, _MAX_TOKEN_BYTES = 1 << 20, 1 << 12
_MAX_DIMENSIONS = 4
_MAX_TENSOR_WEIGHTS = 1 << 44
_MAX_ALIGNMENT_BYTES = 1 << 20
_MAX_WEIGHTS_PER_BYTE = 8
_VALUE_BYTES = 64  # what Python takes for a number
_MAX_NAME_CHARACTERS, _MAX_ARCHITECTURE_CHARACTERS = 200, 64

_STRING, _ARRAY = 8, 9
_SCALARS = {
    number: struct.Struct(layout)
    for number, layout in {
        0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"
    }.items()
}  # fmt: skip
_U32, _U64 = _SCALARS[4], _SCALARS[10]

# ggml's type: (weights in a block, bytes of a block), from `type_traits` in ggml.c. The catalogue has the
# same by name, for the types of its formulas only; it must not depend on this module.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36),
    10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 15: (256, 292),
    16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82),
    23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2),
    34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip

# `general.file_type` → name, from `llama_ftype` in llama.h.
_QUANT_NAMES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
    12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
    19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
    26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0",
    37: "TQ2_0", 38: "MXFP4_MOE", 39: "NVFP4", 40: "Q1_0", 41: "Q2_0",
}  # fmt: skip
UNKNOWN_QUANT = "?"

# The numbers of a network, without the name of its architecture: the largest that are believed, far beyond
# those of any model. llama.cpp itself loads 512 layers and 512 experts at most.
_MAX_NUMBERS = {
    "block_count": 512,
    "context_length": 1 << 28,
    "embedding_length": 1 << 20,
    "feed_forward_length": 1 << 22,
    "vocab_size": 1 << 24,
    "attention.head_count": 1 << 14,
    "attention.head_count_kv": 1 << 14,
    "attention.key_length": 1 << 16,
    "attention.value_length": 1 << 16,
    "expert_count": 1 << 14,
    "expert_used_count": 1 << 14,
    "expert_feed_forward_length": 1 << 22,
    "expert_shared_feed_forward_length": 1 << 22,
    "attention.key_length_swa": 1 << 16,
    "attention.value_length_swa": 1 << 16,
    "attention.shared_kv_layers": 512,
    "full_attention_interval": 512,
    "nextn_predict_layers": 512,
    "n_deepstack_layers": 512,
    "ssm.conv_kernel": 1 << 10,
    "ssm.inner_size": 1 << 20,
    "ssm.state_size": 1 << 16,
    "ssm.time_step_rank": 1 << 16,
    "ssm.group_count": 1 << 16,
    "wkv.head_size": 1 << 16,
    "token_shift_count": 1 << 10,
    "shortconv.l_cache": 1 << 10,
    "kda.head_dim": 1 << 16,
}

MetadataValue = str | int | float | bool | list["MetadataValue"] | None


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """The header of a model's file; arrays of more than 64 texts or 512 numbers are None in `metadata`.

    `expected_bytes` is the end of the last tensor, None where a tensor's type is unknown. `n_vocab` is the
    number of rows in the embedding, 0 where this file has none.
    """

    version: int
    metadata: Mapping[str, MetadataValue]
    tensor_count: int
    parameters: int
    weights_start_bytes: int
    expected_bytes: int | None
    tensor_bytes: WeightsSum = field(default_factory=WeightsSum)
    n_vocab: int = 0

    def text(self, key: str) -> str:
        """Return a text of the metadata, empty where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int:
        """Return a whole number of the metadata, 0 where there is none."""
        value = self.metadata.get(key)
        return value if isinstance(value, int) else 0

    @property
    def architecture(self) -> str:
        """The kind of network, such as `qwen3` or `qwen3moe`."""
        return self.text("general.architecture")[:_MAX_ARCHITECTURE_CHARACTERS]

    @property
    def name(self) -> str:
        """The name of the model, empty where the file has none."""
        return self.text("general.name")[:_MAX_NAME_CHARACTERS]

    @property
    def is_adapter(self) -> bool:
        """True if the file changes a model instead of being one."""
        return self.text("general.type") == "adapter"

    @property
    def quant(self) -> str:
        """The type of most weights, such as `Q4_K_M`."""
        return _QUANT_NAMES.get(self.number("general.file_type"), UNKNOWN_QUANT)

    @property
    def n_ctx_train(self) -> int:
        """The context that the model was trained for, in tokens."""
        return self.number(f"{self.architecture}.context_length")

    @property
    def n_layers(self) -> int:
        """The number of blocks."""
        return self.number(f"{self.architecture}.block_count")

    @property
    def is_split(self) -> bool:
        """True if this is the header of one part of a split file."""
        return self.number("split.count") > 1

    @property
    def shape(self) -> Shape | None:
        """The sizes of the network; None where this is no language model, or the header says too little."""
        table = self.tensor_bytes
        is_tied = table.input_bytes > 0 and not table.has_output and not self.is_split
        shape = shape_from_metadata(
            self.metadata, self.n_vocab, 0 if self.is_split else self.parameters, is_tied
        )
        if shape is None or table.input_bytes or self.is_split or not shape.has_known_tensors:
            return shape
        # Without a table of tensors, the number of all weights shows whether the output has its own.
        untied = replace(shape, n_weights=0)
        return replace(shape, is_tied=untied.parameters > self.parameters)

    @property
    def weights(self) -> Weights | None:
        """The bytes of the tensors by place; None where some are in other files or of an unknown type."""
        if self.expected_bytes is None or not self.n_layers:
            return None
        n_unused = min(self.number(f"{self.architecture}.nextn_predict_layers"), self.n_layers - 1)
        return self.tensor_bytes.weights(self.n_layers, n_unused)

    @property
    def kv_bytes_per_token(self) -> int:
        """The bytes of a token in the KV cache at 16 bits."""
        shape = self.shape
        return 2 * sum(shape.kv_widths) if shape else 0


def read_parts(paths: Sequence[Path]) -> GgufHeader:
    """Read the headers of a split file's parts, the first one first, as that of the whole model.

    Raises:
        ModelError: a part is missing or damaged, as for `read_file`.
    """
    headers = [read_file(path) for path in paths]
    first = headers[0]
    if len(headers) == 1:
        return first
    total = WeightsSum()
    for header in headers:
        total.add_all(header.tensor_bytes)
    return replace(
        first,
        metadata={key: value for key, value in first.metadata.items() if key != "split.count"},
        tensor_count=sum(header.tensor_count for header in headers),
        parameters=sum(header.parameters for header in headers),
        expected_bytes=None
        if any(header.expected_bytes is None for header in headers)
        else first.expected_bytes,
        tensor_bytes=total,
        n_vocab=max(header.n_vocab for header in headers),
    )


def read_file(path: Path) -> GgufHeader:
    """Read the header of a file and check that the file is complete.

    Raises:
        ModelError: no such file, unreadable, not a GGUF file, damaged, or shorter than its header implies.
    """
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise ModelError(ErrorCode.MODEL_FILE_IS_FOLDER, path=str(path))
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for, a device has no end
            raise ModelError(ErrorCode.MODEL_FILE_NOT_GGUF, name=path.name)
        with path.open("rb") as source:
            header = read_header(source, path.name)
    except FileNotFoundError as error:
        raise ModelError(ErrorCode.MODEL_FILE_MISSING, path=str(path)) from error
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        reason = error.strerror if isinstance(error, OSError) else None
        raise ModelError(
            ErrorCode.MODEL_FILE_UNREADABLE, path=str(path), reason=reason or str(error)
        ) from error
    if header.expected_bytes is not None and status.st_size < header.expected_bytes:
        raise _truncated_error(path.name, status.st_size, header.expected_bytes)
    if header.parameters > status.st_size * _MAX_WEIGHTS_PER_BYTE:  # of tensors whose type is unknown
        raise ModelError(ErrorCode.GGUF_HEADER_DAMAGED, name=path.name)
    return header


def read_header(source: BinaryIO, name: str) -> GgufHeader:
    """Read a header from the start of `source`; `name` is used in the sentences of errors.

    Raises:
        ModelError: it is not a GGUF header, has an unknown version, or is damaged.
    """
    reader = _Reader(source)
    magic = reader.peek(len(MAGIC))
    if magic != MAGIC:
        raise _not_gguf_error(magic, reader, name)
    try:
        reader.skip(len(MAGIC))
        version = reader.number(_U32)
        if version not in (2, 3):
            raise ModelError(ErrorCode.GGUF_VERSION_UNSUPPORTED, name=name, version=version)
        tensor_count, metadata_count = reader.number(_U64), reader.number(_U64)
        if tensor_count > _MAX_TENSORS or metadata_count > _MAX_ENTRIES:
            raise _DamagedError
        metadata: dict[str, MetadataValue] = {}
        for _ in range(metadata_count):
            key = reader.string()
            metadata[key] = reader.value(reader.number(_U32))
        _check_numbers(metadata)
        table = _read_tensor_table(reader, tensor_count)
    except EOFError as error:
        raise ModelError(ErrorCode.GGUF_HEADER_TRUNCATED, name=name) from error
    except (_DamagedError, RecursionError) as error:
        raise ModelError(ErrorCode.GGUF_HEADER_DAMAGED, name=name) from error
    alignment = metadata.get("general.alignment")
    step = alignment if isinstance(alignment, int) and alignment > 0 else _DEFAULT_ALIGNMENT_BYTES
    start_bytes = -(-reader.position // step) * step if tensor_count else reader.position
    return GgufHeader(
        version,
        metadata,
        tensor_count,
        table.parameters,
        start_bytes,
        None if table.end_bytes is None else start_bytes + table.end_bytes,
        table.tensor_bytes,
        table.n_vocab,
    )


@dataclass(frozen=True, slots=True)
class TokenSample:
    """The tokens of a file that are compared with those of another: all special ones, some of the others."""

    n_tokens: int
    others: tuple[bytes, ...]
    specials: Mapping[int, bytes]

    def differs_from(self, other: TokenSample) -> bool:
        """Return whether the two vocabularies are certainly not the same; the engine compares more."""
        if (self.n_tokens, self.others) != (other.n_tokens, other.others):
            return True
        in_both = self.specials.keys() & other.specials.keys()
        return any(self.specials[token] != other.specials[token] for token in in_both)


def read_token_sample(path: Path) -> TokenSample | None:
    """Read the tokens of a file that can be compared; None where it lists none, or can't be read."""
    tokens: list[bytes] = []
    kinds: list[int] = []
    try:
        with path.open("rb") as source:
            reader = _Reader(source)
            reader.skip(len(MAGIC) + _U32.size + _U64.size)
            for _ in range(min(reader.number(_U64), _MAX_ENTRIES)):
                key, kind = reader.string(), reader.number(_U32)
                if key == "tokenizer.ggml.tokens" and kind == _ARRAY:
                    tokens = reader.strings()
                elif key == "tokenizer.ggml.token_type" and kind == _ARRAY:
                    kinds = reader.numbers()
                else:
                    reader.value(kind)
                if tokens and kinds:
                    break
    except (OSError, ValueError, EOFError, _DamagedError, RecursionError):
        return None
    if not tokens:
        return None
    specials = {
        index: token
        for index, (token, kind) in enumerate(zip(tokens, kinds, strict=False))
        if kind in _SPECIAL_KINDS
    }
    return TokenSample(len(tokens), tuple(tokens[::COMPARED_EVERY]), specials)


def _check_numbers(metadata: Mapping[str, MetadataValue]) -> None:
    """Refuse numbers that no model has.

    Raises:
        _DamagedError: there is one.
    """
    architecture = metadata.get("general.architecture")
    for key, maximum in _MAX_NUMBERS.items():
        value = metadata.get(f"{architecture}.{key}", 0)
        for number in value if isinstance(value, list) else [value]:
            if isinstance(number, int) and not 0 <= number <= maximum:
                raise _DamagedError
    alignment = metadata.get("general.alignment", 0)
    if isinstance(alignment, int) and alignment > _MAX_ALIGNMENT_BYTES:
        raise _DamagedError


@dataclass(slots=True)
class _TensorTable:
    """The sums over a header's table of tensors; `end_bytes` is None where a type is unknown."""

    tensor_bytes: WeightsSum = field(default_factory=WeightsSum)
    parameters: int = 0
    end_bytes: int | None = 0
    n_vocab: int = 0


def _read_tensor_table(reader: _Reader, n_tensors: int) -> _TensorTable:
    """Add up the weights of all tensors, and find the end of the last one."""
    table = _TensorTable()
    for _ in range(n_tensors):
        name = reader.string()
        n_dimensions = reader.number(_U32)
        if n_dimensions > _MAX_DIMENSIONS:
            raise _DamagedError
        dimensions = [reader.number(_U64) for _ in range(n_dimensions)]
        weights = prod(dimensions)
        kind, offset_bytes = reader.number(_U32), reader.number(_U64)
        if weights > _MAX_TENSOR_WEIGHTS or offset_bytes > _MAX_FILE_BYTES:
            raise _DamagedError
        table.parameters += weights
        if name == "token_embd.weight" and n_dimensions == 2:
            table.n_vocab = min(dimensions[1], _MAX_NUMBERS["vocab_size"])
        if kind not in _BLOCKS:
            table.end_bytes = None
            continue
        block_weights, block_bytes = _BLOCKS[kind]
        size_bytes = weights // block_weights * block_bytes
        table.tensor_bytes.add(name, size_bytes)
        if table.end_bytes is not None:
            table.end_bytes = max(table.end_bytes, offset_bytes + size_bytes)
    return table


def _truncated_error(name: str, size_bytes: int, expected_bytes: int) -> ModelError:
    """Return the error for a file that is too short, with sizes in a unit that shows the difference."""
    for unit, unit_bytes in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        have, want = f"{size_bytes / unit_bytes:.1f}", f"{expected_bytes / unit_bytes:.1f}"
        if expected_bytes >= unit_bytes and have != want:
            return ModelError(
                ErrorCode.MODEL_FILE_TRUNCATED, name=name, have=f"{have} {unit}", want=f"{want} {unit}"
            )
    return ModelError(
        ErrorCode.MODEL_FILE_TRUNCATED, name=name, have=f"{size_bytes} B", want=f"{expected_bytes} B"
    )


def _not_gguf_error(magic: bytes, reader: _Reader, name: str) -> ModelError:
    """Return the error for a file that doesn't begin like a GGUF file, by its real kind."""
    start = reader.peek(64).lstrip().lower()
    if not magic:
        return ModelError(ErrorCode.MODEL_FILE_EMPTY, name=name)
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return ModelError(ErrorCode.MODEL_FILE_IS_WEB_PAGE, name=name)
    if start.startswith(b"version https://git-lfs"):
        return ModelError(ErrorCode.MODEL_FILE_IS_LFS_POINTER, name=name)
    return ModelError(ErrorCode.MODEL_FILE_NOT_GGUF, name=name)


class _DamagedError(Exception):
    """A number in a header that is beyond all limits."""


class _Reader:
    """A reader of values from a file, a chunk at a time; `EOFError` where the file ends too early.

    `_DamagedError` is raised beyond the limits: of what is read, and of what is kept.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._chunk = b""
        self._chunk_start = 0
        self._at = 0
        self._kept_bytes = 0

    @property
    def position(self) -> int:
        """The number of bytes read so far."""
        return self._chunk_start + self._at

    def peek(self, size: int) -> bytes:
        """Return the next bytes, fewer at the end, and stay before them."""
        if self._at + size > len(self._chunk):
            if self.position > _MAX_HEADER_BYTES:
                raise _DamagedError
            self._chunk_start += self._at
            self._source.seek(self._chunk_start)
            self._chunk, self._at = self._source.read(max(size, _CHUNK_BYTES)), 0
        return self._chunk[self._at : self._at + size]

    def skip(self, size: int) -> None:
        """Skip bytes."""
        if size > _MAX_HEADER_BYTES:
            raise _DamagedError
        self._at += size

    def number(self, layout: struct.Struct) -> int:
        """Read a number."""
        if self._at + layout.size > len(self._chunk) and len(self.peek(layout.size)) < layout.size:
            raise EOFError
        value: int = layout.unpack_from(self._chunk, self._at)[0]
        self._at += layout.size
        return value

    def string(self) -> str:
        """Read a string: its length, then UTF-8."""
        size = self.number(_U64)
        if size > _MAX_STRING_BYTES:
            raise _DamagedError
        self._keep(size)
        data = self.peek(size)
        if len(data) < size:
            raise EOFError
        self._at += size
        return data.decode("utf-8", "replace")

    def value(self, kind: int) -> MetadataValue:
        """Read a value of the metadata; a long array is skipped and gives None."""
        self._keep(0)
        if kind == _STRING:
            return self.string()
        if kind == _ARRAY:
            return self._array()
        if kind not in _SCALARS:
            raise _DamagedError
        return self.number(_SCALARS[kind])

    def strings(self) -> list[bytes]:
        """Read an array of strings as bytes, a vocabulary; an array of anything else is damage."""
        kind, count = self.number(_U32), self.number(_U64)
        if kind != _STRING or count > _MAX_VOCABULARY_TOKENS:
            raise _DamagedError
        strings = []
        for _ in range(count):
            size = self.number(_U64)
            if size > _MAX_TOKEN_BYTES or len(data := self.peek(size)) < size:
                raise _DamagedError
            self._at += size
            strings.append(data)
        return strings

    def numbers(self) -> list[int]:
        """Read an array of whole numbers of 32 bits; an array of anything else is damage."""
        kind, count = self.number(_U32), self.number(_U64)
        if kind not in (4, 5) or count > _MAX_VOCABULARY_TOKENS:
            raise _DamagedError
        data = self.peek(size := count * _U32.size)
        if len(data) < size:
            raise EOFError
        self._at += size
        return list(struct.unpack(f"<{count}I", data))

    def _keep(self, size: int) -> None:
        """Count what is kept of the file, a string or a value."""
        self._kept_bytes += size + _VALUE_BYTES
        if self._kept_bytes > _MAX_KEPT_BYTES:
            raise _DamagedError

    def _array(self) -> list[MetadataValue] | None:
        kind, count = self.number(_U32), self.number(_U64)
        is_kept = count <= _MAX_ARRAY_ITEMS or (kind in _SCALARS and count <= _MAX_NUMBERS_IN_ARRAY)
        if is_kept:
            return [self.value(kind) for _ in range(count)]
        if kind == _STRING and count <= _MAX_SKIPPED_STRINGS:
            self._skip_strings(count)
        elif kind in _SCALARS:
            self.skip(_SCALARS[kind].size * count)
        else:
            raise _DamagedError
        return None

    def _skip_strings(self, count: int) -> None:
        """Skip strings without a call for each, since a vocabulary has 150,000."""
        read_size = _U64.unpack_from
        for _ in range(count):
            if self._at + _U64.size > len(self._chunk) and len(self.peek(_U64.size)) < _U64.size:
                raise EOFError
            size = read_size(self._chunk, self._at)[0]
            if size > _MAX_STRING_BYTES:
                raise _DamagedError
            self._at += _U64.size + size
