"""Conversations of complete turns: modes, counts, budgets, long chats."""

from __future__ import annotations

import asyncio

from conformance.bench import (
    MAX_TOKENS,
    QUESTION,
    Bench,
    Talk,
    count_thinking_characters,
    require,
    stopped_for,
)
from conformance.features import Cell, Feature
from conformance.replies import Heard
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine.remote.server_features import MissingFeature
from qwen3_chat.error_codes import ErrorCode

THINK, NO_THINK = ThinkingMode.THINK, ThinkingMode.NO_THINK
_TOO_LONG_CODES = (ErrorCode.SERVER_CONTEXT_EXCEEDED, ErrorCode.PROMPT_TOO_LONG)
LONG_TOKENS, WORDS_A_TURN = 450, 40
WORDS_TOO_MANY = 100
UNLIMITED_S = 60
"""How long a server may read that has no limit, before the chat is stopped."""
BUDGET_TOKENS = 2
FEW_TOKENS = 6
"""Tokens for an empty think block, which some models write themselves, and the beginning of an answer."""


# modes


async def it_thinks_then_answers(bench: Bench) -> None:
    heard = await Talk(bench, bench.talker).say(QUESTION)
    require(heard.reasoning and heard.answer, "thinking and answer arrive")
    require(stopped_for(heard, StopReason.END_OF_TURN), "the reply comes to its end")
    facts = bench.facts(bench.talker)
    bench.note(Feature.THINKING, Cell.OURS if facts.thinking_from_tags else Cell.WORKS)
    bench.note_offered(Feature.USAGE, facts.reports_usage)


async def it_answers_without_thinking(bench: Bench) -> None:
    heard = await Talk(bench, bench.talker).say(QUESTION, NO_THINK)
    require(heard.answer and not heard.reasoning, "without thinking there is only an answer")
    bench.note(Feature.MODES, Cell.WORKS)
    bench.note_offered(Feature.SWITCH, bench.talker.capabilities.hard_switch)


async def thinking_is_switched_off_within_a_chat(bench: Bench) -> None:
    talk = Talk(bench, bench.talker)
    for mode in (THINK, NO_THINK, THINK):
        heard = await talk.say(QUESTION, mode)
        require(bool(heard.reasoning) is (mode is THINK), "each turn thinks as it was told")


async def thinking_is_switched_on_within_a_chat(bench: Bench) -> None:
    talk = Talk(bench, bench.talker)
    for mode in (NO_THINK, NO_THINK, THINK):
        heard = await talk.say(QUESTION, mode)
        require(bool(heard.reasoning) is (mode is THINK), "each turn thinks as it was told")


async def a_typed_tag_switches_thinking_off(bench: Bench) -> None:
    heard = await Talk(bench, bench.talker).say(f"{QUESTION} /no_think", NO_THINK)
    require(heard.answer and not heard.reasoning, "a typed tag counts")


async def a_typed_tag_lifts_the_switch(bench: Bench) -> None:
    talk = Talk(bench, bench.talker, (ChatMessage(Role.SYSTEM, "Be brief. /no_think"),))
    heard = await talk.say(f"{QUESTION} /think", THINK, hard_switch=False)
    require(heard.reasoning, "a typed tag wins over the system prompt")


async def a_system_prompt_goes_along(bench: Bench) -> None:
    heard = await Talk(bench, bench.talker, (ChatMessage(Role.SYSTEM, "Be brief."),)).say(QUESTION)
    require(heard.answer, "a system prompt does no harm")


async def it_is_spoken_to_in_chinese(bench: Bench) -> None:
    talk = Talk(bench, bench.talker)
    for text in ("你好！🍓", "“strawberry”里有几个 r？"):
        require((await talk.say(text, NO_THINK)).answer, "a Chinese question is answered")


# counts


async def tokens_are_counted_before_they_are_sent(bench: Bench) -> None:
    request = Talk(bench, bench.talker).request(QUESTION)
    counts = await bench.talker.count_tokens(request)
    require(len(counts.per_message) == 1, "each message has its share")
    heard = await bench.hear(bench.talker, request)
    usage = heard.end.usage.prompt_tokens if heard.end else 0
    require(not counts.exact or usage == counts.total, "an exact count is exact")
    bench.note_offered(Feature.COUNTS, counts.exact)


# budgets


async def thinking_keeps_within_its_budget(bench: Bench) -> None:
    free, limited = await _with_budget(bench, BUDGET_TOKENS)
    is_limited = count_thinking_characters(limited) < count_thinking_characters(free)
    require(is_limited == bench.brooder.capabilities.thinking_budget, "a budget counts where there is one")
    bench.note_offered(Feature.BUDGET, is_limited)


async def a_budget_of_nothing_leaves_an_answer(bench: Bench) -> None:
    free, limited = await _with_budget(bench, 0)
    if bench.brooder.capabilities.thinking_budget:
        require(
            count_thinking_characters(limited) < count_thinking_characters(free),
            "no budget, next to no thinking",
        )


async def a_large_budget_changes_nothing(bench: Bench) -> None:
    free = await Talk(bench, bench.talker).say(QUESTION)
    limited = await Talk(bench, bench.talker).say(QUESTION, thinking_budget=100_000)
    require(limited.reasoning == free.reasoning, "a budget that is not reached does not count")


async def the_reply_keeps_within_its_tokens(bench: Bench) -> None:
    heard = await Talk(bench, bench.brooder).say(QUESTION, NO_THINK, max_tokens=FEW_TOKENS)
    require(heard.answer, "what there is room for arrives")
    require(stopped_for(heard, StopReason.MAX_TOKENS), "the limit is named as the reason")


async def the_limit_is_reached_within_the_thinking(bench: Bench) -> None:
    heard = await Talk(bench, bench.talker).say(QUESTION, max_tokens=3)
    require(not heard.answer, "thinking that is cut is no answer")
    require(stopped_for(heard, StopReason.MAX_TOKENS), "the limit is named as the reason")


# long chats


async def a_long_chat_is_read(bench: Bench) -> None:
    turn = "strawberry " * WORDS_A_TURN
    pair = (ChatMessage(Role.USER, turn), ChatMessage(Role.ASSISTANT, "Yes."))
    talk = Talk(bench, bench.talker)
    while (await bench.talker.count_tokens(talk.request(QUESTION))).total < min(
        LONG_TOKENS, bench.model.n_ctx // 2
    ):
        talk.messages += pair
    require((await talk.say(QUESTION, NO_THINK)).answer, "a long chat is answered")


async def a_chat_that_is_too_long_is_refused(bench: Bench) -> None:
    endless = Talk(bench, bench.talker).request("strawberries " * (bench.model.n_ctx + WORDS_TOO_MANY))
    is_unlimited = bench.lacks(MissingFeature.TOO_LONG)  # it reads on, as long as it has memory
    try:
        async with asyncio.timeout(UNLIMITED_S if is_unlimited else None):
            heard = await bench.try_to_hear(bench.talker, endless)
    except TimeoutError:
        bench.note_offered(Feature.TOO_LONG, False)
        return
    require(heard.failure or is_unlimited, "what does not fit can't be answered")
    is_explained = heard.failure is not None and heard.failure.code in _TOO_LONG_CODES
    require(
        is_explained or is_unlimited,
        f"its length is named as the reason, not {heard.failure and heard.failure.code}",
    )
    bench.note_offered(Feature.TOO_LONG, is_explained)


async def _with_budget(bench: Bench, tokens: int) -> tuple[Heard, Heard]:
    """Return replies of the brooder without and with a budget; the first ends when its tokens are used up."""
    free = await Talk(bench, bench.brooder).say(QUESTION, max_tokens=MAX_TOKENS)
    talk = Talk(bench, bench.brooder)
    limited = await talk.say(QUESTION, max_tokens=MAX_TOKENS, thinking_budget=tokens)
    is_told = "remote.no_budget" in bench.notices
    require(bench.brooder.capabilities.thinking_budget != is_told, "a budget that does not count is told")
    require(limited.answer or is_told, "an answer follows")
    return free, limited
