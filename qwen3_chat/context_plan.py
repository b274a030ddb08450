"""The plan of what fits into a model's context: the policy for a chat that no longer fits, the reserved
tokens, the oldest turns to drop. Pure arithmetic on token counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.request import TokenCounts


class ContextPolicy(StrEnum):
    """What is done about a chat that no longer fits."""

    ASK = "ask"
    """Nothing before the user has said what."""
    DROP = "drop"
    """The oldest turns are not sent."""
    SUMMARISE = "summarise"
    """Instead of the oldest turns, the model gets a summary that it writes itself."""
    ENLARGE = "enlarge"
    """The model is loaded again with a larger context."""


@dataclass(frozen=True, slots=True)
class ContextPlan:
    """What dropping the oldest turns would come to; nothing is dropped before the user's policy says so.

    `dropped_messages` are the indexes of the messages that would have to go, `dropped_turns` the turns they make up,
    `prompt_tokens` the size of what stays. `missing_tokens` is above 0 where even that is too much: the
    system prompt and the newest question never go.
    """

    dropped_messages: tuple[int, ...]
    dropped_turns: int
    prompt_tokens: int
    missing_tokens: int

    @property
    def fits(self) -> bool:
        """Whether everything can be sent as it is."""
        return not self.dropped_messages and self.missing_tokens == 0


def answer_reserve_tokens(n_ctx: int) -> int:
    """Return how many cells are kept free for an answer: 512, or an eighth of a small context."""
    return min(512, n_ctx // 8)


def turn_reserve_tokens(n_ctx: int, mode: ThinkingMode) -> int:
    """Return how many cells a turn is to find free: the answer's, and some to think before it.

    Where the thinking needs more than that, it is ended so that the answer has its own.
    """
    return answer_reserve_tokens(n_ctx) + (min(1024, n_ctx // 8) if mode is ThinkingMode.THINK else 0)


def plan_context(
    messages: Sequence[ChatMessage],
    counts: TokenCounts,
    n_ctx: int,
    reserve_tokens: int,
    *,
    dropped_before: int = 0,
    headroom_tokens: int = 0,
) -> ContextPlan:
    """Find the fewest oldest turns to leave out so that the rest and a reply fit into `n_ctx` tokens.

    What does not fit goes on from what was left out before: the first `dropped_before` messages beside the
    system prompt. Where more has to go, room is made for `headroom_tokens` to come, as each change of what is
    sent has everything evaluated anew; but the latest turn before the question stays if it can.
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
    left_out = tuple(index for turn in turns[:dropped] for index in turn)
    return ContextPlan(left_out, dropped, prompt_tokens, max(0, prompt_tokens - budget))


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
