"""Answers that are JSON of a schema: the thinking is free, the answer is held to the schema to its end."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineEvent, ReasoningDelta
from qwen3_chat.request import LoadSettings
from qwen3_chat.tools.arguments import SchemaChecker
from tests.engine.requests import THINKING, chat_request, end_of, user_message

NODE = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "below": {"type": "array", "items": {"$ref": "#/$defs/node"}}},
    "required": ["name"],
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "anything": {},
    "a number": {"type": "number"},
    "an integer in a range": {"type": "integer", "minimum": -3, "maximum": 12},
    "a boolean": {"type": "boolean"},
    "nothing": {"type": "null"},
    "a text": {"type": "string"},
    "a short text": {"type": "string", "minLength": 2, "maxLength": 5},
    "one of several": {"enum": ["yes", "no", "maybe"]},
    "one of several in Chinese": {"enum": ["草莓", "蓝莓", None, 3, {"a": "é"}]},
    "a constant": {"const": {"kind": "草莓", "n": [1, 2]}},
    "an object": {
        "type": "object",
        "properties": {"word": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["word", "count"],
        "additionalProperties": False,
    },
    "optional properties": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}, "c": {"enum": ["x"]}},
        "additionalProperties": False,
    },
    "Chinese properties": {
        "type": "object",
        "properties": {"水果": {"type": "string", "maxLength": 8}, "数量": {"type": "integer", "minimum": 0}},
        "required": ["水果", "数量"],
    },
    "a list": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 4},
    "a list of objects": {
        "type": "array",
        "items": {"type": "object", "properties": {"x": {"type": "number"}}, "required": ["x"]},
        "maxItems": 3,
    },
    "a tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False},
    "objects in objects": {
        "type": "object",
        "properties": {
            "outer": {
                "type": "object",
                "properties": {"inner": {"type": "object", "properties": {"v": {"type": "null"}}}},
                "required": ["inner"],
            }
        },
        "required": ["outer"],
    },
    "a choice": {"anyOf": [{"type": "string", "maxLength": 9}, {"type": "integer"}, {"type": "null"}]},
    "parts together": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "a tree": {**NODE, "$defs": {"node": NODE}},
}
QUESTIONS = [
    "How many r's in strawberries?",
    "草莓里有几个字母？",
    "9.11 or 9.8?",
    "Write a story.",
    "3 + 4?",
    "Hello",
    "你好，你是谁？",
    "Capital of France?",
    "Make a table with three rows.",
    'Say "}" and </think>.',
]
MODES = [*ThinkingMode]


async def ask(
    engine: LocalEngine, schema: dict[str, Any], question: str, mode: ThinkingMode, **changes: Any
) -> list[EngineEvent]:
    text = json.dumps(schema, ensure_ascii=False)
    defaults = {"max_tokens": 240, "sampling": THINKING, "hard_switch": False, "answer_schema": text}
    request = chat_request(user_message(question), mode=mode, **{**defaults, **changes})
    events = list[EngineEvent]()
    await engine.generate(request, events.append)
    return events


def answer_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, AnswerDelta))


def thinking_of(events: list[EngineEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, ReasoningDelta))


def check(schema: dict[str, Any], events: list[EngineEvent]) -> None:
    assert end_of(events).stop_reason is StopReason.END_OF_TURN
    answer = answer_of(events)
    assert "<think>" not in answer
    assert SchemaChecker(schema).explain_value(json.loads(answer), "value") == ""


async def test_every_answer_fits_its_schema(demo_engine: LocalEngine) -> None:
    for number, (name, schema) in enumerate(SCHEMAS.items()):
        question, mode = QUESTIONS[number % len(QUESTIONS)], MODES[number % 2]
        events = await ask(demo_engine, schema, question, mode, seed=number)
        try:
            check(schema, events)
        except (AssertionError, ValueError) as error:
            raise AssertionError(f"{name}: {answer_of(events)!r}") from error


@pytest.mark.full
async def test_every_answer_to_every_question_fits(demo_engine: LocalEngine) -> None:
    for seed, (schema, question) in enumerate(product(SCHEMAS.values(), QUESTIONS)):
        mode = MODES[seed % 2]
        check(schema, await ask(demo_engine, schema, question, mode, seed=seed))


async def test_the_thinking_is_free_and_comes_first(demo_engine: LocalEngine) -> None:
    schema, question = SCHEMAS["an object"], QUESTIONS[0]
    free = await ask(demo_engine, {}, question, ThinkingMode.THINK, max_tokens=400, seed=3, answer_schema="")
    held = await ask(demo_engine, schema, question, ThinkingMode.THINK, max_tokens=400, seed=3)
    assert thinking_of(held) == thinking_of(free) != ""
    check(schema, held)


async def test_thinking_that_does_not_end_leaves_room_for_the_answer(brooding_engine: LocalEngine) -> None:
    schema = SCHEMAS["objects in objects"]
    events = await ask(brooding_engine, schema, QUESTIONS[0], ThinkingMode.THINK, max_tokens=150)
    check(schema, events)
    assert end_of(events).usage.reasoning_tokens > 50


async def test_an_answer_that_does_not_end_is_closed_where_the_room_ends(
    tireless_gguf: Path, log_path: Path
) -> None:
    engine = LocalEngine(LoadSettings(str(tireless_gguf), n_ctx=512), log_path)
    for schema in ({}, SCHEMAS["a text"], SCHEMAS["a tree"], {"type": "array"}):
        events = await ask(engine, schema, "Hi", ThinkingMode.NO_THINK, max_tokens=None, hard_switch=True)
        check(schema, events)
    await engine.close()


async def test_the_same_seed_gives_the_same_answer(demo_engine: LocalEngine) -> None:
    first, second = [
        await ask(demo_engine, SCHEMAS["an object"], QUESTIONS[0], ThinkingMode.NO_THINK, seed=5)
        for _ in range(2)
    ]
    assert end_of(first).token_ids == end_of(second).token_ids
