"""The choice of a chat's engine, as a value, and the switch to another engine in the middle of a chat."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from qwen3_chat.engine import Engine
from qwen3_chat.events import EngineFailed, Notice
from qwen3_chat.session.chat_session import ChatSession
from qwen3_chat.session.turn_events import SessionEvent, SessionEventSink


class LocalModel(Struct, frozen=True):
    """A GGUF file for the local llama.cpp; without `n_ctx`, the context size is chosen for this machine."""

    path: Path
    n_ctx: int | None = None


class ServedModel(Struct, frozen=True):
    """A server's model, its default where none is named; `kind` is a value of `--server`."""

    url: str
    model: str | None = None
    kind: str | None = None
    n_ctx: int | None = None


EngineChoice = LocalModel | ServedModel


def encode_choice(choice: EngineChoice) -> str:
    """Return a choice as JSON, to be stored."""
    match choice:
        case LocalModel(path=path, n_ctx=n_ctx):
            stored = _StoredChoice(path=str(path), n_ctx=n_ctx)
            return msgspec.json.encode(stored).decode()
        case ServedModel(url=url, model=model, kind=kind, n_ctx=n_ctx):
            stored = _StoredChoice(url=url, model=model, kind=kind, n_ctx=n_ctx)
            return msgspec.json.encode(stored).decode()


def decode_choice(text: str) -> EngineChoice:
    """Return the choice of a stored text.

    Raises:
        ValueError: the text is none.
    """
    data = msgspec.json.decode(text, type=_StoredChoice)
    if data.path:
        return LocalModel(Path(data.path), data.n_ctx)
    if data.url:
        return ServedModel(data.url, data.model, data.kind, data.n_ctx)
    raise ValueError(text)


class _StoredChoice(msgspec.Struct, frozen=True, omit_defaults=True):
    path: str = ""
    url: str = ""
    model: str | None = None
    kind: str | None = None
    n_ctx: int | None = None


EngineFactory = Callable[[EngineChoice], Engine]
"""A function that builds the engine of a choice without loading anything; the composition root provides it.

Raises:
    Qwen3ChatError: the choice makes no sense.
"""


async def switch_engine(session: ChatSession, engine: Engine, on_event: SessionEventSink) -> None:
    """Load another engine after the current one has freed its memory; no turn may run.

    Where it can't be loaded, or is stopped while it loads, the earlier one is loaded again.
    """
    earlier = session.engine
    await session.replace_engine(engine)
    failure: EngineFailed | None = None

    def on_load_event(event: SessionEvent) -> None:
        nonlocal failure
        if isinstance(event, EngineFailed):
            failure = event
        else:
            on_event(event)

    is_loaded = False
    try:
        is_loaded = await session.prepare(on_load_event)
    except asyncio.CancelledError:  # the user stopped this load; the earlier engine is wanted again
        if (task := asyncio.current_task()) is not None:
            task.uncancel()
    if is_loaded or failure is None:
        return
    await session.replace_engine(earlier)
    on_event(Notice(failure.code.text_key, failure.to_error().plain_values))
    on_event(Notice("session.earlier_model"))
    await session.prepare(on_event)
