"""The files of the app's folder, whole or not, gathered by the model that they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.gguf_file_name import (
    LINK_SUFFIX,
    LOCK_SUFFIX,
    PART_SUFFIX,
    PIECE_SUMS_SUFFIX,
    UnsuitableKind,
    find_unsuitable_kind,
    is_same_quant,
    parse_gguf_file_name,
    split_part_names,
    stem_of_model,
)

_LEFTOVER_SUFFIXES = (PART_SUFFIX, PIECE_SUMS_SUFFIX, LINK_SUFFIX, LOCK_SUFFIX)


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """Everything that the app's folder holds of one file of a repository, or of all parts of a split one.

    `path` is the place of the file itself, of a split one that of the first part, relative to the folder.
    """

    name: str
    quant: str
    path: Path
    paths: tuple[Path, ...]
    size_bytes: int
    is_complete: bool

    @property
    def repository(self) -> str | None:
        """The repository that it came from; None for a file that somebody put there."""
        return "/".join(self.path.parts[:2]) if len(self.path.parts) > 2 else None

    @property
    def path_in_repository(self) -> str:
        """The path of the file within its repository."""
        return Path(*self.path.parts[2:]).as_posix() if self.repository else self.path.as_posix()

    @property
    def reference(self) -> ModelReference:
        """The reference by which `pull` resumes it and `rm` deletes it."""
        if self.repository is None:
            return ModelReference(f"./{self.path.as_posix()}")
        return ModelReference(self.repository, self.path_in_repository)

    @property
    def unsuitable_kind(self) -> UnsuitableKind | None:
        """The kind of model that can't chat, by the names; None for one that can."""
        return find_unsuitable_kind(self.path.name, self.repository or "")

    @property
    def is_partial(self) -> bool:
        """True if a download of it has begun and not ended."""
        return not self.is_complete or any(path.suffix == PART_SUFFIX for path in self.paths)

    @property
    def is_empty(self) -> bool:
        """True if only traces of a download are left, such as a lock."""
        return not self.size_bytes and not any(path.suffix == ".gguf" for path in self.paths)

    def matches(self, reference: ModelReference) -> bool:
        """Return whether a reference means it: by model, by repository with quant or path, or by place."""
        place = str(reference).replace(":", "/", 1).removeprefix("./")
        if place.lower() == self.path.as_posix().lower():
            return True
        return names_model(reference, self.name, self.quant, self.repository, self.path_in_repository)


def names_model(reference: ModelReference, name: str, quant: str, repository: str | None, path: str) -> bool:
    """Return whether a reference means a model; letter case does not matter."""
    selector = (reference.selector or "").lower()
    if not reference.is_repository:
        is_named = name.lower() == stem_of_model(reference.name).lower()
        return is_named and (not selector or is_same_quant(selector, quant))
    if repository is None or repository.lower() != reference.name.lower():
        return False
    names = (path.lower(), *(part.lower() for part in split_part_names(path.rpartition("/")[2])))
    return not selector or selector in names or is_same_quant(selector, quant)


def list_stored_files(folder: Path) -> Iterator[StoredFiles]:
    """Yield the files of a folder by model: complete ones, sets that miss parts, leftovers of downloads."""
    groups: dict[Path, list[Path]] = {}
    for path in sorted(folder.glob("**/*.gguf*")):
        if path.suffix != ".gguf" and path.suffix not in _LEFTOVER_SUFFIXES:
            continue
        file = path.name.partition(".gguf")[0] + ".gguf"
        groups.setdefault(path.with_name(split_part_names(file)[0]), []).append(path)
    for first, paths in groups.items():
        yield _stored_files(folder, first, paths)


def _stored_files(folder: Path, first: Path, paths: list[Path]) -> StoredFiles:
    parts = [first.with_name(name) for name in split_part_names(first.name)]
    is_complete = all(is_model_file(part) for part in parts)
    parsed = parse_gguf_file_name(first.name)
    name, quant = (parsed.model, parsed.quant) if parsed else (stem_of_model(first.stem), "")
    if parsed is None and is_complete:
        quant = _quant_by_header(first)
    return StoredFiles(
        name, quant, first.relative_to(folder), tuple(paths), sum(_own_bytes(paths)), is_complete
    )


def is_model_file(path: Path) -> bool:
    """Return whether a path leads to a regular file with bytes in it."""
    try:
        status = path.stat()
    except OSError:
        return False
    return S_ISREG(status.st_mode) and status.st_size > 0


def _quant_by_header(path: Path) -> str:
    try:
        return gguf.read_file(path).quant
    except ModelError:
        return ""


def _own_bytes(paths: Iterable[Path]) -> Iterator[int]:
    """Yield the sizes of files that are no links, and hold bytes of a model."""
    for path in paths:
        try:
            if not path.is_symlink() and path.suffix in (".gguf", PART_SUFFIX):
                yield path.stat().st_size
        except OSError:
            continue
