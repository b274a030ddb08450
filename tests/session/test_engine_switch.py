from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest

from event_stream import EventStream, events_of
from qwen3_chat.chat import ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import EngineFailed, LoadProgressed, Notice
from qwen3_chat.models.catalog import ThinkingSupport, thinking_support
from qwen3_chat.record_copies import replace
from qwen3_chat.request import LoadSettings
from qwen3_chat.session import ChatSession, SessionEvent, switch_engine
from qwen3_chat.store import ChatStore
from tests.fakes import MODEL, FakeEngine


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


def session_with(store: ChatStore, engine: Engine) -> ChatSession:
    return ChatSession(engine, store, draw_seed=lambda: 1, clock=lambda: 0.0)


async def all_of(events: EventStream[SessionEvent]) -> list[SessionEvent]:
    async with aclosing(events):
        return [event async for event in events]


def named(name: str) -> FakeEngine:
    engine = FakeEngine()
    engine.model = replace(MODEL, name=name)
    return engine


async def test_the_old_process_is_gone_before_the_new_model_loads(
    store: ChatStore, demo_gguf: Path, tmp_path: Path
) -> None:
    settings = LoadSettings(str(demo_gguf), n_ctx=2048)
    old, new = (LocalEngine(settings, tmp_path / f"{name}.log") for name in ("old", "new"))
    session = session_with(store, old)
    try:
        await all_of(events_of(session.send, "Hello /no_think"))
        old_pid = old.pid
        assert old_pid is not None
        alive_while_loading = []
        async with aclosing(events_of(switch_engine, session, new)) as events:
            async for event in events:
                if isinstance(event, LoadProgressed):
                    alive_while_loading.append(psutil.pid_exists(old_pid))
        assert alive_while_loading
        assert not any(alive_while_loading)
        await all_of(events_of(session.send, "And now?"))
        assert [stored.meta.model for stored in session.messages if stored.meta.model] == [
            "Qwen3-chat demo"
        ] * 2
        assert new.pid not in (None, old_pid)
    finally:
        await old.close()
        await new.close()


async def test_each_reply_remembers_its_model(store: ChatStore) -> None:
    session = session_with(store, named("8B"))
    await all_of(events_of(session.send, "One"))
    await all_of(events_of(switch_engine, session, named("4B")))
    await all_of(events_of(session.send, "Two"))
    assert session.chat is not None
    replies = (await store.branch(session.chat.id))[1::2]
    assert [reply.meta.model for reply in replies] == ["8B", "4B"]


async def test_ids_go_only_to_the_model_that_sampled_them(store: ChatStore) -> None:
    session = session_with(store, named("8B"))
    await all_of(events_of(session.send, "One"))
    other = named("4B")
    await all_of(events_of(switch_engine, session, other))
    await all_of(events_of(session.send, "Two"))
    await all_of(events_of(session.send, "Three"))
    of_8b, of_4b = other.requests[1].messages[1], other.requests[1].messages[3]
    assert (of_8b.token_ids, of_4b.token_ids) == ((), (3,))


async def test_a_model_that_can_not_be_loaded_leaves_the_earlier_one_in_use(store: ChatStore) -> None:
    earlier = named("8B")
    session = session_with(store, earlier)
    broken = FakeEngine(loading=[EngineFailed("engine.no_model")])
    events = await all_of(events_of(switch_engine, session, broken))
    assert session.engine is earlier
    assert [event.key for event in events if isinstance(event, Notice)] == [
        "engine.no_model",
        "session.earlier_model",
    ]


@pytest.mark.parametrize(
    ("name", "thinking"),
    [
        ("Qwen3 4B Instruct 2507", ThinkingSupport.NEVER),
        ("30B-A3B-Thinking-2507", ThinkingSupport.ALWAYS),
        ("My-Qwen3-4b-thinking-2507-tuned", ThinkingSupport.ALWAYS),
        ("Qwen3-Next-80B-A3B-Instruct", ThinkingSupport.NEVER),
        ("Qwen3-VL-8B-Thinking", ThinkingSupport.ALWAYS),
        ("Qwen3-Coder-30B-A3B-Instruct", ThinkingSupport.NEVER),
        ("Qwen3-8B", None),
    ],
)
def test_a_name_tells_whether_thinking_can_be_switched(name: str, thinking: ThinkingSupport | None) -> None:
    assert thinking_support(name) is thinking


@pytest.mark.parametrize(
    ("name", "mode"),
    [("4B-Thinking-2507", ThinkingMode.THINK), ("4B-Instruct-2507", ThinkingMode.NO_THINK)],
)
async def test_a_model_whose_thinking_is_fixed_gets_no_tags(
    store: ChatStore, name: str, mode: ThinkingMode
) -> None:
    engine = named(name)
    session = session_with(store, engine)
    await session.set_mode_override(mode.other)
    await all_of(events_of(session.send, "One"))
    assert engine.requests[0].mode is mode
    assert engine.requests[0].messages[0].mode_tag is None
    await all_of(events_of(switch_engine, session, named("8B")))
    assert session.mode is mode.other  # the mode override applies again
