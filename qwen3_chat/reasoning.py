"""A reply, as it streams in, split into its thinking, its answer and its tool calls.

What comes out never depends on how the stream was cut: white space that may turn out to be padding, and the
source of a tool call, are held back until it is known what they are.
"""

from __future__ import annotations

import json
import re
from enum import StrEnum

from qwen3_chat.chat import ToolCall
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested

ReplyPart = ReasoningDelta | AnswerDelta | ToolCallRequested


class Mark(StrEnum):
    """A tag that structures a reply; the value is its spelling, but text that spells it is no mark."""

    THINK_OPEN = "<think>"
    THINK_CLOSE = "</think>"
    TOOL_CALL_OPEN = "<tool_call>"
    TOOL_CALL_CLOSE = "</tool_call>"


class TagScanner:
    """Finds the marks in raw text, for engines whose tokens are out of sight."""

    _mark = re.compile("|".join(map(re.escape, Mark)))

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> list[str | Mark]:
        """Return the text in order with its marks; what may be the start of one is held back."""
        text = self._held + text
        parts: list[str | Mark] = []
        end = 0
        for match in self._mark.finditer(text):
            parts += [text[end : match.start()], Mark(match[0])]
            end = match.end()
        held_from = self._start_of_mark(text, end)
        self._held = text[held_from:]
        return [part for part in [*parts, text[end:held_from]] if part]

    def flush(self) -> list[str | Mark]:
        """Return what was held back: the stream is over, so it is text."""
        held, self._held = self._held, ""
        return [held] if held else []

    def _start_of_mark(self, text: str, start: int) -> int:
        found = text.rfind("<", start)
        begins_mark = found >= 0 and any(mark.startswith(text[found:]) for mark in Mark)
        return found if begins_mark else len(text)


class _Stage(StrEnum):
    START = "start"
    REASONING = "reasoning"
    ANSWER = "answer"
    TOOL_CALL = "tool_call"


class ReplySplitter:
    """Sorts text and marks into deltas.

    A think block opens at the start of the reply only, or was opened by the prompt already; without its end,
    everything is thinking. A mark anywhere else is text: an answer may quote `</think>`. Thinking loses the
    newlines around it and the answer those before it, as in Qwen3's chat template. A tool call that is no
    JSON, or is never closed, stays in the answer as it was written.
    """

    def __init__(self, opened_by_prompt: bool = False) -> None:
        self._stage = _Stage.REASONING if opened_by_prompt else _Stage.START
        self._reasoning = _Passage()
        self._answer = _Passage()
        self._call = ""  # the source of the tool call that is open

    @property
    def in_reasoning(self) -> bool:
        """Whether the text to come belongs to the thinking."""
        return self._stage is _Stage.REASONING

    def feed(self, part: str | Mark) -> list[ReplyPart]:
        """Take text or a mark; return what is certain by now."""
        match self._stage:
            case _Stage.START:
                return self._feed_start(part)
            case _Stage.REASONING:
                return self._feed_reasoning(part)
            case _Stage.ANSWER:
                return self._feed_answer(part)
            case _Stage.TOOL_CALL:
                return self._feed_call(part)

    def flush(self) -> list[ReplyPart]:
        """Return what was held back: the reply is over."""
        if self._stage is _Stage.REASONING:
            return []  # only newlines after the thinking can be left
        unclosed = self._answer.feed(self._call)
        self._call = ""
        return _answered(unclosed + self._answer.end())

    def _feed_start(self, part: str | Mark) -> list[ReplyPart]:
        if isinstance(part, Mark) and part in (Mark.THINK_OPEN, Mark.THINK_CLOSE):
            # An end without a start: the prompt had opened the block after all, and nothing was thought.
            self._stage = _Stage.REASONING if part is Mark.THINK_OPEN else _Stage.ANSWER
            self._answer = _Passage()
            return []
        if isinstance(part, Mark) or part.strip():
            self._stage = _Stage.ANSWER
        return self._feed_answer(part)

    def _feed_reasoning(self, part: str | Mark) -> list[ReplyPart]:
        if isinstance(part, Mark):
            if part is Mark.THINK_CLOSE:
                self._stage = _Stage.ANSWER
                return []
            if part is Mark.THINK_OPEN and not self._reasoning.begun:
                return []  # said twice, by the prompt as well as by the model
        text = self._reasoning.feed(str(part))
        return [ReasoningDelta(text)] if text else []

    def _feed_answer(self, part: str | Mark) -> list[ReplyPart]:
        if isinstance(part, Mark) and part is Mark.TOOL_CALL_OPEN:
            self._stage, self._call = _Stage.TOOL_CALL, str(part)
            return []
        return _answered(self._answer.feed(str(part)))

    def _feed_call(self, part: str | Mark) -> list[ReplyPart]:
        if not isinstance(part, Mark) or part in (Mark.THINK_OPEN, Mark.THINK_CLOSE):
            self._call += part
            return []
        source = self._call
        call = (
            _parsed_call(source.removeprefix(Mark.TOOL_CALL_OPEN)) if part is Mark.TOOL_CALL_CLOSE else None
        )
        if call is None and _inside_string(source):
            self._call += part
            return []
        self._stage, self._call = _Stage.ANSWER, ""
        if call is not None:
            return [*_answered(self._answer.interrupt()), ToolCallRequested(call)]
        if part is Mark.TOOL_CALL_OPEN:
            return _answered(self._answer.feed(source)) + self._feed_answer(part)
        return _answered(self._answer.feed(source + part))


class _Passage:
    """Text that loses the newlines before it; those at its end are held until it goes on.

    White space before the first text, or after an interruption, counts only if text follows.
    """

    def __init__(self) -> None:
        self.begun = False
        self._waits = True
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        if self._waits and not text.strip():
            self._held = text
            return ""
        if not self.begun:
            text = text.lstrip("\n")
        self.begun, self._waits = True, False
        certain = text.rstrip("\n")
        self._held = text[len(certain) :]
        return certain

    def interrupt(self) -> str:
        """Return what is due before a tool call: the template writes one newline of its own there."""
        due = self.end().removesuffix("\n")
        self._waits = True
        return due

    def end(self) -> str:
        due = "" if self._waits else self._held
        self._held = ""
        return due


def _answered(text: str) -> list[ReplyPart]:
    return [AnswerDelta(text)] if text else []


_LONE_SURROGATE = re.compile("[\ud800-\udfff]")  # JSON can spell half a character; nothing could store it
_WHOLE_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def _inside_string(source: str) -> bool:
    """Tell whether JSON ends within a string, which may quote a mark; strings don't span lines."""
    return '"' in _WHOLE_STRING.sub("", source).rpartition("\n")[2]


def _parsed_call(source: str) -> ToolCall | None:
    try:
        call = json.loads(source, strict=False)  # models do leave raw newlines in strings
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict):
        return None
    name, arguments = call.get("name"), call.get("arguments", {})
    if not (isinstance(name, str) and name and isinstance(arguments, dict)):
        return None
    if _LONE_SURROGATE.search(name):
        return None
    text = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(name, json.dumps(arguments) if _LONE_SURROGATE.search(text) else text)
