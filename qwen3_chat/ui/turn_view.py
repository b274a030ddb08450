"""The view of a turn, the only part of the interface that matches on its events."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from qwen3_chat.chat import Role, ToolCall, Usage
from qwen3_chat.events import (
    AnswerDelta,
    EngineFailed,
    LoadProgressed,
    Notice,
    PrefillProgressed,
    ReasoningDelta,
    ToolCallRequested,
    TurnFinished,
)
from qwen3_chat.record_copies import replace
from qwen3_chat.session import (
    ContextExceeded,
    MessagesDropped,
    QuestionWaits,
    ReplyNotStored,
    ReplyStarted,
    ReplyStored,
    Rewound,
    SessionEvent,
    StepFinished,
    Summarising,
    ThinkingRepeats,
    ToolCallFinished,
    ToolCallStarted,
    UserStored,
)
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.tools.call_context import ToolCallProgressed
from qwen3_chat.tools.result_notes import ResultPaths
from qwen3_chat.tools.tool_source import ToolServerStarting
from qwen3_chat.transcript.message_entry import MessageEntry
from qwen3_chat.ui.call_panes import CallPanes
from qwen3_chat.ui.message_entries import (
    NOTICE,
    entries_from_branch,
    entry_from_message,
    live_header,
    role_header,
    thinking_header,
    unstored_question,
)
from qwen3_chat.ui.tool_entries import code_markdown
from qwen3_chat.ui.widgets.activity_line import Activity, ActivityLine
from qwen3_chat.ui.widgets.marked_transcript import MarkedTranscript

WAIT_SHOWN_AFTER_S = 2.0
"""The time after which the activity line says for how long the first word has been waited for."""


class TurnPhase(StrEnum):
    """The phase of a turn."""

    IDLE = "idle"
    STARTING = "starting"
    LOADING = "loading"
    PREFILL = "prefill"
    THINKING = "thinking"
    ANSWERING = "answering"
    CALLING = "calling"


class TurnView:
    """The view of a turn, or of the load that it waits for, in the transcript and in the activity line."""

    def __init__(
        self,
        transcript: MarkedTranscript,
        activity_line: ActivityLine,
        clock: Callable[[], float],
        on_phase: Callable[[], None],
        result_paths: ResultPaths,
    ) -> None:
        """Show turns in these widgets; `on_phase` is called when the phase of a turn has changed."""
        self.phase = TurnPhase.IDLE
        self.on_question_stored: Callable[[], None] = lambda: None
        """A function that is called once the user's message is stored."""
        self.can_answer_now: Callable[[], bool] = lambda: True
        """A function that tells whether the engine can be made to end its thinking."""
        self._running = 0
        self._transcript = transcript
        self.calls = CallPanes(transcript, clock)
        self._activity_line = activity_line
        self._clock = clock
        self._on_phase = on_phase
        self._result_paths = result_paths
        self._began_s = 0.0
        self._tokens = 0
        self._is_live = False
        self._failure = ""
        self._pending: MessageEntry | None = None
        self.usage: Usage | None = None
        """The tokens of the turn so far; None while none runs."""
        self._context_exceeded: ContextExceeded | None = None
        self.notices: list[MessageEntry] = []
        """The notices of the load, to be shown again when the transcript is filled anew."""

    @property
    def is_busy(self) -> bool:
        """True while a turn runs."""
        return self.phase is not TurnPhase.IDLE

    @property
    def _thinking_hint(self) -> str:
        return t("ui.hint.thinking" if self.can_answer_now() else "ui.hint.stop")

    def show_question(self, text: str) -> None:
        """Show a message that was sent from now on, before it is stored."""
        self._pending = entry_from_message(unstored_question(text), self._result_paths)
        self._transcript.append(self._pending)

    def drop_question(self) -> None:
        """Remove a message that was shown and never stored, if there is one."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self._transcript.remove_entry(pending)

    def begin(self) -> None:
        """Show that a turn has begun, before its first event."""
        self._running += 1
        if self.phase is TurnPhase.IDLE:
            self._set_phase(TurnPhase.STARTING)

    def draw(self, event: SessionEvent) -> None:
        """Show an event."""
        phase_before = self.phase
        match event:
            case UserStored(message=message):
                self.notices.clear()
                self.on_question_stored()
                self._show_stored_question(entry_from_message(message, self._result_paths))
            case QuestionWaits():
                self._note_question(t("ui.note.not_stored"))
                self._transcript.notify(event.text, severity="warning", timeout=10)
            case Rewound(messages=messages):
                self._transcript.show(entries_from_branch(messages, self._result_paths))
                if self._pending is not None:
                    self._transcript.append(self._pending)
            case LoadProgressed():
                self._show_load(event)
            case ReplyStarted():
                self._begin_reply(event)
            case MessagesDropped():
                self._show_dropped_messages(event)
            case Summarising():
                self._show_summarising(event)
            case ContextExceeded():
                self._context_exceeded = event
                self._failure = event.text
            case PrefillProgressed():
                self._show_prefill(event)
            case ReasoningDelta():
                self._show_reasoning(event)
            case AnswerDelta():
                self._show_answer(event)
            case ToolCallRequested(call=call):
                self._finish_thinking_header()
                if code := code_markdown(call):
                    self._transcript.write_answer(f"\n\n{code}\n")
                self.calls.request(call)
            case Notice(key=key, values=values):
                self.notices.append(MessageEntry(NOTICE, t(key, **values)))
                self._transcript.append(self.notices[-1])
            case ToolServerStarting(name=name):
                self._show_call(t("ui.activity.server", name=name))
            case ToolCallStarted(call=call):
                self.calls.start(call)
                self._show_call(t("ui.activity.tool", name=self.calls.name_of(call.name)))
            case ToolCallProgressed():
                self.calls.report(event)
                self._show_progress(event)
            case ToolCallFinished(message=message):
                self.calls.finish(message, entry_from_message(message, self._result_paths))
            case ThinkingRepeats():
                self._transcript.notify(t("ui.notice.repeats"), timeout=12)
            case EngineFailed():
                self._failure = event.text
            case ReplyStored(message=message):
                self._finish_reply(entry_from_message(message, self._result_paths))
                self.calls.reply_ended(message.message.tool_calls)
            case ReplyNotStored(message=message):
                self._finish_reply(entry_from_message(message, self._result_paths, is_stored=False))
                self.calls.reply_ended(message.message.tool_calls)
                self._transcript.notify(event.text, severity="error", timeout=20)
            case TurnFinished() | StepFinished():
                pass
        if self.phase is not phase_before:
            self._on_phase()

    def _show_stored_question(self, entry: MessageEntry) -> None:
        pending, self._pending = self._pending, None
        if pending is None or not self._transcript.replace_entry(pending, entry):
            self._transcript.append(entry)

    def _note_question(self, note: str) -> None:
        if self._pending is not None and self._pending.note != note:
            noted = replace(self._pending, note=note)
            self._transcript.replace_entry(self._pending, noted)
            self._pending = noted

    def _show_load(self, event: LoadProgressed) -> None:
        self._set_phase(TurnPhase.LOADING)
        self._activity_line.activity = Activity(t("ui.activity.loading"), event.fraction)

    def _show_dropped_messages(self, event: MessagesDropped) -> None:
        self._transcript.grey_out(event.ids, t("ui.note.not_sent"))
        if event.is_new:
            self._transcript.append(MessageEntry(NOTICE, event.text))

    def _show_summarising(self, event: Summarising) -> None:
        self._set_phase(TurnPhase.PREFILL)
        label = t("ui.activity.summarising", count=event.messages, tokens=event.tokens)
        self._activity_line.activity = Activity(label, hint=t("ui.hint.stop"))

    def _show_prefill(self, event: PrefillProgressed) -> None:
        self._set_phase(TurnPhase.PREFILL)
        self.usage = Usage(prompt_tokens=event.total, reused_tokens=event.reused)
        self._activity_line.activity = Activity(
            t("ui.activity.prefill", done=event.done, total=event.total),
            event.done / max(1, event.total),
            t("ui.hint.stop"),
        )

    def _begin_reply(self, event: ReplyStarted) -> None:
        header = role_header(Role.ASSISTANT, event.message.meta)
        self.calls.begin(continues=event.continues)
        entry = MessageEntry(Role.ASSISTANT.value, header=header, key=event.message.id)
        if event.continues:
            self._transcript.begin_again(entry)
        else:
            self._transcript.begin(entry)
        self._is_live = True

    def _show_reasoning(self, event: ReasoningDelta) -> None:
        is_first = self._set_phase(TurnPhase.THINKING)
        self._tokens = event.tokens
        self.usage = replace(self.usage or Usage(), reasoning_tokens=event.tokens)
        self._transcript.write_reasoning(event.text)
        if is_first:
            self._transcript.flush(now=True)  # the user waits for the first text
        self.tick()

    def _show_answer(self, event: AnswerDelta) -> None:
        self._finish_thinking_header()
        is_first = self._set_phase(TurnPhase.ANSWERING)
        self._tokens = event.tokens
        self.usage = replace(self.usage or Usage(), answer_tokens=event.tokens)
        self._transcript.write_answer(event.text)
        if is_first:
            self._transcript.flush(now=True)
        self.tick()

    def _finish_thinking_header(self) -> None:
        if self.phase is TurnPhase.THINKING:
            self._transcript.set_reasoning_header(
                thinking_header(self._clock() - self._began_s, self._tokens)
            )

    def _finish_reply(self, entry: MessageEntry) -> None:
        if self._is_live:
            self._transcript.finish(entry)
        self._is_live = False

    def end(self, *, can_retry: bool) -> None:
        """End the view of a turn, however the turn ended, with a notice of its failure if it failed."""
        if self._failure:
            note = t("ui.note.retry") if can_retry else t("ui.note.send")
            self._transcript.append(MessageEntry(NOTICE, self._failure, note=note))
            self._failure = ""
        self._running -= 1
        if not self._running:
            self.calls.end()
            if self._is_live:  # the reply could not be stored: its text stays on the screen
                self._transcript.flush(now=True)
                self._transcript.set_note(t("wording.error"))
            self._is_live = False
            self.usage = None
            self._set_phase(TurnPhase.IDLE)

    def wait_for_consent(self, sentence: str, call: ToolCall) -> None:
        """Show that the turn waits for the user's answer about a call of a tool or about a server."""
        self.calls.ask(call)
        self._show_call(sentence)

    def wait_for_form(self, server: str) -> None:
        """Show that a call waits for the user's answer to the form of a server."""
        self._show_call(t("ui.activity.form", name=server))

    def _show_call(self, text: str) -> None:
        self._set_phase(TurnPhase.CALLING)
        self._activity_line.activity = Activity(text, hint=t("ui.hint.stop"))

    def _show_progress(self, event: ToolCallProgressed) -> None:
        name = self.calls.name_of(event.name)
        text = t("ui.activity.tool", name=name)
        if event.message or event.fraction is None:
            about = terminal_safe(event.message) or f"{event.progress:g}"
            text = t("ui.activity.tool_progress", name=name, about=about)
        self._set_phase(TurnPhase.CALLING)
        self._activity_line.activity = Activity(text, event.fraction, t("ui.hint.stop"))

    def take_context_exceeded(self) -> ContextExceeded | None:
        """Return, once, the exceeded context about which the user decides before the turn goes on."""
        exceeded, self._context_exceeded = self._context_exceeded, None
        return exceeded

    def tick(self) -> None:
        """Update the elapsed time in headers and in the activity line."""
        elapsed_s = self._clock() - self._began_s
        self.calls.tick()
        match self.phase:
            case TurnPhase.THINKING:
                header = live_header("ui.thinking", elapsed_s, self._tokens)
                self._transcript.set_reasoning_header(header)
                self._activity_line.activity = Activity(
                    header, hint=t("ui.hint.thinking" if self.can_answer_now() else "ui.hint.stop")
                )
            case TurnPhase.ANSWERING:
                header = live_header("ui.answering", elapsed_s, self._tokens)
                self._activity_line.activity = Activity(header, hint=t("ui.hint.stop"))
            case TurnPhase.STARTING if self._is_live and elapsed_s > WAIT_SHOWN_AFTER_S:
                waiting = t("ui.activity.waiting", seconds=int(elapsed_s))
                self._activity_line.activity = Activity(waiting, hint=t("ui.hint.stop"))
            case TurnPhase.STARTING if elapsed_s > 0.3:
                self._activity_line.activity = Activity(t("ui.activity.starting"), hint=t("ui.hint.stop"))
            case _:
                pass

    def _set_phase(self, phase: TurnPhase) -> bool:
        """Set the phase; return True if it changed."""
        if phase is self.phase:
            return False
        self.phase, self._began_s = phase, self._clock()
        match phase:
            case TurnPhase.THINKING | TurnPhase.ANSWERING:
                self._tokens = 0
            case TurnPhase.IDLE | TurnPhase.STARTING:
                self._activity_line.activity = Activity()
            case TurnPhase.LOADING | TurnPhase.PREFILL | TurnPhase.CALLING:
                pass
        return True
