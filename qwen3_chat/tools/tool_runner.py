"""The calls of one reply, decided about and run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from time import monotonic
from typing import Final

from msgspec import Struct

from qwen3_chat.chat import ToolCall
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import StoreError, UsageError
from qwen3_chat.record_copies import replace
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.tools.call_context import CallContext, ToolCallProgressed, current_call, make_report
from qwen3_chat.tools.consent import ConsentPrompt, ConsentRequest, ConsentRules, Decision, Verdict
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.permissions import Permission, PermissionScope, locate_target, possible_permissions
from qwen3_chat.tools.tool import Reach, Tool, ToolError, ToolRegistry

MAX_RESULT_CHARS: Final = 20_000
"""The longest result that the model reads, in characters."""

RUN_LIMIT_S: Final = 120.0
"""The longest time that a call may take, in seconds."""

MAX_REASON_CHARS: Final = 2_000
"""The longest reason of the user that the model reads, in characters."""

ProblemSink = Callable[[StoreError], None]
"""A function that takes what is wrong with the standing permissions."""

STOPPED_CALL: Final = "The call was stopped before it had a result."
"""The result of a call that was stopped."""

RIGHT_FORM: Final = '<tool_call>\n{"name": "…", "arguments": {…}}\n</tool_call>'
RIGHT_XML_FORM: Final = "<tool_call>\n<function=…>\n<parameter=…>\n…\n</parameter>\n</function>\n</tool_call>"


class CallOutcome(Struct, frozen=True):
    """The outcome of a call: the call as it ran, the decision, the text for the model.

    `whole_text` is the result as the tool returned it where that is too long for the model, else empty.
    """

    call: ToolCall
    decision: Decision
    text: str
    is_error: bool
    elapsed_s: float = 0.0
    whole_text: str = ""


async def ignore_outcome(index: int, outcome: CallOutcome) -> None:
    """Do nothing with the outcome of a call, which `ToolRunner.run` returns as well."""


class ToolRunner:
    """A runner of the calls of all chats: it checks each call, asks where the rules say so, and runs it.

    Without `ask`, nobody can be asked; without `permission_file`, there are no standing permissions. The
    permissions for a chat are forgotten with the runner.
    """

    def __init__(
        self,
        rules: ConsentRules | None = None,
        ask: ConsentPrompt | None = None,
        clock: Callable[[], float] = monotonic,
        permission_file: PermissionFile | None = None,
    ) -> None:
        self._rules = replace(rules or ConsentRules(), can_ask=ask is not None)
        self._ask = ask
        self._clock = clock
        self._permission_file = permission_file
        self._chat_permissions: dict[int, tuple[Permission, ...]] = {}
        self._has_reported_problem = False

    async def run(
        self,
        calls: Sequence[ToolCall],
        tools: ToolRegistry,
        on_start: Callable[[ToolCall], None],
        on_finish: Callable[[int, CallOutcome], Awaitable[None]] = ignore_outcome,
        chat_id: int | None = None,
        on_problem: ProblemSink = lambda error: None,
        on_progress: Callable[[ToolCallProgressed], None] = lambda progress: None,
    ) -> tuple[CallOutcome, ...]:
        """Decide about the calls in order, then run the allowed ones side by side; return all in order.

        `on_finish` is awaited with the index of each call as soon as it has its outcome; `on_problem` gets
        what is wrong with the standing permissions, `on_progress` how far a call has come.
        """
        checked = [await _check(call, tools) for call in calls]
        to_ask = [
            call
            for call in checked
            if isinstance(call, _Checked) and await self._verdict(call, chat_id, on_problem) is Verdict.ASK
        ]
        decided = [
            await self._decide(call, to_ask, chat_id, on_problem) if isinstance(call, _Checked) else call
            for call in checked
        ]

        async def finish(index: int, decision: CallOutcome | _Allowed) -> CallOutcome:
            if isinstance(decision, CallOutcome):
                outcome = decision
            else:
                on_start(decision.call)
                report = make_report(decision.call.name, on_progress)
                outcome = await self._run(decision, CallContext(chat_id, report))
            await on_finish(index, outcome)
            return outcome

        running = [asyncio.ensure_future(finish(*numbered)) for numbered in enumerate(decided)]
        try:
            return tuple(await asyncio.gather(*running))
        finally:
            for task in running:
                task.cancel()

    async def _verdict(self, checked: _Checked, chat_id: int | None, on_problem: ProblemSink) -> Verdict:
        rules = self._rules
        if checked.tool.reach is not Reach.NOTHING:
            given = self._chat_permissions.get(chat_id, ()) if chat_id is not None else ()
            rules = replace(rules, permissions=(*given, *await self._standing_permissions(on_problem)))
        return rules.verdict(checked.tool, checked.call, checked.location)

    async def _decide(
        self, checked: _Checked, to_ask: Sequence[_Checked], chat_id: int | None, on_problem: ProblemSink
    ) -> CallOutcome | _Allowed:
        """Decide about a call; the answer about one before it in `to_ask` may cover it by now."""
        call = checked.call
        match await self._verdict(checked, chat_id, on_problem):
            case Verdict.ALLOW:
                return _Allowed(checked.tool, call, Decision.ALLOWED_BY_RULE)
            case Verdict.ASK if self._ask is not None:
                number = next((n for n, other in enumerate(to_ask, 1) if other is checked), len(to_ask))
                request = ConsentRequest(
                    checked.tool, call, self._possible_permissions(checked, chat_id), number, len(to_ask)
                )
                return await self._decide_by_asking(self._ask, request, chat_id, on_problem)
            case _ if call.is_repaired:
                reason = "it was not written in the right form"
                return _denied(call, f"The call was not run: {reason}. Write it as\n{checked.form}")
            case _:
                return _denied(call, "The call was not run: it needs a permission, and nobody can be asked.")

    async def _decide_by_asking(
        self, ask: ConsentPrompt, request: ConsentRequest, chat_id: int | None, on_problem: ProblemSink
    ) -> CallOutcome | _Allowed:
        answer, tool, call = await ask(request), request.tool, request.call
        if not answer.is_allowed:
            reason = f" Reason: {answer.reason[:MAX_REASON_CHARS]}" if answer.reason else ""
            return _denied(call, f"The user does not allow this call.{reason}")
        if answer.arguments is None or answer.arguments == call.arguments:
            await self._keep(answer.permission, chat_id, on_problem)
            return _Allowed(tool, call, Decision.ALLOW)
        call, problem = _with_types(tool, replace(call, arguments=answer.arguments, is_repaired=False))
        if problem:
            return _denied(call, f"{problem} Call it again with right ones.")
        await self._keep(answer.permission, chat_id, on_problem)
        return _Allowed(tool, call, Decision.EDITED)

    def _possible_permissions(self, checked: _Checked, chat_id: int | None) -> tuple[Permission, ...]:
        """Return the permissions that can be kept."""
        return tuple(
            permission
            for permission in possible_permissions(checked.tool, checked.call, checked.location)
            if (chat_id if permission.scope is PermissionScope.TOOL else self._permission_file) is not None
        )

    async def _standing_permissions(self, on_problem: ProblemSink) -> tuple[Permission, ...]:
        """Return the standing permissions; none where they can't be read, which is reported once."""
        if self._permission_file is None:
            return ()
        try:
            return await asyncio.to_thread(self._permission_file.read)
        except StoreError as error:
            if not self._has_reported_problem:
                self._has_reported_problem = True
                on_problem(error)
            return ()

    async def _keep(
        self, permission: Permission | None, chat_id: int | None, on_problem: ProblemSink
    ) -> None:
        """Keep a permission: for all calls in its chat until the app ends, else in the file."""
        if permission is None:
            return
        if permission.scope is PermissionScope.TOOL:
            if chat_id is not None:
                self._chat_permissions[chat_id] = (*self._chat_permissions.get(chat_id, ()), permission)
        elif self._permission_file is not None:
            try:
                await asyncio.to_thread(self._permission_file.add, permission)
            except StoreError as error:
                on_problem(error)

    async def _run(self, allowed: _Allowed, context: CallContext) -> CallOutcome:
        start_s = self._clock()
        is_error = False
        try:
            async with asyncio.timeout(RUN_LIMIT_S) as limit:
                hold = partial(_hold, limit)
                current_call.set(replace(context, hold=hold))  # each call runs in a task of its own
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


def _hold(limit: asyncio.Timeout, is_waiting: bool) -> None:
    """Suspend the time limit of a call, or let it begin anew."""
    limit.reschedule(None if is_waiting else asyncio.get_running_loop().time() + RUN_LIMIT_S)


class _Checked(Struct, frozen=True):
    """A call of a tool on offer with right arguments; `location` is where it reaches."""

    tool: Tool
    call: ToolCall
    location: str | None
    form: str
    """The form in which it should have been written."""


class _Allowed(Struct, frozen=True):
    tool: Tool
    call: ToolCall
    decision: Decision


async def _check(call: ToolCall, tools: ToolRegistry) -> CallOutcome | _Checked:
    if not is_json_object(call.arguments):
        return _denied(call, f"The call could not be read. Write it as\n{right_form(call)}")
    tool = tools.get(call.name)
    if tool is None:
        names = ", ".join(tools.names)
        return _denied(call, f"There is no tool {call.name!r:.100}. The tools are: {names}.")
    form = right_form(call)  # the check turns the arguments of the XML form into JSON
    call, problem = _with_types(tool, call)
    if problem:
        return _denied(call, f"{problem} Call it again with right ones.")
    location = None
    if tool.reach is not Reach.NOTHING and tool.target is not None:
        location = await asyncio.to_thread(locate_target, tool, call)
    return _Checked(tool, call, location, form)


async def edit_request(request: ConsentRequest, arguments: str) -> ConsentRequest:
    """Return a request with arguments that the user wrote, and the permissions that go with those.

    Raises:
        UsageError: the arguments are no JSON object, are too long, or don't fit the schema of the tool.
    """
    from qwen3_chat.engine.tool_call_parser import MAX_CALL_CHARS

    if len(arguments) > MAX_CALL_CHARS:
        raise UsageError(ErrorCode.ARGUMENTS_TOO_LONG, limit=f"{MAX_CALL_CHARS:,}")
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError) as error:
        raise UsageError(ErrorCode.ARGUMENTS_NOT_JSON, reason=error) from error
    if not isinstance(value, dict):
        raise UsageError(ErrorCode.ARGUMENTS_NOT_JSON, reason=type(value).__name__)
    if problem := await asyncio.to_thread(request.tool.checker.explain, value):
        raise UsageError(ErrorCode.ARGUMENTS_WRONG, reason=problem)
    call = replace(request.call, arguments=arguments, is_repaired=False, values_are_text=False)
    location = await asyncio.to_thread(locate_target, request.tool, call)
    for_chat = any(permission.scope is PermissionScope.TOOL for permission in request.permissions)
    standing = any(permission.scope is not PermissionScope.TOOL for permission in request.permissions)
    permissions = (
        permission
        for permission in possible_permissions(request.tool, call, location)
        if (for_chat if permission.scope is PermissionScope.TOOL else standing)
    )
    return replace(request, call=call, permissions=tuple(permissions))


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


def right_form(call: ToolCall) -> str:
    """Return the form in which a damaged call should have been written: the one that it resembles."""
    from qwen3_chat.engine.tool_call_parser import is_xml

    return RIGHT_XML_FORM if call.values_are_text or is_xml(call.arguments) else RIGHT_FORM


def is_json_object(text: str) -> bool:
    """Return whether a text is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _with_types(tool: Tool, call: ToolCall) -> tuple[ToolCall, str]:
    """Return the call with its arguments in the types of the schema, and what is wrong with them."""
    if not is_json_object(call.arguments):
        return call, "The arguments of the call are no JSON object."
    arguments = json.loads(call.arguments)
    if call.values_are_text:
        arguments = tool.checker.typed(arguments)
        call = replace(call, arguments=json.dumps(arguments, ensure_ascii=False), values_are_text=False)
    if problem := tool.checker.explain(arguments):
        return call, f"The arguments of {tool.name} are wrong: {problem}."
    return call, ""


def _denied(call: ToolCall, text: str) -> CallOutcome:
    return CallOutcome(call, Decision.DENY, text, is_error=True)


def not_finished(call: ToolCall) -> CallOutcome:
    """Return the outcome of a call that was stopped, or whose app ended, before its result was there."""
    return CallOutcome(call, Decision.DENY, STOPPED_CALL, is_error=True)


def out_of_steps(call: ToolCall) -> CallOutcome:
    """Return the outcome of a call in the last step that a question may take."""
    text = "The call was not run: this question has used up its steps."
    return CallOutcome(call, Decision.DENY, text, is_error=True)
