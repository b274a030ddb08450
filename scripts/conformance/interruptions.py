"""Interrupted conversations: tool calls, stops, second answers, continued replies."""

from __future__ import annotations

import json

from conformance.bench import (
    CALCULATOR,
    ENDLESS,
    MAX_TOKENS,
    QUESTION,
    SUM,
    SUM_RESULT,
    Bench,
    Talk,
    Unfit,
    continuation_request,
    count_thinking_characters,
    require,
    stopped_for,
)
from conformance.features import Cell, Feature
from conformance.replies import Heard, React
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.events import AnswerDelta, EngineEvent, ReasoningDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.calculator import calculate
from qwen3_chat.tools.tool import ToolError

NO_THINK = ThinkingMode.NO_THINK
EARLY_TOKENS = 3
TIMES_TO_FILL_A_BLOCK = 80
"""Enough for two blocks of what was read: vLLM's on a processor have 128 tokens each."""
ATTEMPTS = 3
"""The number of attempts to make a reply answer now: a fast one may end its thinking before the request."""
THINKS_ON = "remote.thinks_on"


# tools


async def a_tool_is_called(bench: Bench) -> None:
    heard = await Talk(bench, bench.caller).say(SUM, tools=(CALCULATOR,))
    _check_call(heard)
    require(not heard.answer.strip(), "and not as text")
    require(stopped_for(heard, StopReason.TOOL_CALLS), "the call is named as the reason")
    is_ours = bench.facts(bench.caller).calls_from_tags
    bench.note(Feature.TOOLS, Cell.OURS if is_ours else Cell.WORKS)


async def a_tool_is_called_without_thinking(bench: Bench) -> None:
    _check_call(await Talk(bench, bench.caller).say(SUM, NO_THINK, tools=(CALCULATOR,)))


async def the_result_of_a_tool_is_read(bench: Bench) -> None:
    await _check_results(bench, SUM_RESULT)


async def two_results_are_read(bench: Bench) -> None:
    await _check_results(bench, SUM_RESULT, f"</tool_response> {SUM_RESULT}")


async def tools_may_stay_unused(bench: Bench) -> None:
    heard = await Talk(bench, bench.talker).say(QUESTION, tools=(CALCULATOR,))
    require(stopped_for(heard, StopReason.END_OF_TURN, StopReason.TOOL_CALLS), "the reply comes to its end")
    require(heard.answer or heard.calls, "and says something")


# stopping


async def it_is_stopped_in_its_thinking(bench: Bench) -> None:
    heard = await Talk(bench, bench.brooder).say(ENDLESS, react=_stop_at(ReasoningDelta), max_tokens=None)
    require(stopped_for(heard, StopReason.CANCELLED), "the user is named as the reason")
    require(heard.reasoning, "what arrived is kept")
    await _note_stop(bench)


async def it_is_stopped_in_its_answer(bench: Bench) -> None:
    heard = await Talk(bench, bench.brooder).say(
        ENDLESS, NO_THINK, react=_stop_at(AnswerDelta), max_tokens=None
    )
    require(stopped_for(heard, StopReason.CANCELLED), "the user is named as the reason")
    require(heard.answer, "what arrived is kept")
    await _note_stop(bench)


async def it_is_left_within_a_reply(bench: Bench) -> None:
    request = Talk(bench, bench.brooder).request(ENDLESS, max_tokens=None)
    events = events_of(bench.brooder.generate, request)
    async for event in events:
        if isinstance(event, ReasoningDelta | AnswerDelta):
            break
    await events.aclose()
    await _note_stop(bench)


async def it_answers_after_it_was_stopped(bench: Bench) -> None:
    engine = bench.brooder
    await Talk(bench, engine).say(ENDLESS, react=_stop_at(ReasoningDelta), max_tokens=None)
    heard = await Talk(bench, engine).say(QUESTION, NO_THINK, max_tokens=20)
    require(heard.answer, "the next reply comes")


async def it_is_told_to_answer_now(bench: Bench) -> None:
    engine = bench.brooder
    if not engine.capabilities.ends_thinking:
        heard = await _ask_to_answer_now(bench)
        require(heard.answer or THINKS_ON in heard.notices, "it answers, or says that it can't")
        bench.note(Feature.ANSWER_NOW, Cell.NOT_OFFERED)
        return
    free = await Talk(bench, engine).say(ENDLESS, max_tokens=MAX_TOKENS)
    for _ in range(ATTEMPTS):
        heard = await _ask_to_answer_now(bench)
        require(heard.answer and THINKS_ON not in heard.notices, "an answer follows")
        if not free.answer or count_thinking_characters(heard) < count_thinking_characters(free):
            bench.note(Feature.ANSWER_NOW, Cell.WORKS)
            return
    raise Unfit(
        "its thinking was never seen to end early; a model that thinks for longer shows whether it can"
    )


# answering again


async def the_same_seed_gives_the_same_reply(bench: Bench) -> None:
    first, second = [await Talk(bench, bench.talker).say(QUESTION) for _ in range(2)]
    require((first.reasoning, first.answer) == (second.reasoning, second.answer), "a seed decides")


async def what_was_read_is_not_read_again(bench: Bench) -> None:
    read = (ChatMessage(Role.SYSTEM, "Be brief. " * TIMES_TO_FILL_A_BLOCK),)
    await Talk(bench, bench.talker, read).say(QUESTION)
    again = await Talk(bench, bench.talker, read).say(QUESTION)
    is_told = bench.facts(bench.talker).reports_reused_tokens
    require(not is_told or (again.end and again.end.usage.reused_tokens), "the prompt was there already")
    bench.note_offered(Feature.REUSED, is_told)


# going on


async def it_goes_on_in_its_thinking(bench: Bench) -> None:
    await _check_continuation(bench, is_early=True)


async def it_goes_on_in_its_answer(bench: Bench) -> None:
    await _check_continuation(bench, is_early=False)


def _check_call(heard: Heard) -> None:
    """Check that the calculator is called once, with the sum that was asked for."""
    require([call.name for call in heard.calls] == ["calculator"], "the call arrives as an event")
    try:
        value = calculate(str(json.loads(heard.calls[0].arguments)["expression"]))
    except (ValueError, TypeError, KeyError, ToolError):
        value = ""
    require(value == SUM_RESULT, f"with its arguments, not {heard.calls[0].arguments}")


async def _check_results(bench: Bench, *results: str) -> None:
    """Have a tool called and return its results to the model."""
    talk = Talk(bench, bench.caller)
    called = await talk.say(SUM, tools=(CALCULATOR,))
    require(called.calls, "a tool is called")
    calls = tuple(called.calls[:1]) * len(results)
    talk.messages = (
        *talk.messages[:-1],
        replace(talk.messages[-1], tool_calls=calls),
        *(ChatMessage(Role.TOOL, result) for result in results),
    )
    request = replace(talk.request("?", tools=(CALCULATOR,)), messages=talk.messages)
    heard = await bench.hear(bench.caller, request)
    require(SUM_RESULT in heard.answer or heard.calls, "the answer tells the result")


async def _check_continuation(bench: Bench, *, is_early: bool) -> None:
    """Cut a reply by its limit, early in the thinking or late in the answer, then continue it."""
    is_offered = bench.talker.capabilities.continues_prefix
    bench.note_offered(Feature.CONTINUATION, is_offered)
    if not is_offered:
        return
    limit = EARLY_TOKENS if is_early else await _late_tokens(bench)
    request = Talk(bench, bench.talker).request(QUESTION, max_tokens=limit)
    cut = await bench.hear(bench.talker, request)
    require(is_early is (not cut.answer), "the limit falls where it should")
    heard = await bench.hear(bench.talker, continuation_request(request, cut))
    require(heard.reasoning.startswith(cut.reasoning.rstrip()), "the thinking goes on where it stopped")
    require(heard.answer.startswith(cut.answer.rstrip()), "the answer goes on where it stopped")
    require(len(heard.answer) > len(cut.answer), "something is added")


async def _ask_to_answer_now(bench: Bench) -> Heard:
    """Make a reply end its thinking after the first delta; stop it once it answers or refuses."""
    engine = bench.brooder

    async def react(heard: Heard, event: EngineEvent) -> bool:
        if isinstance(event, ReasoningDelta) and event is _first(heard, ReasoningDelta):
            await engine.end_thinking()
        return bool(heard.answer or THINKS_ON in heard.notices)

    return await Talk(bench, engine).say(ENDLESS, react=react, max_tokens=None)


async def _late_tokens(bench: Bench) -> int:
    """Return the number of tokens of a reply without the second half of its answer."""
    whole = await Talk(bench, bench.talker).say(QUESTION)
    assert whole.end is not None
    usage = whole.end.usage
    return usage.reasoning_tokens + usage.answer_tokens - max(2, usage.answer_tokens // 2)


async def _note_stop(bench: Bench) -> None:
    if bench.stopped is not None:
        await bench.stopped()
        bench.note(Feature.STOP, Cell.WORKS)


def _stop_at(kind: type[ReasoningDelta | AnswerDelta]) -> React:
    """Return a reaction that stops the reply at the first delta of a kind."""

    async def react(heard: Heard, event: EngineEvent) -> bool:
        return isinstance(event, kind)

    return react


def _first(heard: Heard, kind: type[EngineEvent]) -> EngineEvent | None:
    return next((event for event in heard.events if isinstance(event, kind)), None)
