"""What an engine tells between turns, brought to wherever it can be shown."""

from __future__ import annotations

from collections.abc import Callable

from qwen3_chat.engine import Engine
from qwen3_chat.engine.local import LocalEngine
from qwen3_chat.events import Notice
from qwen3_chat.texts import t


class EngineNotices:
    """Hears engines; until there is something to `show` a text with, nothing is shown."""

    def __init__(self) -> None:
        self.show: Callable[[str], object] = lambda text: None

    def of(self, engine: Engine) -> Engine:
        """Hear an engine from now on; return it."""
        if isinstance(engine, LocalEngine):
            engine.on_notice = self._tell
        return engine

    def _tell(self, notice: Notice) -> None:
        self.show(t(notice.key, **notice.values))
