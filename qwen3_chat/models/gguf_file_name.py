"""The names of GGUF files: model, quant, part of a split file, and the partial download of one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from qwen3_chat.models.quant_names import QUANT_PATTERN

_PATTERN = re.compile(
    rf"(?:.*_(?=qwen3-))?(?:qwen3-)?(?P<name>.+?)[-.](?P<quant>{QUANT_PATTERN})"
    r"(?:-(?P<part>\d{5})-of-(?P<count>\d{5}))?\.gguf",
    re.IGNORECASE,
)


PART_SUFFIX, LOCK_SUFFIX = ".part", ".lock"
_CHECKSUM_DIGITS = 16


@dataclass(frozen=True, slots=True)
class GgufFileName:
    """The parts of a name: `Qwen3-8B-Q4_K_M.gguf` is the model `8B` in the quant `Q4_K_M`."""

    model: str
    quant: str
    part: int = 1
    part_count: int = 1


def parse_gguf_file_name(name: str) -> GgufFileName | None:
    """Parse the name of a file; None where it does not look like that of a GGUF file."""
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    return GgufFileName(
        match["name"], match["quant"].upper(), int(match["part"] or 1), int(match["count"] or 1)
    )


def split_part_names(name: str) -> tuple[str, ...]:
    """Return the names of all parts of the split file that this one belongs to, or its own if it is whole."""
    parsed = parse_gguf_file_name(name)
    if parsed is None or parsed.part_count == 1:
        return (name,)
    beginning = name[: -len("-00001-of-00001.gguf")]
    numbers = range(1, parsed.part_count + 1)
    return tuple(f"{beginning}-{number:05}-of-{parsed.part_count:05}.gguf" for number in numbers)


def partial_download_name(name: str, sha256: str) -> str:
    """Return the name of a partial download; the checksum in it keeps versions of a file apart."""
    return f"{name}.{sha256[:_CHECKSUM_DIGITS]}{PART_SUFFIX}"


def lock_name(partial_download: str) -> str:
    """Return the name of the lock that a process holds while it writes a partial download."""
    return partial_download + LOCK_SUFFIX
