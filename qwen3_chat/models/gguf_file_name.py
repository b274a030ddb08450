"""The name of a GGUF file: model, quant, part of a split file."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PATTERN = re.compile(
    r"(?:.*_(?=qwen3-))?(?:qwen3-)?(?P<name>.+?)[-.](?P<quant>(?:UD-)?(?:I?Q\d\w*|BF16|F16|F32))"
    r"(?:-(?P<part>\d{5})-of-(?P<count>\d{5}))?\.gguf",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class GgufFileName:
    """A name taken apart: `Qwen3-8B-Q4_K_M.gguf` is the model `8B` in the quant `Q4_K_M`."""

    model: str
    quant: str
    part: int = 1
    part_count: int = 1


def parse_gguf_file_name(name: str) -> GgufFileName | None:
    """Take the name of a file apart; None where it is not made like that of a GGUF file."""
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    return GgufFileName(
        match["name"], match["quant"].upper(), int(match["part"] or 1), int(match["count"] or 1)
    )


def split_part_names(name: str) -> tuple[str, ...]:
    """Name every part of the split file that this one belongs to; itself where it is whole."""
    read = parse_gguf_file_name(name)
    if read is None or read.part_count == 1:
        return (name,)
    beginning = name[: -len("-00001-of-00001.gguf")]
    numbers = range(1, read.part_count + 1)
    return tuple(f"{beginning}-{number:05}-of-{read.part_count:05}.gguf" for number in numbers)
