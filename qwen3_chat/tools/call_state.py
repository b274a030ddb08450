"""The state of a call of a tool, as it is told to people, from its request to its result; pure."""

from __future__ import annotations

from enum import StrEnum

from qwen3_chat.store.records import CallRecord
from qwen3_chat.tools.consent import Decision
from qwen3_chat.tools.tool_runner import STOPPED_CALL


class CallState(StrEnum):
    """The state of a call; the values are parts of the keys of its words."""

    WAITING = "waiting"
    ASKING = "asking"
    """The user is asked whether it may run."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    DENIED = "denied"
    STOPPED = "stopped"
    UNKNOWN = "unknown"
    """No result is stored, or a file of another program says nothing about it."""


def call_state(result: str, record: CallRecord) -> CallState:
    """Return the state of a call that has its result."""
    if result == STOPPED_CALL:
        return CallState.STOPPED
    if record.decision == Decision.DENY:
        return CallState.DENIED
    return CallState.FAILED if record.is_error else CallState.DONE
