"""The rules that decide whether a tool call may run: allow it, ask the user, deny it.

The rules are pure: the same rules and the same call give the same verdict. Nothing that a model or a tool
writes changes them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from msgspec import Struct

from qwen3_chat.chat import ToolCall
from qwen3_chat.store.records import EDITED_CALL
from qwen3_chat.tools.permissions import Permission
from qwen3_chat.tools.tool import Caution, Reach, Tool

_ADDRESS: Final = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}:\\?/\\?/", re.IGNORECASE)
"""The beginning of an address, as JSON may write it."""


class Verdict(StrEnum):
    """The answer of the rules about a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class ConsentKind(StrEnum):
    """The kind of a question to the user; the texts of the question are named after it."""

    CALL = "call"
    """May this call run?"""
    SERVER = "server"
    """May this server of tools be started?"""
    CHANGE = "change"
    """May these tools be offered, which are not what they were?"""


class Decision(StrEnum):
    """The decision about a call; stored, exported and printed."""

    ALLOW = "allow"
    """A person said yes."""
    EDITED = EDITED_CALL
    """A person changed the arguments and said yes to those."""
    ALLOWED_BY_RULE = "allowed_by_rule"
    """The tool is harmless, or was allowed before."""
    DENY = "deny"
    """A person or a rule said no, or nobody could be asked."""


class ConsentRules(Struct, frozen=True):
    """The rules in force.

    `allowed_names` are tools that run without asking (`--allow`); `allows_all` is `--allow all`;
    `permissions` are those that the user gave before, for the chat or standing.
    """

    allowed_names: frozenset[str] = frozenset()
    allows_all: bool = False
    can_ask: bool = False
    permissions: tuple[Permission, ...] = ()

    def verdict(self, tool: Tool, call: ToolCall, location: str | None = None) -> Verdict:
        """Return what to do about a call whose arguments fit the schema and whose target is at `location`."""
        # what a repaired call means is a guess, so no rule covers it
        if not call.is_repaired and self._allows(tool, call, location):
            return Verdict.ALLOW
        return Verdict.ASK if self.can_ask else Verdict.DENY

    def _allows(self, tool: Tool, call: ToolCall, location: str | None) -> bool:
        is_named = not self.allowed_names.isdisjoint((tool.name, tool.group))
        if tool.reach is Reach.NOTHING or self.allows_all or is_named:
            return True
        return any(permission.covers(tool, call, location) for permission in self.permissions)


class ConsentRequest(Struct, frozen=True):
    """A question to the user: may this call run? It is the question `number` of `count` in its step.

    Questions of another kind are put as calls, too: `call` has what the user is to read.

    `permissions` are those that the user can give with the answer.
    """

    tool: Tool
    call: ToolCall
    permissions: tuple[Permission, ...] = ()
    number: int = 1
    count: int = 1
    kind: ConsentKind = ConsentKind.CALL

    def text_key(self, group: str, name: str) -> str:
        """Return the key of a text of the question in a group such as `ui.consent.`."""
        return f"{group}{name}" if self.kind is ConsentKind.CALL else f"{group}{self.kind}.{name}"

    @property
    def caution(self) -> Caution | None:
        """The warning in the question, if there is one; about addresses only where there are any."""
        match self.tool.caution:
            case Caution.UNCHECKED_ADDRESSES if not _ADDRESS.search(self.call.arguments):
                return None
            case caution:
                return caution

    @property
    def label(self) -> str:
        """The name of what the question is about."""
        return self.tool.name if self.kind is ConsentKind.CALL else self.tool.name.partition(":")[2]

    @property
    def can_edit(self) -> bool:
        """True if the user may change the arguments, or tell the model a reason."""
        return self.kind is ConsentKind.CALL


class ConsentAnswer(Struct, frozen=True):
    """The user's answer about a call.

    `arguments` are those to use instead, as JSON; `permission` holds for the calls to come as well; `reason`
    is read by the model where the call is denied.
    """

    is_allowed: bool
    arguments: str | None = None
    reason: str = ""
    permission: Permission | None = None


ConsentPrompt = Callable[[ConsentRequest], Awaitable[ConsentAnswer]]
"""A function that asks the user about a call."""
