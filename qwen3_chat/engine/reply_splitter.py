"""A streamed reply split into its thinking, its answer and its tool calls.

The result never depends on how the stream was cut: white space that may turn out to be padding, and the
source of a tool call, are held back until their meaning is certain.
"""

from __future__ import annotations

import re
from enum import StrEnum

from qwen3_chat.engine.tool_call_parser import parse_calls
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested

ReplyPart = ReasoningDelta | AnswerDelta | ToolCallRequested
_WHOLE_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


class ReplyTag(StrEnum):
    """A tag that structures a reply; the value is its spelling, but text that spells it is not a tag."""

    THINK_OPEN = "<think>"
    THINK_CLOSE = "</think>"
    TOOL_CALL_OPEN = "<tool_call>"
    TOOL_CALL_CLOSE = "</tool_call>"


class TagScanner:
    """A scanner that finds the tags in raw text, for engines that do not report token ids."""

    _tag = re.compile("|".join(map(re.escape, ReplyTag)))

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> list[str | ReplyTag]:
        """Return the text and its tags in order; the possible start of a tag is held back."""
        text = self._held + text
        parts: list[str | ReplyTag] = []
        end = 0
        for match in self._tag.finditer(text):
            parts += [text[end : match.start()], ReplyTag(match[0])]
            end = match.end()
        held_from = self._start_of_tag(text, end)
        self._held = text[held_from:]
        return [part for part in [*parts, text[end:held_from]] if part]

    def flush(self) -> list[str | ReplyTag]:
        """Return what was held back, as text: the stream is over."""
        held, self._held = self._held, ""
        return [held] if held else []

    def _start_of_tag(self, text: str, start: int) -> int:
        index = text.rfind("<", start)
        begins_tag = index >= 0 and any(tag.startswith(text[index:]) for tag in ReplyTag)
        return index if begins_tag else len(text)


MAX_QUOTED_TAGS = 100
"""The tags in the strings of one tool call: at each, the call may be complete. One with more stays text."""


class _Stage(StrEnum):
    START = "start"
    REASONING = "reasoning"
    ANSWER = "answer"
    TOOL_CALL = "tool_call"


class ReplySplitter:
    """A splitter of text and tags into deltas.

    A think block opens at the start of the reply only, or was opened by the prompt already; without its end,
    everything is thinking. A tag anywhere else is text: an answer may quote `</think>`. The newlines around
    the thinking and before the answer are removed, as in Qwen3's chat template. A tool call that is not valid
    JSON, or is never closed, stays in the answer as it was written.
    """

    def __init__(self, opened_by_prompt: bool = False) -> None:
        self._stage = _Stage.REASONING if opened_by_prompt else _Stage.START
        self._reasoning = _Passage()
        self._answer = _Passage()
        self._call: list[str] = []  # the source of the tool call that is open
        self._quoted_tags = 0

    @property
    def in_reasoning(self) -> bool:
        """True while the text to come belongs to the thinking."""
        return self._stage is _Stage.REASONING

    @property
    def in_tool_call(self) -> bool:
        """True after the tag that opens a tool call, until the call is closed or turns out to be text."""
        return self._stage is _Stage.TOOL_CALL

    @property
    def begins_tool_call(self) -> bool:
        """True right after the tag that opens a tool call."""
        return self.in_tool_call and self._call == [ReplyTag.TOOL_CALL_OPEN]

    def feed(self, part: str | ReplyTag) -> list[ReplyPart]:
        """Return the parts that are certain after more text or a tag."""
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
        """Return what was held back, at the end of the reply."""
        if self._stage is _Stage.REASONING:
            return []  # only newlines after the thinking can be left
        unclosed = self._answer.feed("".join(self._call))
        self._call = []
        return _answer_deltas(unclosed + self._answer.end())

    def _feed_start(self, part: str | ReplyTag) -> list[ReplyPart]:
        if isinstance(part, ReplyTag) and part in (ReplyTag.THINK_OPEN, ReplyTag.THINK_CLOSE):
            # An end without a start: the prompt had opened the block after all, and nothing was thought.
            self._stage = _Stage.REASONING if part is ReplyTag.THINK_OPEN else _Stage.ANSWER
            self._answer = _Passage()
            return []
        if isinstance(part, ReplyTag) or part.strip():
            self._stage = _Stage.ANSWER
        return self._feed_answer(part)

    def _feed_reasoning(self, part: str | ReplyTag) -> list[ReplyPart]:
        if isinstance(part, ReplyTag):
            if part is ReplyTag.THINK_CLOSE:
                self._stage = _Stage.ANSWER
                return []
            if part is ReplyTag.THINK_OPEN and not self._reasoning.has_begun:
                return []  # opened twice, by the prompt as well as by the model
        text = self._reasoning.feed(str(part))
        return [ReasoningDelta(text)] if text else []

    def _feed_answer(self, part: str | ReplyTag) -> list[ReplyPart]:
        if isinstance(part, ReplyTag) and part is ReplyTag.TOOL_CALL_OPEN:
            self._stage, self._call, self._quoted_tags = _Stage.TOOL_CALL, [part], 0
            return []
        return _answer_deltas(self._answer.feed(str(part)))

    def _feed_call(self, part: str | ReplyTag) -> list[ReplyPart]:
        if not isinstance(part, ReplyTag) or part in (ReplyTag.THINK_OPEN, ReplyTag.THINK_CLOSE):
            self._call.append(part)
            return []
        source = "".join(self._call)
        is_closed = part is ReplyTag.TOOL_CALL_CLOSE
        written = source.removeprefix(ReplyTag.TOOL_CALL_OPEN)
        calls = parse_calls(written, repairs=False) if is_closed else ()
        if not calls and self._quoted_tags < MAX_QUOTED_TAGS and _is_inside_string(source):
            self._quoted_tags += 1
            self._call = [source, part]
            return []
        calls = calls or (parse_calls(written) if is_closed else ())
        self._stage, self._call = _Stage.ANSWER, []
        if calls:
            return [*_answer_deltas(self._answer.interrupt()), *map(ToolCallRequested, calls)]
        if part is ReplyTag.TOOL_CALL_OPEN:
            return _answer_deltas(self._answer.feed(source)) + self._feed_answer(part)
        return _answer_deltas(self._answer.feed(source + part))


class _Passage:
    """A passage of text without the newlines before it; those at its end are held back until more text comes.

    White space before the first text, or after an interruption, counts only if text follows.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self._waits = True
        self._held: list[str] = []  # white space only: newlines only, once something was written

    def feed(self, text: str) -> str:
        if not (text.strip() if self._waits else text.strip("\n")):
            self._held.append(text)
            return ""
        text = "".join((*self._held, text))
        if not self.has_begun:
            text = text.lstrip("\n")
        self.has_begun, self._waits = True, False
        certain = text.rstrip("\n")
        self._held = [text[len(certain) :]]
        return certain

    def interrupt(self) -> str:
        """Return the text due before a tool call, without the newline that the template itself adds."""
        due = self.end().removesuffix("\n")
        self._waits = True
        return due

    def end(self) -> str:
        due = "" if self._waits else "".join(self._held)
        self._held = []
        return due


def _answer_deltas(text: str) -> list[ReplyPart]:
    return [AnswerDelta(text)] if text else []


def _is_inside_string(source: str) -> bool:
    """Return whether JSON ends within a string, which may quote a tag; strings don't span lines."""
    return '"' in _WHOLE_STRING.sub("", source).rpartition("\n")[2]
