"""The rules that decide whether a tool call may run: allow it, ask the user, deny it.

The rules are pure: the same rules and the same call give the same verdict. Nothing that a model or a tool
writes changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from qwen3_chat.chat import ToolCall
from qwen3_chat.tools.tool import Reach, Tool


class Verdict(StrEnum):
    """The answer of the rules about a call."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


class Decision(StrEnum):
    """The decision about a call; stored, exported and printed."""

    ALLOW = "allow"
    """A person said yes."""
    EDITED = "edited"
    """A person changed the arguments and said yes to those."""
    ALLOWED_BY_RULE = "allowed_by_rule"
    """The tool is harmless, or was allowed before."""
    DENY = "deny"
    """A person or a rule said no, or nobody could be asked."""


@dataclass(frozen=True, slots=True)
class Permission:
    """A standing permission of one tool; with `arguments`, only for a call with exactly these."""

    tool: str
    arguments: str | None = None

    def covers(self, call: ToolCall) -> bool:
        """Return whether the call is one of those that were allowed."""
        return call.name == self.tool and self.arguments in (None, call.arguments)


@dataclass(frozen=True, slots=True)
class ConsentRules:
    """The permissions in force: those of this run, of this chat, and the standing ones.

    `allowed_names` are tools that run without asking (`--allow`); `allows_all` is `--allow all`.
    """

    allowed_names: frozenset[str] = frozenset()
    allows_all: bool = False
    permissions: tuple[Permission, ...] = ()
    chat_permissions: Mapping[int, tuple[Permission, ...]] = field(default_factory=dict)
    can_ask: bool = False

    def verdict(self, tool: Tool, call: ToolCall, chat_id: int | None) -> Verdict:
        """Return what to do about a call whose arguments fit the schema."""
        if call.is_repaired:  # what it means is a guess, so no rule covers it
            return self._ask_or_deny()
        if tool.reach is Reach.NOTHING or self.allows_all or tool.name in self.allowed_names:
            return Verdict.ALLOW
        chat_permissions = () if chat_id is None else self.chat_permissions.get(chat_id, ())
        if any(permission.covers(call) for permission in (*self.permissions, *chat_permissions)):
            return Verdict.ALLOW
        return self._ask_or_deny()

    def allow_in_chat(self, chat_id: int, permission: Permission) -> ConsentRules:
        """Return the rules with another permission of one chat."""
        permissions = (*self.chat_permissions.get(chat_id, ()), permission)
        return replace(self, chat_permissions={**self.chat_permissions, chat_id: permissions})

    def _ask_or_deny(self) -> Verdict:
        return Verdict.ASK if self.can_ask else Verdict.DENY


def permission_for(tool: Tool, call: ToolCall) -> Permission:
    """Return the permission that "always" means for a call: of tools that reach out, for equal arguments."""
    return Permission(tool.name, None if tool.reach is Reach.NOTHING else call.arguments)
