"""`qwen3-chat ask`: one question, its answer on stdout, everything else on stderr."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct, field

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode, Timings, Usage, sum_usage
from qwen3_chat.cli.code_extraction_option import extract_code
from qwen3_chat.cli.composition import Runtime, make_tool_runner, open_runtime, require_confinement
from qwen3_chat.cli.interrupts import run_until_interrupt
from qwen3_chat.cli.json_output import print_json
from qwen3_chat.cli.mcp_source import McpSource
from qwen3_chat.cli.question_files import assemble_prompt
from qwen3_chat.cli.server_text_options import ServerTextChoice
from qwen3_chat.cli.shared_options import ModelChoice, parse_think_option
from qwen3_chat.cli.standard_streams import can_ask, read_new_line
from qwen3_chat.cli.warm_option import choose_warm_engine
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.documents.file_text import read_piped_text
from qwen3_chat.error_codes import CANCELLATION_CODES, ErrorCode
from qwen3_chat.errors import Cancelled, EngineError, Qwen3ChatError, UsageError
from qwen3_chat.events import AnswerDelta, EngineFailed, LoadProgressed, Notice, ReasoningDelta
from qwen3_chat.plain_chat.line_renderer import PROGRESS_INTERVAL_S, call_progress_line
from qwen3_chat.session import (
    ChatSession,
    ContextExceeded,
    MessagesDropped,
    QuestionWaits,
    ReplyNotStored,
    ReplyStored,
    SessionEvent,
    ToolCallFinished,
    ToolCallStarted,
    TurnOptions,
)
from qwen3_chat.session.thinking_mode import is_only_mode_tag
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import stop_advice
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.tools.call_context import ToolCallProgressed
from qwen3_chat.tools.consent import ConsentPrompt, ConsentRules
from qwen3_chat.tools.result_notes import NoPaths, ResultPaths, result_note
from qwen3_chat.tools.tool_runner import is_json_object
from qwen3_chat.tools.tool_source import SOURCE_PREFIX

if TYPE_CHECKING:
    from qwen3_chat.cli.answer_schema import AnswerSchema
    from qwen3_chat.cli.prompt_templates import PromptTemplate
    from qwen3_chat.mcp.forms import FormPrompt

MAX_SHOWN_RESULT = 200
"""The most characters of a tool's result that are shown while a turn runs."""


class OutputFormat(StrEnum):
    """The form of the output on stdout."""

    TEXT = "text"
    JSON = "json"
    JSONL = "jsonl"


class AskOptions(Struct, frozen=True):
    """The options of a question that concern neither the model nor the engine."""

    chat: str | None = None
    system: str | None = None
    think: bool | None = None
    output: OutputFormat = OutputFormat.TEXT
    hide_thinking: bool = False
    allowed_tools: tuple[str, ...] = ()
    allows_all_tools: bool = False
    runs_python_unprotected: bool = False
    mcp_file: Path | None = None
    """A file of another program whose MCP servers are known for this question."""
    schema: AnswerSchema | None = None
    """The schema of the answer, which is checked before it is printed."""
    extract: str | None = None
    """The language of the code block that alone is printed, empty for any; None for the whole answer."""
    template: PromptTemplate | None = None
    """The prompt that the question is put into."""
    server_texts: ServerTextChoice = field(default_factory=ServerTextChoice)
    """The resources and the prompt of MCP servers that belong to the question."""
    warm_minutes: float | None = None
    """The minutes for which the engine stays for the next question; None where `--warm` is not given."""
    turn: TurnOptions = field(default_factory=TurnOptions)


class TurnFailure(Struct, frozen=True):
    """The failure or the cancellation of a turn."""

    code: ErrorCode
    sentence: str

    @classmethod
    def from_error(cls, error: Qwen3ChatError) -> TurnFailure:
        """Return the failure that an error is."""
        return cls(error.code, terminal_safe(str(error)))

    @property
    def is_cancellation(self) -> bool:
        """Return True where the user stopped the turn."""
        return self.code in CANCELLATION_CODES


class CallResult(msgspec.Struct, frozen=True):
    """A call of a step in the output of `ask --json`; `arguments` is text only where it never parsed."""

    name: str
    arguments: dict[str, object] | str
    result: str
    is_error: bool
    decision: str
    repaired: bool
    elapsed_s: float


class Step(msgspec.Struct, frozen=True):
    """A reply of the model with the results of its calls, in the output of `ask --json`."""

    reasoning: str
    answer: str
    tool_calls: list[CallResult]


class AskResult(msgspec.Struct, frozen=True):
    """The output of `ask --json`; reasoning and answer are those of the last step, `usage` is the sum."""

    reasoning: str
    answer: str
    stop_reason: StopReason
    mode: ThinkingMode
    model: str
    usage: Usage
    timings: Timings
    chat_id: int
    seed: int | None = None
    error: str | None = None
    error_code: ErrorCode | None = None
    engine_library: str | None = None
    steps: list[Step] = []


class TurnPrinter:
    """The output of a turn as it happens; no text of a model can steer the terminal."""

    def __init__(self, options: AskOptions) -> None:
        self._output = options.output
        self._shows_thinking = not options.hide_thinking and options.output is OutputFormat.TEXT
        self._think = options.think
        self._holds_answer = options.schema is not None or options.extract is not None
        self._dims = sys.stderr.isatty()
        self._is_thinking = False
        self._answered = self._is_in_line = False
        self._progress_shown_s = monotonic()
        self.failure: TurnFailure | None = None
        self.is_complete = False
        self.replies: list[StoredMessage] = []
        self.paths: ResultPaths = NoPaths()
        """The paths of what tools have left, once the store is open."""
        self.results: dict[int, list[StoredMessage]] = {}
        """The results of the calls of each reply, by its id."""

    @property
    def reply(self) -> StoredMessage | None:
        """The latest reply of the turn."""
        return self.replies[-1] if self.replies else None

    def show(self, event: SessionEvent) -> None:
        """Print one event, to stdout or to stderr."""
        if self._output is OutputFormat.JSONL:
            print_json(_with_error_code(event))
        match event:
            case LoadProgressed(fraction=fraction) if self._dims and self._output is OutputFormat.TEXT:
                end = "\r\x1b[K" if fraction >= 1 else ""
                self._print_error(f"\r\x1b[K{t('ui.activity.loading')} {fraction:.0%}{end}", end="")
            case ReasoningDelta(text=text) if self._shows_thinking:
                if not self._is_thinking:
                    self._print_error("\x1b[2m" if self._dims else "<think>\n", end="")
                    self._is_thinking = True
                self._print_error(terminal_safe(text), end="")
            case AnswerDelta(text=text) if self._output is OutputFormat.TEXT:
                self._end_thinking()
                if not self._holds_answer:
                    self.write_answer(text)
            case Notice(key=key, values=values):
                self.write_line(terminal_safe(t(key, **values)))
            case MessagesDropped(ids=ids) if ids:
                self.write_line(terminal_safe(event.text))
            case ContextExceeded(policies=policies):
                advice = t("cli.choose_policy", policies="|".join(policies))
                self.failure = TurnFailure(event.code, f"{event.text} {advice}")
            case EngineFailed():
                self.failure = TurnFailure.from_error(event.to_error())
            case QuestionWaits():
                self.write_line(terminal_safe(event.text))
            case ReplyNotStored(message=message):
                self.replies.append(message)
                self.write_line(terminal_safe(event.text))
            case ReplyStored(message=message):
                self.replies.append(message)
            case ToolCallStarted(call=call) if self._output is OutputFormat.TEXT:
                self.write_line(terminal_safe(t("cli.tool_runs", name=call.name, arguments=call.arguments)))
            case ToolCallProgressed() if self._output is OutputFormat.TEXT:
                self._show_progress(event)
            case ToolCallFinished(message=message):
                if (
                    self.replies
                ):  # otherwise it ends a call of an earlier turn, which the app did not live to run
                    self.results.setdefault(self.replies[-1].id, []).append(message)
                if self._output is OutputFormat.TEXT:
                    self._show_result(message)
            case _:
                pass

    def write_answer(self, text: str) -> None:
        """Print a piece of the answer to stdout."""
        self._answered, self._is_in_line = True, not text.endswith("\n")
        sys.stdout.write(terminal_safe(text))
        sys.stdout.flush()

    def write_line(self, text: str) -> None:
        """Print a line to stderr, below what is open on the terminal."""
        self._end_thinking()
        if self._is_in_line and sys.stdout.isatty():
            self._print_error("")
        self._is_in_line = False
        self._print_error(text)

    def close(self) -> None:
        """End the open line of the thinking or the answer."""
        self._end_thinking()
        if self._answered:
            sys.stdout.write("\n")
            sys.stdout.flush()

    def advise(self, reply: StoredMessage) -> None:
        """Print why a reply is not a whole answer, with the way out; nothing where it is one."""
        if advice := stop_advice(reply.message, reply.stop_reason, "cli.way_out."):
            self._print_error(advice)

    def report_early_failure(self, error: Qwen3ChatError) -> None:
        """Print an error that prevented or broke off the turn, where the output is for programs.

        Nothing is printed after a turn whose end is printed already.
        """
        if self.is_complete:
            return
        match self._output:
            case OutputFormat.JSON:
                failure = TurnFailure.from_error(error)
                print_json(
                    AskResult(
                        reasoning="",
                        answer="",
                        stop_reason=StopReason.CANCELLED if failure.is_cancellation else StopReason.ERROR,
                        mode=parse_think_option(self._think) or ThinkingMode.THINK,
                        model="",
                        usage=Usage(),
                        timings=Timings(),
                        chat_id=0,
                        error=failure.sentence,
                        error_code=failure.code,
                    )
                )
            case OutputFormat.JSONL:
                print_json(_with_error_code(EngineFailed.from_error(error)))
            case OutputFormat.TEXT:
                pass

    def _show_progress(self, event: ToolCallProgressed) -> None:
        if monotonic() - self._progress_shown_s >= PROGRESS_INTERVAL_S:
            self._progress_shown_s = monotonic()
            self.write_line(call_progress_line(event))

    def _show_result(self, stored: StoredMessage) -> None:
        result = stored.message.content[:MAX_SHOWN_RESULT]
        self._print_error(terminal_safe(t("cli.tool_result", result=result)))
        if note := result_note(stored, self.paths):
            self._print_error(terminal_safe(note))

    def _end_thinking(self) -> None:
        if self._is_thinking:
            self._print_error("\x1b[0m\n" if self._dims else "\n</think>\n", end="\n")
            self._is_thinking = False

    @staticmethod
    def _print_error(text: str, end: str = "\n") -> None:
        print(text, end=end, file=sys.stderr, flush=True)


def _with_error_code(event: SessionEvent) -> object:
    """Return what `ask --jsonl` prints of an event: one that reports an error has its `error_code`."""
    match event:
        case EngineFailed() | ContextExceeded():
            return {**msgspec.to_builtins(event), "error_code": event.code}
        case _:
            return event


def run_ask(prompt: str, files: tuple[str, ...], choice: ModelChoice, options: AskOptions) -> int:
    """Ask the question and print the reply; return the exit status.

    Raises:
        Qwen3ChatError: the question could not be asked.
    """
    printer = TurnPrinter(options)
    try:
        text = _read_prompt(prompt, files, may_be_empty=bool(options.server_texts))
        return asyncio.run(_ask(text, choice, options, printer))
    except Qwen3ChatError as error:
        printer.report_early_failure(error)
        raise
    except KeyboardInterrupt:
        printer.report_early_failure(Cancelled(ErrorCode.INTERRUPTED))
        raise


def _read_prompt(prompt: str, files: Sequence[str], *, may_be_empty: bool = False) -> str:
    piped = "" if sys.stdin is None or sys.stdin.isatty() else read_piped_text(sys.stdin.buffer)
    text = assemble_prompt(prompt, piped, files)
    if may_be_empty:
        return text
    if not text.strip():
        raise UsageError(ErrorCode.PROMPT_MISSING)
    if is_only_mode_tag(text):
        raise UsageError(ErrorCode.PROMPT_IS_ONLY_A_TAG)
    return text


def _questions_on(printer: TurnPrinter) -> tuple[ConsentPrompt, FormPrompt]:
    """Return what asks the user about calls, and what has forms filled."""
    from qwen3_chat.plain_chat.consent_lines import ConsentLines  # here: most questions come from scripts
    from qwen3_chat.plain_chat.form_lines import FormLines

    read = partial(read_new_line, output=sys.stderr)
    return ConsentLines(printer.write_line, read).ask, FormLines(printer.write_line, read).fill


async def _ask(text: str, choice: ModelChoice, options: AskOptions, printer: TurnPrinter) -> int:
    paths = find_paths()
    loaded = read_settings(paths.settings_file)
    for problem in loaded.problems:
        print(terminal_safe(str(problem)), file=sys.stderr)
    settings = loaded.settings
    unprotected = options.runs_python_unprotected
    require_confinement(options.turn.tools or (), unprotected_python=unprotected)
    async with open_runtime(
        choice,
        settings,
        paths,
        options.chat,
        options.system,
        options.turn,
        unprotected_python=unprotected,
        mcp_file=options.mcp_file,
        warm=choose_warm_engine(options.warm_minutes, settings.warm_minutes, paths),
    ) as runtime:
        session, printer.paths = runtime.session, runtime.store
        ask, fill = _questions_on(printer) if can_ask() else (None, None)
        _check_servers(runtime.mcp, options, ask, fill)
        for notice in runtime.store.take_notices():
            print(terminal_safe(notice), file=sys.stderr)
        if (reason := runtime.store.read_only_reason) is not None:
            raise reason  # now, and not after the model was loaded
        if (mode := parse_think_option(options.think)) is not None:
            await session.set_mode_override(mode)
        rules = ConsentRules(frozenset(options.allowed_tools), options.allows_all_tools)
        session.set_tool_runner(make_tool_runner(paths, rules, ask))
        was_stopped = await run_until_interrupt(_run_turn(runtime, text, options, printer))
        reply = printer.reply
        stopped_in_text = reply is not None and reply.stop_reason is not StopReason.TOOL_CALLS
        if was_stopped and not stopped_in_text and printer.failure is None:
            printer.failure = TurnFailure.from_error(Cancelled(ErrorCode.INTERRUPTED))
        if reply is not None and printer.failure is None:
            _print_held_answer(reply, printer, options)
        printer.close()
        if session.unstored:
            await run_until_interrupt(_store_rest(session, printer))
        for notice in runtime.store.take_notices():
            print(terminal_safe(notice), file=sys.stderr)
        if reply is not None and reply.meta.stop_reason is StopReason.CANCELLED and printer.failure is None:
            printer.failure = TurnFailure.from_error(Cancelled(ErrorCode.REPLY_CANCELLED))
        if reply is not None and printer.failure is None:
            printer.advise(reply)
        if session.chat is not None and options.chat is None and options.output is OutputFormat.TEXT:
            print(t("cli.chat_id", id=session.chat.id), file=sys.stderr)
        if options.output is OutputFormat.JSON:
            print_json(_ask_result(session, printer))
        printer.is_complete = True
        if printer.failure is None:
            return 0
        if not printer.failure.is_cancellation:
            print(printer.failure.sentence, file=sys.stderr)
            return 1
        is_reply = printer.failure.code is ErrorCode.REPLY_CANCELLED
        raise Cancelled(ErrorCode.REPLY_CANCELLED if is_reply else ErrorCode.INTERRUPTED)


def _print_held_answer(reply: StoredMessage, printer: TurnPrinter, options: AskOptions) -> None:
    """Print an answer that fits its schema, or its code; one without is a failure, if it was not stopped."""
    answer, schema, language = reply.message.content, options.schema, options.extract
    if (schema is None and language is None) or reply.stop_reason is StopReason.CANCELLED:
        return
    try:
        if schema is not None:
            schema.check(answer)
        if language is not None:
            answer = extract_code(answer, language).removesuffix("\n")
    except EngineError as error:
        printer.failure = TurnFailure.from_error(error)
        return
    if options.output is OutputFormat.TEXT:
        printer.write_answer(answer)


def _check_servers(
    mcp: McpSource, options: AskOptions, ask: ConsentPrompt | None, fill: FormPrompt | None
) -> None:
    """Have the servers that are named asked about on the terminal, if there is one, and their forms filled.

    Raises:
        Qwen3ChatError: there is no such server, or it can't be used.
    """
    names = [name for name in options.turn.tools or () if name.startswith(SOURCE_PREFIX)]
    names += [f"{SOURCE_PREFIX}{name}" for name in options.server_texts.servers]
    mcp.require_servers(names)
    if names or options.turn.tools is None:
        mcp.set_trust(ask, options.allowed_tools, allows_all=options.allows_all_tools, fill=fill)


async def _run_turn(runtime: Runtime, text: str, options: AskOptions, printer: TurnPrinter) -> None:
    session = runtime.session
    if options.server_texts:
        text = await options.server_texts.complete(text, runtime.mcp, printer.show)
    if options.template is not None and options.template.takes_input:
        text = options.template.fill(text)
    if options.schema is not None:
        text = options.schema.ask_for_json(text)
    if await session.prepare(printer.show):  # a question that no model can answer makes no chat
        await session.send(text, printer.show)
        if options.schema is not None and printer.failure is None:
            from qwen3_chat.cli.answer_schema import ask_until_it_fits

            await ask_until_it_fits(session, options.schema, printer.show)


async def _store_rest(session: ChatSession, printer: TurnPrinter) -> None:
    """Try again to store the reply; where that fails, or is interrupted, the command has failed."""
    assert session.unstored.error is not None
    failure = TurnFailure.from_error(session.unstored.error)
    try:
        if (error := await session.store_persistently()) is not None:
            failure = TurnFailure.from_error(error)
    finally:
        if session.unstored:
            printer.failure = failure


def _ask_result(session: ChatSession, printer: TurnPrinter) -> AskResult:
    reply, failure = printer.reply, printer.failure
    message = reply.message if reply else ChatMessage(Role.ASSISTANT, "")
    meta = reply.meta if reply else None
    model = session.engine.model
    return AskResult(
        reasoning=message.reasoning,
        answer=message.content,
        stop_reason=(meta.stop_reason if meta else None)
        or (StopReason.CANCELLED if failure and failure.is_cancellation else StopReason.ERROR),
        mode=(meta.mode if meta else None) or session.mode,
        model=model.title if model else "",
        usage=sum_usage(stored.meta.usage or Usage() for stored in printer.replies),
        timings=(meta.timings if meta else None) or Timings(),
        chat_id=session.chat_id or 0,
        seed=meta.seed if meta else None,
        error=failure.sentence if failure else None,
        error_code=failure.code if failure else None,
        engine_library=(model.library or None) if model else None,
        steps=[_step(stored, printer.results.get(stored.id, [])) for stored in printer.replies],
    )


def _step(reply: StoredMessage, results: Sequence[StoredMessage]) -> Step:
    return Step(reply.message.reasoning, reply.message.content, [_call_result(stored) for stored in results])


def _call_result(stored: StoredMessage) -> CallResult:
    record = stored.meta.call
    assert record is not None
    arguments: dict[str, object] | str = record.arguments
    if is_json_object(record.arguments):
        arguments = msgspec.json.decode(record.arguments, type=dict[str, object])
    return CallResult(
        record.name,
        arguments,
        stored.message.content,
        record.is_error,
        record.decision,
        record.is_repaired,
        record.elapsed_s,
    )
