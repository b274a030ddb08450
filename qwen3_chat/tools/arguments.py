"""Arguments of a tool call, checked against the tool's JSON schema.

A schema may come from outside, so it never leads to the network, its patterns have a limit of work, and its
size is limited, that of what its references repeat included.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Never

if TYPE_CHECKING:
    from jsonschema_rs import Draft202012Validator

Schema = Mapping[str, Any]

MAX_SCHEMA_CHARS: Final = 100_000
"""The longest schema, as JSON, in characters."""

MAX_SCHEMA_PARTS: Final = 2_000
"""The most parts of a schema, those behind a reference counted each time it is used."""

_MAX_BACKTRACKS: Final = 100_000  # of a pattern: some 15 ms
_MAX_PATTERN_BYTES: Final = 1_000_000  # of the program that a pattern becomes
_MAX_REASON_CHARS: Final = 300


class SchemaError(ValueError):
    """A schema that can't be used; the text says why, in English, for whoever wrote the tool."""


class SchemaChecker:
    """A checker of JSON by a schema.

    Raises:
        SchemaError: the schema is too large, or none.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._validator = _validator(schema)

    def explain_value(self, value: object, kind: str) -> str:
        """Return what is wrong with a value, in English; empty if nothing is. `kind` names it."""
        try:
            error = next(iter(self._validator.iter_errors(value)), None)
        except UnicodeEncodeError:  # JSON can spell half a character
            return "a text holds half of a character, a lone surrogate"
        if error is None:
            return ""
        place = "".join(f"[{part!r}]" for part in error.instance_path)
        reason = error.message if len(error.message) <= _MAX_REASON_CHARS else _shortened(error.message)
        return f"{f'{kind} {place}: ' if place else ''}{reason}"


class ArgumentsChecker(SchemaChecker):
    """A checker of the arguments of one tool."""

    def explain(self, arguments: Mapping[str, object]) -> str:
        """Return what is wrong with the arguments, in English, for the model; empty if nothing is."""
        return self.explain_value(dict(arguments), "argument")

    def typed(self, arguments: Mapping[str, object]) -> dict[str, object]:
        """Return arguments that came as text with the types that the schema gives them.

        A text that is no JSON of its type stays text, so that the check can say what is wrong.
        """
        properties = self._schema.get("properties")
        kinds = properties if isinstance(properties, Mapping) else {}
        return {name: _typed(value, kinds.get(name)) for name, value in arguments.items()}


def _typed(value: object, schema: object) -> object:
    kinds = schema.get("type") if isinstance(schema, Mapping) else None
    wanted = {kinds} if isinstance(kinds, str) else set(kinds) if isinstance(kinds, list) else set()
    if not isinstance(value, str) or not wanted or "string" in wanted:
        return value
    try:
        typed: object = json.loads(value.strip().lower() if "boolean" in wanted else value)
    except (ValueError, RecursionError):
        return value
    return typed


def _validator(schema: Schema) -> Draft202012Validator:
    from jsonschema_rs import Draft202012Validator, FancyRegexOptions, ValidationError  # 80 ms to import

    try:
        is_long = len(json.dumps(schema)) > MAX_SCHEMA_CHARS
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError("the schema is no JSON") from error
    if is_long or _PartCounter(schema).count() > MAX_SCHEMA_PARTS:
        raise SchemaError("the schema is too large")
    try:
        return Draft202012Validator(
            dict(schema),
            pattern_options=FancyRegexOptions(
                backtrack_limit=_MAX_BACKTRACKS,
                size_limit=_MAX_PATTERN_BYTES,
                dfa_size_limit=_MAX_PATTERN_BYTES,
            ),
            retriever=_refuse,
        )
    except (ValidationError, ValueError) as error:
        raise SchemaError(_shortened(str(error).partition("\n")[0])) from error


def _refuse(uri: str) -> Never:
    raise ValueError(f"a schema may not refer to {_shortened(uri)}")


def _shortened(text: str) -> str:
    return text if len(text) <= _MAX_REASON_CHARS else f"{text[:_MAX_REASON_CHARS]}…"


class _PartCounter:
    """A counter of the parts of a schema; a reference counts as what it refers to."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._counts: dict[str, int] = {}

    def count(self) -> int:
        """Return the number of parts, or any number above the limit."""
        return self._count(self._schema)

    def _count(self, part: object) -> int:
        total = 1
        match part:
            case Mapping():
                if isinstance(reference := part.get("$ref"), str):
                    total += self._count_reference(reference)
                children = list(part.values())
            case list():
                children = part
            case _:
                return total
        for child in children:
            total += self._count(child)
            if total > MAX_SCHEMA_PARTS:
                break
        return total

    def _count_reference(self, reference: str) -> int:
        if reference not in self._counts:
            self._counts[reference] = 0  # a schema that refers to itself: the arguments end it
            target: object = self._schema
            for name in reference.removeprefix("#").split("/")[1:]:
                target = target.get(name) if isinstance(target, Mapping) else None
            self._counts[reference] = self._count(target)
        return self._counts[reference]
