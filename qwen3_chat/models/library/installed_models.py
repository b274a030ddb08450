"""The models in the app's folder, named as the family names them, partial downloads included."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.gguf_file_name import GgufFileName, parse_gguf_file_name, split_part_names

"""The model that ships with the package."""


class Origin(StrEnum):
    """Which program keeps a file."""

    APP = "qwen3-chat"
    HUGGING_FACE = "Hugging Face"
    LM_STUDIO = "LM Studio"
    LLAMA_CPP = "llama.cpp"
    OLLAMA = "Ollama"
    CONFIGURED = "model_folders"


@dataclass(frozen=True, slots=True)
class InstalledModel:
    """A GGUF file, named as the family names it: `8B`, `Q4_K_M`; of a split one the first part.

    `size_bytes` counts all parts. `path` may be a link to a file that another program keeps.
    """

    name: str
    quant: str
    path: Path
    size_bytes: int
    modified_s: float
    origin: Origin = Origin.APP

    @property
    def parts(self) -> tuple[Path, ...]:
        """Every file of it."""
        return tuple(self.path.with_name(name) for name in split_part_names(self.path.name))


def list_installed_models(folder: Path) -> tuple[InstalledModel, ...]:
    """List the models of the app's folder, the newest file first."""
    return newest_first(read_models(folder, Origin.APP))


def find_model_file(folder: Path, reference: str, external: Iterable[InstalledModel] = ()) -> Path:
    """Find a model by `NAME` or `NAME:QUANT`, in the app's folder, then elsewhere.

    Raises:
        ModelError: it is not there.
    """
    for models in (list_installed_models(folder), external):
        for model in models:
            if matches_reference(model, reference):
                return model.path
    can_be_pulled = "/" in reference or find_family_model(reference.partition(":")[0])
    raise ModelError(
        "library.not_installed" if can_be_pulled else "library.unknown", name=reference, folder=folder
    )


def matches_reference(model: InstalledModel, reference: str) -> bool:
    """Tell whether this is what `NAME` or `NAME:QUANT` means, in any case."""
    name, _, quant = reference.partition(":")
    return model.name.lower() == name.lower().removeprefix("qwen3-") and quant.upper() in ("", model.quant)


def read_models(folder: Path, origin: Origin, pattern: str = "**/*.gguf") -> Iterable[InstalledModel]:
    """Read the models of a folder off their files' names; incomplete and unreadable ones are left out.

    A name that tells no quant is believed where the user put the file; what is in it says the rest.
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
        except OSError:  # a part is missing, or a link leads nowhere
            continue
        size_bytes = sum(stat.st_size for stat in stats)
        modified_s = path.lstat().st_mtime  # of a link itself: when the model was pulled
        yield InstalledModel(name.model, name.quant, path, size_bytes, modified_s, origin)


def _name_by_header(path: Path) -> GgufFileName | None:
    if path.name.startswith("mmproj"):  # the eyes of another model
        return None
    try:
        quant = gguf.read_file(path).quant
    except ModelError:
        return None
    return GgufFileName(re.sub("^qwen3-", "", path.stem, flags=re.IGNORECASE), quant)


def newest_first(models: Iterable[InstalledModel]) -> tuple[InstalledModel, ...]:
    """Sort by the time of the file."""
    return tuple(sorted(models, key=lambda model: -model.modified_s))


PART_SUFFIXES = (".part", ".lock")


@dataclass(frozen=True, slots=True)
class PartialDownload:
    """A part `Qwen3-8B-Q4_K_M.gguf.d98cdcbd03e17ce4.part`, or the lock beside it, by the model it belongs to.

    `reference` is what `pull` takes to go on with it.
    """

    name: str
    quant: str
    path: Path
    size_bytes: int
    reference: str


def list_partial_downloads(folder: Path) -> Iterator[PartialDownload]:
    """Read them off their names."""
    for suffix in PART_SUFFIXES:
        for path in folder.glob(f"**/*.gguf.*{suffix}"):
            file = path.name.partition(".gguf")[0] + ".gguf"
            if (read := parse_gguf_file_name(file)) is None:
                continue
            *repository, _ = path.relative_to(folder).parts
            size_bytes = path.stat().st_size if path.exists() else 0
            wanted = f"{'/'.join(repository[:2])}:{'/'.join((*repository[2:], file))}"
            yield PartialDownload(read.model, read.quant, path, size_bytes, wanted)
