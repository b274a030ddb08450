"""A splitter of GGUF files into parts, in the layout of llama.cpp's gguf-split."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

ALIGNMENT_BYTES = 32
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
STRING, ARRAY, UINT16, INT32 = 8, 9, 2, 5


@dataclass(frozen=True)
class Tensor:
    """A tensor: its entry in the table up to the offset, and its padded bytes."""

    info: bytes
    data: bytes


def split(data: bytes, count: int) -> list[bytes]:
    """Divide the tensors among `count` parts; the metadata go into the first."""
    n_tensors, n_entries = struct.unpack_from("<QQ", data, 8)
    begin = end = 24
    for _ in range(n_entries):
        end = _after_string(data, end)
        end = _after_value(data, end + 4, _u32(data, end))
    tensors = _tensors(data, end, n_tensors)
    share = -(-n_tensors // count)
    parts = []
    for number in range(count):
        entries = data[begin:end] if number == 0 else b""
        entries += _entry("split.no", UINT16, "<H", number) + _entry("split.count", UINT16, "<H", count)
        entries += _entry("split.tensors.count", INT32, "<i", n_tensors)
        n_own = 3 + (n_entries if number == 0 else 0)
        parts.append(_part(entries, n_own, tensors[number * share : (number + 1) * share]))
    return parts


def _part(entries: bytes, n_entries: int, tensors: Sequence[Tensor]) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), n_entries) + entries
    offset_bytes = 0
    for tensor in tensors:
        head += tensor.info + struct.pack("<Q", offset_bytes)
        offset_bytes += len(tensor.data)
    return _padded(head) + b"".join(tensor.data for tensor in tensors)


def _tensors(data: bytes, place: int, count: int) -> list[Tensor]:
    infos, offsets = [], []
    for _ in range(count):
        after = _after_string(data, place)
        after += 4 + 8 * _u32(data, after) + 4
        infos.append(data[place:after])
        offsets.append(struct.unpack_from("<Q", data, after)[0])
        place = after + 8
    begin = -(-place // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    ends = [*sorted(offsets)[1:], len(data) - begin]
    end_of = dict(zip(sorted(offsets), ends, strict=True))
    return [
        Tensor(info, _padded(data[begin + offset : begin + end_of[offset]]))
        for info, offset in zip(infos, offsets, strict=True)
    ]


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT_BYTES)


def _entry(key: str, kind: int, layout: str, value: int) -> bytes:
    return struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", kind) + struct.pack(layout, value)


def _u32(data: bytes, place: int) -> int:
    return int.from_bytes(data[place : place + 4], "little")


def _after_string(data: bytes, place: int) -> int:
    return place + 8 + int.from_bytes(data[place : place + 8], "little")


def _after_value(data: bytes, place: int, kind: int) -> int:
    if kind == STRING:
        return _after_string(data, place)
    if kind != ARRAY:
        return place + SIZES[kind]
    kind, count = _u32(data, place), int.from_bytes(data[place + 4 : place + 12], "little")
    place += 12
    if kind != STRING:
        return place + SIZES[kind] * count
    for _ in range(count):
        place = _after_string(data, place)
    return place
