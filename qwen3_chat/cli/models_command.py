"""`qwen3-chat models`: the models that fit this machine or another, or those of a repository."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

import msgspec

from qwen3_chat.cli.composition import probe_hardware_sync
from qwen3_chat.cli.engine_composition import configured_model_dirs
from qwen3_chat.cli.json_output import print_json
from qwen3_chat.cli.terminal_lines import print_sentence, terminal_columns
from qwen3_chat.config import find_paths
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ModelError
from qwen3_chat.models import gguf
from qwen3_chat.models.catalog import FamilyModel, MachineClass, ModelReference, ThinkingSupport
from qwen3_chat.models.catalog.family import STANDARD_QUANTS
from qwen3_chat.models.fit import (
    Assessment,
    Fit,
    Machine,
    Offer,
    OfferKind,
    Placement,
    Recommendation,
    best_assessment,
)
from qwen3_chat.models.fit.drafts import DraftAssessment
from qwen3_chat.models.gguf_file_name import UnsuitableKind
from qwen3_chat.models.hardware import Hardware, advise_build, override_machine
from qwen3_chat.models.hardware.hardware_text import describe_hardware, describe_machine
from qwen3_chat.models.hub import hubs_from, mirror_hosts, resolve_repository
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY
from qwen3_chat.models.library import StoredFiles, list_models_on_disk, list_stored_files
from qwen3_chat.models.picker import (
    INSTALLED_MARK,
    DiskModel,
    ModelTable,
    ModelVariant,
    build_model_table,
    identify_models,
)
from qwen3_chat.models.picker.offer_text import grouped_offers, offer_kinds, offer_reason, offer_times
from qwen3_chat.models.picker.repository_variants import assess_variants, fetch_metadata
from qwen3_chat.request import KvType
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import GIB, SEPARATOR, format_size, speed_figure
from qwen3_chat.texts.terminal_safe import terminal_safe

FIT_MARKS = {Fit.GOOD: "✓", Fit.TIGHT: "~", Fit.SLOW: "▽", Fit.TOO_LARGE: "✗"}
_NAME_CELLS, _SIZE_CELLS, _SPEED_CELLS = 26, 5, 4
_VARIANT_CELLS = _SIZE_CELLS + _SPEED_CELLS + 3
_INDENT_CELLS, _GAP_CELLS, _QUANT_CELLS = 2, 2, 12
_REASON_COLUMN = _INDENT_CELLS + _QUANT_CELLS + 11
"""The column of the reason behind a quant of a repository and its size."""
_QUANTS_BY_USE = ("Q4_K_M", "Q8_0", "Q6_K", "Q5_K_M")
"""The quants of the table, those first that a narrow terminal shows: smallest, best, and between."""


class GpuFacts(msgspec.Struct, frozen=True):
    """A GPU in `models --json`."""

    name: str
    free_bytes: int
    total_bytes: int
    shares_ram: bool


class HardwareFacts(msgspec.Struct, frozen=True):
    """The machine in `models --json`; `usable_bytes` are those for a model after all margins."""

    ram_free_bytes: int
    gpus: list[GpuFacts]
    usable_bytes: int
    is_this_machine: bool
    idle_gpus: list[str]


class PickFacts(msgspec.Struct, frozen=True):
    """A recommended model in `models --json`."""

    model: str
    quant: str
    n_ctx: int
    kv_type: KvType
    placement: Placement
    n_gpu_layers: int
    n_cpu_moe: int
    bytes: int
    need_bytes: int
    tokens_per_s: float
    reason: str


class OfferFacts(PickFacts, frozen=True):
    """An offered model in `models --json`; the seconds are those of a typical answer, null without that mode.

    `fits_now` is false where other programs take the memory that it needs at the moment.
    """

    kind: OfferKind
    answer_s: float | None
    thinking_answer_s: float | None
    fits_now: bool


class DraftFacts(msgspec.Struct, frozen=True):
    """The model that could draft for another one in `models --json`.

    `need_bytes` is its own memory, `total_bytes` that of both, null where they do not fit; `speedup` is null
    where it was not measured on this machine; `automatic` tells what `--draft auto` does.
    """

    model: str
    quant: str
    installed: bool
    need_bytes: int
    total_bytes: int | None
    speedup: float | None
    automatic: bool


class ModelFacts(msgspec.Struct, frozen=True):
    """A model in one quant in `models --json`."""

    model: str
    quant: str
    bytes: int
    fit: Fit
    need_bytes: int
    tokens_per_s: float
    installed: bool
    reason: str
    n_ctx: int
    kv_type: KvType
    placement: Placement
    thinking: str
    good_for: str
    speed_is_measured: bool
    draft: DraftFacts | None = None


class IncompleteFacts(msgspec.Struct, frozen=True):
    """A partial download in `models --json`; `reference` is what `pull` and `rm` take."""

    model: str
    quant: str
    bytes: int
    reference: str


class ModelsReport(msgspec.Struct, frozen=True):
    """The output of `models --json`."""

    hardware: HardwareFacts
    pick: PickFacts | None
    fast: PickFacts | None
    offers: list[OfferFacts]
    models: list[ModelFacts]
    incomplete: list[IncompleteFacts]


def list_models(
    as_json: bool, vram: str | None, ram: str | None, n_ctx: int | None, repository: str | None = None
) -> None:
    """Print the models that fit and the recommended one with its reason, or the models of a repository.

    Raises:
        UsageError: a size can't be read.
        Qwen3ChatError: the repository can't be listed, or has no usable model.
    """
    paths = find_paths()
    hardware = None if vram is not None and ram is not None else probe_hardware_sync(paths)
    machine = hardware.machine if hardware else None
    if vram is not None or ram is not None:
        machine = override_machine(vram, ram, machine)
        hardware = None
    assert machine
    if repository is not None:
        repository = ModelReference.parse(repository, mirror_hosts(os.environ)).name
        _list_repository(repository, machine, n_ctx, as_json)
        return
    disk_models = identify_models(list_models_on_disk(paths.models, configured_model_dirs()))
    table = build_model_table(machine, disk_models, n_ctx, hardware.steady_machine if hardware else None)
    unlisted = _oldest_first(table.unlisted_variants, disk_models)
    stored_files = [stored for stored in list_stored_files(paths.models) if not stored.is_empty]
    incomplete = [stored for stored in stored_files if stored.is_partial]
    if as_json:
        print_json(_report(machine, hardware, table, unlisted, incomplete))
        return
    print_sentence(describe_hardware(hardware) if hardware else describe_machine(machine))
    if hardware and (advice := advise_build(hardware)):
        print_sentence(t("hardware.idle_gpu", name=terminal_safe(advice.gpu.name)))
    if hardware:
        print_sentence(t("models.steady", free=format_size(hardware.steady_machine.ram_free_bytes)))
    print()
    _print_recommendation(table.recommendation)
    print()
    _print_table(table, unlisted)
    _print_drafts(table)
    for stored in incomplete:
        print(_incomplete_line(stored))
    for stored in stored_files:
        if stored.unsuitable_kind is not None:
            print(terminal_safe(_unsuitable_line(stored, stored.unsuitable_kind, paths.models)))


def _unsuitable_line(stored: StoredFiles, kind: UnsuitableKind, folder: Path) -> str:
    """Say of a file that can't chat what it is, and of an adapter how it is used."""
    file = folder / stored.path
    if kind is UnsuitableKind.ADAPTER and stored.is_complete:
        with suppress(ModelError):
            header = gguf.read_file(file)
            if header.is_adapter:
                return t("models.adapter", name=stored.name, architecture=header.architecture, path=file)
    return t("models.cannot_chat", name=stored.reference, kind=t(f"library.kind.{kind.value}"))


def _incomplete_line(stored: StoredFiles) -> str:
    """Write the size of a partial download with the commands that resume and delete it."""
    reference, size = stored.reference, format_size(stored.size_bytes)
    key = "models.incomplete" if stored.repository else "models.incomplete_file"
    return terminal_safe(
        t(
            key,
            name=reference,
            size=size,
            pull=f"qwen3-chat pull {reference}",
            rm=f"qwen3-chat rm {reference}",
        )
    )


def _list_repository(repository: str, machine: Machine, n_ctx: int | None, as_json: bool) -> None:
    variants = asyncio.run(_repository_variants(repository, machine, n_ctx))
    if as_json:
        print_json({"models": [_model_facts(variant) for variant in variants]})
        return
    for variant in variants:
        print_sentence(_repository_line(variant), _REASON_COLUMN)
    for fact in _unusual_facts(variants[0].assessment.model):
        print_sentence(f"  {fact}", _INDENT_CELLS)
    advised = best_assessment([variant.assessment for variant in variants], machine) or variants[0].assessment
    command = f"qwen3-chat pull {repository}:{advised.quant}"
    print(t("models.get", command=terminal_safe(command)))


async def _repository_variants(
    repository: str, machine: Machine, n_ctx: int | None
) -> tuple[ModelVariant, ...]:
    """List a repository and assess all models in it, by the header of the smallest file.

    Raises:
        Qwen3ChatError: there is no such repository, no Qwen3 in it, or no source could be asked.
    """
    hubs = hubs_from(os.environ)
    targets = await resolve_repository(repository, hubs, DEFAULT_RETRY_POLICY)
    if not targets:
        raise ModelError(ErrorCode.REPOSITORY_WITHOUT_GGUF, repository=repository)
    smallest = min(targets, key=lambda target: target.size_bytes)
    model = await fetch_metadata(smallest, hubs, DEFAULT_RETRY_POLICY)
    if model is None:
        raise ModelError(ErrorCode.REPOSITORY_WITHOUT_QWEN3, repository=repository)
    return assess_variants(model, targets, machine, n_ctx)


def _unusual_facts(model: FamilyModel) -> Iterator[str]:
    """Yield lines about the thinking of a model where it can't be switched, and about pictures."""
    if model.thinking is not ThinkingSupport.SWITCHABLE:
        yield t(f"ui.models.thinking.{model.thinking.value}")
    if model.reads_text_only:
        yield t("ui.models.text_only")


def _repository_line(variant: ModelVariant) -> str:
    """Write the size and the reason of one quant."""
    assessed = variant.assessment
    size = format_size(variant.size_bytes)
    return terminal_safe(
        f"{FIT_MARKS[assessed.fit]} {assessed.quant:{_QUANT_CELLS}}{size:>9}  {assessed.reason}"
    )


def _oldest_first(variants: Iterable[ModelVariant], disk_models: Sequence[DiskModel]) -> list[ModelVariant]:
    """Sort the variants of files by the reversed order of the files, which are listed newest first."""
    by_file = {variant.file: variant for variant in variants}
    return [by_file[model.file] for model in reversed(disk_models) if model.file in by_file]


def _report(
    machine: Machine,
    hardware: Hardware | None,
    table: ModelTable,
    unlisted: Sequence[ModelVariant],
    incomplete: Iterable[StoredFiles],
) -> ModelsReport:
    gpus = [GpuFacts(gpu.name, gpu.free_bytes, gpu.total_bytes, gpu.shares_ram) for gpu in machine.gpus]
    idle = [gpu.name for gpu in hardware.unusable_gpus] if hardware else []
    offers = _offer_facts(table.recommendation)
    by_kind = {offer.kind: offer for offer in offers}
    return ModelsReport(
        HardwareFacts(machine.ram_free_bytes, gpus, machine.usable_bytes, hardware is not None, idle),
        by_kind.get(OfferKind.BEST),
        by_kind.get(OfferKind.QUICK),
        offers,
        [_model_facts(variant, table.draft_of(variant)) for variant in (*table.listed_variants, *unlisted)],
        [
            IncompleteFacts(stored.name, stored.quant, stored.size_bytes, str(stored.reference))
            for stored in incomplete
        ],
    )


def _offer_facts(recommendation: Recommendation) -> list[OfferFacts]:
    facts = []
    for offers in grouped_offers(recommendation):
        chosen, reason = offers[0].assessment, offer_reason(offers, recommendation)
        plan = chosen.plan
        facts += [
            OfferFacts(
                chosen.model.name,
                chosen.quant,
                plan.context.n_ctx,
                plan.context.kv_type,
                plan.placement,
                plan.n_gpu_layers,
                plan.n_cpu_moe,
                chosen.size_bytes,
                plan.need_bytes,
                round(plan.tokens_per_s, 1),
                reason,
                offer.kind,
                _whole_seconds(offer.answer_s),
                _whole_seconds(offer.thinking_answer_s),
                not offer.is_postponed,
            )
            for offer in offers
        ]
    return sorted(facts, key=lambda fact: list(OfferKind).index(fact.kind))


def _whole_seconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _model_facts(variant: ModelVariant, draft: DraftAssessment | None = None) -> ModelFacts:
    assessed = variant.assessment
    model, plan = assessed.model, assessed.plan
    return ModelFacts(
        model.name,
        assessed.quant,
        variant.size_bytes,
        assessed.fit,
        plan.need_bytes,
        round(plan.tokens_per_s, 1),
        variant.file is not None,
        str(assessed.reason),
        plan.context.n_ctx,
        plan.context.kv_type,
        plan.placement,
        model.thinking.value,
        t(f"catalog.good_for.{model.good_for.value}"),
        plan.is_observed,
        None if draft is None else _draft_facts(draft),
    )


def _draft_facts(draft: DraftAssessment) -> DraftFacts:
    return DraftFacts(
        draft.candidate.model.name,
        draft.candidate.quant,
        draft.candidate.is_installed,
        draft.need_bytes,
        draft.total_bytes if draft.plan else None,
        draft.speedup,
        draft.is_automatic,
    )


def _print_recommendation(recommendation: Recommendation) -> None:
    """Print the offers, each with its reason, then the better models with the reasons against them."""
    pick = recommendation.pick
    if pick is None:
        print_sentence(str(recommendation.reason))
        return
    if recommendation.fast is None:
        print(t("models.last_resort", model=_name(pick), size=format_size(pick.size_bytes)))
        print_sentence(f"  {recommendation.reason}", _INDENT_CELLS)
    else:
        for offers in grouped_offers(recommendation):
            print_sentence(_offer_line(offers))
            print_sentence(f"  {offer_reason(offers, recommendation)}", _INDENT_CELLS)
    for rejected in recommendation.rejected:
        print_sentence(t("models.rejected", model=_name(rejected.assessment), reason=rejected.reason))
    print(t("models.get", command=f"qwen3-chat pull {pick.model.name}:{pick.quant}"))


def _offer_line(offers: Sequence[Offer]) -> str:
    chosen = offers[0].assessment
    return t(
        "models.offer",
        kinds=offer_kinds(offers),
        model=_name(chosen),
        size=format_size(chosen.size_bytes),
        speed=speed_figure(chosen.plan.tokens_per_s),
        times=offer_times(offers[0]),
    )


def _name(assessed: Assessment) -> str:
    return f"{assessed.model.name} {assessed.quant}"


def _print_table(table: ModelTable, unlisted: Iterable[ModelVariant]) -> None:
    """Print the standard quants of the family by kind of machine, then the files that are not listed."""
    quants = _fitting_quants(terminal_columns())
    heads = "  ".join(f"{quant:<{_VARIANT_CELLS}}" for quant in quants)
    print(f"{'':{_NAME_CELLS}}{heads}".rstrip())
    machine_classes = list(MachineClass)
    by_use = sorted(table.family_rows, key=lambda row: machine_classes.index(row.model.good_for))
    for good_for, rows in groupby(by_use, key=lambda row: row.model.good_for):
        print_sentence(t(f"catalog.good_for.{good_for.value}"))
        for row in rows:
            cells = "  ".join(_cell(row.variant(quant)) for quant in quants)
            print(f"  {row.model.name:{_NAME_CELLS - _INDENT_CELLS}}{cells}".rstrip())
    if missing := [quant for quant in STANDARD_QUANTS if quant not in quants]:
        print_sentence(t("models.narrow", quants=SEPARATOR.join(missing)))
    for variant in unlisted:
        assessed = variant.assessment
        name = f"{FIT_MARKS[assessed.fit]}{INSTALLED_MARK} {_name(assessed)}"
        print_sentence(f"{name} ({format_size(variant.size_bytes)}): {assessed.reason}", _INDENT_CELLS)
    marks = {fit.value: mark for fit, mark in FIT_MARKS.items()}
    print_sentence(t("models.legend", **marks, installed=INSTALLED_MARK))


def _fitting_quants(columns: int | None) -> tuple[str, ...]:
    """Return the quants whose columns a terminal has room for, one at least, by rising quality."""
    if columns is None:
        return STANDARD_QUANTS
    count = max((columns - _NAME_CELLS + _GAP_CELLS) // (_VARIANT_CELLS + _GAP_CELLS), 1)
    chosen = sorted(STANDARD_QUANTS, key=_QUANTS_BY_USE.index)[:count]
    return tuple(quant for quant in STANDARD_QUANTS if quant in chosen)


def _print_drafts(table: ModelTable) -> None:
    """Print what a draft model would cost the models that are installed or offered, and bring them."""
    for variant in (*table.listed_variants, *table.unlisted_variants):
        is_near = variant.file is not None or table.offers_of(variant)
        draft = table.draft_of(variant) if is_near else None
        if draft is not None:
            print(terminal_safe(t("models.draft", model=_name(variant.assessment), verdict=draft.verdict)))


def _cell(variant: ModelVariant | None) -> str:
    """Write a variant in the table: its marks, size in GiB and speed; blanks where there is none."""
    if variant is None:
        return " " * _VARIANT_CELLS
    assessed = variant.assessment
    size_gib = variant.size_bytes / GIB
    size = f"{size_gib:.0f}" if size_gib >= 100 else f"{size_gib:.1f}"
    speed = "" if assessed.fit is Fit.TOO_LARGE else speed_figure(assessed.plan.tokens_per_s)
    mark = INSTALLED_MARK if variant.file else " "
    return f"{FIT_MARKS[assessed.fit]}{mark}{size:>{_SIZE_CELLS}} {speed:>{_SPEED_CELLS}}"
