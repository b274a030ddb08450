"""Goes on with another engine in the middle of a chat."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from qwen3_chat.engine import Engine
from qwen3_chat.events import EngineEvent, EngineFailed, Notice
from qwen3_chat.session.chat_session import ChatSession


async def use_engine(session: ChatSession, engine: Engine) -> AsyncGenerator[EngineEvent, None]:
    """Load another engine after the one in use has given back its memory; no turn may run.

    Where it can't be loaded, or is stopped while it loads, the earlier one is loaded again.
    """
    earlier = session.engine
    await earlier.close()
    session.engine = engine
    failure: EngineFailed | None = None
    async with aclosing(session.prepare()) as events:
        async for event in events:
            if isinstance(event, EngineFailed):
                failure = event
            else:
                yield event
    if failure is None:
        return
    await engine.close()
    session.engine = earlier
    yield Notice(failure.key, failure.values)
    yield Notice("session.earlier_model")
    async with aclosing(session.prepare()) as events:
        async for event in events:
            yield event
