from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from event_stream import EventStream, events_of
from qwen3_chat.chat import Role, StopReason, ThinkingMode
from qwen3_chat.events import AnswerDelta, EngineEvent, EngineFailed, ReasoningDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.session import ChatSession, ReplyStarted, ReplyStored, SessionEvent, TurnOptions, UserStored
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import ChatOptions
from tests.conftest import WAIT_LIMIT_S
from tests.fakes import REPLY, FakeEngine, finished

THINK, NO_THINK = ThinkingMode.THINK, ThinkingMode.NO_THINK


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


def session_with(
    store: ChatStore, engine: FakeEngine, system: str = "", options: TurnOptions | None = None
) -> ChatSession:
    return ChatSession(engine, store, draw_seed=lambda: 42, clock=lambda: 0.0, system=system, options=options)


async def all_of(events: EventStream[SessionEvent]) -> list[SessionEvent]:
    async with aclosing(events):
        return [event async for event in events]


async def test_the_users_message_is_stored_before_anything_else_happens(store: ChatStore) -> None:
    session = session_with(store, FakeEngine())
    async with aclosing(events_of(session.send, "Hello")) as events:
        first = await anext(events)
        assert isinstance(first, UserStored)
        assert [m.message.content for m in await store.branch(first.message.chat_id)] == ["Hello"]


async def test_a_turn_stores_question_reply_and_how_it_came_about(store: ChatStore) -> None:
    session = session_with(store, FakeEngine())
    events = await all_of(events_of(session.send, "How many?"))
    assert [type(event) for event in events][:2] == [UserStored, ReplyStarted]
    assert isinstance(events[-1], ReplyStored)
    assert session.chat is not None
    question, reply = await store.branch(session.chat.id)
    assert (question.message.role, reply.message.role) == (Role.USER, Role.ASSISTANT)
    assert (reply.message.reasoning, reply.message.content) == ("Let me see.", "It is 3.")
    assert (reply.meta.model, reply.meta.seed, reply.meta.mode) == ("Fake", 42, THINK)
    assert reply.meta.stop_reason is StopReason.END_OF_TURN
    assert reply.token_ids == (1, 2, 3)
    assert session.chat.title == "How many?"


async def test_the_next_turn_remembers_the_last_one(store: ChatStore) -> None:
    engine = FakeEngine()
    session = session_with(store, engine, system="Be brief.")
    await all_of(events_of(session.send, "First"))
    await all_of(events_of(session.send, "Second"))
    sent = [(m.role, m.content) for m in engine.requests[1].messages]
    assert sent == [
        (Role.SYSTEM, "Be brief."),
        (Role.USER, "First"),
        (Role.ASSISTANT, "It is 3."),
        (Role.USER, "Second"),
    ]


async def test_a_chat_is_resumed_with_its_mode_override(store: ChatStore) -> None:
    first = session_with(store, FakeEngine())
    await all_of(events_of(first.send, "One"))
    await first.set_mode_override(NO_THINK)
    assert first.chat is not None
    engine = FakeEngine()
    second = session_with(store, engine)
    await second.resume(first.chat.id)
    assert second.mode is NO_THINK
    await all_of(events_of(second.send, "Two"))
    assert engine.requests[0].mode is NO_THINK
    assert engine.requests[0].messages[-1].mode_tag is NO_THINK


async def test_a_typed_tag_becomes_the_mode_override_and_is_not_appended_again(store: ChatStore) -> None:
    engine = FakeEngine()
    session = session_with(store, engine)
    await all_of(events_of(session.send, "One /no_think"))
    assert engine.requests[0].mode is NO_THINK
    assert engine.requests[0].messages[-1].mode_tag is None
    assert session.mode is NO_THINK
    await all_of(events_of(session.send, "Two"))
    assert engine.requests[1].mode is NO_THINK
    assert engine.requests[1].messages[-1].mode_tag is None


async def test_a_reply_that_is_abandoned_is_stored_as_far_as_it_came(store: ChatStore) -> None:
    never = asyncio.Event()
    session = session_with(store, FakeEngine([ReasoningDelta("Hm"), AnswerDelta("Half"), never]))
    async with aclosing(events_of(session.send, "Go")) as events:
        async for event in events:
            if isinstance(event, AnswerDelta):
                break
    assert session.chat is not None
    reply = (await store.branch(session.chat.id))[-1]
    assert (reply.message.reasoning, reply.message.content) == ("Hm", "Half")
    assert reply.meta.stop_reason is StopReason.CANCELLED


async def test_a_cancelled_task_still_stores_what_arrived(store: ChatStore) -> None:
    never = asyncio.Event()
    arrived = asyncio.Event()
    session = session_with(store, FakeEngine([AnswerDelta("Half"), never]))

    async def turn() -> None:
        async with aclosing(events_of(session.send, "Go")) as events:
            async for event in events:
                if isinstance(event, AnswerDelta):
                    arrived.set()

    task = asyncio.create_task(turn())
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert session.chat is not None
    assert (await store.branch(session.chat.id))[-1].message.content == "Half"


async def test_a_partial_answer_reaches_the_store_while_the_reply_goes_on(store: ChatStore) -> None:
    never = asyncio.Event()
    session = session_with(store, FakeEngine([AnswerDelta("Half"), never]))
    other = asyncio.create_task(all_of(events_of(session.send, "Go")))
    async with asyncio.timeout(WAIT_LIMIT_S):
        while session.chat is None or not any(  # noqa: ASYNC110 - the store reports nothing
            m.message.content == "Half" for m in await store.branch(session.chat.id)
        ):
            await asyncio.sleep(0)
    other.cancel()
    with pytest.raises(asyncio.CancelledError):
        await other


async def test_an_engine_that_fails_keeps_what_arrived_and_the_next_turn_works(store: ChatStore) -> None:
    died = EngineFailed("engine.killed")
    engine = FakeEngine([AnswerDelta("Half"), died], REPLY)
    session = session_with(store, engine)
    events = await all_of(events_of(session.send, "Go"))
    assert died in events
    assert session.messages[-1].message.content == "Half"
    assert session.messages[-1].meta.stop_reason is StopReason.ERROR
    await all_of(events_of(session.send, "Again"))
    assert session.messages[-1].message.content == "It is 3."


async def test_a_model_that_cannot_be_loaded_leaves_the_question_to_be_retried(store: ChatStore) -> None:
    engine = FakeEngine(loading=[EngineFailed("engine.killed")])
    session = session_with(store, engine)
    events = await all_of(events_of(session.send, "Go"))
    assert isinstance(events[-1], EngineFailed)
    assert [m.message.content for m in session.messages] == ["Go"]
    assert [m.message.content for m in await store.branch(session.messages[0].chat_id)] == ["Go"]


async def test_answering_again_keeps_the_earlier_answer_as_a_version(store: ChatStore) -> None:
    engine = FakeEngine(REPLY, [AnswerDelta("Other"), finished()])
    session = session_with(store, engine)
    await all_of(events_of(session.send, "Go"))
    first = session.messages[-1]
    await all_of(events_of(session.regenerate))
    second = session.messages[-1]
    assert (first.parent_id, second.message.content) == (second.parent_id, "Other")
    assert [m.id for m in await store.siblings(second.id)] == [first.id, second.id]


async def test_a_message_too_long_for_the_context_is_refused_in_a_sentence_and_kept(store: ChatStore) -> None:
    session = session_with(store, FakeEngine(tokens_per_message=2000))
    events = await all_of(events_of(session.send, "Long"))
    assert isinstance(events[-1], EngineFailed)
    assert events[-1].values == {"tokens": 2000, "n_ctx": 1000}
    assert [m.message.content for m in session.messages] == ["Long"]


async def test_where_only_the_server_can_have_a_larger_context_its_own_option_is_named(
    store: ChatStore,
) -> None:
    engine = FakeEngine(tokens_per_message=2000)
    engine.capabilities = replace(engine.capabilities, context_option="--max-model-len")
    events = await all_of(events_of(session_with(store, engine).send, "Long"))
    assert isinstance(events[-1], EngineFailed)
    assert "--max-model-len" in events[-1].text
    assert "--ctx" not in events[-1].text


@pytest.mark.parametrize("mode", [THINK, NO_THINK])
async def test_each_mode_is_sampled_as_qwen_recommends(store: ChatStore, mode: ThinkingMode) -> None:
    engine = FakeEngine()
    session = session_with(store, engine)
    await session.set_mode_override(mode)
    await all_of(events_of(session.send, "Go"))
    sampling = engine.requests[0].sampling
    expected = (0.6, 0.95, 20, 0.0) if mode is THINK else (0.7, 0.8, 20, 0.0)
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.min_p) == expected


async def test_options_of_the_turn_win_over_the_presets(store: ChatStore) -> None:
    engine = FakeEngine()
    options = TurnOptions(temperature=0.1, presence_penalty=1.5, seed=9, max_tokens=5, thinking_budget=0)
    await all_of(events_of(session_with(store, engine, options=options).send, "Go"))
    request = engine.requests[0]
    assert (request.sampling.temperature, request.sampling.presence_penalty) == (0.1, 1.5)
    assert (request.seed, request.max_tokens, request.thinking_budget) == (9, 5, 0)


async def test_answering_again_after_a_mode_override_asks_the_question_with_its_tag(store: ChatStore) -> None:
    engine = FakeEngine()
    session = session_with(store, engine)
    await all_of(events_of(session.send, "Go"))
    asked = session.messages[0]
    await session.set_mode_override(NO_THINK)
    await all_of(events_of(session.regenerate))
    assert engine.requests[1].mode is NO_THINK
    assert engine.requests[1].messages[-1].sent_content == "Go /no_think"
    assert [m.message.mode_tag for m in await store.siblings(asked.id)] == [None, NO_THINK]


async def test_replies_are_sent_with_the_ids_they_were_sampled_as(store: ChatStore) -> None:
    engine = FakeEngine()
    session = session_with(store, engine, system="Be brief.")
    await all_of(events_of(session.send, "First"))
    await all_of(events_of(session.send, "Second"))
    assert [m.token_ids for m in engine.requests[1].messages] == [(), (), (3,), ()]
    assert all(m.message.token_ids == () for m in session.messages)


STOPPED: list[EngineEvent] = [ReasoningDelta("Let me", 3), finished(StopReason.CANCELLED)]


async def test_a_stopped_reply_is_continued_in_its_place(store: ChatStore) -> None:
    engine = FakeEngine(STOPPED, REPLY)
    session = session_with(store, engine, system="Be brief.")
    await all_of(events_of(session.send, "Go"))
    stopped = session.messages[-1]
    assert session.can_continue
    events = await all_of(events_of(session.continue_reply))
    started = next(event for event in events if isinstance(event, ReplyStarted))
    assert (started.continues, started.message.id) == (True, stopped.id)
    prefix = engine.requests[1].prefix
    assert prefix is not None
    assert (prefix.reasoning, prefix.token_ids) == ("Let me", (1, 2, 3))
    assert [m.content for m in engine.requests[1].messages] == ["Be brief.", "Go"]
    assert session.chat is not None
    _, reply = await store.branch(session.chat.id)
    assert session.messages[-1] == reply
    assert (reply.id, reply.message.reasoning, reply.message.content) == (
        stopped.id,
        "Let me see.",
        "It is 3.",
    )
    assert (reply.meta.stop_reason, reply.meta.timings and reply.meta.timings.reasoning_s) == (
        StopReason.END_OF_TURN,
        2,
    )
    assert not session.can_continue


@pytest.mark.parametrize("reason", StopReason)
async def test_only_what_was_stopped_is_continued(store: ChatStore, reason: StopReason) -> None:
    session = session_with(store, FakeEngine([AnswerDelta("Half"), finished(reason)]))
    assert not session.can_continue
    assert await all_of(events_of(session.continue_reply)) == []
    await all_of(events_of(session.send, "Go"))
    assert session.can_continue is (reason not in (StopReason.END_OF_TURN, StopReason.TOOL_CALLS))


@pytest.mark.parametrize(
    "second",
    [[EngineFailed("engine.killed")], [AnswerDelta("Ha"), EngineFailed("engine.killed")]],
    ids=["at once", "while the beginning came again"],
)
async def test_a_continued_reply_never_loses_what_was_there(
    store: ChatStore, second: list[EngineEvent]
) -> None:
    session = session_with(store, FakeEngine([AnswerDelta("Half"), finished(StopReason.MAX_TOKENS)], second))
    await all_of(events_of(session.send, "Go"))
    before = session.messages[-1]
    await all_of(events_of(session.continue_reply))
    after = session.messages[-1]
    assert (after.message, after.meta, after.token_ids) == (before.message, before.meta, before.token_ids)
    assert session.can_continue


async def test_a_continued_reply_that_is_abandoned_keeps_what_came_on_top(store: ChatStore) -> None:
    never = asyncio.Event()
    session = session_with(
        store,
        FakeEngine([AnswerDelta("Half"), finished(StopReason.CANCELLED)], [AnswerDelta("Half of"), never]),
    )
    await all_of(events_of(session.send, "Go"))
    async with aclosing(events_of(session.continue_reply)) as events:
        async for event in events:
            if isinstance(event, AnswerDelta):
                break
    assert session.messages[-1].message.content == "Half of"
    assert session.messages[-1].stop_reason is StopReason.CANCELLED


async def test_what_is_chosen_while_the_chat_is_being_stored_is_stored_with_it(store: ChatStore) -> None:
    session = session_with(store, FakeEngine())
    turn = asyncio.create_task(all_of(events_of(session.send, "Go")))
    await asyncio.sleep(0)  # the turn waits for the store
    assert session.chat is None
    await asyncio.gather(
        session.set_mode_override(NO_THINK),
        session.set_system("Be brief."),
        session.set_chat_options(ChatOptions(temperature=0.5)),
    )
    await turn
    assert session.chat_id is not None
    chat = await store.chat(session.chat_id)
    assert (chat.mode_override, chat.system, chat.options.temperature) == (NO_THINK, "Be brief.", 0.5)
    assert (session.mode_override, session.system, session.chat_options) == (
        NO_THINK,
        "Be brief.",
        chat.options,
    )


async def test_a_chat_that_is_left_while_it_is_read_anew_stays_left(store: ChatStore) -> None:
    session = session_with(store, FakeEngine())
    await all_of(events_of(session.send, "Go"))
    reading = asyncio.create_task(session.reread_chat())
    choosing = asyncio.create_task(session.set_system("Be brief."))
    await asyncio.sleep(0)
    session.start_new()
    await asyncio.gather(reading, choosing)
    assert (session.chat, session.messages, session.system) == (None, (), "")


async def test_a_mode_override_during_an_answer_in_another_mode_stays(store: ChatStore) -> None:
    engine = FakeEngine()
    session = session_with(store, engine)
    await all_of(events_of(session.send, "Go"))
    asked = session.messages[0]
    async with aclosing(events_of(ChatTree(session, store).regenerate_at, asked.id, mode=NO_THINK)) as events:
        async for event in events:
            if isinstance(event, ReplyStarted):
                await session.set_mode_override(THINK)
    assert engine.requests[1].mode is NO_THINK
    assert session.mode_override is THINK
    assert (await store.chat(asked.chat_id)).mode_override is THINK
