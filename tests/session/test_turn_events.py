"""The tags of the events that `ask --jsonl` prints, which scripts depend on."""

from __future__ import annotations

from qwen3_chat.session import turn_events
from qwen3_chat.tools.call_context import ToolCallProgressed
from qwen3_chat.tools.tool_source import ToolServerStarting

TAGS = {
    turn_events.UserStored: "user_stored",
    turn_events.ReplyStarted: "reply_started",
    turn_events.ReplyStored: "reply_stored",
    turn_events.ReplyNotStored: "reply_not_stored",
    turn_events.QuestionWaits: "question_waits",
    turn_events.Rewound: "rewound",
    turn_events.MessagesDropped: "left_out",
    turn_events.Summarising: "summarising",
    turn_events.ContextExceeded: "context_exceeded",
    turn_events.ThinkingRepeats: "thinking_repeats",
    ToolServerStarting: "tool_server_starting",
    turn_events.ToolCallStarted: "tool_call_started",
    turn_events.ToolCallFinished: "tool_call_finished",
    ToolCallProgressed: "tool_call_progressed",
    turn_events.StepFinished: "step_finished",
}


def test_every_event_of_a_turn_keeps_its_tag() -> None:
    own = {
        event
        for event in vars(turn_events).values()
        if isinstance(event, type) and event.__module__ == turn_events.__name__
    }
    assert own | {ToolServerStarting, ToolCallProgressed} == set(TAGS)
    for event, tag in TAGS.items():
        assert event.__struct_config__.tag == tag
