"""The model picker's access to the machine, the files, the downloads and the engines, with its advice to
newcomers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.fit import Assessment, Gpu, Machine, Recommendation
from qwen3_chat.models.fit.assessment import write_speed
from qwen3_chat.models.fit.context_memory import ContextSpec, kv_bytes
from qwen3_chat.models.hardware import Hardware, advise_build
from qwen3_chat.models.hardware.hardware_text import describe_hardware, describe_machine
from qwen3_chat.models.library import (
    InstalledModel,
    ModelDirs,
    PartialDownload,
    Removal,
    apply_removal,
    list_external_models,
    list_partial_downloads,
    plan_removal,
)
from qwen3_chat.models.library import list_installed_models as installed_in
from qwen3_chat.models.picker.background_downloads import Downloads
from qwen3_chat.models.picker.model_table import DiskModel, ServerRow, VariantKey, identify_models
from qwen3_chat.request import KvType, LoadedModel
from qwen3_chat.session import EngineFactory, LocalModel
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size, join_sentences


async def no_servers() -> AsyncGenerator[Sequence[ServerRow], None]:
    """Name none."""
    nothing: tuple[Sequence[ServerRow], ...] = ()
    for rows in nothing:
        yield rows


@dataclass(frozen=True, slots=True)
class ModelPicker:
    """Given to the interface, which asks it: `probe` probes the machine, `demo` ships with the app.

    `servers` asks those that the user has named how they are, and yields all whenever one has answered;
    `override_machine` makes the machine the one that the user states.
    """

    probe: Callable[[], Awaitable[Hardware]]
    folder: Path
    model_dirs: ModelDirs
    downloads: Downloads
    make_engine: EngineFactory
    demo: LocalModel
    servers: Callable[[], AsyncGenerator[Sequence[ServerRow], None]] = no_servers
    override_machine: Callable[[Machine], Machine] | None = None

    async def list_disk_models(self) -> tuple[DiskModel, ...]:
        """List the models on this disk, the app's own first; what was broken off counts as paused."""
        found, parts = await asyncio.to_thread(
            lambda: (identify_models(self._files()), self._partial_downloads())
        )
        for key, part in parts.items():
            model = find_family_model(part.name)
            total_bytes = model.size_bytes(part.quant) if model and part.quant in model.quants else 0
            self.downloads.add_paused(part.reference, key, part.size_bytes, total_bytes)
        return found

    def available_machine(self, hardware: Hardware, loaded: LoadedModel | None) -> Machine:
        """Return what there is for a model once the one that is loaded has gone."""
        this = reclaim_memory(hardware.machine, loaded)
        return self.override_machine(this) if self.override_machine else this

    def describe_machine(self, hardware: Hardware, machine: Machine) -> str:
        """Describe the machine in one line."""
        return describe_machine(machine) if self.override_machine else describe_hardware(hardware)

    def plan_removal(self, key: VariantKey) -> Removal:
        """Find what belongs to a model, unfinished parts included.

        Raises:
            Qwen3ChatError: it is not in the app's folder.
        """
        return plan_removal(self.folder, ":".join(key), list_external_models(self.model_dirs))

    def remove(self, removal: Removal) -> None:
        """Remove it.

        Raises:
            ModelError: a file can't be removed.
        """
        apply_removal(removal, self.folder)

    def _partial_downloads(self) -> dict[VariantKey, PartialDownload]:
        parts = sorted(list_partial_downloads(self.folder), key=lambda part: part.size_bytes)
        return {(part.name, part.quant): part for part in parts if part.size_bytes}

    def _files(self) -> tuple[InstalledModel, ...]:
        return (*installed_in(self.folder), *list_external_models(self.model_dirs))


def reclaim_memory(machine: Machine, loaded: LoadedModel | None) -> Machine:
    """Give back what a loaded model holds; weights that are mapped from a file count as free anyway."""
    if loaded is None or (known := find_family_model(loaded.name)) is None or not loaded.n_layers:
        return machine
    context = ContextSpec(loaded.n_ctx, KvType.F16, 512, flash_attention=True)
    kv = kv_bytes(known.shape, context)
    on_gpu = loaded.n_gpu_layers / loaded.n_layers
    share = round((loaded.size_bytes + kv) * on_gpu / max(1, len(machine.gpus)))
    gpus = tuple(_with_more(gpu, share) for gpu in machine.gpus)
    return replace(machine, ram_free_bytes=machine.ram_free_bytes + round(kv * (1 - on_gpu)), gpus=gpus)


def _with_more(gpu: Gpu, more_bytes: int) -> Gpu:
    return replace(gpu, free_bytes=min(gpu.total_bytes, gpu.free_bytes + more_bytes))


def newcomer_advice(machine_text: str, recommendation: Recommendation) -> str:
    """Say in a few lines what the machine is, what suits it, what would be faster, how to get it."""
    lines = [t("shelf.machine", machine=machine_text)]
    if recommendation.pick is None:
        return "\n\n".join((*lines, str(recommendation.reason)))
    picks = [
        t(
            "shelf.pick",
            name=_name(recommendation.pick),
            size=_size(recommendation.pick),
            reason=recommendation.reason,
        )
    ]
    if recommendation.fast is not None:
        speed = write_speed(recommendation.fast.plan.tokens_per_s)
        picks.append(
            t("shelf.fast", name=_name(recommendation.fast), size=_size(recommendation.fast), speed=speed)
        )
    return "\n\n".join((*lines, join_sentences(picks), t("shelf.get")))


def idle_gpu_notice(hardware: Hardware) -> str:
    """Say which GPU this build of llama.cpp can't use, and what helps; empty where all is well."""
    found = advise_build(hardware)
    return "" if found is None else t("shelf.idle_gpu", name=found.gpu.name)


def _name(assessed: Assessment) -> str:
    return f"{assessed.model.title} {assessed.quant}"


def _size(assessed: Assessment) -> str:
    return format_size(assessed.model.size_bytes(assessed.quant))
