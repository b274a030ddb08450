"""Answers that don't fit their schema: asked again, by a schema in which nothing goes on for ever."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.cli.answer_schema import MAX_ANSWERS, AnswerSchema, ask_until_it_fits
from qwen3_chat.cli.bounded_schema import bound_schema
from qwen3_chat.events import AnswerDelta, EngineEvent, Notice, ReasoningDelta
from qwen3_chat.session import ChatSession, SessionEvent, TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.tools.arguments import SchemaChecker
from tests.engine.test_answer_schema import SCHEMAS
from tests.fakes import FakeEngine, finished

CUT: tuple[EngineEvent, ...] = (AnswerDelta('{"word": "straw'), finished(StopReason.MAX_TOKENS))
PENSIVE: tuple[EngineEvent, ...] = (ReasoningDelta("Hm", 9), finished(StopReason.MAX_TOKENS))
FIT: tuple[EngineEvent, ...] = (AnswerDelta('{"word": "a", "count": 3}'), finished())
UNFIT: tuple[EngineEvent, ...] = (AnswerDelta('{"word": 3}'), finished())


@pytest.fixture
def schema(tmp_path: Path) -> AnswerSchema:
    (tmp_path / "schema.json").write_text(json.dumps(SCHEMAS["an object"]), "utf-8")
    return AnswerSchema(tmp_path / "schema.json")


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


async def ask(
    store: ChatStore, schema: AnswerSchema, *scripts: tuple[EngineEvent, ...], **options: Any
) -> tuple[FakeEngine, str, list[SessionEvent]]:
    """Ask a question; return the engine, the last answer, the events after the first one."""
    engine, seeds, events = FakeEngine(*scripts), count(), list[SessionEvent]()
    turn = TurnOptions(answer_schema=schema.text, **options)
    session = ChatSession(engine, store, draw_seed=lambda: next(seeds), clock=lambda: 0.0, options=turn)
    await session.send("How many r's?", lambda _: None)
    await ask_until_it_fits(session, schema, events.append)
    return engine, session.messages[-1].message.content, events


async def test_an_answer_that_fits_is_not_asked_for_again(store: ChatStore, schema: AnswerSchema) -> None:
    engine, answer, events = await ask(store, schema, FIT)
    assert (len(engine.requests), json.loads(answer)["count"], events) == (1, 3, [])


async def test_an_answer_that_was_cut_off_is_asked_for_with_limits(
    store: ChatStore, schema: AnswerSchema
) -> None:
    engine, answer, events = await ask(store, schema, CUT, CUT, FIT, max_tokens=400, seed=5)
    assert json.loads(answer)["count"] == 3
    first, second, third = engine.requests
    limits = [json.loads(request.answer_schema)["properties"]["word"] for request in engine.requests]
    assert "maxLength" not in limits[0]
    assert limits[0]["type"] == "string"
    assert 400 > limits[1]["maxLength"] > limits[2]["maxLength"] > 0
    assert first.answer_schema == schema.text
    assert [request.seed for request in (first, second, third)] == [5, 6, 7]
    assert second.mode is ThinkingMode.THINK, "this engine leaves room after the thinking"
    assert third.mode is ThinkingMode.NO_THINK
    notices = [event for event in events if isinstance(event, Notice)]
    assert [notice.key for notice in notices] == ["cli.schema_again"] * 2


async def test_thinking_that_took_all_the_room_is_left_out(store: ChatStore, schema: AnswerSchema) -> None:
    engine, answer, _ = await ask(store, schema, PENSIVE, FIT)
    assert json.loads(answer)["count"] == 3
    assert [request.mode for request in engine.requests] == [ThinkingMode.THINK, ThinkingMode.NO_THINK]


async def test_after_three_answers_it_ends(store: ChatStore, schema: AnswerSchema) -> None:
    engine, answer, _ = await ask(store, schema, *[UNFIT] * 9)
    assert (len(engine.requests), answer) == (MAX_ANSWERS, '{"word": 3}')


async def test_a_stopped_answer_is_left_alone(store: ChatStore, schema: AnswerSchema) -> None:
    stopped: tuple[EngineEvent, ...] = (AnswerDelta("{"), finished(StopReason.CANCELLED))
    engine, _, _ = await ask(store, schema, stopped)
    assert len(engine.requests) == 1


TREE = SCHEMAS["a tree"]
LONG: dict[str, Any] = {"type": "string", "minLength": 300}
UNBOUNDED: dict[str, tuple[dict[str, Any], object]] = {
    "a text": ({"type": "string"}, "a" * 2_000),
    "a list": ({"type": "array", "items": {"type": "integer"}}, list(range(200))),
    "anything": ({}, {"a": 1}),
    "a tree": (TREE, {"name": "a", "below": [{"name": "b", "below": [{"name": "c" * 500}]}]}),
    "texts in lists": ({"type": "array", "items": {"type": "string"}}, ["a" * 600]),
    "true": ({"type": "array", "items": True}, [["a"] * 300]),
    "more properties": ({"type": "object", "properties": {"a": {"type": "null"}}}, {"b": "c"}),
    "a map": ({"type": "object", "additionalProperties": {"type": "integer"}}, {"a": 1}),
    "one of two": ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "a" * 900),
    "parts": ({"allOf": [{"type": "object", "properties": {"a": {"type": "string"}}}]}, {"a": "a" * 900}),
    "by its keywords": ({"minLength": 2}, "a" * 900),
    "kinds": ({"type": ["string", "integer"]}, "a" * 900),
    "beside a reference": (
        {"$ref": "#/$defs/a", "minLength": 1, "$defs": {"a": {"type": "string"}}},
        "a" * 900,
    ),
}
BOUNDED: dict[str, tuple[dict[str, Any], object]] = {
    "a short text": ({"type": "string"}, "abc"),
    "a short list": ({"type": "array", "items": {"type": "integer"}}, [1]),
    "a number": ({"type": "number", "minimum": 2}, 3.5),
    "a least length": (LONG, "a" * 300),
    "a least number": ({"type": "array", "minItems": 12}, [1] * 12),
    "a tree": (TREE, {"name": "a", "below": [{"name": "b"}]}),
    "a constant": ({"const": {"a": [1, 2]}}, {"a": [1, 2]}),
    "one of several": ({"enum": ["a" * 900, None]}, "a" * 900),
    "a pattern": ({"type": "string", "pattern": "^a+$"}, "aaa"),
    "a tuple": (SCHEMAS["a tuple"], ["a", 1]),
    "what is required": ({"type": "object", "required": ["a"]}, {"a": 1}),
    "parts": (SCHEMAS["parts together"], {"a": 1, "b": "c"}),
    "an empty object": ({"type": "object", "additionalProperties": False}, {}),
}


@pytest.mark.parametrize("name", UNBOUNDED)
def test_what_goes_on_for_ever_gets_an_end(name: str) -> None:
    schema, value = UNBOUNDED[name]
    assert SchemaChecker(schema).explain_value(value, "value") == ""
    assert SchemaChecker(bound_schema(schema, 60)).explain_value(value, "value") != ""


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("room", [8, 200, 5_000])
def test_what_is_short_or_required_stays(name: str, room: int) -> None:
    schema, value = BOUNDED[name]
    assert SchemaChecker(schema).explain_value(value, "value") == ""
    assert SchemaChecker(bound_schema(schema, room)).explain_value(value, "value") == ""


@pytest.mark.parametrize("name", SCHEMAS)
def test_more_tokens_give_wider_limits(name: str) -> None:
    texts = [json.dumps(bound_schema(SCHEMAS[name], room)) for room in (60, 100_000)]
    lengths = [
        [int(part.partition(",")[0].rstrip("}]")) for part in t.split('"maxLength": ')[1:]] for t in texts
    ]
    assert max(lengths[0], default=0) <= max(lengths[1], default=0)
    assert not any("$ref" in text for text in texts), "trees are written out"


def test_a_schema_that_has_no_end_is_returned_as_it_is() -> None:
    itself = {"$ref": "#/$defs/a"}
    part = {"type": "object", "properties": {"b": itself}, "required": ["b"]}
    endless = {**itself, "$defs": {"a": part}}
    wide = {"type": "object", "properties": {str(n): {"anyOf": [{"type": "string"}] * 30} for n in range(99)}}
    for schema in (endless, wide, {"$ref": "#/nowhere"}):
        assert bound_schema(schema, 100) == schema
