"""Results of calls as they are stored, those of calls that never ran among them."""

from __future__ import annotations

from qwen3_chat.chat import ToolCall
from qwen3_chat.store.records import CallRecord
from qwen3_chat.tools.consent import Decision
from qwen3_chat.tools.tool_runner import CallOutcome


def call_record(index: int, outcome: CallOutcome) -> CallRecord:
    """Return the record of a call, the `index`th of its reply."""
    call = outcome.call
    return CallRecord(
        index,
        call.name,
        call.arguments,
        outcome.decision.value,
        outcome.is_error,
        call.is_repaired,
        outcome.elapsed_s,
    )


def not_finished(call: ToolCall) -> CallOutcome:
    """Return the outcome of a call that was stopped, or whose app ended, before its result was there."""
    return CallOutcome(call, Decision.DENY, "The call was stopped before it had a result.", is_error=True)


def out_of_steps(call: ToolCall) -> CallOutcome:
    """Return the outcome of a call in the last step that a question may take."""
    text = "The call was not run: this question has used up its steps."
    return CallOutcome(call, Decision.DENY, text, is_error=True)
