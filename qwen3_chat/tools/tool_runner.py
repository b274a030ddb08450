"""The calls of one reply, decided about and run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final

from qwen3_chat.chat import ToolCall
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.tools.consent import ConsentRules, Decision, Verdict
from qwen3_chat.tools.tool import Tool, ToolError, ToolRegistry

MAX_RESULT_CHARS: Final = 20_000
"""The longest result that the model reads, in characters."""

RUN_LIMIT_S: Final = 120.0
"""The longest time that a call may take, in seconds."""

RIGHT_FORM: Final = '<tool_call>\n{"name": "…", "arguments": {…}}\n</tool_call>'


@dataclass(frozen=True, slots=True)
class ConsentAnswer:
    """The user's answer about a call; with `arguments`, those to use instead, as JSON."""

    is_allowed: bool
    arguments: str | None = None
    reason: str = ""


ConsentPrompt = Callable[[Tool, ToolCall], Awaitable[ConsentAnswer]]
"""A function that asks the user about a call."""


@dataclass(frozen=True, slots=True)
class CallOutcome:
    """The outcome of a call: the call as it ran, the decision, the text for the model.

    `whole_text` is the result as the tool returned it where that is too long for the model, else empty.
    """

    call: ToolCall
    decision: Decision
    text: str
    is_error: bool
    elapsed_s: float = 0.0
    whole_text: str = ""


class ToolRunner:
    """A runner of the calls of a chat: it checks each call, asks where the rules say so, and runs it.

    Without `ask`, nobody can be asked.
    """

    def __init__(
        self,
        rules: ConsentRules | None = None,
        ask: ConsentPrompt | None = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.rules = replace(rules or ConsentRules(), can_ask=ask is not None)
        self._ask = ask
        self._clock = clock

    async def run(
        self,
        calls: Sequence[ToolCall],
        tools: ToolRegistry,
        on_start: Callable[[ToolCall], None],
        on_finish: Callable[[int, CallOutcome], None],
    ) -> tuple[CallOutcome, ...]:
        """Decide about the calls in order, then run the allowed ones side by side; return all in order.

        `on_finish` gets the index of each call that has its outcome.
        """
        decided = [await self._decide(call, tools) for call in calls]

        async def finish(index: int, decision: CallOutcome | _Allowed) -> CallOutcome:
            if isinstance(decision, CallOutcome):
                outcome = decision
            else:
                on_start(decision.call)
                outcome = await self._run(decision)
            on_finish(index, outcome)
            return outcome

        return tuple(await asyncio.gather(*(finish(*numbered) for numbered in enumerate(decided))))

    async def _decide(self, call: ToolCall, tools: ToolRegistry) -> CallOutcome | _Allowed:
        if not is_json_object(call.arguments):
            return _denied(call, f"The call could not be read. Write it as\n{RIGHT_FORM}")
        tool = tools.get(call.name)
        if tool is None:
            names = ", ".join(tools.names)
            return _denied(call, f"There is no tool {call.name!r:.100}. The tools are: {names}.")
        call, problem = _checked(tool, call)
        if problem:
            return _denied(call, problem)
        match self.rules.verdict(tool, call):
            case Verdict.ALLOW:
                return _Allowed(tool, call, Decision.ALLOWED_BY_RULE)
            case Verdict.ASK if self._ask is not None:
                return await self._decide_by_asking(self._ask, tool, call)
            case _ if call.is_repaired:
                return _denied(
                    call,
                    f"The call was not run: it was not written in the right form. Write it as\n{RIGHT_FORM}",
                )
            case _:
                return _denied(call, "The call was not run: it needs a permission, and nobody can be asked.")

    async def _decide_by_asking(
        self, ask: ConsentPrompt, tool: Tool, call: ToolCall
    ) -> CallOutcome | _Allowed:
        answer = await ask(tool, call)
        if not answer.is_allowed:
            reason = f" Reason: {answer.reason}" if answer.reason else ""
            return _denied(call, f"The user does not allow this call.{reason}")
        if answer.arguments is None or answer.arguments == call.arguments:
            return _Allowed(tool, call, Decision.ALLOW)
        call, problem = _checked(tool, replace(call, arguments=answer.arguments, is_repaired=False))
        return _denied(call, problem) if problem else _Allowed(tool, call, Decision.EDITED)

    async def _run(self, allowed: _Allowed) -> CallOutcome:
        start_s = self._clock()
        is_error = False
        try:
            async with asyncio.timeout(RUN_LIMIT_S):
                text = await allowed.tool.run(json.loads(allowed.call.arguments))
        except ToolError as error:
            text, is_error = str(error), True
        except TimeoutError:
            text, is_error = f"The tool did not finish within {RUN_LIMIT_S:.0f} s.", True
        except Exception as error:  # a fault of the tool must not end the turn
            text, is_error = f"The tool failed with an unexpected error ({type(error).__name__}).", True
        elapsed_s = self._clock() - start_s
        whole_text = text if len(text) > MAX_RESULT_CHARS else ""
        return CallOutcome(
            allowed.call, allowed.decision, cut_for_model(text), is_error, elapsed_s, whole_text
        )


@dataclass(frozen=True, slots=True)
class _Allowed:
    tool: Tool
    call: ToolCall
    decision: Decision


def cut_for_model(text: str, max_chars: int = MAX_RESULT_CHARS) -> str:
    """Return a result as the model reads it: without escapes for terminals, and of limited length."""
    if len(text) <= max_chars:
        return terminal_safe(text)
    return f"{terminal_safe(text[:max_chars])}\n[{len(text) - max_chars:,} more characters]"


def cut_for_context(outcome: CallOutcome, n_ctx: int) -> CallOutcome:
    """Return an outcome whose text leaves half of a small context free, at one token for a character."""
    max_chars = n_ctx // 2
    if max_chars >= MAX_RESULT_CHARS or len(outcome.text) <= max_chars:
        return outcome
    whole_text = outcome.whole_text or outcome.text
    return replace(outcome, text=cut_for_model(whole_text, max_chars), whole_text=whole_text)


def is_json_object(text: str) -> bool:
    """Return whether a text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _checked(tool: Tool, call: ToolCall) -> tuple[ToolCall, str]:
    """Return the call with its arguments in the types of the schema, and what is wrong with them."""
    if not is_json_object(call.arguments):
        return call, "The arguments of the call are no JSON object."
    arguments = json.loads(call.arguments)
    if call.values_are_text:
        arguments = tool.checker.typed(arguments)
        call = replace(call, arguments=json.dumps(arguments, ensure_ascii=False), values_are_text=False)
    if problem := tool.checker.explain(arguments):
        return call, f"The arguments of {tool.name} are wrong: {problem}. Call it again with right ones."
    return call, ""


def _denied(call: ToolCall, text: str) -> CallOutcome:
    return CallOutcome(call, Decision.DENY, text, is_error=True)


def not_finished(call: ToolCall) -> CallOutcome:
    """Return the outcome of a call that was stopped, or whose app ended, before its result was there."""
    return CallOutcome(call, Decision.DENY, "The call was stopped before it had a result.", is_error=True)


def out_of_steps(call: ToolCall) -> CallOutcome:
    """Return the outcome of a call in the last step that a question may take."""
    text = "The call was not run: this question has used up its steps."
    return CallOutcome(call, Decision.DENY, text, is_error=True)
