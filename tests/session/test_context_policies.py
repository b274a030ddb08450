from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from event_stream import EventStream, events_of
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.context_plan import ContextPolicy, turn_reserve_tokens
from qwen3_chat.engine import Engine
from qwen3_chat.events import AnswerDelta, EngineFailed, EventSink, Notice, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, TokenCounts
from qwen3_chat.session import (
    ChatSession,
    ContextExceeded,
    MessagesDropped,
    ReplyStarted,
    SessionEvent,
    Summarising,
    TurnOptions,
)
from qwen3_chat.session.summary_writer import tidy_summary
from qwen3_chat.store import ChatStore
from tests.fakes import MODEL, FakeEngine, finished

ASK, DROP, SUMMARISE, ENLARGE = ContextPolicy
HEADER_TOKENS, REPLY_HEADER_TOKENS = 5, 7
N_CTX = MODEL.n_ctx
RESERVE = turn_reserve_tokens(N_CTX, ThinkingMode.THINK)
SUMMARY = "They spoke of 99 things."


class CharacterEngine(FakeEngine):
    """An engine that counts a token for each character, as many for each header, and answers in 40.

    It summarises in a sentence.
    """

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        counts = tuple(len(message.sent_content) + HEADER_TOKENS for message in request.messages)
        prefix = len(request.prefix.content) if request.prefix else 0
        return TokenCounts(counts, sum(counts) + REPLY_HEADER_TOKENS + prefix, exact=True)

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        self.requests.append(request)
        text = SUMMARY if "Summarise" in request.messages[-1].content else "b" * 40
        on_event(AnswerDelta(text, len(text)))
        on_event(end := finished())
        return end


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


def session_with(
    store: ChatStore, engine: Engine, policy: ContextPolicy, system: str = "Be brief."
) -> ChatSession:
    options = TurnOptions(context_policy=policy)
    return ChatSession(engine, store, draw_seed=lambda: 1, clock=lambda: 0.0, system=system, options=options)


async def all_of(events: EventStream[SessionEvent]) -> list[SessionEvent]:
    async with aclosing(events):
        return [event async for event in events]


async def send_all(session: ChatSession, *texts: str) -> list[SessionEvent]:
    events: list[SessionEvent] = []
    for text in texts:
        events = await all_of(events_of(session.send, text))
    return events


def contents(messages: tuple[ChatMessage, ...]) -> list[str]:
    return [f"{message.role.value[0]}:{message.content[:3]}" for message in messages]


LONG_CHAT = [f"{number}:".ljust(120, "a") for number in range(1, 6)]
"""Five questions; with replies of 40, a turn has 170 tokens, so the fifth question does not fit."""
WITHOUT = len("Be brief.") + HEADER_TOKENS + REPLY_HEADER_TOKENS
TURN = 120 + 40 + 2 * HEADER_TOKENS
WHOLE = WITHOUT + 4 * TURN + 120 + HEADER_TOKENS


@dataclass(frozen=True)
class Case:
    """The effect of a policy on the chat: messages sent, messages dropped, tokens of the prompt."""

    policy: ContextPolicy
    sent: list[str] | None
    dropped_count: int
    prompt_tokens: int
    n_ctx: int = N_CTX
    summary: str = ""


CASES = {
    "ask": Case(ASK, None, 0, WHOLE),
    "drop": Case(
        DROP,
        ["s:Be ", *(f"{role}" for number in (3, 4) for role in (f"u:{number}:a", "a:bbb")), "u:5:a"],
        4,
        WHOLE - 2 * TURN,
    ),
    "summarise": Case(
        SUMMARISE,
        ["s:Be ", *(f"{role}" for number in (3, 4) for role in (f"u:{number}:a", "a:bbb")), "u:5:a"],
        4,
        WHOLE - 2 * TURN + len("\n\nSummary of the earlier part of this conversation:\n" + SUMMARY),
        summary=SUMMARY,
    ),
    "enlarge": Case(
        ENLARGE,
        ["s:Be ", *(f"{role}" for number in range(1, 5) for role in (f"u:{number}:a", "a:bbb")), "u:5:a"],
        0,
        WHOLE,
        n_ctx=2000,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_what_a_policy_sends_of_a_chat_that_does_not_fit(store: ChatStore, case: Case) -> None:
    engine = CharacterEngine()
    engine.max_n_ctx = 2000
    session = session_with(store, engine, case.policy)
    events = await send_all(session, *LONG_CHAT)
    dropped = [event for event in events if isinstance(event, MessagesDropped)]
    if case.sent is None:
        assert len(engine.requests) == 4
        assert events[-1] == ContextExceeded(WHOLE, RESERVE, N_CTX, to_leave_out=4, larger_n_ctx=2000)
        assert events[-1].policies == (DROP, SUMMARISE, ENLARGE)
        assert not any(isinstance(event, ReplyStarted) for event in events)
        assert session.messages[-1].message.content == LONG_CHAT[-1]
        return
    sent = engine.requests[-1]
    assert contents(sent.messages) == case.sent
    assert (await engine.count_tokens(sent)).total == case.prompt_tokens <= case.n_ctx - RESERVE
    assert engine.model is not None
    assert engine.model.n_ctx == case.n_ctx
    assert (session.messages[-1].meta.left_out or 0) == case.dropped_count
    if case.dropped_count:
        ids = tuple(message.id for message in session.messages[: case.dropped_count])
        assert dropped == [
            MessagesDropped(ids, case.prompt_tokens, RESERVE, N_CTX, case.summary, is_new=True)
        ]
    else:
        assert dropped == []
        assert Notice("session.enlarged", {"n_ctx": case.n_ctx}) in events


async def test_what_was_left_out_stays_so_until_more_has_to_go(store: ChatStore) -> None:
    engine = CharacterEngine()
    session = session_with(store, engine, DROP)
    await send_all(session, *LONG_CHAT)
    events = await send_all(session, "Short.")
    dropped = next(event for event in events if isinstance(event, MessagesDropped))
    assert (len(dropped.ids), dropped.is_new) == (4, False)
    events = await send_all(session, "c" * 300)
    dropped = next(event for event in events if isinstance(event, MessagesDropped))
    assert (len(dropped.ids) > 4, dropped.is_new) == (True, True)


async def test_a_summary_is_kept_with_the_chat_and_used_again(store: ChatStore) -> None:
    engine = CharacterEngine()
    session = session_with(store, engine, SUMMARISE)
    events = await send_all(session, *LONG_CHAT)
    assert any(isinstance(event, Summarising) for event in events)
    assert contents(engine.requests[-2].messages)[-1] == "u:Sum"
    assert session.chat is not None
    again = session_with(store, later := CharacterEngine(), ASK)
    await again.resume(session.chat.id)
    events = await send_all(again, "Short.")
    assert len(later.requests) == 1
    assert SUMMARY in later.requests[0].messages[0].content
    dropped = next(event for event in events if isinstance(event, MessagesDropped))
    assert (len(dropped.ids), dropped.summary, dropped.is_new) == (4, SUMMARY, False)


async def test_a_second_summary_tells_of_the_first(store: ChatStore) -> None:
    engine = CharacterEngine()
    session = session_with(store, engine, SUMMARISE)
    await send_all(session, *LONG_CHAT, *LONG_CHAT)
    summaries = [request for request in engine.requests if "Summarise" in request.messages[-1].content]
    assert len(summaries) > 1
    assert SUMMARY in summaries[1].messages[0].content
    assert engine.requests[-1].messages[0].content.count(SUMMARY) == 1


async def test_a_summary_that_is_stopped_leaves_the_question_waiting(store: ChatStore) -> None:
    class Stopped(CharacterEngine):
        async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
            if "Summarise" in request.messages[-1].content:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
            return await super().generate(request, on_event)

    session = session_with(store, Stopped(), SUMMARISE)
    events = await send_all(session, *LONG_CHAT)
    assert events[-1] == EngineFailed("session.summary_stopped")
    assert session.messages[-1].message.role is Role.USER


async def test_what_was_chosen_when_asked_holds_in_the_chat(store: ChatStore) -> None:
    engine = CharacterEngine()
    session = session_with(store, engine, ASK)
    assert isinstance((await send_all(session, *LONG_CHAT))[-1], ContextExceeded)
    assert session.messages[-1].message.role is Role.USER
    await all_of(events_of(session.regenerate, policy=DROP))
    assert session.messages[-1].meta.left_out == 4
    await send_all(session, "Short.")
    assert session.messages[-1].meta.left_out == 4
    session.start_new()
    assert isinstance((await send_all(session, *LONG_CHAT))[-1], ContextExceeded)


async def test_where_the_context_can_not_grow_the_user_is_asked(store: ChatStore) -> None:
    engine = CharacterEngine()
    events = await send_all(session_with(store, engine, ENLARGE), *LONG_CHAT)
    assert Notice("session.not_enlarged", {"n_ctx": N_CTX}) in events
    assert isinstance(events[-1], ContextExceeded)
    assert events[-1].policies == (DROP, SUMMARISE)


async def test_a_larger_context_takes_back_what_was_left_out(store: ChatStore) -> None:
    engine = CharacterEngine()
    session = session_with(store, engine, DROP)
    await send_all(session, *LONG_CHAT)
    engine.model = replace(MODEL, n_ctx=4000)
    events = await send_all(session, "Short.")
    dropped = next(event for event in events if isinstance(event, MessagesDropped))
    assert (dropped.ids, dropped.is_new) == ((), True)
    assert session.messages[-1].meta.left_out is None


sizes = st.lists(st.integers(1, 400), min_size=1, max_size=8)


@given(sizes=sizes, policy=st.sampled_from(ContextPolicy), most=st.sampled_from([None, 1500, 9000]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
async def test_what_is_sent_fits_or_the_user_was_asked_and_nothing_goes_unsaid(
    store: ChatStore, sizes: list[int], policy: ContextPolicy, most: int | None
) -> None:
    engine = CharacterEngine()
    engine.max_n_ctx = most
    session = session_with(store, engine, policy)
    for size in sizes:
        before = len(engine.requests)
        events = await send_all(session, "a" * size)
        assert engine.model is not None
        n_ctx = engine.model.n_ctx
        for request in engine.requests[before:]:
            assert (await engine.count_tokens(request)).total <= n_ctx
        started = any(isinstance(event, ReplyStarted) for event in events)
        assert started is not any(isinstance(event, ContextExceeded | EngineFailed) for event in events)
        if not started:
            return
        sent = engine.requests[-1]
        assert (await engine.count_tokens(sent)).total + turn_reserve_tokens(n_ctx, sent.mode) <= n_ctx
        dropped = [event for event in events if isinstance(event, MessagesDropped)]
        not_sent = len(session.messages) - 1 - sum(m.role is not Role.SYSTEM for m in sent.messages)
        assert not_sent == (len(dropped[-1].ids) if dropped else 0)
        assert not_sent == 0 or policy in (DROP, SUMMARISE)


@pytest.mark.parametrize(
    ("text", "is_cut", "tidy"),
    [
        (" We talked about tea. ", False, "We talked about tea."),
        ("We talked about tea. Then about", False, "We talked about tea. Then about"),
        ("We talked about tea, at length. Then about", True, "We talked about tea, at length."),
        ("He said “tea.” And then she", True, "He said “tea.”"),
        ("Tea costs 3.50 and we talked about it and", True, "Tea costs 3.50 and we talked about it and"),
        (
            "One. And then a very long sentence that does not end",
            True,
            "One. And then a very long sentence that does not end",
        ),
        ("我们谈了茶。然后谈到", True, "我们谈了茶。"),
        ("```\n\nWe talked about tea.", False, "We talked about tea."),
        ("We wrote:\n```py\nx = 1\n```", False, "We wrote:\n```py\nx = 1\n```"),
        ("We wrote this.\n```py\nx = 1", True, "We wrote this.\n```py\nx = 1\n```"),
        ("```", True, ""),
        ("", True, ""),
    ],
)
def test_a_summary_ends_with_a_sentence_and_leaves_no_code_block_open(
    text: str, is_cut: bool, tidy: str
) -> None:
    """As a small model wrote them, whose next summary continued the half sentence."""
    assert tidy_summary(text, is_cut=is_cut) == tidy


def test_an_estimate_is_shown_as_one() -> None:
    exact, estimate = (ContextExceeded(12_345, 500, 8192, is_exact=exact) for exact in (True, False))
    assert " 12,345 " in exact.text
    assert " ≈12,345 " in estimate.text
    dropped = MessagesDropped((1, 2), 700, 100, 1000, summary=SUMMARY, is_exact=False)
    assert "≈700" in dropped.text
    assert dropped.text.endswith(f"\n\n{SUMMARY}")
