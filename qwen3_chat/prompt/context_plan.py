"""Which messages fit the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.request import Measure


@dataclass(frozen=True, slots=True)
class Plan:
    """What dropping the oldest turns would come to; nothing is dropped before the user's policy says so.

    `left_out` are the indexes of the messages that would have to go, `dropped_turns` the turns they make up,
    `prompt_tokens` the size of what stays. `missing_tokens` is above 0 where even that is too much: the
    system prompt and the newest question never go.
    """

    left_out: tuple[int, ...]
    dropped_turns: int
    prompt_tokens: int
    missing_tokens: int

    @property
    def fits(self) -> bool:
        """Whether everything can be sent as it is."""
        return not self.left_out and self.missing_tokens == 0


def answer_reserve_tokens(n_ctx: int) -> int:
    """Return how many cells are kept free for an answer: 512, or an eighth of a small context."""
    return min(512, n_ctx // 8)


def plan(messages: Sequence[ChatMessage], measure: Measure, n_ctx: int, reserve_tokens: int) -> Plan:
    """Find the fewest oldest turns to leave out so that the rest and a reply fit into `n_ctx` tokens."""
    budget = n_ctx - reserve_tokens
    prompt_tokens = measure.total
    left_out: list[int] = []
    turns = _droppable_turns(messages)
    dropped = 0
    while prompt_tokens > budget and dropped < len(turns):
        left_out += turns[dropped]
        prompt_tokens -= sum(measure.per_message[index] for index in turns[dropped])
        dropped += 1
    return Plan(tuple(left_out), dropped, prompt_tokens, max(0, prompt_tokens - budget))


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
