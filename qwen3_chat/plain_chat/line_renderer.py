"""A turn as lines that can be read out: progress, thinking, answer; nothing is drawn over."""

from __future__ import annotations

import re
from collections.abc import Callable

from qwen3_chat.chat import Role, Timings, ToolCall, Usage
from qwen3_chat.events import (
    AnswerDelta,
    EngineFailed,
    LoadProgressed,
    Notice,
    PrefillProgressed,
    ReasoningDelta,
    ToolCallRequested,
)
from qwen3_chat.session import (
    ContextExceeded,
    MessagesDropped,
    QuestionWaits,
    ReplyNotStored,
    ReplyStarted,
    ReplyStored,
    SessionEvent,
    Summarising,
    ToolCallFinished,
    ToolCallStarted,
)
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import (
    SEPARATOR,
    format_drafts,
    format_duration,
    format_speed,
    format_thinking,
    stop_advice,
)
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.tools.call_context import ToolCallProgressed
from qwen3_chat.tools.call_state import call_state
from qwen3_chat.tools.result_notes import ResultPaths, result_note
from qwen3_chat.transcript.cells import cell_width, is_cjk

PROGRESS_INTERVAL_S = 5.0
MAX_SPOKEN_CHARS = 1_000
"""The most characters of a tool's result that are read out."""

MIN_WRAP_COLUMNS = 20
"""The narrowest terminal for which lines are broken between words."""

_WORD = re.compile(r"\n|[^\S\n]+|\S+")
_PHRASE_END = re.compile(r"\n|[.!?…][\"')\]”’]*\s|[。！？][”’」』）]*")


class PhraseBuffer:
    """A buffer that passes text on in complete phrases; the phrases joined are the text."""

    def __init__(self) -> None:
        self._pending = ""

    def feed(self, text: str) -> str:
        """Add a piece of text; return the phrases that are complete now."""
        self._pending += text
        end = max((match.end() for match in _PHRASE_END.finditer(self._pending)), default=0)
        complete, self._pending = self._pending[:end], self._pending[end:]
        return complete

    def flush(self) -> str:
        """Return the incomplete phrase."""
        phrase, self._pending = self._pending, ""
        return phrase


class WordWrap:
    """A writer that begins a new line before a word that the terminal would break at its edge.

    `columns` tells the width of the terminal; 0 for a pipe or a file, where lines stay as they are.
    """

    def __init__(self, write: Callable[[str], None], columns: Callable[[], int]) -> None:
        self._write, self._columns = write, columns
        self._column = 0

    def __call__(self, text: str) -> None:
        """Write a text; words longer than a line, and text without spaces, are left to the terminal."""
        if (columns := self._columns()) < MIN_WRAP_COLUMNS:
            self._write(text)
            return
        written: list[str] = []
        for part in _WORD.findall(text):
            cells = cell_width(part.expandtabs())
            if part == "\n":
                self._column = 0
            elif part.isspace() or self._column + cells <= columns:
                self._column += cells
            elif self._column and cells <= columns and not any(map(is_cjk, part)):
                written.append("\n")
                self._column = cells
            else:
                self._column = (self._column + cells) % columns
            written.append(part)
        self._write("".join(written))


class LineRenderer:
    """The lines of a turn, written through a function that adds no line breaks of its own."""

    def __init__(
        self,
        write: Callable[[str], None],
        clock: Callable[[], float],
        shows_thinking: bool,
        paths: ResultPaths,
    ) -> None:
        self._write = write
        self._paths = paths
        self._clock = clock
        self._shows_thinking = shows_thinking
        self._phrases = PhraseBuffer()
        self._is_at_line_start = True
        self._section = ""
        self._progress_written_s = 0.0
        self.name_of: Callable[[str], str] = str
        """The name by which the user knows a tool, from that by which the model calls it."""
        self.exceeded: ContextExceeded | None = None
        """The event after which the user has to choose a policy before the turn can continue."""

    def start_turn(self) -> None:
        """Begin a turn; nothing of the turn before it counts any longer."""
        self._section = ""
        self._progress_written_s = self._clock()
        self.exceeded = None

    def render(self, event: SessionEvent) -> None:
        """Write an event of the turn."""
        match event:
            case LoadProgressed(fraction=fraction):
                self._progress("linear.loading", fraction, at_once=self._section != "loading")
                self._section = "loading"
            case PrefillProgressed(done=done, total=total):
                self._progress("linear.reading", done / max(1, total))
            case Summarising(messages=messages) if self._section != "summary":
                self._section = "summary"
                self.write_line(t("linear.summarising", count=messages))
            case ReplyStarted():
                self._section = ""
            case ReasoningDelta(text=text):
                self._start_section("thinking", t("linear.thinking"))
                if self._shows_thinking:
                    self._write_text(self._phrases.feed(terminal_safe(text)))
            case AnswerDelta(text=text):
                self._start_section("answer", t("linear.answer"))
                self._write_text(self._phrases.feed(terminal_safe(text)))
            case ToolCallRequested(call=call):
                self.write_line(_call_line(call, self.name_of(call.name)))
            case ToolCallStarted(call=call):
                self._progress_written_s = self._clock()
                self.write_line(t("linear.tool_runs", name=terminal_safe(self.name_of(call.name))))
            case ToolCallProgressed():
                self._write_progress(event)
            case ToolCallFinished(message=message):
                self._write_result(message)
            case Notice(key=key, values=values):
                self.write_line(terminal_safe(t(key, **values)))
            case MessagesDropped(ids=ids) if ids:
                self.write_line(terminal_safe(event.text))
            case ContextExceeded():
                self.exceeded = event
                self.write_line(event.text)
            case EngineFailed():
                self.write_line(terminal_safe(event.text))
            case QuestionWaits():
                self.write_line(terminal_safe(event.text))
            case ReplyNotStored(message=message):
                self._write_summary(message)
                self.write_line(terminal_safe(event.text))
            case ReplyStored(message=message):
                self._write_summary(message)
            case _:
                pass

    def write_line(self, text: str) -> None:
        """Write a line of the app's own."""
        self._end_section()
        self._write_text(text.rstrip("\n") + "\n")

    def write_history(self, messages: tuple[StoredMessage, ...]) -> None:
        """Write the messages of a stored chat, without their thinking."""
        for stored in messages:
            message = stored.message
            if message.role is Role.TOOL:
                self._write_result(stored)
                continue
            key = "linear.user_said" if message.role is Role.USER else "linear.model_said"
            if message.sent_content or not message.tool_calls:
                self.write_line(t(key, text=terminal_safe(message.sent_content)))
            for call in message.tool_calls:
                self.write_line(_call_line(call, self.name_of(call.name)))

    def _write_result(self, stored: StoredMessage) -> None:
        self.write_line(_tool_line(stored))
        if note := result_note(stored, self._paths):
            self.write_line(terminal_safe(note))

    def _write_summary(self, stored: StoredMessage) -> None:
        self._end_section()
        usage, timings = stored.meta.usage or Usage(), stored.meta.timings or Timings()
        if advice := stop_advice(stored.message, stored.stop_reason, "linear.way_out."):
            self.write_line(advice)
        parts = []
        if stored.message.reasoning:
            parts.append(format_thinking(timings.reasoning_s, usage.reasoning_tokens))
        if timings.tokens_per_s:
            parts.append(format_speed(timings.tokens_per_s))
        if drafts := format_drafts(timings):
            parts.append(drafts)
        if summary := SEPARATOR.join(parts):
            self.write_line(f"({summary})")

    def _start_section(self, section: str, label: str) -> None:
        if section != self._section:
            self._end_section()
            self._section = section
            self._write_text(label + "\n")

    def _end_section(self) -> None:
        self._write_text(self._phrases.flush())
        if not self._is_at_line_start:
            self._write_text("\n")

    def _progress(self, key: str, fraction: float, at_once: bool = False) -> None:
        if at_once or self._clock() - self._progress_written_s >= PROGRESS_INTERVAL_S:
            self._progress_written_s = self._clock()
            self.write_line(t(key, percent=round(100 * fraction)))

    def _write_progress(self, event: ToolCallProgressed) -> None:
        if self._clock() - self._progress_written_s >= PROGRESS_INTERVAL_S:
            self._progress_written_s = self._clock()
            self.write_line(call_progress_line(event, self.name_of(event.name)))

    def _write_text(self, text: str) -> None:
        if text:
            self._write(text)
            self._is_at_line_start = text.endswith("\n")


def call_progress_line(event: ToolCallProgressed, name: str = "") -> str:
    """Return how far a call has come, as a line; with the name that the user knows, if it is another."""
    fraction = event.fraction
    how_far = f"{event.progress:g}" if fraction is None else f"{fraction:.0%}"
    parts = filter(None, (how_far, terminal_safe(event.message)))
    return t("linear.tool_progress", name=terminal_safe(name or event.name), about=SEPARATOR.join(parts))


def _call_line(call: ToolCall, name: str) -> str:
    key = "linear.tool_call_repaired" if call.is_repaired else "linear.tool_call"
    return terminal_safe(t(key, call=f"{name}({call.arguments})"))


def _tool_line(stored: StoredMessage) -> str:
    record, result = stored.meta.call, stored.message.content
    values = {
        "name": record.name if record else t("wording.role.tool"),
        "result": result[:MAX_SPOKEN_CHARS],
    }
    if record is None:
        return terminal_safe(t("linear.tool_done", **values))
    line = t(f"linear.tool_{call_state(result, record)}", **values)
    if record.elapsed_s:
        line = t("linear.tool_after", duration=format_duration(record.elapsed_s), line=line)
    return terminal_safe(line)
