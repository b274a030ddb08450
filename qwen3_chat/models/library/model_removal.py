"""The removal of a model from the app's folder; files of other programs stay."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError, UsageError
from qwen3_chat.models.catalog import ModelReference
from qwen3_chat.models.library.installed_models import (
    InstalledModel,
    matches_reference,
)
from qwen3_chat.models.library.stored_files import StoredFiles, list_stored_files


@dataclass(frozen=True, slots=True)
class Removal:
    """The files to be removed, the bytes that this frees, and the files of other programs that stay."""

    paths: tuple[Path, ...]
    freed_bytes: int
    external_paths: tuple[Path, ...] = ()


def plan_removal(
    folder: Path, reference: ModelReference, external: Iterable[InstalledModel] = (), file: Path | None = None
) -> Removal:
    """Find all files of one model: complete ones, parts, what a download left.

    `file` tells which one is meant where the reference means several.

    Raises:
        UsageError: the reference means several, so one must be named exactly.
        ModelError: it is not in the app's folder.
    """
    matches = [stored for stored in list_stored_files(folder) if stored.matches(reference)]
    matches = [stored for stored in matches if not stored.is_empty] or matches
    if file is not None:
        matches = [stored for stored in matches if folder / stored.path == file] or matches
    if len(matches) > 1:
        names = ", ".join(_exact_name(stored, matches) for stored in matches)
        raise UsageError(ErrorCode.MODEL_AMBIGUOUS, wanted=str(reference), names=names)
    if not matches:
        for model in external:
            if matches_reference(model, reference):
                raise ModelError(
                    ErrorCode.MODEL_OF_OTHER_PROGRAM,
                    name=str(reference),
                    origin=model.origin,
                    path=model.path,
                )
        raise ModelError(ErrorCode.MODEL_ALREADY_ABSENT, name=str(reference))
    (stored,) = matches
    links = [path for path in stored.paths if path.is_symlink()]
    return Removal(stored.paths, stored.size_bytes, tuple(link.resolve() for link in links))


def _exact_name(stored: StoredFiles, others: Iterable[StoredFiles]) -> str:
    """Return the shortest name that means only these files: by quant, by repository, or by place."""
    quant = stored.quant or None
    names = [ModelReference(stored.name, quant)]
    if stored.repository is not None:
        names.append(ModelReference(stored.repository, quant))
    for name in names:
        if sum(other.matches(name) for other in others) == 1:
            return str(name)
    return str(stored.reference)


def apply_removal(removal: Removal, folder: Path) -> None:
    """Remove the files, then the folders that this leaves empty.

    Raises:
        ModelError: a file can't be removed.
    """
    for path in removal.paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise ModelError(
                ErrorCode.MODEL_NOT_REMOVED, path=path, reason=error.strerror or error
            ) from error
        for parent in path.parents:
            if parent == folder or folder not in parent.parents:
                break
            with suppress(OSError):  # not empty
                parent.rmdir()
