"""Calls that are decided about and run."""

from __future__ import annotations

import asyncio
import json

import pytest

from qwen3_chat.chat import ToolCall
from qwen3_chat.tools import tool_runner
from qwen3_chat.tools.calculator import calculator_tool
from qwen3_chat.tools.clock import clock_tool
from qwen3_chat.tools.consent import ConsentRules, Decision
from qwen3_chat.tools.tool import Arguments, Reach, Tool, ToolError, ToolRegistry
from qwen3_chat.tools.tool_runner import (
    MAX_RESULT_CHARS,
    CallOutcome,
    ConsentAnswer,
    ConsentPrompt,
    ToolRunner,
    cut_for_context,
)

SIX_TIMES_SEVEN = ToolCall("calculator", '{"expression": "6 * 7"}')


async def echo(arguments: Arguments) -> str:
    return json.dumps(arguments)


def tool(name: str = "echo", run: object = echo, reach: Reach = Reach.OUTSIDE) -> Tool:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False}
    return Tool(name, "", schema, run, reach)  # type: ignore[arg-type]


class Offer:
    """A runner with the tools on offer."""

    def __init__(
        self, tools: list[Tool], rules: ConsentRules | None = None, ask: ConsentPrompt | None = None
    ) -> None:
        self.tools, self.runner = ToolRegistry(tools), ToolRunner(rules, ask)


async def outcomes(runner: Offer, *calls: ToolCall) -> tuple[CallOutcome, ...]:
    return await runner.runner.run(calls, runner.tools, lambda call: None, lambda index, outcome: None)


async def test_a_harmless_tool_runs_unasked() -> None:
    (outcome,) = await outcomes(Offer([calculator_tool()]), SIX_TIMES_SEVEN)
    assert (outcome.text, outcome.decision, outcome.is_error) == ("42", Decision.ALLOWED_BY_RULE, False)


async def test_calls_run_side_by_side_and_their_results_come_in_order() -> None:
    second_ran = asyncio.Event()

    async def first(arguments: Arguments) -> str:
        await second_ran.wait()
        return "first"

    async def second(arguments: Arguments) -> str:
        second_ran.set()
        return "second"

    registry = ToolRegistry([tool("a", first, Reach.NOTHING), tool("b", second, Reach.NOTHING)])
    events = list[str]()
    found = await ToolRunner().run(
        [ToolCall("a", "{}"), ToolCall("b", "{}")],
        registry,
        lambda call: events.append(f"{call.name} starts"),
        lambda index, outcome: events.append(f"{index} ends"),
    )
    assert [outcome.text for outcome in found] == ["first", "second"]
    assert events == ["a starts", "b starts", "1 ends", "0 ends"]


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (ToolCall("nothing", "{}"), "There is no tool 'nothing'. The tools are: echo."),
        (ToolCall("echo", '{"n": "x"}'), 'argument [\'n\']: "x" is not of type "integer"'),
        (ToolCall("echo", '{"m": 1}'), "Additional properties"),
        (ToolCall("echo", "[]"), "could not be read"),
        (ToolCall("echo", "{"), "could not be read"),
        (ToolCall("echo", "{}"), "nobody can be asked"),
        (ToolCall("echo", "{}", is_repaired=True), "not written in the right form"),
    ],
)
async def test_a_call_that_may_not_run_is_explained_to_the_model(call: ToolCall, text: str) -> None:
    (outcome,) = await outcomes(Offer([tool()]), call)
    assert text in outcome.text
    assert (outcome.decision, outcome.is_error) == (Decision.DENY, True)


async def test_a_repaired_call_is_asked_about_whatever_is_allowed() -> None:
    asked = list[str]()

    async def ask(tool: Tool, call: ToolCall) -> ConsentAnswer:
        asked.append(call.name)
        return ConsentAnswer(is_allowed=True)

    rules = ConsentRules(allows_all=True)
    runner = Offer([tool()], rules, ask)
    found = await outcomes(runner, ToolCall("echo", "{}"), ToolCall("echo", "{}", is_repaired=True))
    assert [outcome.decision for outcome in found] == [Decision.ALLOWED_BY_RULE, Decision.ALLOW]
    assert asked == ["echo"]


async def test_edited_arguments_are_the_ones_that_run() -> None:
    async def ask(tool: Tool, call: ToolCall) -> ConsentAnswer:
        return ConsentAnswer(is_allowed=True, arguments='{"n": 2}')

    (outcome,) = await outcomes(Offer([tool()], ask=ask), ToolCall("echo", '{"n": 1}'))
    assert (outcome.text, outcome.decision) == ('{"n": 2}', Decision.EDITED)
    assert outcome.call.arguments == '{"n": 2}'


async def test_edited_arguments_are_checked_again() -> None:
    async def ask(tool: Tool, call: ToolCall) -> ConsentAnswer:
        return ConsentAnswer(is_allowed=True, arguments='{"n": "two"}')

    (outcome,) = await outcomes(Offer([tool()], ask=ask), ToolCall("echo", '{"n": 1}'))
    assert (outcome.decision, outcome.is_error) == (Decision.DENY, True)


async def test_the_model_reads_why_the_user_said_no() -> None:
    async def ask(tool: Tool, call: ToolCall) -> ConsentAnswer:
        return ConsentAnswer(is_allowed=False, reason="not today")

    (outcome,) = await outcomes(Offer([tool()], ask=ask), ToolCall("echo", "{}"))
    assert outcome.text == "The user does not allow this call. Reason: not today"


async def test_text_values_get_the_types_of_the_schema() -> None:
    runner = Offer([tool(reach=Reach.NOTHING)])
    (outcome,) = await outcomes(runner, ToolCall("echo", '{"n": "12"}', values_are_text=True))
    assert outcome.text == '{"n": 12}'


async def test_a_failure_of_a_tool_is_its_result() -> None:
    async def fail(arguments: Arguments) -> str:
        raise ToolError("No such city.")

    runner = Offer([tool(run=fail, reach=Reach.NOTHING)])
    (outcome,) = await outcomes(runner, ToolCall("echo", "{}"))
    assert (outcome.text, outcome.is_error, outcome.decision) == (
        "No such city.",
        True,
        Decision.ALLOWED_BY_RULE,
    )


async def test_a_tool_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tool_runner, "RUN_LIMIT_S", 0.01)

    async def hang(arguments: Arguments) -> str:
        await asyncio.Event().wait()
        return ""

    runner = Offer([tool(run=hang, reach=Reach.NOTHING)])
    (outcome,) = await outcomes(runner, ToolCall("echo", "{}"))
    assert outcome.is_error
    assert "did not finish" in outcome.text


@pytest.mark.parametrize("hostile", ["\x1b]52;c;eA==\x07", "\x9b31m", "\u202ereversed", "\ud800", "a\x00b"])
async def test_a_result_cannot_steer_a_terminal(hostile: str) -> None:
    async def attack(arguments: Arguments) -> str:
        return hostile

    runner = Offer([tool(run=attack, reach=Reach.NOTHING)])
    (outcome,) = await outcomes(runner, ToolCall("echo", "{}"))
    assert "\ufffd" in outcome.text
    assert outcome.text.encode()


async def test_a_long_result_is_cut_and_says_so() -> None:
    async def flood(arguments: Arguments) -> str:
        return "x" * 1_000_000

    runner = Offer([tool(run=flood, reach=Reach.NOTHING)])
    (outcome,) = await outcomes(runner, ToolCall("echo", "{}"))
    assert outcome.text.endswith("\n[980,000 more characters]")
    assert len(outcome.text) < MAX_RESULT_CHARS + 50


def test_the_tools_are_described_as_the_template_wants_them() -> None:
    specs = [json.loads(spec.schema) for spec in ToolRegistry([clock_tool(), calculator_tool()]).specs]
    assert [spec["function"]["name"] for spec in specs] == ["now", "calculator"]
    assert all(spec["type"] == "function" for spec in specs)


@pytest.mark.parametrize(("n_ctx", "length"), [(40_000, 20_000), (4_096, 2_048), (1_000, 500)])
async def test_a_result_leaves_half_of_a_small_context_free(n_ctx: int, length: int) -> None:
    async def flood(arguments: Arguments) -> str:
        return "x" * 30_000

    runner = Offer([tool(run=flood, reach=Reach.NOTHING)])
    (outcome,) = await outcomes(runner, ToolCall("echo", "{}"))
    cut = cut_for_context(outcome, n_ctx)
    assert cut.text == f"{'x' * length}\n[{30_000 - length:,} more characters]"
    assert cut.whole_text == "x" * 30_000


def test_a_short_result_is_not_cut_for_a_small_context() -> None:
    outcome = CallOutcome(SIX_TIMES_SEVEN, Decision.ALLOW, "42", is_error=False)
    assert cut_for_context(outcome, 1_000) == outcome
