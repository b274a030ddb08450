from __future__ import annotations

import os
import struct
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError
from qwen3_chat.models.gguf import (
    COMPARED_EVERY,
    TokenSample,
    read_file,
    read_header,
    read_token_sample,
)


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def entry(key: str, value: str | int) -> bytes:
    if isinstance(value, str):
        return text(key) + struct.pack("<I", 8) + text(value)
    return text(key) + struct.pack("<II", 4, value)


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int = 0) -> bytes:
    dimensions = struct.pack(f"<I{len(shape)}Q", len(shape), *shape)
    return text(name) + dimensions + struct.pack("<IQ", kind, offset)


def header(entries: list[bytes], tensors: list[bytes], version: int = 3) -> bytes:
    counts = struct.pack("<IQQ", version, len(tensors), len(entries))
    return b"GGUF" + counts + b"".join(entries) + b"".join(tensors)


QWEN3_8B = [
    entry("general.architecture", "qwen3"),
    entry("general.name", "Qwen3 8B"),
    entry("general.file_type", 15),
    entry("qwen3.context_length", 40960),
    entry("qwen3.block_count", 36),
    entry("qwen3.embedding_length", 4096),
    entry("qwen3.attention.head_count", 32),
    entry("qwen3.attention.head_count_kv", 8),
    entry("qwen3.attention.key_length", 128),
    entry("qwen3.attention.value_length", 128),
]


def test_a_header_describes_the_model() -> None:
    data = header(
        QWEN3_8B, [tensor("token_embd.weight", (4096, 100), 12), tensor("norm", (4096,), 0, 230_400)]
    )
    found = read_header(BytesIO(data), "x")
    assert (found.architecture, found.name, found.quant) == ("qwen3", "Qwen3 8B", "Q4_K_M")
    assert (found.n_ctx_train, found.n_layers) == (40960, 36)
    assert found.kv_bytes_per_token == 144 * 1024
    assert found.parameters == 4096 * 101
    start = -(-len(data) // 32) * 32
    assert found.weights_start_bytes == start
    assert found.expected_bytes == start + 230_400 + 4096 * 4


@pytest.mark.parametrize(
    ("file_type", "quant"),
    [
        (0, "F32"),
        (1, "F16"),
        (7, "Q8_0"),
        (14, "Q4_K_S"),
        (17, "Q5_K_M"),
        (18, "Q6_K"),
        (32, "BF16"),
        (999, "?"),
    ],
)
def test_a_quant_has_its_usual_name(file_type: int, quant: str) -> None:
    assert read_header(BytesIO(header([entry("general.file_type", file_type)], [])), "x").quant == quant


def test_long_arrays_are_skipped_and_short_ones_kept() -> None:
    words = [text(f"w{number}") for number in range(100)]
    long = text("long") + struct.pack("<IIQ", 9, 8, len(words)) + b"".join(words)
    numbers = text("numbers") + struct.pack("<IIQ513i", 9, 5, 513, *range(513))
    layers = text("layers") + struct.pack("<IIQ512i", 9, 5, 512, *range(512))
    short = text("short") + struct.pack("<IIQ3I", 9, 4, 3, 7, 8, 9)
    found = read_header(BytesIO(header([long, numbers, layers, short, entry("after", "all")], [])), "x")
    assert found.metadata == {
        "long": None,
        "numbers": None,
        "layers": list(range(512)),
        "short": [7, 8, 9],
        "after": "all",
    }


def test_a_tensor_of_an_unknown_type_leaves_the_length_open() -> None:
    found = read_header(BytesIO(header([], [tensor("a", (32,), 77)])), "x")
    assert (found.parameters, found.expected_bytes) == (32, None)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", ErrorCode.MODEL_FILE_EMPTY),
        (b"GGU", ErrorCode.MODEL_FILE_NOT_GGUF),
        (b"GGUF", ErrorCode.GGUF_HEADER_TRUNCATED),
        (b"FUGG" + bytes(100), ErrorCode.MODEL_FILE_NOT_GGUF),
        (header([], [], version=1), ErrorCode.GGUF_VERSION_UNSUPPORTED),
        (header([text("a") + struct.pack("<I", 99)], []), ErrorCode.GGUF_HEADER_DAMAGED),
        (header([struct.pack("<Q", 1 << 62)], []), ErrorCode.GGUF_HEADER_DAMAGED),
        (header([text("a") + struct.pack("<IIQ", 9, 4, 1 << 62)], []), ErrorCode.GGUF_HEADER_DAMAGED),
        (header([text("a") + struct.pack("<IIQ", 9, 8, 1 << 62)], []), ErrorCode.GGUF_HEADER_DAMAGED),
        (header([text("a") + struct.pack("<IIQ", 9, 8, 1 << 20)], []), ErrorCode.GGUF_HEADER_TRUNCATED),
        (header([text("a") + struct.pack("<IIQ", 9, 9, 1)], []), ErrorCode.GGUF_HEADER_TRUNCATED),
        (header([], [text("a") + struct.pack("<I", 99)]), ErrorCode.GGUF_HEADER_DAMAGED),
    ],
)
def test_what_is_no_header_is_told_apart(data: bytes, code: ErrorCode) -> None:
    with pytest.raises(ModelError) as refusal:
        read_header(BytesIO(data), "x")
    assert refusal.value.code == code


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "model.gguf is empty."),
        (b"# README\n" * 99, "model.gguf is not a GGUF file."),
        (
            b"\n<!DOCTYPE html><html>404</html>",
            "model.gguf is not a GGUF file but a web page: the download went wrong.",
        ),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n",
            "model.gguf is not a GGUF file but a Git LFS pointer: download the file itself.",
        ),
        (header(QWEN3_8B, [])[:200], "model.gguf is truncated: it ends within its header."),
        (
            header([], [], version=99),
            "model.gguf is a GGUF file of version 99; only versions 2 and 3 are supported.",
        ),
        (b"GGUF" + struct.pack("<I", 3) + b"\xff" * 16, "model.gguf is damaged: its header can't be read."),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_a_sentence(tmp_path: Path, data: bytes, sentence: str) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(data)
    with pytest.raises(ModelError) as refusal:
        read_file(path)
    assert str(refusal.value) == sentence


def test_arrays_within_arrays_do_not_exhaust_the_stack() -> None:
    nested = text("a") + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 100_000
    with pytest.raises(ModelError) as refusal:
        read_header(BytesIO(header([nested], [])), "x")
    assert refusal.value.code == ErrorCode.GGUF_HEADER_DAMAGED


def typed_entry(key: str, kind: int, layout: str, value: float) -> bytes:
    return text(key) + struct.pack("<I", kind) + struct.pack(layout, value)


@pytest.mark.parametrize("value", [2**32 - 1, 100_000, 513])
def test_a_number_of_layers_that_no_model_has_is_not_believed(value: int) -> None:
    entries = [entry("general.architecture", "qwen3"), entry("qwen3.block_count", value)]
    with pytest.raises(ModelError) as refusal:
        read_header(BytesIO(header(entries, [])), "x")
    assert refusal.value.code == ErrorCode.GGUF_HEADER_DAMAGED


@pytest.mark.parametrize(
    "key",
    [
        "block_count",
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "vocab_size",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "attention.value_length",
        "expert_count",
        "expert_used_count",
        "expert_feed_forward_length",
    ],
)
@pytest.mark.parametrize(
    ("kind", "layout", "value"), [(10, "<Q", 2**64 - 1), (11, "<q", -1), (5, "<i", -(2**31))]
)
def test_a_number_that_no_model_has_is_not_believed(key: str, kind: int, layout: str, value: int) -> None:
    entries = [entry("general.architecture", "qwen3"), typed_entry(f"qwen3.{key}", kind, layout, value)]
    with pytest.raises(ModelError) as refusal:
        read_header(BytesIO(header(entries, [])), "x")
    assert refusal.value.code == ErrorCode.GGUF_HEADER_DAMAGED


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.5])
def test_a_broken_number_is_none(value: float) -> None:
    entries = [entry("general.architecture", "qwen3"), typed_entry("qwen3.block_count", 12, "<d", value)]
    assert read_header(BytesIO(header(entries, [])), "x").n_layers == 0


@pytest.mark.parametrize(
    "description",
    [
        tensor("a", (2**32, 2**32), 0),
        tensor("a", (2**63, 2**63, 2**63, 2**63), 77),
        tensor("a", (32,), 0, 2**63),
    ],
)
def test_a_tensor_beyond_every_disk_is_damage(description: bytes) -> None:
    with pytest.raises(ModelError) as refusal:
        read_header(BytesIO(header([], [description])), "x")
    assert refusal.value.code == ErrorCode.GGUF_HEADER_DAMAGED


def test_a_tensor_of_an_unknown_type_is_no_larger_than_the_file_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(header([], [tensor("a", (1 << 30,), 77)]))
    with pytest.raises(ModelError) as refusal:
        read_file(path)
    assert refusal.value.code == ErrorCode.GGUF_HEADER_DAMAGED


def test_a_header_is_kept_within_a_limit_however_many_values_it_has() -> None:
    long = 12_000_000
    entries = [text(f"k{number}") + struct.pack("<IQ", 8, long) + bytes(long) for number in range(3)]
    numbers = text("a") + struct.pack("<IIQ", 9, 9, 64)
    for _ in range(64):
        numbers += struct.pack("<IQ", 9, 64) + (struct.pack("<IQ", 7, 64) + bytes(64)) * 64
    for data in (header(entries, []), header([numbers, numbers], [])):
        with pytest.raises(ModelError) as refusal:
            read_header(BytesIO(data), "x")
        assert refusal.value.code == ErrorCode.GGUF_HEADER_DAMAGED


class Endless(BytesIO):
    """A file whose bytes never end; it counts what is read."""

    def __init__(self, start: bytes, again: bytes) -> None:
        super().__init__(start)
        self.again = again
        self.n_read = 0

    def read(self, size: int | None = -1) -> bytes:
        assert size is not None
        data = super().read(size)
        data += (self.again * (size // len(self.again) + 1))[: size - len(data)]
        self.n_read += len(data)
        return data


@pytest.mark.parametrize(
    ("start", "again"),
    [
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1 << 16), entry("key", 0)),
        (b"GGUF" + struct.pack("<IQQ", 3, 1 << 18, 0), tensor("a" * 1000, (32,), 0)),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 1), bytes(8)),
        (b"GGUF" + struct.pack("<IQQ", 3, 0, 99) + text("a") + struct.pack("<IIQ", 9, 8, 1 << 22), b"\0"),
    ],
)
def test_no_more_is_read_than_a_header_can_have(start: bytes, again: bytes) -> None:
    source = Endless(start, again)
    with suppress(ModelError):
        read_header(source, "x")
    assert source.n_read < 80 << 20


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_among_the_models_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe.gguf"
    os.mkfifo(path)
    with pytest.raises(ModelError, match="is not a GGUF file"):
        read_file(path)


def test_an_impossible_path_is_a_sentence() -> None:
    with pytest.raises(ModelError) as refusal:
        read_file(Path("a\0b"))
    assert refusal.value.code == ErrorCode.MODEL_FILE_UNREADABLE


def test_a_name_is_no_longer_than_a_line() -> None:
    entries = [entry("general.name", "n" * 10_000), entry("general.architecture", "a" * 10_000)]
    found = read_header(BytesIO(header(entries, [])), "x")
    assert (len(found.name), len(found.architecture)) == (200, 64)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_give_a_header_or_a_sentence(noise: bytes, cut: int) -> None:
    whole = header(QWEN3_8B, [tensor("a", (32,), 0)])
    for data in (noise, b"GGUF" + noise, whole[:cut] + noise + whole[cut + len(noise) :]):
        with suppress(ModelError):
            read_header(BytesIO(data), "x")


@pytest.mark.parametrize(
    ("size_bytes", "told"),
    [
        (1_200_000_000, "1.2 GB of 5.0 GB"),
        (4_999_999_999, "4999999999 B of 5000000000 B"),
        (0, "0.0 GB of 5.0 GB"),
    ],
)
def test_a_truncated_file_tells_what_is_missing(tmp_path: Path, size_bytes: int, told: str) -> None:
    kind_f32, start = 0, 64
    data = header([], [tensor("a", ((5_000_000_000 - start * 2) // 4,), kind_f32, start)])
    path = tmp_path / "big.gguf"
    with path.open("wb") as file:
        file.write(data)
        file.truncate(max(size_bytes, len(data)))
    with pytest.raises(ModelError, match=f"^big.gguf is truncated: only {told} are there.$"):
        read_file(path)


def test_a_file_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is a folder"):
        read_file(tmp_path)
    with pytest.raises(ModelError, match="There is no file"):
        read_file(tmp_path / "none.gguf")


def test_the_real_vocabulary_is_read(qwen3_vocabulary: Path) -> None:
    path = qwen3_vocabulary
    found = read_file(path)
    assert found.metadata["tokenizer.ggml.tokens"] is None
    assert found.text("tokenizer.chat_template").startswith("{%- if tools %}")
    assert (found.architecture, found.tensor_count, found.expected_bytes) == ("qwen3", 0, path.stat().st_size)


def tokens_file(folder: Path, *tokens: str, kinds: tuple[int, ...] = ()) -> Path:
    listed = struct.pack("<IIQ", 9, 8, len(tokens)) + b"".join(map(text, tokens))
    types = struct.pack(f"<IIQ{len(kinds)}I", 9, 5, len(kinds), *kinds)
    entries = [text("tokenizer.ggml.tokens") + listed, text("tokenizer.ggml.token_type") + types]
    path = folder / f"{len(list(folder.iterdir()))}.gguf"
    path.write_bytes(header([*QWEN3_8B, *entries], []))
    return path


def test_vocabularies_are_told_apart_by_their_number_their_special_tokens_and_some_others(
    tmp_path: Path,
) -> None:
    words = [f"t{number}" for number in range(3 * COMPARED_EVERY)]
    kinds = tuple(3 if number == 5 else 1 for number in range(len(words)))

    def sample(**changed: str) -> TokenSample:
        found = read_token_sample(tokens_file(tmp_path, *(changed.get(w, w) for w in words), kinds=kinds))
        assert found is not None
        return found

    plain = sample()
    assert plain.specials == {5: b"t5"}
    assert not plain.differs_from(sample())
    assert plain.differs_from(sample(t5="<other>"))
    assert plain.differs_from(sample(**{f"t{COMPARED_EVERY}": "other"}))
    words.append("one more")
    assert plain.differs_from(sample())


def test_tokens_of_a_damaged_file_are_none(tmp_path: Path) -> None:
    path = tokens_file(tmp_path, "a", "b", kinds=(1, 3))
    data = path.read_bytes()
    for size in range(len(data)):
        path.write_bytes(data[:size])
        read_token_sample(path)
    path.write_bytes(data.replace(struct.pack("<Q", 2), b"\xff" * 8))
    assert read_token_sample(path) is None
    assert read_token_sample(tmp_path / "missing.gguf") is None
