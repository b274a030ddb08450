"""The models in the app's folder, named as the family names them, partial downloads included."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import ModelReference, find_family_model
from qwen3_chat.models.gguf import GgufHeader
from qwen3_chat.models.gguf_file_name import (
    GgufFileName,
    find_unsuitable_kind,
    parse_gguf_file_name,
    split_part_names,
    stem_of_model,
)
from qwen3_chat.models.library.stored_files import is_model_file, list_stored_files, names_model


class Origin(StrEnum):
    """The program that a file belongs to."""

    APP = "qwen3-chat"
    HUGGING_FACE = "Hugging Face"
    LM_STUDIO = "LM Studio"
    LLAMA_CPP = "llama.cpp"
    OLLAMA = "Ollama"
    MODELSCOPE = "ModelScope"
    JAN = "Jan"
    GPT4ALL = "GPT4All"
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
    repository: str | None = None

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
    return names_model(reference, model.name, model.quant, model.repository, model.path.name)


_UNFINISHED_PREFIX = "incomplete-"
"""The beginning of a file's name while GPT4All downloads it."""
MAX_FOLDERS = 10_000
"""The limit for the folders below one that is searched."""


def find_gguf_files(folder: Path) -> Iterator[Path]:
    """Yield the GGUF files below a folder, through links to folders too, each folder once."""
    seen: set[tuple[int, int]] = set()
    for parent, folders, names in os.walk(folder, followlinks=True):
        try:
            status = Path(parent).stat()
        except OSError:
            continue
        if (place := (status.st_dev, status.st_ino)) in seen or len(seen) == MAX_FOLDERS:
            folders.clear()
            continue
        seen.add(place)
        folders.sort()
        yield from (Path(parent, name) for name in sorted(names) if name.endswith(".gguf"))


def is_embedding(header: GgufHeader) -> bool:
    """Return whether a model makes one vector of a text, and so can't chat."""
    return header.number(f"{header.architecture}.pooling_type") > 0


def read_models(folder: Path, origin: Origin, pattern: str | None = None) -> Iterable[InstalledModel]:
    """Yield the models of a folder by the names of their files.

    Incomplete, empty and unreadable ones are left out, and those that can't chat. A file whose name holds no
    quant counts only in a folder of the user's; its header then gives the quant.
    """
    for path in find_gguf_files(folder) if pattern is None else folder.glob(pattern):
        repository = _repository_of(path.relative_to(folder), origin)
        if path.name.startswith(_UNFINISHED_PREFIX) or find_unsuitable_kind(path.name, repository or ""):
            continue
        name = parse_gguf_file_name(path.name)
        if name is None and origin in (Origin.APP, Origin.CONFIGURED):
            name = _name_by_header(path, path.stem)
        elif name is None and origin is Origin.JAN:  # it names the folder
            named = parse_gguf_file_name(f"{path.parent.name}.gguf")
            name = named or _name_by_header(path, path.parent.name.removesuffix("-GGUF"))
        if name is None or name.part > 1:
            continue
        parts = tuple(path.with_name(part) for part in split_part_names(path.name))
        if not all(is_model_file(part) for part in parts):  # one is missing, or a link leads nowhere
            continue
        try:
            size_bytes = sum(part.stat().st_size for part in parts)
            modified_s = path.lstat().st_mtime  # of a link itself: when the model was pulled
        except OSError:
            continue
        yield InstalledModel(name.model, name.quant, path, size_bytes, modified_s, origin, repository)


def _repository_of(path: Path, origin: Origin) -> str | None:
    """Return the repository that a file came from, as far as its place tells."""
    match origin:
        case Origin.HUGGING_FACE | Origin.LLAMA_CPP if path.parts[0].startswith("models--"):
            return "/".join(path.parts[0].split("--")[1:3])
        case Origin.APP | Origin.LM_STUDIO if len(path.parts) > 2:
            return "/".join(path.parts[:2])
        case Origin.MODELSCOPE if len(path.parts) > 2:  # it writes three underscores for a dot
            return "/".join(path.parts[-3:-1]).replace("___", ".")
        case _:
            return None


def _name_by_header(path: Path, stem: str) -> GgufFileName | None:
    try:
        header = gguf.read_file(path)
    except ModelError:
        return None
    if is_embedding(header):
        return None
    return GgufFileName(stem_of_model(stem), header.quant)


def newest_first(models: Iterable[InstalledModel]) -> tuple[InstalledModel, ...]:
    """Sort models by the modification time of their files, the newest first."""
    return tuple(sorted(models, key=lambda model: -model.modified_s))


@dataclass(frozen=True, slots=True)
class PartialDownload:
    """A model of which only some bytes or parts are there; `path` is the place of the complete file.

    `reference` is the one by which `pull` resumes it and `rm` deletes it.
    """

    name: str
    quant: str
    path: Path
    size_bytes: int
    reference: ModelReference


def list_partial_downloads(folder: Path) -> Iterator[PartialDownload]:
    """Yield the partial downloads of a folder, one for each model: parts, and sets that miss some."""
    for stored in list_stored_files(folder):
        if stored.is_partial and not stored.is_empty:
            path = folder / stored.path
            yield PartialDownload(stored.name, stored.quant, path, stored.size_bytes, stored.reference)
