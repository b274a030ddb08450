"""`qwen3-chat models`: the models that fit this machine or another one, with a recommendation; those of a
repository likewise.
"""

from __future__ import annotations

import asyncio
import os
from itertools import groupby
from pathlib import Path

import msgspec

from qwen3_chat.cli.composition import configured_model_dirs, probe_hardware_sync
from qwen3_chat.config import find_paths
from qwen3_chat.errors import ModelError
from qwen3_chat.models.catalog import FAMILY, FamilyModel, MachineClass
from qwen3_chat.models.catalog.family import STANDARD_QUANTS
from qwen3_chat.models.fit import Assessment, Fit, Machine, Placement, Recommendation, assess, recommend
from qwen3_chat.models.fit.assessment import write_speed
from qwen3_chat.models.hardware import Hardware, advise_build, override_machine
from qwen3_chat.models.hardware.hardware_text import describe_hardware, describe_machine
from qwen3_chat.models.hub import hubs_from, resolve_repository
from qwen3_chat.models.hub.retry_policy import DEFAULT_RETRY_POLICY
from qwen3_chat.models.library import InstalledModel, list_external_models, list_installed_models
from qwen3_chat.models.picker import ModelVariant, identify_models
from qwen3_chat.models.picker.repository_variants import assess_variants, fetch_metadata
from qwen3_chat.request import KvType
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import GIB, format_size
from qwen3_chat.texts.terminal_safe import terminal_safe


def variants_in(repository: str, machine: Machine, n_ctx: int | None) -> tuple[ModelVariant, ...]:
    """List a repository and assess all that is in it, after a look into its smallest file.

    Raises:
        Qwen3ChatError: there is no such repository, no model in it, or no source could be asked.
    """
    return asyncio.run(_variants_in(repository, machine, n_ctx))


async def _variants_in(repository: str, machine: Machine, n_ctx: int | None) -> tuple[ModelVariant, ...]:
    hubs = hubs_from(os.environ)
    found = await resolve_repository(repository, hubs, DEFAULT_RETRY_POLICY)
    if not found:
        raise ModelError("models.none_in", repository=repository)
    smallest = min(found, key=lambda wanted: wanted.size_bytes)
    model = await fetch_metadata(smallest, hubs, DEFAULT_RETRY_POLICY)
    if model is None:
        raise ModelError("models.no_qwen3", repository=repository)
    return assess_variants(model, found, machine, n_ctx)


def format_variant(variant: ModelVariant, mark: str) -> str:
    """Write one quant with its size and the reason."""
    quant, size = variant.assessment.quant, format_size(variant.size_bytes)
    return terminal_safe(f"{mark} {quant:12}{size:>9}  {variant.assessment.reason}")


def print_variants(repository: str, variants: tuple[ModelVariant, ...], marks: dict[str, str]) -> None:
    """Print every quant, and how to get one."""
    for offer in variants:
        print(format_variant(offer, marks[offer.assessment.fit]))
    usable = [offer for offer in variants if offer.assessment.is_usable] or list(variants[:1])
    command = f"qwen3-chat pull {repository}:{usable[-1].assessment.quant}"
    print(t("models.get", command=terminal_safe(command)))


NAME_COLUMN_CELLS, SIZE_COLUMN_CELLS, SPEED_COLUMN_CELLS = 26, 5, 4
FIT_MARKS = {Fit.GOOD: "✓", Fit.TIGHT: "~", Fit.SLOW: "▽", Fit.TOO_LARGE: "✗"}
INSTALLED_MARK = "●"
InstalledModels = dict[tuple[str, str], InstalledModel]


class GpuFacts(msgspec.Struct, frozen=True):
    """A GPU in `models --json`."""

    name: str
    free_bytes: int
    total_bytes: int
    shares_ram: bool


class HardwareFacts(msgspec.Struct, frozen=True):
    """The machine in `models --json`; `usable_bytes` is what is left for a model after all margins."""

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


class ModelsReport(msgspec.Struct, frozen=True):
    """What `models --json` prints."""

    hardware: HardwareFacts
    pick: PickFacts | None
    fast: PickFacts | None
    models: list[ModelFacts]


def list_models(
    as_json: bool, vram: str | None, ram: str | None, n_ctx: int | None, repository: str | None = None
) -> None:
    """Print what fits, and the pick with its reason; of a repository, what is in it.

    Raises:
        UsageError: a size can't be read.
        Qwen3ChatError: the repository could not be looked into.
    """
    paths = find_paths()
    hardware = None if vram is not None and ram is not None else probe_hardware_sync(paths.engine_log_file)
    machine = hardware.machine if hardware else None
    if vram is not None or ram is not None:
        machine = override_machine(vram, ram, machine)
        hardware = None
    assert machine
    if repository is not None:
        offers = variants_in(repository, machine, n_ctx)
        if as_json:
            facts = [_model_facts(offer.assessment, offer.size_bytes, {}) for offer in offers]
            print(msgspec.json.encode({"models": facts}).decode())
        else:
            print_variants(repository, offers, {fit.value: mark for fit, mark in FIT_MARKS.items()})
        return
    found = recommend(machine, n_ctx)
    installed = _installed(paths.models)
    if as_json:
        print(msgspec.json.encode(_report(machine, hardware, found, installed, n_ctx)).decode())
        return
    print(describe_hardware(hardware) if hardware else describe_machine(machine))
    if hardware and (advice := advise_build(hardware)):
        print(t("hardware.idle_gpu", name=terminal_safe(advice.gpu.name)))
    print()
    _print_recommendation(found)
    print()
    _print_table(machine, installed, n_ctx)


def _installed(models: Path) -> InstalledModels:
    found = (*list_installed_models(models), *list_external_models(configured_model_dirs()))
    return {(model.name.lower(), model.quant.upper()): model for model in reversed(found)}


def _unlisted_models(
    installed: InstalledModels, machine: Machine, n_ctx: int | None
) -> list[tuple[Assessment, int]]:
    """Assess the files on this disk that the catalogue doesn't list, each with its size."""
    listed = {(model.name.lower(), quant) for model in FAMILY for quant in model.quants}
    assessed = []
    for one in identify_models(file for key, file in installed.items() if key not in listed):
        found = assess(one.model, one.file.quant, machine, n_ctx, one.file.size_bytes)
        assessed.append((found, one.file.size_bytes))
    return assessed


def _report(
    machine: Machine,
    hardware: Hardware | None,
    recommendation: Recommendation,
    installed: InstalledModels,
    n_ctx: int | None,
) -> ModelsReport:
    gpus = [GpuFacts(gpu.name, gpu.free_bytes, gpu.total_bytes, gpu.shares_ram) for gpu in machine.gpus]
    idle = [gpu.name for gpu in hardware.unusable_gpus] if hardware else []
    return ModelsReport(
        HardwareFacts(machine.ram_free_bytes, gpus, machine.usable_bytes, hardware is not None, idle),
        _pick_facts(recommendation.pick, str(recommendation.reason)) if recommendation.pick else None,
        _pick_facts(recommendation.fast, str(recommendation.fast.reason)) if recommendation.fast else None,
        [
            *(
                _model_facts(assess(model, quant, machine, n_ctx), model.size_bytes(quant), installed)
                for model in FAMILY
                for quant in model.quants
            ),
            *(
                _model_facts(found, size, installed)
                for found, size in _unlisted_models(installed, machine, n_ctx)
            ),
        ],
    )


def _pick_facts(chosen: Assessment, reason: str) -> PickFacts:
    plan = chosen.plan
    return PickFacts(
        chosen.model.name,
        chosen.quant,
        plan.context.n_ctx,
        plan.context.kv_type,
        plan.placement,
        plan.n_gpu_layers,
        plan.n_cpu_moe,
        chosen.model.size_bytes(chosen.quant),
        plan.need_bytes,
        round(plan.tokens_per_s, 1),
        reason,
    )


def _model_facts(assessed: Assessment, size_bytes: int, installed: InstalledModels) -> ModelFacts:
    model, plan = assessed.model, assessed.plan
    return ModelFacts(
        model.name,
        assessed.quant,
        size_bytes,
        assessed.fit,
        plan.need_bytes,
        round(plan.tokens_per_s, 1),
        (model.name.lower(), assessed.quant) in installed,
        str(assessed.reason),
        plan.context.n_ctx,
        plan.context.kv_type,
        plan.placement,
        model.thinking.value,
        t(f"catalog.good_for.{model.good_for.value}"),
    )


def _print_recommendation(recommendation: Recommendation) -> None:
    if recommendation.pick is None:
        print(recommendation.reason)
        return
    print(t("models.pick", model=_name(recommendation.pick), size=_size(recommendation.pick)))
    print(f"  {recommendation.reason}")
    if recommendation.fast:
        speed = write_speed(recommendation.fast.plan.tokens_per_s)
        print(
            t("models.fast", model=_name(recommendation.fast), size=_size(recommendation.fast), speed=speed)
        )
    for rejected in recommendation.rejected:
        print(t("models.rejected", model=_name(rejected), reason=rejected.reason))
    print(
        t(
            "models.get",
            command=f"qwen3-chat pull {recommendation.pick.model.name}:{recommendation.pick.quant}",
        )
    )


def _name(assessed: Assessment) -> str:
    return f"{assessed.model.name} {assessed.quant}"


def _size(assessed: Assessment) -> str:
    return format_size(assessed.model.size_bytes(assessed.quant))


def _print_table(machine: Machine, installed: InstalledModels, n_ctx: int | None) -> None:
    heads = "  ".join(f"{quant:<{SIZE_COLUMN_CELLS + SPEED_COLUMN_CELLS + 3}}" for quant in STANDARD_QUANTS)
    print(f"{'':{NAME_COLUMN_CELLS}}{heads}".rstrip())
    by_use = sorted(FAMILY, key=lambda model: list(MachineClass).index(model.good_for))
    for good_for, models in groupby(by_use, key=lambda model: model.good_for):
        print(t(f"catalog.good_for.{good_for.value}"))
        for model in models:
            cells = [_cell(model, quant, machine, installed, n_ctx) for quant in STANDARD_QUANTS]
            print(f"  {model.name:{NAME_COLUMN_CELLS - 2}}{'  '.join(cells)}".rstrip())
    for other, size_bytes in _unlisted_models(installed, machine, n_ctx):
        print(
            f"{FIT_MARKS[other.fit]}{INSTALLED_MARK} {_name(other)} ({format_size(size_bytes)}): {other.reason}"
        )
    print(
        t("models.legend", **{fit.value: mark for fit, mark in FIT_MARKS.items()}, installed=INSTALLED_MARK)
    )


def _cell(
    model: FamilyModel, quant: str, machine: Machine, installed: InstalledModels, n_ctx: int | None
) -> str:
    if quant not in model.quants:
        return " " * (SIZE_COLUMN_CELLS + SPEED_COLUMN_CELLS + 3)
    found = assess(model, quant, machine, n_ctx)
    size_gib = model.size_bytes(quant) / GIB
    size = f"{size_gib:.0f}" if size_gib >= 100 else f"{size_gib:.1f}"
    speed = "" if found.fit is Fit.TOO_LARGE else write_speed(found.plan.tokens_per_s)
    mark = INSTALLED_MARK if (model.name.lower(), quant) in installed else " "
    return f"{FIT_MARKS[found.fit]}{mark}{size:>{SIZE_COLUMN_CELLS}} {speed:>{SPEED_COLUMN_CELLS}}"
