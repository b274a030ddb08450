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
    Origin,
    list_installed_models,
    list_partial_downloads,
    matches_reference,
)


@dataclass(frozen=True, slots=True)
class Removal:
    """The files to be removed, the bytes that this frees, and the files of other programs that stay."""

    paths: tuple[Path, ...]
    freed_bytes: int
    external_paths: tuple[Path, ...] = ()


def plan_removal(folder: Path, reference: ModelReference, external: Iterable[InstalledModel] = ()) -> Removal:
    """Find the files of a model, partial downloads included.

    Raises:
        UsageError: it is installed in several quants, so one must be named.
        ModelError: it is not in the app's folder.
    """
    models = [model for model in list_installed_models(folder) if matches_reference(model, reference)]
    partial = [model for model in _partial_as_models(folder) if matches_reference(model, reference)]
    quants = sorted({model.quant for model in (*models, *partial)})
    if len(quants) > 1:
        name = models[0].name if models else partial[0].name
        names = ", ".join(f"{name}:{quant}" for quant in quants)
        raise UsageError(ErrorCode.MODEL_AMBIGUOUS, wanted=str(reference), names=names)
    paths = [path for model in (*models, *partial) for path in model.parts if _is_there(path)]
    if not paths:
        for model in external:
            if matches_reference(model, reference):
                raise ModelError(
                    ErrorCode.MODEL_OF_OTHER_PROGRAM,
                    name=str(reference),
                    origin=model.origin,
                    path=model.path,
                )
        raise ModelError(ErrorCode.MODEL_ALREADY_ABSENT, name=str(reference))
    links = [path for path in paths if path.is_symlink()]
    freed = sum(path.stat().st_size for path in paths if not path.is_symlink())
    return Removal(tuple(paths), freed, tuple(link.resolve() for link in links))


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


def _partial_as_models(folder: Path) -> Iterable[InstalledModel]:
    for part in list_partial_downloads(folder):
        yield InstalledModel(part.name, part.quant, part.path, 0, 0, Origin.APP)


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()
