"""The table of models for a machine, each with its variants; `models` and the model screen both show it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import FAMILY, FamilyModel, Shape, derived_model, find_family_model
from qwen3_chat.models.fit import Assessment, Machine, Recommendation, assess, best_quant, recommend
from qwen3_chat.models.library import InstalledModel
from qwen3_chat.session import ServedModel


@dataclass(frozen=True, slots=True)
class DiskModel:
    """A file with the model that is in it."""

    model: FamilyModel
    file: InstalledModel


def identify_models(files: Iterable[InstalledModel]) -> tuple[DiskModel, ...]:
    """Tell of each file which model it is, by its name or else its header; of two copies the first counts.

    What is broken or no Qwen3 is left out.
    """
    found: dict[tuple[str, str], DiskModel] = {}
    for file in files:
        key = file.name.lower(), file.quant.upper()
        if key not in found and (model := find_family_model(file.name) or _model_in(file)):
            found[key] = DiskModel(model, file)
    return tuple(found.values())


def _model_in(file: InstalledModel) -> FamilyModel | None:
    try:
        header = gguf.read_file(file.path)
    except ModelError:
        return None
    parameters = None if len(file.parts) > 1 else header.parameters
    shape = Shape.from_header(header.architecture, header.number, parameters)
    return derived_model(file.name, shape, header.n_ctx_train) if shape else None


VariantKey = tuple[str, str]
"""A model's name with a quant."""


@dataclass(frozen=True, slots=True)
class ModelVariant:
    """A model in one quant: how it would run here, with its file where there is one."""

    assessment: Assessment
    size_bytes: int
    file: InstalledModel | None = None

    @property
    def key(self) -> VariantKey:
        """What tells it from other offers."""
        return self.assessment.model.name, self.assessment.quant

    @property
    def reference(self) -> str:
        """What `pull` and `--model` call it."""
        return ":".join(self.key)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model with its quants by rising size; `suggested_index` is the place of the one to show first."""

    model: FamilyModel
    variants: tuple[ModelVariant, ...]
    suggested_index: int

    @property
    def is_installed(self) -> bool:
        """Whether a file of it is here."""
        return any(offer.file for offer in self.variants)


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server that the user has named, or one of its models.

    `is_reachable` is None before it has answered; `about` is what there is to say of it, line by line; `endpoint_root` is
    what `LoadedModel.path` says where it is in use.
    """

    title: str
    detail: str
    choice: ServedModel
    is_reachable: bool | None = None
    about: tuple[str, ...] = ()
    endpoint_root: str = ""


@dataclass(frozen=True, slots=True)
class ModelTable:
    """Everything there is to choose from, with the recommendation."""

    rows: tuple[ModelRow, ...]
    recommendation: Recommendation

    @property
    def pick(self) -> VariantKey | None:
        """The offer that is recommended."""
        pick = self.recommendation.pick
        return (pick.model.name, pick.quant) if pick else None

    def is_recommended(self, variant: ModelVariant) -> bool:
        """Tell whether this is the pick, or its model in another quant that is here and will do."""
        will_do = variant.file is not None and variant.assessment.is_usable
        return self.pick is not None and (
            variant.key == self.pick or (will_do and variant.key[0] == self.pick[0])
        )


def build_model_table(machine: Machine, files: Iterable[DiskModel], n_ctx: int | None = None) -> ModelTable:
    """Lay out the family for a machine, then the models on this disk that are others."""
    recommendation = recommend(machine, n_ctx)
    by_name = sorted(files, key=lambda one: one.model.name.lower())
    here = {name: list(group) for name, group in groupby(by_name, key=lambda one: one.model.name)}
    rows = [_family_row(model, here.pop(model.name, []), machine, n_ctx) for model in FAMILY]
    for others in here.values():
        offers = tuple(_variant_of_file(one, machine, n_ctx) for one in others)
        rows.append(ModelRow(others[0].model, _by_size(offers), 0))
    return ModelTable(tuple(rows), recommendation)


def _family_row(model: FamilyModel, here: list[DiskModel], machine: Machine, n_ctx: int | None) -> ModelRow:
    files = {one.file.quant.upper(): one for one in here}
    listed = tuple(
        ModelVariant(
            assess(model, quant, machine, n_ctx),
            model.size_bytes(quant),
            files.pop(quant).file if quant in files else None,
        )
        for quant in model.quants
    )
    offers = _by_size((*listed, *(_variant_of_file(one, machine, n_ctx) for one in files.values())))
    installed = [at for at, offer in enumerate(offers) if offer.file]
    if installed:
        usable = [at for at in installed if offers[at].assessment.is_usable]
        return ModelRow(model, offers, usable[-1] if usable else installed[0])
    best = best_quant(model, machine, n_ctx).quant
    return ModelRow(model, offers, [offer.assessment.quant for offer in offers].index(best))


def _variant_of_file(disk_model: DiskModel, machine: Machine, n_ctx: int | None) -> ModelVariant:
    """Assess a file by its own size."""
    found = assess(disk_model.model, disk_model.file.quant, machine, n_ctx, disk_model.file.size_bytes)
    return ModelVariant(found, disk_model.file.size_bytes, disk_model.file)


def _by_size(variants: tuple[ModelVariant, ...]) -> tuple[ModelVariant, ...]:
    return tuple(sorted(variants, key=lambda offer: offer.size_bytes))
