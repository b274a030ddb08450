"""JSON schemas of tools that nobody would write: hostile ones, and random ones."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


def _ambiguous(levels: int) -> dict[str, Any]:
    """Return a schema with 2 to the power of `levels` readings of one text."""
    definitions: dict[str, Any] = {f"d{levels}": {"type": "string"}}
    for level in range(levels):
        inner = {"$ref": f"#/$defs/d{level + 1}"}
        definitions[f"d{level}"] = {
            "anyOf": [
                {"type": "object", "properties": {"x": inner}, "required": ["x"]},
                {"type": "object", "properties": {"x": inner, "y": {"type": "null"}}, "required": ["x"]},
            ]
        }
    return {"type": "object", "properties": {"x": {"$ref": "#/$defs/d0"}}, "$defs": definitions}


def _of(schema: object) -> dict[str, Any]:
    return {"type": "object", "properties": {"x": schema}, "required": ["x"]}


HOSTILE_SCHEMAS: Mapping[str, Any] = {
    "nothing": None,
    "a list": [],
    "a string": {"type": "string"},
    "itself": {"$ref": "#"},
    "in a circle": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "itself in allOf": {"type": "object", "allOf": [{"$ref": "#"}, {"$ref": "#"}]},
    "itself in anyOf": _of({"anyOf": [{"$ref": "#/properties/x"}, {"$ref": "#"}]}),
    "a reference to nothing": _of({"$ref": "#/$defs/none"}),
    "a reference to the network": _of({"$ref": "https://example.org/schema.json"}),
    "a reference to an odd place": _of({"$ref": "#/required/0"}),
    "a reference that is none": _of({"$ref": {"a": 1}}),
    "a billion items": _of({"type": "array", "items": {}, "minItems": 10**9, "maxItems": 10**10}),
    "a billion letters": _of({"type": "string", "minLength": 10**9}),
    "up to a million letters": _of({"type": "string", "maxLength": 10**6}),
    "bounds the wrong way round": _of({"type": "array", "items": {}, "minItems": 5, "maxItems": 2}),
    "lengths the wrong way round": _of({"type": "string", "minLength": 5, "maxLength": 2}),
    "numbers the wrong way round": _of({"type": "integer", "minimum": 5, "maximum": 2}),
    "counts that are none": _of({"type": "array", "minItems": "2", "maxItems": -1, "items": True}),
    "huge numbers": _of({"type": "integer", "minimum": -(10**300), "maximum": 10**300}),
    "huge floats": _of({"type": "number", "minimum": -1e308, "maximum": 1e308}),
    "bounds that are none": _of({"type": "number", "minimum": "a", "maximum": True}),
    "a huge enum": _of({"enum": [f"value {i}" for i in range(20_000)]}),
    "a long enum": _of({"enum": ["a" * 50_000, "b"]}),
    "an enum of everything": _of(
        {"enum": [None, True, 1, 1.5, "a", [1, {"b": "\n"}], {"c": "\\"}, "\ud800"]}
    ),
    "an empty enum": _of({"enum": []}),
    "an enum that is none": _of({"enum": "abc"}),
    "an empty union": _of({"anyOf": []}),
    "a union of nothing": _of({"oneOf": [False, False]}),
    "a wide union": _of({"anyOf": [{"const": i} for i in range(1000)]}),
    "many types": _of({"type": ["string", "null", "array", "object", "colour", 7]}),
    "an unknown type": _of({"type": "colour"}),
    "a type that is none": _of({"type": {"a": 1}}),
    "nothing allowed": _of(False),
    "a thousand properties": {"properties": {f"p{i}": {"type": "string"} for i in range(1000)}},
    "properties that are none": {"properties": [1, 2], "required": "a"},
    "required but unknown": {"properties": {}, "required": ["a", 1, None]},
    "odd names": {"properties": {'"\\\n\x00': {}, "": {}, "\ud800": {}, "::=": {}, "名🌡️": {}}},
    "deep": _deep(60),
    "very deep": _deep(300),
    "ambiguous": _ambiguous(16),
    "many in a row": _of({"type": "array", "prefixItems": [{"type": "string"}] * 1000, "items": False}),
    "patterns": _of({"type": "string", "pattern": "^(a+)+$", "format": "date", "minLength": 1}),
    "keywords that no grammar has": {
        "not": {"required": ["a"]},
        "if": {},
        "then": False,
        "dependentRequired": {"a": ["b"]},
        "patternProperties": {"^a": {"type": "null"}},
        "minProperties": 10**9,
    },
}


def made_up_schema(random: Random, depth: int = 3) -> dict[str, Any]:
    """Return a random schema of an object whose keywords a grammar can express exactly."""
    names = [f"p{i}" for i in range(depth)]
    definitions = {name: _value(random, 1, names[:index]) for index, name in enumerate(names)}
    return {**_object(random, depth, names), "$defs": definitions}


def _value(random: Random, depth: int, references: list[str]) -> dict[str, Any]:
    simple = (_string, _integer, _number, _enum, _constant)
    if depth <= 0 or random.random() < 0.4:
        return random.choice(simple)(random)
    match random.randrange(5 if references else 4):
        case 0:
            return _object(random, depth - 1, references)
        case 1:
            return _array(random, depth - 1, references)
        case 2:
            return {"anyOf": [_value(random, depth - 1, references) for _ in range(random.randint(1, 3))]}
        case 3:
            return {"type": random.sample(["string", "integer", "boolean", "null"], 2)}
        case _:
            return {"$ref": f"#/$defs/{random.choice(references)}"}


def _object(random: Random, depth: int, references: list[str]) -> dict[str, Any]:
    names = random.sample(["a", "b", "城市", "naïve", 'q"', "long name", "x1", "x2"], random.randint(0, 7))
    return {
        "type": "object",
        "properties": {name: _value(random, depth, references) for name in names},
        "required": [name for name in names if random.random() < 0.5],
        "additionalProperties": False,
    }


def _array(random: Random, depth: int, references: list[str]) -> dict[str, Any]:
    least = random.randint(0, 2)
    return {
        "type": "array",
        "items": _value(random, depth, references),
        "minItems": least,
        "maxItems": least + random.randint(0, 2),
    }


def _string(random: Random) -> dict[str, Any]:
    least = random.randint(0, 3)
    return {"type": "string", "minLength": least, "maxLength": least + random.randint(0, 5)}


def _integer(random: Random) -> dict[str, Any]:
    low = random.randint(-2000, 2000)
    return {"type": "integer", "minimum": low, "maximum": low + random.randint(0, 3000)}


def _number(random: Random) -> dict[str, Any]:
    low = random.randint(-20, 20)
    bounds = {random.choice(["minimum", "exclusiveMinimum"]): low, "maximum": low + random.randint(1, 30)}
    return {"type": "number", **bounds}


def _enum(random: Random) -> dict[str, Any]:
    values = ["celsius", "cel", "华氏", "🌡️", 'a"b', "\\n", "\n", 1, 12, 1.5, None, True, ["a", 1], {"k": "v"}]
    return {"enum": random.sample(values, random.randint(1, 5))}


def _constant(random: Random) -> dict[str, Any]:
    return {"const": random.choice(["only", "\t", -3, {}, []])}
