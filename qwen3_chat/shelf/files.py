"""The files on this disk as members of the family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from qwen3_chat import gguf
from qwen3_chat.catalog import FamilyModel, Shape, find, other_model
from qwen3_chat.errors import ModelError
from qwen3_chat.library import InstalledModel


@dataclass(frozen=True, slots=True)
class DiskModel:
    """A file with the model that is in it."""

    model: FamilyModel
    file: InstalledModel


def described(files: Iterable[InstalledModel]) -> tuple[DiskModel, ...]:
    """Tell of each file which model it is, by its name or else its header; of two copies the first counts.

    What is broken or no Qwen3 is left out.
    """
    found: dict[tuple[str, str], DiskModel] = {}
    for file in files:
        key = file.name.lower(), file.quant.upper()
        if key not in found and (model := find(file.name) or _model_in(file)):
            found[key] = DiskModel(model, file)
    return tuple(found.values())


def _model_in(file: InstalledModel) -> FamilyModel | None:
    try:
        header = gguf.read_file(file.path)
    except ModelError:
        return None
    parameters = None if len(file.parts) > 1 else header.parameters
    shape = Shape.from_header(header.architecture, header.number, parameters)
    return other_model(file.name, shape, header.n_ctx_train) if shape else None
