"""`qwen3-chat models`: the family on this machine or on another one, with what to choose."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

import msgspec

from qwen3_chat.catalog import FAMILY, FamilyModel, GoodFor
from qwen3_chat.catalog.family import USUAL_QUANTS
from qwen3_chat.cli.machine import look
from qwen3_chat.cli.places import model_places
from qwen3_chat.cli.repository import offers_in, print_offers
from qwen3_chat.config import paths_from
from qwen3_chat.fit import Assessment, Fit, Machine, Placement, Recommendation, assess, recommend
from qwen3_chat.fit.reasons import write_speed
from qwen3_chat.hardware import Hardware, advise, machine_like
from qwen3_chat.hardware.in_words import hardware_line, machine_line
from qwen3_chat.library import InstalledModel, installed_models, models_elsewhere
from qwen3_chat.plain import plain
from qwen3_chat.request import KvType
from qwen3_chat.shelf import described
from qwen3_chat.sizes import GIB, write_size
from qwen3_chat.texts import t

NAME_CELLS, SIZE_CELLS, SPEED_CELLS = 26, 5, 4
MARKS = {Fit.GOOD: "✓", Fit.TIGHT: "~", Fit.SLOW: "▽", Fit.TOO_LARGE: "✗"}
INSTALLED_MARK = "●"
Installed = dict[tuple[str, str], InstalledModel]


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


class ModelsFacts(msgspec.Struct, frozen=True):
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
    paths = paths_from()
    hardware = None if vram is not None and ram is not None else look(paths.engine_log)
    machine = hardware.machine if hardware else None
    if vram is not None or ram is not None:
        machine = machine_like(vram, ram, machine)
        hardware = None
    assert machine
    if repository is not None:
        offers = offers_in(repository, machine, n_ctx)
        if as_json:
            facts = [_model_facts(offer.assessment, offer.size_bytes, {}) for offer in offers]
            print(msgspec.json.encode({"models": facts}).decode())
        else:
            print_offers(repository, offers, {fit.value: mark for fit, mark in MARKS.items()})
        return
    found = recommend(machine, n_ctx)
    installed = _installed(paths.models)
    if as_json:
        print(msgspec.json.encode(_facts(machine, hardware, found, installed, n_ctx)).decode())
        return
    print(hardware_line(hardware) if hardware else machine_line(machine))
    if hardware and (advice := advise(hardware)):
        print(t("hardware.idle_gpu", name=plain(advice.gpu.name)))
    print()
    _print_recommendation(found)
    print()
    _print_table(machine, installed, n_ctx)


def _installed(models: Path) -> Installed:
    found = (*installed_models(models), *models_elsewhere(model_places()))
    return {(model.name.lower(), model.quant.upper()): model for model in reversed(found)}


def _others(installed: Installed, machine: Machine, n_ctx: int | None) -> list[tuple[Assessment, int]]:
    """Assess the files on this disk that the catalogue doesn't list, each with its size."""
    listed = {(model.name.lower(), quant) for model in FAMILY for quant in model.quants}
    assessed = []
    for one in described(file for key, file in installed.items() if key not in listed):
        found = assess(one.model, one.file.quant, machine, n_ctx, one.file.size_bytes)
        assessed.append((found, one.file.size_bytes))
    return assessed


def _facts(
    machine: Machine,
    hardware: Hardware | None,
    found: Recommendation,
    installed: Installed,
    n_ctx: int | None,
) -> ModelsFacts:
    gpus = [GpuFacts(gpu.name, gpu.free_bytes, gpu.total_bytes, gpu.shares_ram) for gpu in machine.gpus]
    idle = [gpu.name for gpu in hardware.unusable_gpus] if hardware else []
    return ModelsFacts(
        HardwareFacts(machine.ram_free_bytes, gpus, machine.usable_bytes, hardware is not None, idle),
        _pick_facts(found.pick, str(found.reason)) if found.pick else None,
        _pick_facts(found.fast, str(found.fast.reason)) if found.fast else None,
        [
            *(
                _model_facts(assess(model, quant, machine, n_ctx), model.size_bytes(quant), installed)
                for model in FAMILY
                for quant in model.quants
            ),
            *(_model_facts(found, size, installed) for found, size in _others(installed, machine, n_ctx)),
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


def _model_facts(assessed: Assessment, size_bytes: int, installed: Installed) -> ModelFacts:
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


def _print_recommendation(found: Recommendation) -> None:
    if found.pick is None:
        print(found.reason)
        return
    print(t("models.pick", model=_name(found.pick), size=_size(found.pick)))
    print(f"  {found.reason}")
    if found.fast:
        speed = write_speed(found.fast.plan.tokens_per_s)
        print(t("models.fast", model=_name(found.fast), size=_size(found.fast), speed=speed))
    for rejected in found.rejected:
        print(t("models.rejected", model=_name(rejected), reason=rejected.reason))
    print(t("models.get", command=f"qwen3-chat pull {found.pick.model.name}:{found.pick.quant}"))


def _name(assessed: Assessment) -> str:
    return f"{assessed.model.name} {assessed.quant}"


def _size(assessed: Assessment) -> str:
    return write_size(assessed.model.size_bytes(assessed.quant))


def _print_table(machine: Machine, installed: Installed, n_ctx: int | None) -> None:
    heads = "  ".join(f"{quant:<{SIZE_CELLS + SPEED_CELLS + 3}}" for quant in USUAL_QUANTS)
    print(f"{'':{NAME_CELLS}}{heads}".rstrip())
    by_use = sorted(FAMILY, key=lambda model: list(GoodFor).index(model.good_for))
    for good_for, models in groupby(by_use, key=lambda model: model.good_for):
        print(t(f"catalog.good_for.{good_for.value}"))
        for model in models:
            cells = [_cell(model, quant, machine, installed, n_ctx) for quant in USUAL_QUANTS]
            print(f"  {model.name:{NAME_CELLS - 2}}{'  '.join(cells)}".rstrip())
    for other, size_bytes in _others(installed, machine, n_ctx):
        print(f"{MARKS[other.fit]}{INSTALLED_MARK} {_name(other)} ({write_size(size_bytes)}): {other.reason}")
    print(t("models.legend", **{fit.value: mark for fit, mark in MARKS.items()}, installed=INSTALLED_MARK))


def _cell(model: FamilyModel, quant: str, machine: Machine, installed: Installed, n_ctx: int | None) -> str:
    if quant not in model.quants:
        return " " * (SIZE_CELLS + SPEED_CELLS + 3)
    found = assess(model, quant, machine, n_ctx)
    size_gib = model.size_bytes(quant) / GIB
    size = f"{size_gib:.0f}" if size_gib >= 100 else f"{size_gib:.1f}"
    speed = "" if found.fit is Fit.TOO_LARGE else write_speed(found.plan.tokens_per_s)
    mark = INSTALLED_MARK if (model.name.lower(), quant) in installed else " "
    return f"{MARKS[found.fit]}{mark}{size:>{SIZE_CELLS}} {speed:>{SPEED_CELLS}}"
