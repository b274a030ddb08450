"""The plan of what fits into a model's context, in pure arithmetic on token counts.

It covers the policy for a chat that no longer fits, the reserved tokens and the oldest turns to drop.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from msgspec import Struct

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.request import TokenCounts


class ContextPolicy(StrEnum):
    """A policy for a chat that no longer fits into the context."""

    ASK = "ask"
    """A question to the user; nothing is sent before the answer."""
    DROP = "drop"
    """A request without the oldest turns."""
    SUMMARISE = "summarise"
    """A summary, written by the model itself, in place of the oldest turns."""
    ENLARGE = "enlarge"
    """A larger context, for which the model is loaded again."""


class ContextPlan(Struct, frozen=True):
    """The effect of dropping the oldest turns; nothing is dropped unless the user's policy says so.

    `dropped_messages` are the indexes of the messages that would have to go, `prompt_tokens` the size of the
    others. `missing_tokens` is above 0 where even those are too many: the system prompt and the newest
    question never go.
    """

    dropped_messages: tuple[int, ...]
    prompt_tokens: int
    missing_tokens: int


def answer_reserve_tokens(n_ctx: int) -> int:
    """Return the number of tokens reserved for an answer: 512, or an eighth of a small context."""
    return min(512, n_ctx // 8)


def turn_reserve_tokens(n_ctx: int, mode: ThinkingMode) -> int:
    """Return the number of tokens reserved for a turn: the answer's, and some for the thinking before it.

    Thinking that needs more than that is ended, so that the answer has its own tokens.
    """
    return answer_reserve_tokens(n_ctx) + (min(1024, n_ctx // 8) if mode is ThinkingMode.THINK else 0)


def whole_answer_tokens(room: int) -> int:
    """Return the tokens of a reply's room that are left to an answer that has to be whole: 512, or half."""
    return min(512, room // 2)


def plan_context(
    messages: Sequence[ChatMessage],
    counts: TokenCounts,
    n_ctx: int,
    reserve_tokens: int,
    *,
    dropped_before: int = 0,
    headroom_tokens: int = 0,
) -> ContextPlan:
    """Return the plan that drops the fewest oldest turns so that the rest and a reply fit into `n_ctx`.

    In a chat that does not fit, the turns dropped before stay dropped: the first `dropped_before` messages
    after the system prompt. Where more have to go, `headroom_tokens` more are freed for the turns to come,
    because each change of what is sent has everything evaluated anew; but the latest turn before the question
    stays if it can.
    """
    budget = n_ctx - reserve_tokens
    turns = _droppable_turns(messages)
    sizes = [sum(counts.per_message[index] for index in turn) for turn in turns]
    prompt_tokens, dropped = counts.total, 0
    if prompt_tokens > budget:
        while dropped < len(turns) and sum(map(len, turns[: dropped + 1])) <= dropped_before:
            prompt_tokens -= sizes[dropped]
            dropped += 1
    goal = budget if prompt_tokens <= budget else budget - headroom_tokens
    while dropped < len(turns) and (
        prompt_tokens > budget or (prompt_tokens > goal and dropped + 1 < len(turns))
    ):
        prompt_tokens -= sizes[dropped]
        dropped += 1
    dropped_messages = tuple(index for turn in turns[:dropped] for index in turn)
    return ContextPlan(dropped_messages, prompt_tokens, max(0, prompt_tokens - budget))


def _droppable_turns(messages: Sequence[ChatMessage]) -> list[list[int]]:
    """Group the messages into turns, a question with its replies, oldest first and without the newest."""
    turns: list[list[int]] = []
    for index, message in enumerate(messages):
        if message.role is Role.SYSTEM:
            continue
        if message.role is Role.USER or not turns:
            turns.append([])
        turns[-1].append(index)
    return turns[:-1]
