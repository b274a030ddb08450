"""What choosing a model takes: the machine, the files, the downloads, the way to an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qwen3_chat.catalog import find
from qwen3_chat.fit import Gpu, Machine
from qwen3_chat.fit.memory import ContextSpec, kv_bytes
from qwen3_chat.hardware import Hardware
from qwen3_chat.hardware.in_words import hardware_line, machine_line
from qwen3_chat.library import (
    InstalledModel,
    Places,
    Removal,
    Unfinished,
    models_elsewhere,
    plan_removal,
    remove,
    unfinished_downloads,
)
from qwen3_chat.library import installed_models as installed_in
from qwen3_chat.request import KvType, LoadedModel
from qwen3_chat.session import LocalModel, MakeEngine
from qwen3_chat.shelf.downloads import Downloads
from qwen3_chat.shelf.files import DiskModel, described
from qwen3_chat.shelf.rows import Key, ServerRow


async def no_servers() -> AsyncGenerator[Sequence[ServerRow], None]:
    """Name none."""
    nothing: tuple[Sequence[ServerRow], ...] = ()
    for rows in nothing:
        yield rows


@dataclass(frozen=True, slots=True)
class ModelDesk:
    """Given to the interface, which asks it: `look` probes the machine, `demo` ships with the app.

    `servers` asks those that the user has named how they are, and yields all whenever one has answered;
    `stated` makes the machine the one that the user states.
    """

    look: Callable[[], Awaitable[Hardware]]
    folder: Path
    places: Places
    downloads: Downloads
    make_engine: MakeEngine
    demo: LocalModel
    servers: Callable[[], AsyncGenerator[Sequence[ServerRow], None]] = no_servers
    stated: Callable[[Machine], Machine] | None = None

    async def disk(self) -> tuple[DiskModel, ...]:
        """List the models on this disk, the app's own first; what was broken off counts as paused."""
        found, parts = await asyncio.to_thread(lambda: (described(self._files()), self._parts()))
        for key, part in parts.items():
            model = find(part.name)
            total_bytes = model.size_bytes(part.quant) if model and part.quant in model.quants else 0
            self.downloads.remember(part.wanted, key, part.size_bytes, total_bytes)
        return found

    def machine(self, hardware: Hardware, loaded: LoadedModel | None) -> Machine:
        """Return what there is for a model once the one that is loaded has gone."""
        this = without(hardware.machine, loaded)
        return self.stated(this) if self.stated else this

    def in_words(self, hardware: Hardware, machine: Machine) -> str:
        """Describe the machine in one line."""
        return machine_line(machine) if self.stated else hardware_line(hardware)

    def removal(self, key: Key) -> Removal:
        """Find what belongs to a model, unfinished parts included.

        Raises:
            Qwen3ChatError: it is not in the app's folder.
        """
        return plan_removal(self.folder, ":".join(key), models_elsewhere(self.places))

    def remove(self, removal: Removal) -> None:
        """Remove it.

        Raises:
            ModelError: a file can't be removed.
        """
        remove(removal, self.folder)

    def _parts(self) -> dict[Key, Unfinished]:
        parts = sorted(unfinished_downloads(self.folder), key=lambda part: part.size_bytes)
        return {(part.name, part.quant): part for part in parts if part.size_bytes}

    def _files(self) -> tuple[InstalledModel, ...]:
        return (*installed_in(self.folder), *models_elsewhere(self.places))


def without(machine: Machine, loaded: LoadedModel | None) -> Machine:
    """Give back what a loaded model holds; weights that are mapped from a file count as free anyway."""
    if loaded is None or (known := find(loaded.name)) is None or not loaded.n_layers:
        return machine
    context = ContextSpec(loaded.n_ctx, KvType.F16, 512, flash_attention=True)
    kv = kv_bytes(known.shape, context)
    on_gpu = loaded.n_gpu_layers / loaded.n_layers
    share = round((loaded.size_bytes + kv) * on_gpu / max(1, len(machine.gpus)))
    gpus = tuple(_with_more(gpu, share) for gpu in machine.gpus)
    return replace(machine, ram_free_bytes=machine.ram_free_bytes + round(kv * (1 - on_gpu)), gpus=gpus)


def _with_more(gpu: Gpu, more_bytes: int) -> Gpu:
    return replace(gpu, free_bytes=min(gpu.total_bytes, gpu.free_bytes + more_bytes))
