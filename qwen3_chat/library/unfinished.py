"""What downloads that were broken off left in the models folder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.file_name import read_file_name

PART_SUFFIXES = (".part", ".lock")


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A part `Qwen3-8B-Q4_K_M.gguf.d98cdcbd03e17ce4.part`, or the lock beside it, by the model it belongs to.

    `wanted` is what `pull` takes to go on with it.
    """

    name: str
    quant: str
    path: Path
    size_bytes: int
    wanted: str


def unfinished_downloads(folder: Path) -> Iterator[Unfinished]:
    """Read them off their names."""
    for suffix in PART_SUFFIXES:
        for path in folder.glob(f"**/*.gguf.*{suffix}"):
            file = path.name.partition(".gguf")[0] + ".gguf"
            if (read := read_file_name(file)) is None:
                continue
            *repository, _ = path.relative_to(folder).parts
            size_bytes = path.stat().st_size if path.exists() else 0
            wanted = f"{'/'.join(repository[:2])}:{'/'.join((*repository[2:], file))}"
            yield Unfinished(read.model, read.quant, path, size_bytes, wanted)
