"""Arguments of calls against the schemas of tools."""

from __future__ import annotations

from typing import Any

import pytest

from qwen3_chat.tools.arguments import MAX_SCHEMA_CHARS, ArgumentsChecker, SchemaError

WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"city": "Paris"}, ""),
        ({"city": "Paris", "days": 3}, ""),
        ({}, '"city" is a required property'),
        ({"city": 7}, "argument ['city']: 7 is not of type \"string\""),
        ({"city": "Paris", "days": 0}, "argument ['days']: 0 is less than the minimum of 1"),
        ({"city": "Paris", "town": 1}, "Additional properties are not allowed ('town' was unexpected)"),
    ],
)
def test_the_model_is_told_what_is_wrong(arguments: dict[str, object], reason: str) -> None:
    assert ArgumentsChecker(WEATHER).explain(arguments) == reason


def test_a_long_value_does_not_make_a_long_reason() -> None:
    assert len(ArgumentsChecker(WEATHER).explain({"city": ["x" * 10_000]})) < 400


def test_text_gets_the_types_of_the_schema() -> None:
    schema = {
        "properties": {
            "n": {"type": "integer"},
            "s": {"type": "string"},
            "b": {"type": "boolean"},
            "l": {"type": ["array", "null"]},
        }
    }
    typed = ArgumentsChecker(schema).typed({"n": "12", "s": "12", "b": "True", "l": "[1]", "other": "12"})
    assert typed == {"n": 12, "s": "12", "b": True, "l": [1], "other": "12"}


def test_text_that_is_not_of_its_type_stays_for_the_check_to_refuse() -> None:
    checker = ArgumentsChecker({"properties": {"n": {"type": "integer"}}})
    assert checker.typed({"n": "a dozen"}) == {"n": "a dozen"}
    assert "is not of type" in checker.explain({"n": "a dozen"})


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def doubling(levels: int) -> dict[str, Any]:
    """A short schema whose check would take time in powers of two."""
    parts = {
        str(level): {"anyOf": [{"$ref": f"#/$defs/{level + 1}"}] * 2} if level < levels else False
        for level in range(levels + 1)
    }
    return {"$ref": "#/$defs/0", "$defs": parts}


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "strin"},
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"pattern": "("}}},
        {"properties": {"a": {"pattern": "(" * 10 + "a{1000}" + "){1000}" * 10}}},
        {"description": "x" * MAX_SCHEMA_CHARS},
        nested(5_000),
        doubling(24),
    ],
    ids=["unknown type", "network", "file", "broken pattern", "huge pattern", "long", "deep", "doubling"],
)
def test_a_schema_that_cannot_be_used_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        ArgumentsChecker(schema)


def test_a_pattern_that_would_take_forever_is_a_refusal() -> None:
    checker = ArgumentsChecker({"properties": {"a": {"type": "string", "pattern": r"^(a|a)*\1$"}}})
    assert "backtracking" in checker.explain({"a": "a" * 5_000 + "b"})


def test_a_schema_may_refer_to_itself() -> None:
    checker = ArgumentsChecker({"type": "object", "properties": {"child": {"$ref": "#"}}})
    assert checker.explain({"child": {"child": {}}}) == ""
    assert checker.explain({"child": {"child": 7}})


def test_half_a_character_is_told() -> None:
    checker = ArgumentsChecker(
        {"type": "object", "properties": {"path": {"type": "string", "pattern": "^/"}}}
    )
    assert "half of a character" in checker.explain({"path": "a\ud800"})
