"""Turns in which the model calls tools."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode, ToolCall
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, EventSink, Notice, ReasoningDelta, ToolCallRequested, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadSettings
from qwen3_chat.session import (
    ChatSession,
    ContextExceeded,
    SessionEvent,
    StepFinished,
    ToolCallFinished,
    ToolCallStarted,
    TurnOptions,
)
from qwen3_chat.session.recovered_calls import recover_calls
from qwen3_chat.store import ChatStore
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.calculator import calculator_tool
from qwen3_chat.tools.tool import Arguments, Reach, Tool, ToolRegistry
from qwen3_chat.tools.tool_runner import ToolRunner
from tests.conftest import WAIT_LIMIT_S
from tests.fakes import REPLY, FakeEngine, Step, finished

SUM = ToolCall("calculator", '{"expression": "40 + 2"}')
PRODUCT = ToolCall("calculator", '{"expression": "6 * 7"}')


def calling(*calls: ToolCall) -> Sequence[Step]:
    requested = tuple(ToolCallRequested(call) for call in calls)
    return (ReasoningDelta("A tool.", 3), *requested, finished(StopReason.TOOL_CALLS))


def saying(text: str, reasoning: str = "") -> Sequence[Step]:
    thought = (ReasoningDelta(reasoning, 3),) if reasoning else ()
    return (*thought, *((AnswerDelta(text, 3),) if text else ()), finished())


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


class OwnTools(Toolbox):
    """A toolbox with the tools of a test."""

    def __init__(self, tools: Sequence[Tool]) -> None:
        super().__init__()
        self._made = {tool.name: tool for tool in tools}


WITH_CALCULATOR = TurnOptions(tools=("calculator",))


def session_of(
    store: ChatStore, *scripts: Sequence[Step], max_steps: int = 20, tools: Sequence[Tool] | None = None
) -> ChatSession:
    return ChatSession(
        FakeEngine(*scripts),
        store,
        draw_seed=lambda: 42,
        clock=lambda: 0.0,
        options=TurnOptions(
            max_steps=max_steps, tools=tuple(tool.name for tool in tools or [calculator_tool()])
        ),
        toolbox=OwnTools(tools) if tools else None,
    )


async def ask(session: ChatSession, text: str = "How much?") -> list[SessionEvent]:
    events = list[SessionEvent]()
    await session.send(text, events.append)
    return events


def roles(session: ChatSession) -> list[Role]:
    return [stored.message.role for stored in session.messages]


def contents(session: ChatSession) -> list[str]:
    return [stored.message.content for stored in session.messages]


async def test_a_call_is_run_and_its_result_is_read_by_the_model(store: ChatStore) -> None:
    session = session_of(store, calling(SUM), saying("It is 42."))
    events = await ask(session)
    assert contents(session) == ["How much?", "", "42", "It is 42."]
    assert roles(session) == [Role.USER, Role.ASSISTANT, Role.TOOL, Role.ASSISTANT]
    assert isinstance(session.engine, FakeEngine)
    first, second = session.engine.requests
    assert [json.loads(tool.schema)["function"]["name"] for tool in first.tools] == ["calculator"]
    assert [message.role for message in second.messages] == [Role.USER, Role.ASSISTANT, Role.TOOL]
    assert second.messages[1].reasoning == "A tool."
    kinds = [type(event) for event in events]
    assert kinds.index(ToolCallStarted) < kinds.index(ToolCallFinished) < kinds.index(StepFinished)
    record = session.messages[2].meta.call
    assert record is not None
    assert (record.name, record.decision, record.is_error) == ("calculator", "allowed_by_rule", False)


async def test_the_steps_are_in_the_store_as_they_are_in_the_session(store: ChatStore) -> None:
    session = session_of(store, calling(SUM, PRODUCT), saying("42 and 42."))
    await ask(session)
    assert session.chat is not None
    assert await store.branch(session.chat.id) == session.messages
    assert [stored.meta.call and stored.meta.call.index for stored in session.messages] == [
        None,
        None,
        0,
        1,
        None,
    ]


async def test_without_tools_a_call_ends_the_turn_as_it_did(store: ChatStore) -> None:
    session = session_of(store, calling(SUM))
    session.set_options(TurnOptions())
    await ask(session)
    assert roles(session) == [Role.USER, Role.ASSISTANT]


async def test_the_limit_of_steps_is_told_to_model_and_user(store: ChatStore) -> None:
    session = session_of(store, *[calling(SUM)] * 5, max_steps=2)
    events = await ask(session)
    assert contents(session) == [
        "How much?",
        "",
        "42",
        "",
        "The call was not run: this question has used up its steps.",
    ]
    assert Notice("session.step_limit", {"count": 2}) in events


@pytest.mark.parametrize(
    ("reply", "result"),
    [
        (
            saying('<tool_call>\n{"name": "calculator", "arguments": {now}}\n</tool_call>'),
            "could not be read",
        ),
        (saying('{"name": "calculator", "arguments": {"expression": "1"}}'), "not written in the right form"),
        (saying("", '<tool_call>\n{"name": "calculator", "arguments": {"expression": "1"}}\n'), "right form"),
        (calling(ToolCall("weather", "{}")), "There is no tool 'weather'"),
        (calling(ToolCall("calculator", '{"formula": "1"}')), "are wrong"),
        (calling(ToolCall("calculator", '{"expression": "1/0"}')), "division by zero"),
    ],
    ids=["unreadable", "bare JSON", "in open thinking", "unknown tool", "wrong arguments", "failing"],
)
async def test_a_call_that_did_not_run_is_told_and_the_model_may_try_again(
    store: ChatStore, reply: Sequence[Step], result: str
) -> None:
    session = session_of(store, reply, calling(SUM), saying("42."))
    await ask(session)
    assert result in contents(session)[2]
    record = session.messages[2].meta.call
    assert record is not None
    assert record.is_error
    assert contents(session)[4:] == ["42", "42."]


async def test_a_reply_that_was_cut_off_runs_nothing(store: ChatStore) -> None:
    cut_off = (
        AnswerDelta('{"name": "calculator", "arguments": {"expression": "1"}}', 3),
        finished(StopReason.MAX_TOKENS),
    )
    session = session_of(store, cut_off)
    await ask(session)
    assert roles(session) == [Role.USER, Role.ASSISTANT]


async def test_a_call_that_is_stopped_has_a_result_that_says_so(store: ChatStore) -> None:
    began = asyncio.Event()

    async def hang(arguments: Arguments) -> str:
        began.set()
        await asyncio.Event().wait()
        return ""

    wait = Tool("wait", "", {"type": "object"}, hang, Reach.NOTHING)
    session = session_of(store, calling(ToolCall("wait", "{}"), SUM), tools=[wait, calculator_tool()])
    turn = asyncio.create_task(session.send("Wait", lambda event: None))
    await began.wait()
    await asyncio.sleep(0)
    turn.cancel()
    await asyncio.wait({turn})
    assert contents(session)[2:] == ["The call was stopped before it had a result.", "42"]
    assert session.chat is not None
    assert await store.branch(session.chat.id) == session.messages


async def test_a_result_is_shown_and_stored_while_a_later_call_still_runs(store: ChatStore) -> None:
    first_is_there = asyncio.Event()

    async def wait_for_the_first(arguments: Arguments) -> str:
        await first_is_there.wait()
        return "later"

    def report(event: SessionEvent) -> None:
        if isinstance(event, ToolCallFinished) and event.message.message.content == "42":
            first_is_there.set()

    wait = Tool("wait", "", {"type": "object"}, wait_for_the_first, Reach.NOTHING)
    script = (calling(SUM, ToolCall("wait", "{}")), saying("Both."))
    session = session_of(store, *script, tools=[calculator_tool(), wait])
    await asyncio.wait_for(session.send("Both?", report), WAIT_LIMIT_S)
    assert contents(session)[2:] == ["42", "later", "Both."]


async def test_calls_without_results_are_completed_before_the_next_question(store: ChatStore) -> None:
    session = session_of(store, calling(SUM, PRODUCT), saying("Well."))
    session.set_options(TurnOptions())  # as if the app had been killed before the calls ran
    await ask(session)
    assert roles(session) == [Role.USER, Role.ASSISTANT]
    await ask(session, "Go on")
    stopped = "The call was stopped before it had a result."
    assert contents(session) == ["How much?", "", stopped, stopped, "Go on", "Well."]


async def test_asking_again_goes_back_to_the_question(store: ChatStore) -> None:
    session = session_of(store, calling(SUM), saying("42."), saying("Still 42."))
    await ask(session)
    await session.regenerate(lambda event: None)
    assert contents(session) == ["How much?", "Still 42."]


OFFERED = {"f"}


@pytest.mark.parametrize(
    ("message", "calls", "content"),
    [
        (ChatMessage(Role.ASSISTANT, '{"name": "f", "arguments": {}}'), ["f"], ""),
        (ChatMessage(Role.ASSISTANT, '```json\n{"name": "f", "arguments": {}}\n```'), ["f"], ""),
        (ChatMessage(Role.ASSISTANT, '{"name": "g", "arguments": {}}'), [], '{"name": "g", "arguments": {}}'),
        (ChatMessage(Role.ASSISTANT, '{"name": "Ann", "age": 7}'), [], '{"name": "Ann", "age": 7}'),
        (ChatMessage(Role.ASSISTANT, "Look:\n<tool_call>\nnonsense"), ["?"], "Look:"),
        (ChatMessage(Role.ASSISTANT, "<tool_call>\n<function=f>\n<parameter=a>\n1"), ["f"], ""),
        (ChatMessage(Role.ASSISTANT, "A text", "I could <tool_call>"), [], "A text"),
        (ChatMessage(Role.ASSISTANT, "A\n<tool_call>\n?\n</tool_call>\nB"), ["?"], "A\n\nB"),
    ],
)
def test_calls_are_found_where_models_leave_them(
    message: ChatMessage, calls: list[str], content: str
) -> None:
    found = recover_calls(message, OFFERED)
    assert [call.name for call in found.tool_calls] == calls
    assert all(call.is_repaired for call in found.tool_calls)
    assert found.content == content


@pytest.mark.parametrize(
    "source", ['{"name": "f", "a": 1}', '{"name": "f", "arguments": {"a": 1}, "parameters": {"a": 2}}']
)
async def test_a_call_that_can_be_meant_in_two_ways_never_becomes_its_own_arguments(source: str) -> None:
    (call,) = recover_calls(
        ChatMessage(Role.ASSISTANT, f"<tool_call>\n{source}\n</tool_call>"), OFFERED
    ).tool_calls
    assert source in call.arguments
    accepts_anything = ToolRegistry([Tool("f", "", {"type": "object"}, fail, Reach.NOTHING)])
    (outcome,) = await ToolRunner().run([call], accepts_anything, lambda _: None)
    assert outcome.text.startswith("The call could not be read")


async def fail(arguments: Arguments) -> str:
    raise AssertionError(arguments)


def test_without_tools_on_offer_nothing_is_taken_for_a_call() -> None:
    message = ChatMessage(Role.ASSISTANT, '{"name": "f", "arguments": {}}')
    assert recover_calls(message, ()) == message


class CallingEngine(FakeEngine):
    """An engine that calls tools at random and takes its time with everything."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Push some calls, or an answer."""
        script = list(self._rng.choice([calling(SUM), calling(SUM, PRODUCT), saying("Yes."), REPLY]))
        try:
            for event in script:
                for _ in range(self._rng.randrange(8)):
                    await asyncio.sleep(0)
                assert not isinstance(event, asyncio.Event | Exception)
                on_event(event)
        except asyncio.CancelledError:
            on_event(finished(StopReason.CANCELLED))
            raise
        end = script[-1]
        assert isinstance(end, TurnFinished)
        return end


async def test_a_tool_turn_may_be_stopped_anywhere(store: ChatStore) -> None:
    rng = random.Random(5)

    async def slow(arguments: Arguments) -> str:
        for _ in range(rng.randrange(10)):
            await asyncio.sleep(0)
        return "42"

    session = ChatSession(
        CallingEngine(rng),
        store,
        draw_seed=lambda: 1,
        clock=lambda: 0.0,
        options=WITH_CALCULATOR,
        toolbox=OwnTools([replace(calculator_tool(), run=slow)]),
    )
    for number in range(200):
        turn = asyncio.create_task(session.send(f"question {number}", lambda event: None))
        for _ in range(rng.randrange(60)):
            await asyncio.sleep(rng.choice([0, 0, 0, 0.0005]))
        turn.cancel()
        await asyncio.wait({turn})
        assert session.chat is None or await store.branch(session.chat.id) == session.messages
    assert_every_call_has_one_result(session)


def assert_every_call_has_one_result(session: ChatSession) -> None:
    messages = [stored.message for stored in session.messages]
    for index, message in enumerate(messages):
        if message.tool_calls and index + 1 < len(messages):
            results = messages[index + 1 : index + 1 + len(message.tool_calls)]
            assert [result.role for result in results] == [Role.TOOL] * len(message.tool_calls)


@pytest.mark.parametrize("mode", ThinkingMode)
async def test_the_demo_model_calls_the_calculator(
    store: ChatStore, demo_gguf: Path, tmp_path: Path, mode: ThinkingMode
) -> None:
    engine = LocalEngine(LoadSettings(str(demo_gguf)), tmp_path / "engine.log")
    session = ChatSession(engine, store, draw_seed=lambda: 1, clock=lambda: 0.0, options=WITH_CALCULATOR)
    try:
        await session.prepare(lambda event: None)
        await session.set_mode_override(mode)
        await ask(session, "Compute 345 * 12.")
    finally:
        await engine.close()
    assert [stored.message.content for stored in session.messages[2:]] == ["4140", "345 * 12 = **4140**"]


async def test_an_answer_without_a_call_goes_on_with_one(store: ChatStore) -> None:
    session = session_of(store, saying("I compute it."), calling(SUM), saying("It is 42."))
    await ask(session)
    assert session.lacks_call
    answer = session.messages[-1]
    await session.make_call(lambda event: None)
    assert isinstance(session.engine, FakeEngine)
    plain, required, last = session.engine.requests
    assert [request.must_call for request in (plain, required, last)] == [False, True, False]
    assert required.prefix is not None
    assert required.prefix.content == "I compute it."
    assert session.messages[1].id == answer.id
    assert contents(session)[2:] == ["42", "It is 42."]


class ServerEngine(FakeEngine):
    """An engine that cannot continue an ended reply, but require a call."""

    capabilities = replace(FakeEngine.capabilities, continues_with_call=False)


async def test_a_server_answers_again_with_a_call(store: ChatStore) -> None:
    session = session_of(store, calling(SUM))
    await ask(session)
    await session.replace_engine(ServerEngine(calling(SUM), saying("42.")))
    before = session.messages[-1]
    await session.make_call(lambda event: None)
    assert isinstance(session.engine, FakeEngine)
    assert [(request.must_call, request.prefix) for request in session.engine.requests] == [
        (True, None),
        (False, None),
    ]
    assert before.id not in [stored.id for stored in session.messages]
    assert contents(session) == ["How much?", "", "42", "42."]


async def test_a_call_is_made_only_where_one_is_missing_and_possible(store: ChatStore) -> None:
    session = session_of(store, saying("Hello."))
    assert not session.lacks_call
    await ask(session)
    session.set_options(TurnOptions())
    assert not session.lacks_call
    session.set_options(WITH_CALCULATOR)
    engine = session.engine
    assert isinstance(engine, FakeEngine)
    engine.capabilities = replace(engine.capabilities, requires_calls=False)
    await session.make_call(lambda event: None)
    assert len(engine.requests) == 1


async def test_a_call_of_a_chat_that_no_longer_fits_is_made_once_the_user_has_chosen(
    store: ChatStore,
) -> None:
    session = session_of(store, saying("One."), saying("Two."), calling(SUM), saying("42."))
    for text in ("First", "Second"):
        await ask(session, text)
    assert isinstance(session.engine, FakeEngine)
    assert session.engine.model is not None
    session.engine.model = replace(session.engine.model, n_ctx=50)
    session.engine._tokens_per_message = 20
    events = list[SessionEvent]()
    await session.make_call(events.append)
    assert [event.must_call for event in events if isinstance(event, ContextExceeded)] == [True]
    await session.make_call(events.append, ContextPolicy.DROP)
    required = session.engine.requests[2]
    assert required.must_call
    assert [message.content for message in required.messages] == ["Second"]
    assert session.messages[3].message.tool_calls == (SUM,)
