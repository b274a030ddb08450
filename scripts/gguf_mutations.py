"""Model files with faults, made at random from a good one."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

_SCALAR_BYTES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY = 8, 9
_COUNTS_AT = 8
_ABSURD = (0, 1, 3, 255, 512, 513, 100_000, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
_BROKEN_FLOATS = (float("nan"), float("inf"), float("-inf"), -1.0, 1e38)


@dataclass(frozen=True, slots=True)
class HeaderNumber:
    """A number in a header, a type or a length among them: its name, its place, its size in bytes."""

    name: str
    at: int
    size: int


@dataclass(frozen=True, slots=True)
class BadFile:
    """A file with a fault, and what was done to it."""

    fault: str
    data: bytes


def bad_files(good: bytes, seed: int) -> Iterator[BadFile]:
    """Yield files without end: each kind of fault in turn, at random places."""
    draw = random.Random(seed)
    layout = HeaderLayout(good)
    numbers = [number for number in layout.numbers if not number.name.startswith(("length", "offset"))]
    kinds: tuple[Callable[[], BadFile], ...] = (
        lambda: _truncated(good, draw.randrange(layout.end)),
        lambda: _truncated(good, draw.randrange(layout.end, len(good))),
        lambda: _flipped(good, draw, 0, layout.end),
        lambda: _flipped(good, draw, layout.end, len(good)),
        lambda: _changed(good, draw, draw.choice(numbers)),
        lambda: _changed(good, draw, draw.choice(layout.numbers)),
        lambda: _changed(good, draw, draw.choice(layout.network_numbers)),
        lambda: _changed(_without_weights(good, layout), draw, draw.choice(layout.network_numbers)),
        lambda: _exchanged(good, draw, layout.end),
        lambda: BadFile("noise after the magic", good[:8] + draw.randbytes(draw.randrange(5_000))),
    )
    while True:
        for kind in kinds:
            yield kind()


def _truncated(data: bytes, size: int) -> BadFile:
    return BadFile(f"the first {size} bytes", data[:size])


def _flipped(data: bytes, draw: random.Random, start: int, end: int) -> BadFile:
    changed = bytearray(data)
    count = draw.choice((1, 4, 64))
    for _ in range(count):
        changed[draw.randrange(start, end)] ^= 1 << draw.randrange(8)
    return BadFile(f"{count} bits flipped between {start} and {end}", bytes(changed))


def _changed(data: bytes, draw: random.Random, number: HeaderNumber) -> BadFile:
    value = draw.choice(_ABSURD) % 2 ** (8 * number.size)
    new = value.to_bytes(number.size, "little")
    if number.size == 4 and draw.random() < 0.1:
        new = struct.pack("<f", draw.choice(_BROKEN_FLOATS))
    return BadFile(f"{number.name} = {new.hex()}", data[: number.at] + new + data[number.at + number.size :])


def _exchanged(data: bytes, draw: random.Random, end: int) -> BadFile:
    """Return the file with a piece of its header in place of another one."""
    size = draw.randrange(1, 64)
    source, target = draw.randrange(8, end - size), draw.randrange(8, end - size)
    changed = data[:target] + data[source : source + size] + data[target + size :]
    return BadFile(f"{size} bytes of {source} at {target}", changed)


def _without_weights(data: bytes, layout: HeaderLayout) -> bytes:
    """Return the header of a file that has no tensors."""
    return data[:_COUNTS_AT] + bytes(8) + data[_COUNTS_AT + 8 : layout.tensors_at]


class HeaderLayout:
    """The numbers in the header of a good file, and where its parts end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.end = _COUNTS_AT
        self.numbers: list[HeaderNumber] = []
        n_tensors, n_entries = self._number("tensor count", 8), self._number("entry count", 8)
        for _ in range(n_entries):
            key = self._text("key")
            self._value(key, self._number(f"type of {key}", 4))
        self.tensors_at = self.end
        for _ in range(n_tensors):
            name = self._text("tensor name")
            for _ in range(self._number(f"dimensions of {name}", 4)):
                self._number(f"dimension of {name}", 8)
            self._number(f"type of {name}", 4)
            self._number(f"offset of {name}", 8)

    @property
    def network_numbers(self) -> list[HeaderNumber]:
        """The numbers that describe the network: layers, widths, heads."""
        return [number for number in self.numbers if number.name.startswith("qwen3.")]

    def _number(self, name: str, size: int) -> int:
        self.numbers.append(HeaderNumber(name, self.end, size))
        value = int.from_bytes(self._data[self.end : self.end + size], "little")
        self.end += size
        return value

    def _text(self, name: str) -> str:
        size = self._number(f"length of {name}", 8)
        text = self._data[self.end : self.end + size].decode(errors="replace")
        self.end += size
        return text

    def _value(self, key: str, kind: int) -> None:
        if kind == _STRING:
            self._text(f"text of {key}")
        elif kind == _ARRAY:
            item_kind, count = self._number(f"item type of {key}", 4), self._number(f"length of {key}", 8)
            for _ in range(count):
                if item_kind == _STRING:
                    self.end += 8 + int.from_bytes(self._data[self.end : self.end + 8], "little")
                else:
                    self.end += _SCALAR_BYTES[item_kind]
        else:
            self._number(key, _SCALAR_BYTES[kind])
