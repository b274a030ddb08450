"""The rules that decide whether a tool call may run: allow it, ask the user, deny it.

The rules are pure: the same rules and the same call give the same verdict. Nothing that a model or a tool
writes changes them.
"""

from __future__ import annotations

from dataclasses import dataclass
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
class ConsentRules:
    """The permissions in force.

    `allowed_names` are tools that run without asking (`--allow`); `allows_all` is `--allow all`.
    """

    allowed_names: frozenset[str] = frozenset()
    allows_all: bool = False
    can_ask: bool = False

    def verdict(self, tool: Tool, call: ToolCall) -> Verdict:
        """Return what to do about a call whose arguments fit the schema."""
        # what a repaired call means is a guess, so no rule covers it
        is_allowed = tool.reach is Reach.NOTHING or self.allows_all or tool.name in self.allowed_names
        if is_allowed and not call.is_repaired:
            return Verdict.ALLOW
        return Verdict.ASK if self.can_ask else Verdict.DENY
