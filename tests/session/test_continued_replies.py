"""The continuation of a stopped reply where it ended, whatever stopped it: session, store, real engine."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from event_stream import EventStream, events_of
from qwen3_chat.chat import StopReason
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineFailed, ReasoningDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadSettings
from qwen3_chat.session import ChatSession, SessionEvent, TurnOptions
from qwen3_chat.store import ChatStore

QUESTION = "How many r's in strawberries?"
STOPS = {
    "stopped while it thinks": (ReasoningDelta, StopReason.CANCELLED),
    "stopped while it answers": (AnswerDelta, StopReason.CANCELLED),
    "at max_tokens": (None, StopReason.MAX_TOKENS),
    "at the engine's death": (ReasoningDelta, StopReason.ERROR),
}


@pytest.fixture
async def session(tmp_path: Path, demo_gguf: Path) -> AsyncIterator[ChatSession]:
    engine = LocalEngine(LoadSettings(str(demo_gguf), n_ctx=2048), tmp_path / "engine.log")
    store = await ChatStore.open(tmp_path / "chats.db")
    options = TurnOptions(temperature=0)
    yield ChatSession(engine, store, draw_seed=lambda: 1, clock=lambda: 0.0, options=options)
    await engine.close()
    await store.close()


async def run(
    session: ChatSession, events: EventStream[SessionEvent], kind: type | None, reason: StopReason
) -> None:
    """Run a turn; end it at the first event of a kind."""
    assert isinstance(session.engine, LocalEngine)
    async with aclosing(events):
        async for event in events:
            if kind is None or not isinstance(event, kind):
                continue
            if reason is StopReason.CANCELLED:
                events.cancel()
            elif session.engine.pid:
                os.kill(session.engine.pid, signal.SIGKILL)
            kind = None


@pytest.mark.parametrize(("kind", "reason"), STOPS.values(), ids=STOPS)
async def test_a_reply_goes_on_in_its_place_without_a_seam(
    session: ChatSession, kind: type | None, reason: StopReason
) -> None:
    options = session.options
    await run(session, events_of(session.send, QUESTION), None, reason)
    whole = session.messages[-1].message
    session.start_new()
    session.set_options(replace(options, max_tokens=30 if reason is StopReason.MAX_TOKENS else None))
    await run(session, events_of(session.send, QUESTION), kind, reason)
    stopped = session.messages[-1]
    if stopped.stop_reason is StopReason.END_OF_TURN:
        return  # it was quicker than the stop: nothing is left to go on with
    assert stopped.stop_reason is reason
    session.set_options(options)
    events: list[SessionEvent] = []
    async with aclosing(events_of(session.continue_reply)) as continuing:
        async for event in continuing:
            events.append(event)
    assert not any(isinstance(event, EngineFailed) for event in events)
    reply = session.messages[-1]
    assert (reply.id, reply.stop_reason) == (stopped.id, StopReason.END_OF_TURN)
    usage = reply.meta.usage
    assert usage is not None
    if reason is StopReason.ERROR:
        assert reply.message.reasoning.startswith(stopped.message.reasoning)
    else:
        assert (reply.message.reasoning, reply.message.content) == (whole.reasoning, whole.content)
        assert usage.reused_tokens == usage.prompt_tokens
