"""The names of GGUF files: model, quant, part of a split file, and the partial download of one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from qwen3_chat.models.gguf_names import QUANT_PATTERN

_PATTERN = re.compile(
    rf"(?:.*_(?=qwen3-))?(?:qwen3-)?(?P<name>.+?)[-._](?P<quant>{QUANT_PATTERN})"
    r"(?:-(?P<part>\d{5})-of-(?P<count>\d{5}))?\.gguf",
    re.IGNORECASE,
)


PART_SUFFIX, LOCK_SUFFIX, PIECE_SUMS_SUFFIX, LINK_SUFFIX = ".part", ".lock", ".pieces", ".link"
_CHECKSUM_DIGITS = 16


class UnsuitableKind(StrEnum):
    """A kind of file that can't chat; the value is part of a text's key."""

    EMBEDDING = "embedding"
    RERANKER = "reranker"
    PROJECTOR = "projector"
    DRAFT = "draft"
    ADAPTER = "adapter"
    SPEECH = "speech"


_UNSUITABLE = {
    UnsuitableKind.PROJECTOR: r"mmproj|projector|vision[-_.]?(?:encoder|tower)",
    UnsuitableKind.RERANKER: r"re-?ranker?",
    UnsuitableKind.EMBEDDING: r"embeddings?|embed",
    UnsuitableKind.DRAFT: r"draft(?:er)?|eagle[-_]?\d*|dflash",
    UnsuitableKind.SPEECH: r"tts|asr|(?:forced[-_]?)?aligner|codec|vocoder",
    UnsuitableKind.ADAPTER: r"lora|adapter|control[-_]?vector|imatrix",
}


def find_unsuitable_kind(*names: str) -> UnsuitableKind | None:
    """Return the kind of a file that can't chat, by the words in its name or its repository's."""
    for kind, words in _UNSUITABLE.items():
        for name in names:
            if re.search(rf"(?:^|[-_./])(?:{words})(?:[-_./]|$)", name, re.IGNORECASE):
                return kind
    return None


def stem_of_model(name: str) -> str:
    """Return the name of a model without the family's."""
    return re.sub("^qwen3-", "", name, flags=re.IGNORECASE)


def is_same_quant(text: str, quant: str) -> bool:
    """Return whether a text names a quant, in any case, or by its beginning: `q4` names `Q4_K_M`."""
    return text.upper() == quant.upper() or quant.upper().startswith(f"{text.upper()}_")


class GgufFileName(Struct, frozen=True):
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


def find_quant(text: str, quants: Iterable[str]) -> str | None:
    """Find the quant that a text names in any case, or by its beginning: `Q4` is `Q4_K_M` if there is one."""
    wanted = text.upper().replace("-", "_").removeprefix("UD_")
    wanted = f"UD-{wanted}" if text.upper().startswith("UD") else wanted
    known = {quant.upper(): quant for quant in quants}
    for name in (wanted, f"{wanted}_K_M", f"{wanted}_K", f"{wanted}_0"):
        if name in known and wanted:
            return known[name]
    longer = [quant for name, quant in known.items() if wanted and name.startswith(f"{wanted}_")]
    return longer[0] if len(longer) == 1 else None


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


def piece_sums_name(partial_download: str) -> str:
    """Return the name of the file with the checksums of a partial download's pieces."""
    return partial_download + PIECE_SUMS_SUFFIX


def lock_name(partial_download: str) -> str:
    """Return the name of the lock that a process holds while it writes a partial download."""
    return partial_download + LOCK_SUFFIX
