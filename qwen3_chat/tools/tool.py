"""A tool that the model may call, and what it returns."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from enum import StrEnum
from functools import cached_property
from typing import Final

from msgspec import Struct
from msgspec.structs import astuple

from qwen3_chat.request import ToolSpec
from qwen3_chat.tools.arguments import ArgumentsChecker, Schema

Arguments = Mapping[str, object]

_SCHEMA_CHARS_PER_TOKEN: Final = 3.5
"""The characters of a schema in English that make a token of Qwen3, roughly."""


def schema_tokens(schema: str) -> int:
    """Return the tokens that the schema of a tool costs in each prompt, roughly."""
    return round(len(schema) / _SCHEMA_CHARS_PER_TOKEN)


class Reach(StrEnum):
    """The reach of a tool, from which the rules of consent follow."""

    NOTHING = "nothing"
    """It computes from its arguments and the clock; it runs unasked."""
    OUTSIDE = "outside"
    """It reads or changes something outside the chat, or runs code."""


class Caution(StrEnum):
    """A warning that a person reads before a tool runs; the text in the question has the same name."""

    ALL_RIGHTS = "all_rights"
    """Code runs in no jail."""
    UNCHECKED_ADDRESSES = "unchecked_addresses"
    """Addresses go to another program, which may lack the checks of `fetch`."""


class TargetKind(StrEnum):
    """The kind of a target."""

    URL = "url"
    FILE = "file"
    FOLDER = "folder"


class Target(Struct, frozen=True):
    """The argument that names where a call reaches: an address, a file or a folder.

    A tool with a target can be allowed on one host, or in one folder. It must then stay there by itself: it
    follows no redirect to another host, and opens a path as it was when it was allowed.
    """

    parameter: str
    kind: TargetKind


class ToolError(Exception):
    """A failure that the model is to read, as one English sentence."""


class Tool(Struct, frozen=True, dict=True):  # the two cached values live in its dict
    """A tool: its name and description for the model, its JSON schema, the function that runs it."""

    name: str
    description: str
    schema: Schema
    run: Callable[[Arguments], Awaitable[str]]
    """Runs the tool with arguments that fit the schema; raises `ToolError`."""
    reach: Reach = Reach.OUTSIDE
    target: Target | None = None
    model_name: str = ""
    """The name by which the model calls it, where that is another: not every server takes `:` and `.`."""
    group: str = ""
    """The name of the tools to which it belongs, which stands for all of them."""
    source_hash: str = ""
    """The hash of where it comes from, and of its definition there."""
    caution: Caution | None = None

    @cached_property
    def checker(self) -> ArgumentsChecker:
        """The checker of arguments, made when it is first needed.

        Raises:
            SchemaError: the schema can't be used.
        """
        return ArgumentsChecker(self.schema)

    @cached_property
    def definition_hash(self) -> str:
        """The hash of everything by which a person knows the tool; a change makes it another tool."""
        import hashlib

        definition = (
            self.name,
            self.description,
            self.schema,
            self.reach,
            self.target and astuple(self.target),
            *((self.source_hash,) if self.source_hash else ()),
        )
        return hashlib.sha256(json.dumps(definition, sort_keys=True).encode()).hexdigest()

    @property
    def call_name(self) -> str:
        """The name by which the model calls it."""
        return self.model_name or self.name

    @property
    def spec(self) -> ToolSpec:
        """The tool as the model is told of it."""
        function = {"name": self.call_name, "description": self.description, "parameters": self.schema}
        return ToolSpec(json.dumps({"type": "function", "function": function}, ensure_ascii=False))


class ToolRegistry:
    """The tools on offer, by the names that the model calls; the first of a name counts."""

    def __init__(self, tools: Iterable[Tool] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self._tools.setdefault(tool.call_name, tool)

    def __bool__(self) -> bool:
        return bool(self._tools)

    def get(self, name: str) -> Tool | None:
        """Return the tool of that name; None without one."""
        return self._tools.get(name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names by which the model calls them, in the order in which they were given."""
        return tuple(self._tools)

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The tools in the order in which they were given."""
        return tuple(self._tools.values())

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools as the model is told of them."""
        return tuple(tool.spec for tool in self._tools.values())
