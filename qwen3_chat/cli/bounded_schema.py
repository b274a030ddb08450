"""A JSON schema with an end: what fits it fits the schema it was made from, and takes few tokens.

A text, a list or a tree without a limit can go on until the tokens of an answer are used up, and JSON that is
cut off is worth nothing. Here each of them gets a limit, the larger the more tokens there are. Only keywords
that servers turn into grammars are added: `maxLength`, `maxItems`, and trees written out to a depth.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from qwen3_chat.tools.arguments import Schema

MAX_NODES: Final = 2_000
"""The most parts of a schema with limits, whose references are written out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of whatever has none: characters of a text, items of a list, levels of what contains itself.

    `has_maps`: objects with names of the model's choice are left; their number can't be limited.
    """

    characters: int
    items: int
    levels: int
    has_maps: bool = True


LEVELS: Final = (
    Limits(1000, 20, 4),
    Limits(500, 12, 3),
    Limits(240, 8, 3),
    Limits(120, 6, 2),
    Limits(60, 4, 2),
    Limits(30, 3, 2),
    Limits(16, 2, 1, has_maps=False),
    Limits(8, 1, 1, has_maps=False),
)
"""The limits that are tried, largest first; llama.cpp's grammars repeat nothing more than 2,000 times."""

_TOKENS_PER_PART: Final = 5
"""Quotes, colon, comma, and the space that some models put around them."""
_NUMBER_TOKENS: Final = 20
_SCALARS: Final = ({"type": "string"}, {"type": "number"}, {"type": "boolean"}, {"type": "null"})
_UNIONS: Final = ("anyOf", "oneOf")
_NOT_INHERITED: Final = frozenset({*_UNIONS, "$ref", "$defs", "definitions", "allOf"})


class _UnboundableError(Exception):
    """A schema that has no finite value, or too many parts."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A schema with limits, and the tokens that its longest value takes, roughly."""

    schema: dict[str, Any]
    tokens: int


def bound_schema(schema: Schema, room_tokens: int) -> Schema:
    """Return a schema whose values fit into a number of tokens, as nearly as that is possible.

    What fits it fits the schema, as far as that has no keywords that forbid a combination (`not`, `if`). A
    schema that can't be written out is returned as it is.
    """
    bounded: dict[str, Any] = dict(schema)
    for limits in LEVELS:
        try:
            part = _Bounder(schema, limits).part(schema)
        except (_UnboundableError, RecursionError):
            continue
        bounded = part.schema
        for key in ("$defs", "definitions"):  # written out
            bounded.pop(key, None)
        if part.tokens <= room_tokens:
            break
    return bounded


class _Bounder:
    """One schema, written out with one set of limits."""

    def __init__(self, root: Schema, limits: Limits) -> None:
        self._root = root
        self._limits = limits
        self._open: list[str] = []  # the references that are being written out
        self._n_nodes = 0

    def part(self, schema: object) -> _Part:
        """Return a schema with limits.

        Raises:
            _UnboundableError: it has no finite value, or too many parts.
        """
        self._n_nodes += 1
        if self._n_nodes > MAX_NODES or schema is False:
            raise _UnboundableError
        if not isinstance(schema, Mapping):
            return self._any()
        if isinstance(reference := schema.get("$ref"), str):
            return self._reference(reference, schema)
        if isinstance(parts := schema.get("allOf"), list):
            return self._all_of(schema, parts)
        for key in _UNIONS:
            if isinstance(parts := schema.get(key), list):
                return self._union([_inherit(schema, part) for part in parts])
        if isinstance(kinds := schema.get("type"), list):
            return self._union([{**schema, "type": kind} for kind in kinds])
        for key in ("const", "enum"):
            if key in schema:
                values = [schema["const"]] if key == "const" else schema["enum"]
                return _Part({key: schema[key]}, max(_json_tokens(value) for value in values or [None]))
        return self._typed(schema)

    def _typed(self, schema: Schema) -> _Part:
        kind = schema.get("type")
        if kind == "object" or (kind is None and ("properties" in schema or "required" in schema)):
            return self._object({**schema, "type": "object"})
        if kind == "array" or (kind is None and ("items" in schema or "prefixItems" in schema)):
            return self._array({**schema, "type": "array"})
        if kind == "string" or (kind is None and ("minLength" in schema or "maxLength" in schema)):
            return self._string({**schema, "type": "string"})
        if kind is None and not schema.keys() & {"pattern", "format", "minimum", "maximum", "not"}:
            return self._any()
        return _Part(dict(schema), _NUMBER_TOKENS)

    def _any(self) -> _Part:
        scalars = [self.part(schema) for schema in _SCALARS]
        union = {"anyOf": [part.schema for part in scalars]}
        items = {"type": "array", "items": union, "maxItems": self._limits.items}
        tokens = max(part.tokens for part in scalars)
        return _Part({"anyOf": [*union["anyOf"], items]}, 2 + self._limits.items * (tokens + 2))

    def _reference(self, reference: str, schema: Schema) -> _Part:
        if self._open.count(reference) > self._limits.levels:
            raise _UnboundableError
        self._open.append(reference)
        try:
            return self.part(_inherit(schema, self._target(reference)))
        finally:
            self._open.pop()

    def _target(self, reference: str) -> object:
        target: object = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            match target:
                case Mapping() if name in target:
                    target = target[name]
                case list() if name.isdecimal() and len(name) < 6 and int(name) < len(target):
                    target = target[int(name)]
                case _:
                    raise _UnboundableError
        return target

    def _all_of(self, schema: Schema, parts: Sequence[object]) -> _Part:
        own = {key: value for key, value in schema.items() if key not in _NOT_INHERITED}
        bounded = [self.part(part) for part in [*parts, *([own] if own.keys() - {"type"} else [])]]
        for part in bounded:  # of several objects none may forbid the properties of the others
            part.schema.pop("additionalProperties", None)
        return _Part({"allOf": [part.schema for part in bounded]}, sum(part.tokens for part in bounded))

    def _union(self, schemas: Sequence[object]) -> _Part:
        parts = [part for schema in schemas if (part := self._optional(schema)) is not None]
        if not parts:
            raise _UnboundableError
        if len(parts) == 1:
            return parts[0]
        return _Part({"anyOf": [part.schema for part in parts]}, max(part.tokens for part in parts))

    def _optional(self, schema: object) -> _Part | None:
        try:
            return self.part(schema)
        except _UnboundableError:
            if self._n_nodes > MAX_NODES:
                raise
            return None

    def _object(self, schema: Schema) -> _Part:
        properties = schema.get("properties")
        kinds: dict[str, object] = dict(properties) if isinstance(properties, Mapping) else {}
        required = [name for name in schema.get("required") or () if isinstance(name, str)]
        kinds |= {name: True for name in required if name not in kinds}
        if not kinds:
            return self._map(schema)
        bounded = {
            name: part
            for name, kind in kinds.items()
            if (part := self.part(kind) if name in required else self._optional(kind)) is not None
        }
        changes = {
            "properties": {name: part.schema for name, part in bounded.items()},
            "additionalProperties": False,
        }
        tokens = sum(_json_tokens(name) + _TOKENS_PER_PART + part.tokens for name, part in bounded.items())
        return _Part({**schema, **changes}, 2 + tokens)

    def _map(self, schema: Schema) -> _Part:
        kind = schema.get("additionalProperties", True)
        value = None if kind is False or not self._limits.has_maps else self._optional(kind)
        if value is None:
            return _Part({**schema, "properties": {}, "additionalProperties": False}, 2)
        pair = self._limits.characters + _TOKENS_PER_PART + value.tokens
        return _Part({**schema, "additionalProperties": value.schema}, 2 + self._limits.items * pair)

    def _array(self, schema: Schema) -> _Part:
        least, most = _count(schema, "minItems", 0), _count(schema, "maxItems", self._limits.items)
        first = schema.get("prefixItems")
        if isinstance(first, list) and first:
            items = [self.part(part) for part in first]
            rest = {key: value for key, value in schema.items() if key != "items"}
            changes: dict[str, Any] = {"prefixItems": [part.schema for part in items]}
            if least <= len(items) <= _count(schema, "maxItems", len(items)):
                changes |= {"minItems": len(items), "maxItems": len(items)}
            return _Part({**rest, **changes}, 2 + sum(part.tokens + 2 for part in items))
        item = self._optional(schema.get("items", True))
        if item is None:
            if least:
                raise _UnboundableError
            return _Part({**schema, "items": {"type": "null"}, "maxItems": 0}, 2)
        most = max(least, min(most, self._limits.items))
        return _Part({**schema, "items": item.schema, "maxItems": most}, 2 + most * (item.tokens + 2))

    def _string(self, schema: Schema) -> _Part:
        if "pattern" in schema or "format" in schema:
            return _Part(dict(schema), 2 + self._limits.characters)
        least = _count(schema, "minLength", 0)
        most = max(least, min(_count(schema, "maxLength", self._limits.characters), self._limits.characters))
        return _Part({**schema, "maxLength": most}, 2 + most)


def _inherit(schema: Schema, part: object) -> object:
    """Return a part of a union, or a target, with the constraints that stand beside it."""
    own = {key: value for key, value in schema.items() if key not in _NOT_INHERITED}
    if not own or not isinstance(part, Mapping):
        return part
    merged = {**own, **part}
    for key in ("properties", "required"):
        if key in own and key in part:
            mine, theirs = own[key], part[key]
            if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
                merged[key] = {**mine, **theirs}
            elif isinstance(mine, list) and isinstance(theirs, list):
                merged[key] = [*mine, *theirs]
    return merged


def _count(schema: Schema, key: str, default: int) -> int:
    value = schema.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else default


def _json_tokens(value: object) -> int:
    return 2 + len(json.dumps(value, ensure_ascii=False)) // 2
