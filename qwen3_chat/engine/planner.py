"""The plan that a model is loaded by, which shrinks where memory runs out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from qwen3_chat import gguf
from qwen3_chat.engine.load_ladder import next_plan, trouble_of
from qwen3_chat.engine.load_plan import LoadPlan
from qwen3_chat.engine.planning import make_plan
from qwen3_chat.engine.wire import Device
from qwen3_chat.errors import EngineError, ModelError
from qwen3_chat.events import Notice
from qwen3_chat.file_name import part_names
from qwen3_chat.fit import Machine
from qwen3_chat.gguf import GgufHeader
from qwen3_chat.request import LoadSettings

ListDevices = Callable[[], Awaitable[tuple[Device, ...]]]
Look = Callable[[ListDevices], Awaitable[Machine]]
"""Looks at the machine as it is now, with llama.cpp's help."""


class Planner:
    """Decides how a file is loaded: by a look at the machine, then with less where that is too much."""

    def __init__(self, settings: LoadSettings, look: Look | None) -> None:
        self.settings = settings
        self._look = look
        self._plan: LoadPlan | None = None

    async def plan(self, list_devices: ListDevices) -> tuple[LoadPlan, tuple[Notice, ...]]:
        """Return the plan, with what to tell the user of it the first time.

        Raises:
            EngineError: the file can't be read.
        """
        if self._plan:
            return self._plan, ()
        machine = None
        try:
            header, size_bytes = await asyncio.to_thread(_read, Path(self.settings.path))
        except ModelError as error:
            raise EngineError(error.key, **error.values) from error
        if self._look:
            machine = await self._look(list_devices)
        self._plan, notices = make_plan(header, size_bytes, machine, self.settings)
        return self._plan, notices

    def step_down(self, error: EngineError) -> Notice | None:
        """Make do with less after an error, and say what it is; None where that would be of no use."""
        trouble = trouble_of(error)
        if self._plan is None or trouble is None:
            return None
        step = next_plan(self._plan, trouble, self.settings)
        if step is None:
            return None
        self._plan, notice = step
        return notice


def _read(path: Path) -> tuple[GgufHeader, int]:
    """Read the header of a model, and how long all its files are together."""
    header = gguf.read_file(path)
    parts = [path.with_name(name) for name in part_names(path.name)]
    return header, sum(part.stat().st_size for part in parts if part.exists())
