"""The events that an engine or a session pushes, as a stream to read one after the other and to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineFailed

E = TypeVar("E")


class EventStream(Generic[E]):
    """The events of a load, a reply or a turn, which begins when the first one is read.

    An `EngineError` counts as a last event, `EngineFailed`; after `cancel`, the stream ends.
    """

    def __init__(self, work: Callable[[Callable[[E], None]], Coroutine[Any, Any, object]]) -> None:
        self._work = work
        self._queue: asyncio.Queue[E | EngineFailed | None] = asyncio.Queue()
        self._task: asyncio.Task[object] | None = None

    def __aiter__(self) -> EventStream[E]:
        return self

    async def __anext__(self) -> E:
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        if (event := await self._queue.get()) is None:
            self._queue.put_nowait(None)
            if not self._task.cancelled():
                await self._task
            raise StopAsyncIteration
        return event  # type: ignore[return-value]  # every union of events contains EngineFailed

    @property
    def is_cancelled(self) -> bool:
        """True if the work was cancelled and has ended."""
        return self._task is not None and self._task.cancelled()

    def cancel(self) -> None:
        """Cancel the task of the work."""
        if self._task is not None:
            self._task.cancel()

    async def aclose(self) -> None:
        """Cancel the work and wait for its end."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _run(self) -> None:
        try:
            await self._work(self._queue.put_nowait)
        except EngineError as error:
            self._queue.put_nowait(EngineFailed.from_error(error))
        finally:
            self._queue.put_nowait(None)


def events_of(
    method: Callable[..., Coroutine[Any, Any, object]], *args: Any, **options: Any
) -> EventStream[Any]:
    """Return the events that a method pushes to its argument `on_event`."""
    return EventStream(lambda on_event: method(*args, on_event=on_event, **options))
