"""Draws a turn's events: the only place in the interface that matches on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum

from qwen3_chat.chat import Role, Usage
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
from qwen3_chat.session import (
    ContextExceeded,
    LeftOut,
    ReplyStarted,
    ReplyStored,
    Rewound,
    SessionEvent,
    Summarising,
    ThinkingRepeats,
    UserStored,
)
from qwen3_chat.texts import t
from qwen3_chat.transcript.entry import Entry
from qwen3_chat.ui.entries import (
    NOTICE,
    entries_of,
    entry_of,
    live_header,
    role_header,
    thought_header,
)
from qwen3_chat.ui.widgets.activity_line import Activity, ActivityLine
from qwen3_chat.ui.widgets.transcript import Transcript


class Phase(StrEnum):
    """What the engine is at."""

    IDLE = "idle"
    STARTING = "starting"
    LOADING = "loading"
    PREFILL = "prefill"
    THINKING = "thinking"
    ANSWERING = "answering"


class TurnView:
    """Brings a turn, or the loading that it waits for, to the transcript and to the activity line."""

    def __init__(self, transcript: Transcript, line: ActivityLine, clock: Callable[[], float]) -> None:
        self.phase = Phase.IDLE
        self._running = 0
        self._transcript = transcript
        self._line = line
        self._clock = clock
        self._began_s = 0.0
        self._tokens = 0
        self._is_live = False
        self._failure = ""
        self.usage: Usage | None = None
        """The tokens of the turn so far; None while none runs."""
        self.exceeded: ContextExceeded | None = None
        """What the user has to choose about before the turn can go on."""
        self.notices: list[Entry] = []
        """What was said of the load, for whoever draws the transcript anew."""

    @property
    def is_busy(self) -> bool:
        """Whether a turn runs."""
        return self.phase is not Phase.IDLE

    def begin(self) -> None:
        """Show that a turn has begun before anything is known of it."""
        self._running += 1
        if self.phase is Phase.IDLE:
            self._enter(Phase.STARTING)

    def draw(self, event: SessionEvent) -> None:
        """Show what happened."""
        match event:
            case UserStored(message=message):
                self.notices.clear()
                self._transcript.append(entry_of(message))
            case Rewound(messages=messages):
                self._transcript.show(entries_of(messages))
            case LoadProgressed(fraction=fraction):
                self._enter(Phase.LOADING)
                self._line.activity = Activity(t("ui.activity.loading"), fraction)
            case ReplyStarted(message=message, continues=continues):
                header = role_header(Role.ASSISTANT, message.meta)
                entry = Entry(Role.ASSISTANT.value, header=header, key=message.id)
                if continues:
                    self._transcript.begin_again(entry)
                else:
                    self._transcript.begin(entry)
                self._is_live = True
            case LeftOut():
                self._show_left_out(event)
            case Summarising(messages=messages, tokens=tokens):
                self._enter(Phase.PREFILL)
                label = t("ui.activity.summarising", count=messages, tokens=tokens)
                self._line.activity = Activity(label, hint=t("ui.hint.stop"))
            case ContextExceeded():
                self.exceeded = event
                self._failure = event.text
            case PrefillProgressed(done=done, total=total, reused=reused):
                self._enter(Phase.PREFILL)
                self.usage = Usage(prompt_tokens=total, reused_tokens=reused)
                self._line.activity = Activity(
                    t("ui.activity.prefill", done=done, total=total),
                    (done - reused) / max(1, total - reused),
                    t("ui.hint.stop"),
                )
            case ReasoningDelta(text=text, tokens=tokens):
                is_first = self._enter(Phase.THINKING)
                self._tokens = tokens
                self.usage = replace(self.usage or Usage(), reasoning_tokens=tokens)
                self._transcript.write_reasoning(text)
                if is_first:
                    self._transcript.flush(now=True)  # what is waited for shows at once
                self.tick()
            case AnswerDelta(text=text, tokens=tokens):
                self._settle_thinking()
                is_first = self._enter(Phase.ANSWERING)
                self._tokens = tokens
                self.usage = replace(self.usage or Usage(), answer_tokens=tokens)
                self._transcript.write_answer(text)
                if is_first:
                    self._transcript.flush(now=True)
                self.tick()
            case ToolCallRequested(call=call):
                self._settle_thinking()
                self._transcript.write_answer(f"\n\n```json\n{call.name}({call.arguments})\n```\n")
            case Notice(key=key, values=values):
                self.notices.append(Entry(NOTICE, t(key, **values)))
                self._transcript.append(self.notices[-1])
            case ThinkingRepeats():
                self._transcript.notify(t("ui.notice.repeats"), timeout=12)
            case EngineFailed(key=key, values=values):
                self._failure = t(key, **values)
            case ReplyStored(message=message):
                self._finish(message_entry=entry_of(message))
            case TurnFinished():
                pass

    def end(self, *, can_retry: bool) -> None:
        """Leave the turn, however it ended."""
        if self._failure:
            note = t("ui.note.retry") if can_retry else t("ui.note.send")
            self._transcript.append(Entry(NOTICE, self._failure, note=note))
            self._failure = ""
        self._running -= 1
        if not self._running:
            if self._is_live:  # the reply could not be stored: what was shown stays
                self._transcript.flush(now=True)
                self._transcript.set_note(t("wording.error"))
            self._is_live = False
            self.usage = None
            self._enter(Phase.IDLE)

    def tick(self) -> None:
        """Let time go on in what is shown."""
        elapsed_s = self._clock() - self._began_s
        match self.phase:
            case Phase.THINKING:
                header = live_header("ui.thinking", elapsed_s, self._tokens)
                self._transcript.set_reasoning_header(header)
                self._line.activity = Activity(header, hint=t("ui.hint.thinking"))
            case Phase.ANSWERING:
                header = live_header("ui.answering", elapsed_s, self._tokens)
                self._line.activity = Activity(header, hint=t("ui.hint.stop"))
            case Phase.STARTING if elapsed_s > 0.3:
                self._line.activity = Activity(t("ui.activity.starting"), hint=t("ui.hint.stop"))
            case _:
                pass

    def _enter(self, phase: Phase) -> bool:
        """Change the phase; tell whether it was another one."""
        if phase is self.phase:
            return False
        self.phase, self._began_s = phase, self._clock()
        match phase:
            case Phase.THINKING | Phase.ANSWERING:
                self._tokens = 0
            case Phase.IDLE | Phase.STARTING:
                self._line.activity = Activity()
            case Phase.LOADING | Phase.PREFILL:
                pass
        return True

    def _settle_thinking(self) -> None:
        if self.phase is Phase.THINKING:
            self._transcript.set_reasoning_header(thought_header(self._clock() - self._began_s, self._tokens))

    def _show_left_out(self, event: LeftOut) -> None:
        self._transcript.leave_out(event.ids, t("ui.note.not_sent"))
        if event.is_new:
            self._transcript.append(Entry(NOTICE, event.text))

    def _finish(self, message_entry: Entry) -> None:
        if self._is_live:
            self._transcript.finish(message_entry)
        self._is_live = False
