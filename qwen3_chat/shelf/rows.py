"""The models that can be chosen on a machine, each with its quants; pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from qwen3_chat.catalog import FAMILY, FamilyModel
from qwen3_chat.fit import Assessment, Machine, Recommendation, assess, best_quant, recommend
from qwen3_chat.library import InstalledModel
from qwen3_chat.session import ServedModel
from qwen3_chat.shelf.files import DiskModel

Key = tuple[str, str]
"""A model's name with a quant."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A model in one quant: how it would run here, with its file where there is one."""

    assessment: Assessment
    size_bytes: int
    file: InstalledModel | None = None

    @property
    def key(self) -> Key:
        """What tells it from other offers."""
        return self.assessment.model.name, self.assessment.quant

    @property
    def wanted(self) -> str:
        """What `pull` and `--model` call it."""
        return ":".join(self.key)


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model with its quants by rising size; `suggested` is the place of the one to show first."""

    model: FamilyModel
    offers: tuple[Offer, ...]
    suggested: int

    @property
    def is_installed(self) -> bool:
        """Whether a file of it is here."""
        return any(offer.file for offer in self.offers)


@dataclass(frozen=True, slots=True)
class ServerRow:
    """A server that the user has named, or one of its models.

    `is_up` is None before it has answered; `about` is what there is to say of it, line by line; `root` is
    what `LoadedModel.path` says where it is in use.
    """

    title: str
    detail: str
    choice: ServedModel
    is_up: bool | None = None
    about: tuple[str, ...] = ()
    root: str = ""


@dataclass(frozen=True, slots=True)
class Shelf:
    """Everything there is to choose from, with the recommendation."""

    rows: tuple[ModelRow, ...]
    recommendation: Recommendation

    @property
    def pick(self) -> Key | None:
        """The offer that is recommended."""
        pick = self.recommendation.pick
        return (pick.model.name, pick.quant) if pick else None

    def is_recommended(self, offer: Offer) -> bool:
        """Tell whether this is the pick, or its model in another quant that is here and will do."""
        will_do = offer.file is not None and offer.assessment.is_usable
        return self.pick is not None and (
            offer.key == self.pick or (will_do and offer.key[0] == self.pick[0])
        )


def shelf(machine: Machine, files: Iterable[DiskModel], n_ctx: int | None = None) -> Shelf:
    """Lay out the family for a machine, then the models on this disk that are others."""
    recommendation = recommend(machine, n_ctx)
    by_name = sorted(files, key=lambda one: one.model.name.lower())
    here = {name: list(group) for name, group in groupby(by_name, key=lambda one: one.model.name)}
    rows = [_family_row(model, here.pop(model.name, []), machine, n_ctx) for model in FAMILY]
    for others in here.values():
        offers = tuple(_offer_of(one, machine, n_ctx) for one in others)
        rows.append(ModelRow(others[0].model, _by_size(offers), 0))
    return Shelf(tuple(rows), recommendation)


def _family_row(model: FamilyModel, here: list[DiskModel], machine: Machine, n_ctx: int | None) -> ModelRow:
    files = {one.file.quant.upper(): one for one in here}
    listed = tuple(
        Offer(
            assess(model, quant, machine, n_ctx),
            model.size_bytes(quant),
            files.pop(quant).file if quant in files else None,
        )
        for quant in model.quants
    )
    offers = _by_size((*listed, *(_offer_of(one, machine, n_ctx) for one in files.values())))
    installed = [at for at, offer in enumerate(offers) if offer.file]
    if installed:
        usable = [at for at in installed if offers[at].assessment.is_usable]
        return ModelRow(model, offers, usable[-1] if usable else installed[0])
    best = best_quant(model, machine, n_ctx).quant
    return ModelRow(model, offers, [offer.assessment.quant for offer in offers].index(best))


def _offer_of(one: DiskModel, machine: Machine, n_ctx: int | None) -> Offer:
    """Assess a file by its own size."""
    found = assess(one.model, one.file.quant, machine, n_ctx, one.file.size_bytes)
    return Offer(found, one.file.size_bytes, one.file)


def _by_size(offers: tuple[Offer, ...]) -> tuple[Offer, ...]:
    return tuple(sorted(offers, key=lambda offer: offer.size_bytes))
