"""The models that can answer a question side by side: those on this disk and on servers, in each mode."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwen3_chat.chat import ThinkingMode, ThinkingSupport
from qwen3_chat.demo import DEMO_MODEL_NAME
from qwen3_chat.models.picker.model_picker import ModelPicker
from qwen3_chat.models.picker.model_table import DiskModel, ServerRow
from qwen3_chat.request import LOCAL_ENGINE_NAME, LoadedModel
from qwen3_chat.session import EngineChoice, LocalModel
from qwen3_chat.session.engine_choice import encode_choice
from qwen3_chat.store.records import Entrant
from qwen3_chat.texts.formatting import SEPARATOR

_ONLY_MODE = {ThinkingSupport.ALWAYS: ThinkingMode.THINK, ThinkingSupport.NEVER: ThinkingMode.NO_THINK}


@dataclass(frozen=True, slots=True)
class ContenderList:
    """The models to choose from for one question; `mode` is the only one where the question has its tag."""

    loaded: LoadedModel | None
    local: tuple[Entrant, ...]
    mode: ThinkingMode | None = None

    def with_servers(self, servers: Iterable[ServerRow]) -> tuple[Entrant, ...]:
        """Return all models, those of servers that answer last."""
        served = (
            entrant
            for row in servers
            if row.is_reachable
            for entrant in _in_modes(_served_title(row), row.choice, self.mode, None)
        )
        return tuple(dict.fromkeys((*self.local, *served)))

    def own(self, mode: ThinkingMode, entrants: Sequence[Entrant]) -> Entrant | None:
        """Return the chat's own model in a mode, if it is a local one."""
        if self.loaded is None or self.loaded.engine != LOCAL_ENGINE_NAME:
            return None
        own = encode_choice(LocalModel(Path(self.loaded.path).expanduser().absolute()))
        same = [entrant for entrant in entrants if entrant.choice == own]
        return next((entrant for entrant in same if entrant.mode is mode), same[0] if same else None)


async def list_contenders(
    picker: ModelPicker, loaded: LoadedModel | None, mode: ThinkingMode | None
) -> ContenderList:
    """List the models on this disk that can answer; `mode` is the one that the question asks for by a tag."""
    picker.remember(loaded)
    entrants = [
        entrant
        for disk_model in await picker.list_disk_models()
        for entrant in _of_disk_model(disk_model, mode, picker)
    ]
    choices = {entrant.choice for entrant in entrants}
    for path, title in picker.used_files.items():
        others = _in_modes(picker.title_of(path, title), _local(path), mode, None)
        entrants += [entrant for entrant in others if entrant.choice not in choices]
    demo_title = picker.title_of(picker.demo.path, DEMO_MODEL_NAME)
    entrants += _in_modes(demo_title, _local(picker.demo.path), mode, None)
    return ContenderList(loaded, tuple(dict.fromkeys(entrants)), mode)


def _of_disk_model(
    disk_model: DiskModel, mode: ThinkingMode | None, picker: ModelPicker
) -> Iterator[Entrant]:
    title = " ".join(filter(None, (disk_model.model.title, disk_model.file.quant)))
    only = _ONLY_MODE.get(disk_model.model.thinking)
    title = picker.title_of(disk_model.file.path, title)
    yield from _in_modes(title, _local(disk_model.file.path), mode, only)


def _local(path: Path) -> LocalModel:
    return LocalModel(path.expanduser().absolute())


def _served_title(row: ServerRow) -> str:
    """Return the model without the folders before its name, and the server."""
    name = (row.choice.model or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    return SEPARATOR.join(filter(None, (name, row.title)))


def _in_modes(
    title: str, choice: EngineChoice, typed: ThinkingMode | None, only: ThinkingMode | None
) -> Iterator[Entrant]:
    """Yield a model in each mode that it has; a typed tag leaves one."""
    text = encode_choice(choice)
    fixed = only or typed
    for mode in (fixed,) if fixed else ThinkingMode:
        yield Entrant(title, mode, text)
