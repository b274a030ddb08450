"""The model picker's access to machine, files, downloads and engines, with its advice to newcomers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from qwen3_chat.models.catalog import find_family_model
from qwen3_chat.models.fit import Assessment, Gpu, Machine, Offer, Recommendation
from qwen3_chat.models.fit.context_memory import kv_bytes
from qwen3_chat.models.fit.placement import gpu_context
from qwen3_chat.models.hardware import Hardware, advise_build
from qwen3_chat.models.hardware.hardware_text import describe_hardware, describe_machine
from qwen3_chat.models.library import (
    ModelDirs,
    PartialDownload,
    Removal,
    apply_removal,
    list_external_models,
    list_models_on_disk,
    list_partial_downloads,
    plan_removal,
)
from qwen3_chat.models.picker.background_downloads import Downloads
from qwen3_chat.models.picker.draft_choice import DraftSetting
from qwen3_chat.models.picker.model_table import (
    DiskModel,
    ModelVariant,
    ServerRow,
    VariantKey,
    identify_models,
)
from qwen3_chat.models.picker.offer_text import grouped_offers, offer_kinds, offer_times
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LOCAL_ENGINE_NAME, KvType, LoadedModel
from qwen3_chat.session import EngineFactory, LocalModel
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import format_size, speed_figure

_NO_ROWS: tuple[Sequence[ServerRow], ...] = ()


async def no_servers() -> AsyncGenerator[Sequence[ServerRow], None]:
    """Yield no servers."""
    for rows in _NO_ROWS:
        yield rows


@dataclass(frozen=True, slots=True)
class StartupAdapters:
    """The adapters that were named at the start, by their labels, for the model of one file."""

    path: Path
    labels: tuple[str, ...]

    def suit(self, path: Path) -> bool:
        """Return whether a file is the model that they are for; any other one runs without them."""
        return path.expanduser().absolute() == self.path

    def title_of(self, path: Path, title: str) -> str:
        """Return the title of a model with the adapters that it runs with."""
        return " + ".join((title, *self.labels)) if self.suit(path) else title

    def sentence(self, path: Path) -> str:
        """Say whether the model of a file runs with them."""
        key = "ui.models.with_adapters" if self.suit(path) else "ui.models.without_adapters"
        return t(key, adapters=", ".join(self.labels))


@dataclass(frozen=True, slots=True)
class ModelPicker:
    """The interface's access to models: `probe` probes the machine, `demo` ships with the app.

    `servers` probes the servers that the user has named, and yields the rows of all after each response;
    `override_machine` replaces the machine by the one that the user states; `adapters` is None where none
    were named. `drafts` is the model that drafts for those loaded next; None where it can't be chosen.
    """

    probe: Callable[[], Awaitable[Hardware]]
    folder: Path
    model_dirs: ModelDirs
    downloads: Downloads
    make_engine: EngineFactory
    demo: LocalModel
    servers: Callable[[], AsyncGenerator[Sequence[ServerRow], None]] = no_servers
    override_machine: Callable[[Machine], Machine] | None = None
    adapters: StartupAdapters | None = None
    drafts: DraftSetting | None = None
    used_files: dict[Path, str] = field(default_factory=dict)
    """The files that the chat has used since the start, with the titles of their models."""

    def remember(self, loaded: LoadedModel | None) -> None:
        """Remember the file of a model in use, so that there is a way back to it."""
        if loaded is not None and loaded.engine == LOCAL_ENGINE_NAME and not loaded.is_demo:
            self.used_files.setdefault(Path(loaded.path), loaded.file_title)

    def adapter_sentence(self, path: Path) -> str:
        """Say whether a model would run with the adapters of the start; empty where there are none."""
        return self.adapters.sentence(path) if self.adapters else ""

    def title_of(self, path: Path, title: str) -> str:
        """Return the title of a model with the adapters that it would run with."""
        return self.adapters.title_of(path, title) if self.adapters else title

    async def list_disk_models(self) -> tuple[DiskModel, ...]:
        """List the models on this disk, the app's own first, and add partial downloads as paused ones."""
        models, parts = await asyncio.to_thread(
            lambda: (
                identify_models(list_models_on_disk(self.folder, self.model_dirs)),
                self._partial_downloads(),
            )
        )
        for key, part in parts.items():
            model = find_family_model(part.name)
            total_bytes = model.size_bytes(part.quant) if model and part.quant in model.quants else 0
            self.downloads.add_paused(part.reference, key, part.size_bytes, total_bytes)
        return models

    def available_machine(self, hardware: Hardware, loaded: LoadedModel | None) -> Machine:
        """Return the machine as the next model finds it, after the loaded one is gone."""
        machine = reclaim_memory(hardware.machine, loaded)
        return self.override_machine(machine) if self.override_machine else machine

    def steady_machine(self, hardware: Hardware) -> Machine:
        """Return the machine with the memory that is free when other programs idle."""
        if self.override_machine:  # its memory was stated as free
            return self.override_machine(hardware.machine)
        return hardware.steady_machine

    def describe_machine(self, hardware: Hardware, machine: Machine) -> str:
        """Describe the machine in one line."""
        return describe_machine(machine) if self.override_machine else describe_hardware(hardware)

    def plan_removal(self, variant: ModelVariant) -> Removal:
        """Find the files of a model, or of its partial download.

        Raises:
            Qwen3ChatError: it is not in the app's folder.
        """
        download = self.downloads.states.get(variant.key)
        file = variant.file.path if variant.file else None
        reference = variant.reference if file or download is None else download.reference
        return plan_removal(self.folder, reference, list_external_models(self.model_dirs), file)

    def remove(self, removal: Removal) -> None:
        """Remove the files of a model.

        Raises:
            ModelError: a file can't be removed.
        """
        apply_removal(removal, self.folder)

    def _partial_downloads(self) -> dict[VariantKey, PartialDownload]:
        parts = sorted(list_partial_downloads(self.folder), key=lambda part: part.size_bytes)
        return {(part.name, part.quant): part for part in parts if part.size_bytes}


def reclaim_memory(machine: Machine, loaded: LoadedModel | None) -> Machine:
    """Return the machine without the loaded model; weights mapped from a file count as free anyway."""
    if loaded is None or (known := find_family_model(loaded.name)) is None or not loaded.n_layers:
        return machine
    kv = kv_bytes(known.shape, gpu_context(loaded.n_ctx, KvType.F16))
    on_gpu = loaded.n_gpu_layers / loaded.n_layers
    share = round((loaded.size_bytes + kv) * on_gpu / max(1, len(machine.gpus)))
    gpus = tuple(_with_more(gpu, share) for gpu in machine.gpus)
    return replace(machine, ram_free_bytes=machine.ram_free_bytes + round(kv * (1 - on_gpu)), gpus=gpus)


def _with_more(gpu: Gpu, more_bytes: int) -> Gpu:
    return replace(gpu, free_bytes=min(gpu.total_bytes, gpu.free_bytes + more_bytes))


def newcomer_advice(machine_text: str, recommendation: Recommendation) -> str:
    """Write the machine, the offered models and the way to get one, in a few lines."""
    first = t("shelf.machine", machine=machine_text)
    if recommendation.pick is None:
        return "\n\n".join((first, str(recommendation.reason)))
    if recommendation.fast is None:
        last_resort = t(
            "shelf.last_resort",
            name=_title(recommendation.pick),
            size=format_size(recommendation.pick.size_bytes),
            reason=recommendation.reason,
        )
        return "\n\n".join((first, last_resort, t("shelf.get")))
    offers = [_offer_line(offers) for offers in grouped_offers(recommendation)]
    return "\n".join((first, *offers, t("shelf.get")))


def _offer_line(offers: Sequence[Offer]) -> str:
    chosen = offers[0].assessment
    return t(
        "shelf.offer",
        kinds=offer_kinds(offers),
        name=chosen.model.name,
        size=format_size(chosen.size_bytes),
        speed=speed_figure(chosen.plan.tokens_per_s),
        times=offer_times(offers[0], is_short=True),
    )


def idle_gpu_notice(hardware: Hardware) -> str:
    """Write the notice of a GPU that this build of llama.cpp can't use; empty where there is none."""
    advice = advise_build(hardware)
    return "" if advice is None else t("shelf.idle_gpu", name=advice.gpu.name)


def _title(assessed: Assessment) -> str:
    return f"{assessed.model.title} {assessed.quant}"
