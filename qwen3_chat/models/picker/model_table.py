"""The table of models for a machine, each with its variants; `models` and the model screen both show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import (
    FAMILY,
    FamilyModel,
    ModelReference,
    ThinkingSupport,
    derived_model,
    find_family_model,
    thinking_support,
)
from qwen3_chat.models.fit import Assessment, Machine, Offer, Recommendation, assess, best_quant, recommend
from qwen3_chat.models.fit.drafts import DraftAssessment, DraftCandidate, assess_draft
from qwen3_chat.models.gguf import GgufHeader
from qwen3_chat.models.library import InstalledModel
from qwen3_chat.models.library.installed_models import is_embedding
from qwen3_chat.models.template_facts import read_template
from qwen3_chat.session import ServedModel

INSTALLED_MARK = "●"
"""The mark of a variant whose file is on this disk."""


@dataclass(frozen=True, slots=True)
class DiskModel:
    """A file on this disk with the model that it holds."""

    model: FamilyModel
    file: InstalledModel


def identify_models(files: Iterable[InstalledModel]) -> tuple[DiskModel, ...]:
    """Identify the model in each file, by its name or else its header; of two copies the first counts.

    Files that are broken or hold no Qwen are left out.
    """
    models: dict[tuple[str, str], DiskModel] = {}
    for file in files:
        key = file.name.lower(), file.quant.upper()
        if key not in models and (model := find_family_model(file.name) or _model_by_header(file)):
            models[key] = DiskModel(model, file)
    return tuple(models.values())


def _model_by_header(file: InstalledModel) -> FamilyModel | None:
    try:
        header = gguf.read_parts(file.parts)
    except ModelError:
        return None
    if is_embedding(header):
        return None
    return model_from_header(header, file.name)


def model_from_header(header: GgufHeader, name: str) -> FamilyModel | None:
    """Return the model that a header describes, under `name`; None where llama.cpp runs no such Qwen."""
    shape = header.shape
    if shape is None or not shape.architecture.startswith("qwen"):
        return None
    thinking = thinking_support(name) or thinking_support(header.name)
    thinking = thinking or read_template(header.text("tokenizer.chat_template")).thinking
    return derived_model(
        name, shape, header.n_ctx_train, header.weights, thinking or ThinkingSupport.SWITCHABLE
    )


VariantKey = tuple[str, str]
"""A model's name with a quant."""


@dataclass(frozen=True, slots=True)
class ModelVariant:
    """A model in one quant with its assessment for the machine, and its file where it is on this disk.

    `is_listed` is False for a quant that only a file on this disk has, not the catalogue.
    """

    assessment: Assessment
    size_bytes: int
    file: InstalledModel | None = None
    is_listed: bool = True

    @property
    def key(self) -> VariantKey:
        """The name and quant that identify it."""
        return self.assessment.model.name, self.assessment.quant

    @property
    def title(self) -> str:
        """The name with the quant, for questions."""
        return " ".join(self.key)

    @property
    def reference(self) -> ModelReference:
        """The reference that `pull` and `--model` take."""
        return ModelReference(*self.key)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model with its variants by rising size; `suggested_index` is that of the variant to show first."""

    model: FamilyModel
    variants: tuple[ModelVariant, ...]
    suggested_index: int

    @property
    def is_installed(self) -> bool:
        """True if a file of it is on this disk."""
        return any(variant.file for variant in self.variants)

    def variant(self, quant: str) -> ModelVariant | None:
        """Return the variant of a quant, or None where there is none."""
        return next((variant for variant in self.variants if variant.assessment.quant == quant), None)


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server that the user has named, or one of its models.

    `is_reachable` is None before its first response; `about` has the lines that describe it; `endpoint_root`
    is the value of `LoadedModel.path` while it is in use.
    """

    title: str
    detail: str
    choice: ServedModel
    is_reachable: bool | None = None
    about: tuple[str, ...] = ()
    endpoint_root: str = ""


@dataclass(frozen=True, slots=True)
class ModelTable:
    """The models to choose from, those of the family first, with the recommendation for a machine.

    `draft_candidates` are the models on this disk that could draft for others.
    """

    rows: tuple[ModelRow, ...]
    recommendation: Recommendation
    machine: Machine
    draft_candidates: tuple[DraftCandidate, ...] = ()

    @property
    def pick(self) -> VariantKey | None:
        """The key of the recommended variant."""
        pick = self.recommendation.pick
        return (pick.model.name, pick.quant) if pick else None

    def offers_of(self, variant: ModelVariant) -> tuple[Offer, ...]:
        """Return the offers of a variant."""
        return tuple(
            offer
            for offer in self.recommendation.offers
            if (offer.assessment.model.name, offer.assessment.quant) == variant.key
        )

    def draft_of(self, variant: ModelVariant) -> DraftAssessment | None:
        """Return what a draft model would cost a variant and bring it, where that is worth telling."""
        draft = assess_draft(variant.assessment, self.machine, self.draft_candidates)
        return draft if draft is not None and draft.is_relevant else None

    def is_recommended(self, variant: ModelVariant) -> bool:
        """Return whether this is the pick, or its model in another usable quant on this disk."""
        if self.pick is None:
            return False
        is_substitute = variant.file is not None and variant.assessment.is_usable
        return variant.key == self.pick or (is_substitute and variant.key[0] == self.pick[0])

    @property
    def family_rows(self) -> tuple[ModelRow, ...]:
        """The rows of the family, in the order of the catalogue."""
        return self.rows[: len(FAMILY)]

    @property
    def listed_variants(self) -> tuple[ModelVariant, ...]:
        """The variants of the catalogue, in its order."""
        return tuple(variant for variant in self._variants if variant.is_listed)

    @property
    def unlisted_variants(self) -> tuple[ModelVariant, ...]:
        """The variants of files that are not in the catalogue."""
        return tuple(variant for variant in self._variants if not variant.is_listed)

    @property
    def _variants(self) -> Iterator[ModelVariant]:
        return (variant for row in self.rows for variant in row.variants)


def build_model_table(
    machine: Machine,
    files: Iterable[DiskModel],
    n_ctx: int | None = None,
    steady: Machine | None = None,
) -> ModelTable:
    """Build the table of the family for a machine, then of the other models on this disk.

    `machine` has the memory that is free now; `steady` that which is free when other programs idle, for which
    the offers are made.
    """
    files = tuple(files)
    recommendation = recommend(steady or machine, n_ctx, machine)
    offered = {offer.assessment.model.name: offer.assessment.quant for offer in recommendation.offers[::-1]}
    by_name = sorted(files, key=lambda disk_model: disk_model.model.name.lower())
    files_by_model = {
        name: list(group) for name, group in groupby(by_name, key=lambda disk_model: disk_model.model.name)
    }
    rows = [
        _family_row(model, files_by_model.pop(model.name, []), machine, n_ctx, offered.get(model.name))
        for model in FAMILY
    ]
    for others in files_by_model.values():
        variants = tuple(_variant_of_file(disk_model, machine, n_ctx) for disk_model in others)
        rows.append(ModelRow(others[0].model, _by_size(variants), 0))
    candidates = (DraftCandidate(m.model, m.file.quant, m.file.size_bytes, is_installed=True) for m in files)
    return ModelTable(tuple(rows), recommendation, machine, tuple(candidates))


def _family_row(
    model: FamilyModel,
    disk_models: list[DiskModel],
    machine: Machine,
    n_ctx: int | None,
    offered_quant: str | None,
) -> ModelRow:
    by_quant = {disk_model.file.quant.upper(): disk_model for disk_model in disk_models}
    listed = tuple(
        ModelVariant(
            assess(model, quant, machine, n_ctx),
            model.size_bytes(quant),
            by_quant.pop(quant).file if quant in by_quant else None,
        )
        for quant in model.quants
    )
    unlisted = (_variant_of_file(disk_model, machine, n_ctx) for disk_model in by_quant.values())
    variants = _by_size((*listed, *unlisted))
    installed = [index for index, variant in enumerate(variants) if variant.file]
    if installed:
        usable = [index for index in installed if variants[index].assessment.is_usable]
        return ModelRow(model, variants, usable[-1] if usable else installed[0])
    recommended_quant = offered_quant or best_quant(model, machine, n_ctx).quant
    return ModelRow(
        model, variants, [variant.assessment.quant for variant in variants].index(recommended_quant)
    )


def _variant_of_file(disk_model: DiskModel, machine: Machine, n_ctx: int | None) -> ModelVariant:
    """Return the variant of a file that is not in the catalogue, assessed by the size of the file."""
    file = disk_model.file
    assessment = assess(disk_model.model, file.quant, machine, n_ctx, file.size_bytes)
    return ModelVariant(assessment, file.size_bytes, file, is_listed=False)


def _by_size(variants: tuple[ModelVariant, ...]) -> tuple[ModelVariant, ...]:
    return tuple(sorted(variants, key=lambda variant: variant.size_bytes))
