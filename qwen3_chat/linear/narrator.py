"""Tells a turn in lines: what is going on, the thinking, the answer; nothing is drawn over."""

from __future__ import annotations

from collections.abc import Callable

from qwen3_chat import wording
from qwen3_chat.chat import Role, Timings, Usage
from qwen3_chat.events import (
    AnswerDelta,
    EngineFailed,
    LoadProgressed,
    Notice,
    PrefillProgressed,
    ReasoningDelta,
    ToolCallRequested,
)
from qwen3_chat.linear.phrases import Phrases
from qwen3_chat.plain import plain
from qwen3_chat.session import (
    ContextExceeded,
    LeftOut,
    ReplyStarted,
    ReplyStored,
    SessionEvent,
    Summarising,
)
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import t

PROGRESS_EVERY_S = 5.0


class Narrator:
    """Writes events through a function that adds no line breaks of its own."""

    def __init__(
        self, write: Callable[[str], None], clock: Callable[[], float], tells_thinking: bool
    ) -> None:
        self._write = write
        self._clock = clock
        self._tells_thinking = tells_thinking
        self._phrases = Phrases()
        self._at_line_start = True
        self._section = ""
        self._said_s = 0.0
        self.exceeded: ContextExceeded | None = None
        """What the user has to choose about before the turn can go on."""

    def begin(self) -> None:
        """Forget the turn before."""
        self._section = ""
        self._said_s = self._clock()
        self.exceeded = None

    def show(self, event: SessionEvent) -> None:
        """Tell what happened."""
        match event:
            case LoadProgressed(fraction=fraction):
                self._progress("linear.loading", fraction, at_once=self._section != "loading")
                self._section = "loading"
            case PrefillProgressed(done=done, total=total):
                self._progress("linear.reading", done / max(1, total))
            case Summarising(messages=messages) if self._section != "summary":
                self._section = "summary"
                self.say(t("linear.summarising", count=messages))
            case ReplyStarted():
                self._section = ""
            case ReasoningDelta(text=text):
                self._enter("thinking", t("linear.thinking"))
                if self._tells_thinking:
                    self._tell(self._phrases.feed(plain(text)))
            case AnswerDelta(text=text):
                self._enter("answer", t("linear.answer"))
                self._tell(self._phrases.feed(plain(text)))
            case ToolCallRequested(call=call):
                self.say(plain(f"{call.name}({call.arguments})"))
            case Notice(key=key, values=values):
                self.say(plain(t(key, **values)))
            case LeftOut(ids=ids) if ids:
                self.say(plain(event.text))
            case ContextExceeded():
                self.exceeded = event
                self.say(event.text)
            case EngineFailed(key=key, values=values):
                self.say(plain(t(key, **values)))
            case ReplyStored(message=message):
                self._close(message)
            case _:
                pass

    def say(self, text: str) -> None:
        """Write a line of the app's own."""
        self._end_section()
        self._tell(text.rstrip("\n") + "\n")

    def recall(self, messages: tuple[StoredMessage, ...]) -> None:
        """Read out a stored chat, without its thinking."""
        for stored in messages:
            message = stored.message
            who = "linear.user_said" if message.role is Role.USER else "linear.model_said"
            self.say(t(who, text=plain(message.sent_content)))

    def _close(self, stored: StoredMessage) -> None:
        self._end_section()
        usage, timings = stored.meta.usage or Usage(), stored.meta.timings or Timings()
        parts = [wording.stop_note(stored.stop_reason)]
        if stored.message.reasoning:
            parts.append(wording.thought(timings.reasoning_s, usage.reasoning_tokens))
        if timings.tokens_per_s:
            parts.append(wording.speed(timings.tokens_per_s))
        if said := wording.SEPARATOR.join(filter(None, parts)):
            self.say(f"({said})")

    def _enter(self, section: str, label: str) -> None:
        if section != self._section:
            self._end_section()
            self._section = section
            self._tell(label + "\n")

    def _end_section(self) -> None:
        self._tell(self._phrases.flush())
        if not self._at_line_start:
            self._tell("\n")

    def _progress(self, key: str, fraction: float, at_once: bool = False) -> None:
        if at_once or self._clock() - self._said_s >= PROGRESS_EVERY_S:
            self._said_s = self._clock()
            self.say(t(key, percent=round(100 * fraction)))

    def _tell(self, text: str) -> None:
        if text:
            self._write(text)
            self._at_line_start = text.endswith("\n")
