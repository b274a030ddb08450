from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.chat import ChatMessage, Role, ToolCall
from qwen3_chat.context_plan import ContextPlan, plan_context
from qwen3_chat.request import TokenCounts
from tests.prompt.conversations import reply, result, system, user

OVERHEAD = 5
CALL = ToolCall("f", "{}")
CHAT = (
    system("s"),
    user("1"),
    reply("a"),
    user("2"),
    reply("", calls=(CALL,)),
    result("r"),
    reply("b"),
    user("3"),
)


def measured(*per_message: int) -> TokenCounts:
    return TokenCounts(per_message, sum(per_message) + OVERHEAD, exact=True)


TENS = measured(*[10] * len(CHAT))


@pytest.mark.parametrize(
    ("n_ctx", "plan"),
    [
        (200, ContextPlan((), 85, 0)),
        (105, ContextPlan((), 85, 0)),
        (104, ContextPlan((1, 2), 65, 0)),
        (85, ContextPlan((1, 2), 65, 0)),
        (84, ContextPlan((1, 2, 3, 4, 5, 6), 25, 0)),
        (45, ContextPlan((1, 2, 3, 4, 5, 6), 25, 0)),
        (44, ContextPlan((1, 2, 3, 4, 5, 6), 25, 1)),
        (10, ContextPlan((1, 2, 3, 4, 5, 6), 25, 35)),
    ],
)
def test_the_oldest_turns_go_first_with_all_their_replies(n_ctx: int, plan: ContextPlan) -> None:
    assert plan_context(CHAT, TENS, n_ctx, reserve_tokens=20) == plan


def test_what_fits_is_left_alone() -> None:
    assert plan_context(CHAT, TENS, 200, reserve_tokens=20) == ContextPlan((), 85, 0)
    assert plan_context(CHAT, TENS, 104, reserve_tokens=20) == ContextPlan((1, 2), 65, 0)
    assert plan_context(CHAT[:2], measured(10, 90), 50, reserve_tokens=20) == ContextPlan((), 105, 75)


def test_the_replies_to_the_newest_question_stay_with_it() -> None:
    messages = (user("1"), reply("a"), user("2"), reply("", calls=(CALL,)), result("r"))
    assert plan_context(messages, measured(*[10] * 5), 45, reserve_tokens=0) == ContextPlan((0, 1), 35, 0)


def test_a_greeting_before_the_first_question_is_a_turn_of_its_own() -> None:
    messages = (reply("Welcome"), user("1"), reply("a"), user("2"))
    assert plan_context(messages, measured(*[10] * 4), 35, reserve_tokens=0) == ContextPlan((0,), 35, 0)


def test_system_messages_stay_wherever_they_are() -> None:
    messages = (system("s"), user("1"), system("t"), reply("a"), user("2"))
    assert plan_context(messages, measured(*[10] * 5), 40, reserve_tokens=0) == ContextPlan((1, 3), 35, 0)


def test_nothing_is_dropped_of_an_empty_chat() -> None:
    assert plan_context((), TokenCounts((), 0, exact=True), 10, reserve_tokens=0) == ContextPlan((), 0, 0)


ROLES = st.sampled_from(list(Role))


@given(st.lists(st.tuples(ROLES, st.integers(1, 50)), max_size=12), st.integers(0, 400), st.integers(0, 100))
def test_no_more_goes_than_must(described: list[tuple[Role, int]], n_ctx: int, reserve_tokens: int) -> None:
    messages = [ChatMessage(role, "x") for role, _ in described]
    counts = measured(*(size for _, size in described))
    plan = plan_context(messages, counts, n_ctx, reserve_tokens)
    budget = n_ctx - reserve_tokens
    dropped = set(plan.dropped_messages)
    assert plan.prompt_tokens == counts.total - sum(counts.per_message[i] for i in dropped)
    assert plan.missing_tokens == max(0, plan.prompt_tokens - budget)
    assert not [i for i in dropped if messages[i].role is Role.SYSTEM]
    questions = [i for i, message in enumerate(messages) if message.role is Role.USER]
    assert not questions or questions[-1] not in dropped
    if dropped:
        newest_turn_out = max((i for i in questions if i in dropped), default=0)
        kept_with_it = [i for i in dropped if i >= newest_turn_out]
        assert plan.prompt_tokens + sum(counts.per_message[i] for i in kept_with_it) > budget
