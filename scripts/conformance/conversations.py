"""The thirty conversations that any engine must hold."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from conformance import interruptions, turns
from conformance.bench import Bench

Conversation = Callable[[Bench], Awaitable[None]]

CONVERSATIONS: tuple[Conversation, ...] = (
    turns.it_thinks_then_answers,
    turns.it_answers_without_thinking,
    turns.thinking_is_switched_off_within_a_chat,
    turns.thinking_is_switched_on_within_a_chat,
    turns.a_typed_tag_switches_thinking_off,
    turns.a_typed_tag_lifts_the_switch,
    turns.a_system_prompt_goes_along,
    turns.it_is_spoken_to_in_chinese,
    turns.tokens_are_counted_before_they_are_sent,
    turns.thinking_keeps_within_its_budget,
    turns.a_budget_of_nothing_leaves_an_answer,
    turns.a_large_budget_changes_nothing,
    turns.the_reply_keeps_within_its_tokens,
    turns.the_limit_is_reached_within_the_thinking,
    interruptions.a_tool_is_called,
    interruptions.a_tool_is_called_without_thinking,
    interruptions.the_result_of_a_tool_is_read,
    interruptions.two_results_are_read,
    interruptions.tools_may_stay_unused,
    interruptions.it_is_stopped_in_its_thinking,
    interruptions.it_is_stopped_in_its_answer,
    interruptions.it_is_left_within_a_reply,
    interruptions.it_answers_after_it_was_stopped,
    interruptions.it_is_told_to_answer_now,
    interruptions.the_same_seed_gives_the_same_reply,
    interruptions.what_was_read_is_not_read_again,
    interruptions.it_goes_on_in_its_thinking,
    interruptions.it_goes_on_in_its_answer,
    turns.a_long_chat_is_read,
    turns.a_chat_that_is_too_long_is_refused,
)
