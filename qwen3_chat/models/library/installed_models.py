"""The models in the app's folder, named as the family names them, partial downloads included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from stat import S_ISREG

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import ModelReference, find_family_model
from qwen3_chat.models.gguf_file_name import (
    LOCK_SUFFIX,
    PART_SUFFIX,
    GgufFileName,
    parse_gguf_file_name,
    split_part_names,
)


class Origin(StrEnum):
    """The program that a file belongs to."""

    APP = "qwen3-chat"
    HUGGING_FACE = "Hugging Face"
    LM_STUDIO = "LM Studio"
    LLAMA_CPP = "llama.cpp"
    OLLAMA = "Ollama"
    CONFIGURED = "model_folders"


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A GGUF file, named as the family names it: `8B`, `Q4_K_M`; of a split one the first part.

    `size_bytes` counts all parts. `path` may be a link to a file of another program.
    """

    name: str
    quant: str
    path: Path
    size_bytes: int
    modified_s: float
    origin: Origin = Origin.APP

    @property
    def parts(self) -> tuple[Path, ...]:
        """All files of the model."""
        return tuple(self.path.with_name(name) for name in split_part_names(self.path.name))


def list_installed_models(folder: Path) -> tuple[InstalledModel, ...]:
    """List the models of the app's folder, the newest file first."""
    return newest_first(read_models(folder, Origin.APP))


def find_model_file(folder: Path, reference: ModelReference, external: Iterable[InstalledModel] = ()) -> Path:
    """Find the file of a model, in the app's folder first, then among those of other programs.

    Raises:
        ModelError: it is not there.
    """
    for models in (list_installed_models(folder), external):
        for model in models:
            if matches_reference(model, reference):
                return model.path
    can_be_pulled = reference.is_repository or find_family_model(reference.name)
    raise ModelError(
        ErrorCode.MODEL_NOT_INSTALLED if can_be_pulled else ErrorCode.MODEL_UNKNOWN,
        name=str(reference),
        folder=folder,
    )


def matches_reference(model: InstalledModel, reference: ModelReference) -> bool:
    """Return whether a reference means this model; letter case does not matter."""
    name, quant = reference.name.lower().removeprefix("qwen3-"), (reference.selector or "").upper()
    return model.name.lower() == name and quant in ("", model.quant)


def read_models(folder: Path, origin: Origin, pattern: str = "**/*.gguf") -> Iterable[InstalledModel]:
    """Yield the models of a folder by the names of their files; incomplete and unreadable ones are left out.

    A file whose name holds no quant counts only in a folder of the user's; its header then gives the quant.
    """
    for path in folder.glob(pattern):
        name = parse_gguf_file_name(path.name)
        if name is None and origin in (Origin.APP, Origin.CONFIGURED):
            name = _name_by_header(path)
        if name is None or name.part > 1:
            continue
        parts = tuple(path.with_name(part) for part in split_part_names(path.name))
        try:
            stats = [part.stat() for part in parts]
            modified_s = path.lstat().st_mtime  # of a link itself: when the model was pulled
        except OSError:  # a part is missing, or a link leads nowhere
            continue
        if not all(S_ISREG(stat.st_mode) for stat in stats):
            continue
        size_bytes = sum(stat.st_size for stat in stats)
        yield InstalledModel(name.model, name.quant, path, size_bytes, modified_s, origin)


def _name_by_header(path: Path) -> GgufFileName | None:
    if path.name.startswith("mmproj"):  # the vision encoder of another model
        return None
    try:
        quant = gguf.read_file(path).quant
    except ModelError:
        return None
    return GgufFileName(re.sub("^qwen3-", "", path.stem, flags=re.IGNORECASE), quant)


def newest_first(models: Iterable[InstalledModel]) -> tuple[InstalledModel, ...]:
    """Sort models by the modification time of their files, the newest first."""
    return tuple(sorted(models, key=lambda model: -model.modified_s))


@dataclass(frozen=True, slots=True)
class PartialDownload:
    """A part `Qwen3-8B-Q4_K_M.gguf.d98cdcbd03e17ce4.part`, or the lock beside it, with the model it is for.

    `reference` is the one by which `pull` resumes it.
    """

    name: str
    quant: str
    path: Path
    size_bytes: int
    reference: ModelReference


def list_partial_downloads(folder: Path) -> Iterator[PartialDownload]:
    """Yield the partial downloads of a folder by their names, the locks after the parts."""
    for suffix in (PART_SUFFIX, LOCK_SUFFIX):
        for path in folder.glob(f"**/*.gguf.*{suffix}"):
            file = path.name.partition(".gguf")[0] + ".gguf"
            if (parsed := parse_gguf_file_name(file)) is None:
                continue
            *repository, _ = path.relative_to(folder).parts
            try:
                size_bytes = path.stat().st_size
            except OSError:
                size_bytes = 0
            reference = ModelReference("/".join(repository[:2]), "/".join((*repository[2:], file)))
            yield PartialDownload(parsed.model, parsed.quant, path, size_bytes, reference)
