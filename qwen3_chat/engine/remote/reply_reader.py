"""A server's reply, chunk by chunk, as the events of a turn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from qwen3_chat.chat import (
    MESSAGE_END,
    ChatMessage,
    StopReason,
    ThinkingMode,
    Timings,
    ToolCall,
    Usage,
)
from qwen3_chat.engine.remote.response_chunks import ResponseChunk, ToolCallPiece, UsageReport, parse_chunk
from qwen3_chat.engine.remote.stream_decoding import DONE_MARKER, ReplyTooLargeError
from qwen3_chat.engine.reply_splitter import ReplyPart, ReplySplitter, ReplyTag, TagScanner
from qwen3_chat.events import (
    AnswerDelta,
    EngineEvent,
    Notice,
    PrefillProgressed,
    ReasoningDelta,
    ToolCallRequested,
    TurnFinished,
)

FULL_CONTEXT_MARGIN_TOKENS = 4
"""Tokens that servers may leave unused in a context that they report as full."""

MAX_REPLY_CHARACTERS = 1024**2
"""The limit for thinking, answer and tool calls together: three times the longest reply that Qwen3 gives."""
MAX_TOOL_CALLS = 128
"""The limit for the tool calls of one reply."""
MIN_DECODE_S = 1e-6
"""The shortest time that gives a speed."""

THINK_TAGS = (ReplyTag.THINK_OPEN, ReplyTag.THINK_CLOSE)


class SurrogateJoiner:
    """A joiner of surrogate halves: of a character that JSON spelled as `\\ud83d` and `\\ude00`, cut or not.

    A half without the other becomes U+FFFD: nothing could print or store it.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Return the text up to its last whole character."""
        if not self._half and text.isascii():
            return text
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return _join_surrogates(text[: len(text) - len(self._half)])

    def flush(self) -> str:
        """Return the half that was held back, if any, as U+FFFD."""
        half, self._half = self._half, ""
        return _join_surrogates(half)


def _join_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


@dataclass(frozen=True, slots=True)
class ReplyFacts:
    """The sources of a reply's figures and parts: reported by the server, or found in its text."""

    reports_usage: bool = False
    reports_reused_tokens: bool = False
    thinking_from_tags: bool = False
    calls_from_tags: bool = False


class ReplyReader:
    """A reader of thinking and tool calls, each from its own field or from tags in the text.

    Once a server has sent thinking in a field, think tags in the text are text; so are the tags of tool calls
    if the request had no tools. `opened_by_prompt` is true if the template itself opens the think block.
    """

    def __init__(
        self, mode: ThinkingMode, clock: Callable[[], float], has_tools: bool, opened_by_prompt: bool
    ) -> None:
        self.reply_id = ""
        self.fingerprint = ""
        self.error: str | None = None
        self.is_done = False
        self._mode = mode
        self._clock = clock
        self._has_tools = has_tools
        self._opened_by_prompt = opened_by_prompt
        self._reasoning_characters = SurrogateJoiner()
        self._answer_characters = SurrogateJoiner()
        self._scanner = TagScanner()
        self._splitter: ReplySplitter | None = None
        self._thinking = ReplySplitter(opened_by_prompt=True)  # gets text only, so the thinking never ends
        self._has_reasoning_field = False
        self._calls: dict[int, _CallPieces] = {}
        self.n_characters = 0
        """The characters of the reply that came so far."""
        self.n_steps = 0
        """The chunks that brought the reply further: text, a part of a call, evaluation of the prompt."""
        self._prompt_tokens_done = -1
        self._n_calls = 0
        self._has_call_pieces = False
        self._meant_tags: set[ReplyTag] = set()
        self._finish = ""
        self._report = UsageReport()
        self._n_reasoning = 0  # pieces, each of one or a few tokens
        self._n_answer = 0
        self._began_s = clock()
        self._first_s: float | None = None
        self._last_reasoning_s: float | None = None

    @property
    def has_text(self) -> bool:
        """True once any text of the reply has arrived."""
        return self._first_s is not None

    @property
    def is_finished(self) -> bool:
        """True once the model has finished; figures may still follow."""
        return self.is_done or bool(self._finish)

    def restart(self) -> None:
        """Forget what came without any text, because the reply is requested again."""
        self.reply_id = ""
        self._report = UsageReport()
        self._prompt_tokens_done = -1

    @property
    def facts(self) -> ReplyFacts:
        """The facts about the reply so far."""
        return ReplyFacts(
            reports_usage=self._report.prompt_tokens is not None,
            reports_reused_tokens=self._report.cached_tokens is not None,
            thinking_from_tags=not self._meant_tags.isdisjoint(THINK_TAGS),
            calls_from_tags=not self._meant_tags.issubset(THINK_TAGS),
        )

    @property
    def n_reasoning_pieces(self) -> int:
        """The pieces of thinking so far, each of one or a few tokens."""
        return self._n_reasoning

    @property
    def in_reasoning(self) -> bool:
        """True while the model seems to be thinking."""
        return self._n_answer == 0 and not self.is_finished

    def begin(self, prefix: ChatMessage) -> list[EngineEvent]:
        """Return the events of a stopped reply's beginning; the server sends only its continuation."""
        events: list[EngineEvent] = []
        if prefix.reasoning:
            self._has_reasoning_field = True
            events += self._read_reasoning(prefix.reasoning)
        return events + self._split(prefix.content) if prefix.content else events

    def feed(self, value: object) -> list[EngineEvent]:
        """Return the events of one value of the stream.

        Raises:
            ReplyTooLargeError: the reply is too long; what came before this value is kept.
        """
        if value == DONE_MARKER:
            self.is_done = True
            return []
        chunk = parse_chunk(value)
        if chunk.error is not None:
            self.error = chunk.error
            return []
        self.reply_id = self.reply_id or chunk.reply_id
        self.fingerprint = self.fingerprint or chunk.fingerprint
        self._finish = self._finish or chunk.finish_reason
        if chunk.usage is not None:
            self._report = chunk.usage
        self._require_room(chunk)
        events: list[EngineEvent] = []
        if chunk.progress is not None:
            events.append(PrefillProgressed(*chunk.progress))
            if chunk.progress[0] > self._prompt_tokens_done:
                self._prompt_tokens_done = chunk.progress[0]
                self.n_steps += 1
        if chunk.reasoning or chunk.content or chunk.tool_calls:
            self.n_steps += 1
            self._first_s = self._first_s or self._clock()
        if chunk.reasoning:
            self._has_reasoning_field = True
        if chunk.reasoning and chunk.reasoning != MESSAGE_END:  # transformers sends it after open thinking
            events += self._read_reasoning(self._reasoning_characters.feed(chunk.reasoning))
        if chunk.content:
            events += self._read_content(self._answer_characters.feed(chunk.content))
        for piece in chunk.tool_calls:
            self._take_call(piece)
        return events

    def flush(self) -> list[EngineEvent]:
        """Return the events that were held back, tool calls included, at the end of the reply."""
        events = self._read_reasoning(self._reasoning_characters.flush())
        events += self._read_content(self._answer_characters.flush())
        for part in self._scanner.flush():
            events += self._split(part)
        if self._splitter is not None:
            events += self._count_deltas(self._splitter.flush())
        for _, call in sorted(self._calls.items()):
            events += self._count_deltas([_join_tool_call(call.pieces)])
        self._calls = {}
        if self._lost_a_call:
            events.append(Notice("remote.call_lost"))
        if self._finish == "content_filter":
            events.append(Notice("remote.filtered"))
        return events

    def finish_event(
        self, seed: int, prompt_estimate: int, n_ctx: int, stop_reason: StopReason | None = None
    ) -> TurnFinished:
        """Return the event that ends the turn; counts that the server did not report are estimated."""
        report = self._report
        completion = report.completion_tokens
        if completion is None:
            completion = self._n_reasoning + self._n_answer
        usage = Usage(
            prompt_tokens=prompt_estimate if report.prompt_tokens is None else report.prompt_tokens,
            reused_tokens=report.cached_tokens or 0,
            reasoning_tokens=(reasoning := self._reasoning_share(completion)),
            answer_tokens=completion - reasoning,
        )
        reason = stop_reason or self._stop_reason(
            is_full=usage.context_tokens >= n_ctx - FULL_CONTEXT_MARGIN_TOKENS
        )
        return TurnFinished(reason, self._mode, usage, self._timings(completion), seed)

    def _stop_reason(self, is_full: bool) -> StopReason:
        match self._finish:
            case "length":
                return StopReason.CONTEXT_FULL if is_full else StopReason.MAX_TOKENS
            case _ if self._n_calls:
                return StopReason.TOOL_CALLS
            case _:
                return StopReason.END_OF_TURN

    def _reasoning_share(self, completion: int) -> int:
        if self._report.reasoning_tokens is not None:
            return min(completion, self._report.reasoning_tokens)
        pieces = self._n_reasoning + self._n_answer
        return round(completion * self._n_reasoning / pieces) if pieces else 0

    def _timings(self, completion: int) -> Timings:
        now_s = self._clock()
        first_s = now_s if self._first_s is None else self._first_s
        reported = self._report.decode_s
        decode_s = now_s - first_s if reported is None else reported
        waited_s = first_s - self._began_s
        return Timings(
            prefill_s=waited_s if self._report.prefill_s is None else self._report.prefill_s,
            first_token_s=waited_s,
            reasoning_s=max(0.0, (self._last_reasoning_s or first_s) - first_s),
            decode_s=decode_s,
            tokens_per_s=completion / decode_s if decode_s >= MIN_DECODE_S else 0.0,
        )

    def _read_reasoning(self, text: str) -> list[EngineEvent]:
        return self._count_deltas(self._thinking.feed(text)) if text else []

    def _read_content(self, text: str) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        for part in self._scanner.feed(text) if text else ():
            events += self._split(part)
        return events

    def _split(self, part: str | ReplyTag) -> list[EngineEvent]:
        if self._splitter is None:
            self._splitter = ReplySplitter(self._opened_by_prompt and not self._has_reasoning_field)
        if isinstance(part, ReplyTag):
            if self._is_meant(part):
                self._meant_tags.add(part)
            else:
                part = str(part)
        return self._count_deltas(self._splitter.feed(part))

    def _is_meant(self, tag: ReplyTag) -> bool:
        return not self._has_reasoning_field if tag in THINK_TAGS else self._has_tools

    @property
    def _lost_a_call(self) -> bool:
        """True if the server reports a call that it did not send, as mlx-lm does with one it can't read."""
        has_call = self._n_calls > 0 or self._has_call_pieces or not self._meant_tags.issubset(THINK_TAGS)
        return self._finish == "tool_calls" and not has_call

    def _require_room(self, chunk: ResponseChunk) -> None:
        self.n_characters += len(chunk.reasoning) + len(chunk.content)
        self.n_characters += sum(len(piece.name) + len(piece.arguments) for piece in chunk.tool_calls)
        if self.n_characters > MAX_REPLY_CHARACTERS:
            raise ReplyTooLargeError(MAX_REPLY_CHARACTERS)

    def _take_call(self, piece: ToolCallPiece) -> None:
        self._has_call_pieces = True
        index = piece.index
        if piece.name and index in self._calls and self._calls[index].has_name:
            index = max(self._calls) + 1  # another call with the same number
        if index not in self._calls and len(self._calls) == MAX_TOOL_CALLS:
            raise ReplyTooLargeError(MAX_TOOL_CALLS)
        self._calls.setdefault(index, _CallPieces()).add(piece)

    def _count_deltas(self, parts: list[ReplyPart]) -> list[EngineEvent]:
        events: list[EngineEvent] = []
        for part in parts:
            match part:
                case ReasoningDelta(text=text):
                    self._n_reasoning += 1
                    self._last_reasoning_s = self._clock()
                    events.append(ReasoningDelta(text, self._n_reasoning))
                case AnswerDelta(text=text):
                    self._n_answer += 1
                    events.append(AnswerDelta(text, self._n_answer))
                case ToolCallRequested():
                    self._n_calls += 1
                    events.append(part)
        return events


class _CallPieces:
    """The pieces of a tool call in order."""

    def __init__(self) -> None:
        self.pieces: list[ToolCallPiece] = []
        self.has_name = False

    def add(self, piece: ToolCallPiece) -> None:
        self.pieces.append(piece)
        self.has_name = self.has_name or bool(piece.name)


def _join_tool_call(pieces: list[ToolCallPiece]) -> ReplyPart:
    """Join the pieces of a call; if its arguments are no JSON object, return text to lose nothing."""
    name = "".join(piece.name for piece in pieces)
    source = "".join(piece.arguments for piece in pieces)
    characters = SurrogateJoiner()
    try:
        arguments = json.loads(source or "{}", strict=False)
        if is_repaired := isinstance(arguments, str):  # written as text by the model, so twice encoded
            arguments = json.loads(arguments, strict=False)
        elif is_repaired := arguments is None:
            arguments = {}
        text = json.dumps(arguments, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError):
        arguments, text, is_repaired = None, "", False
    if name and isinstance(arguments, dict):
        whole_name = characters.feed(name) + characters.flush()
        return ToolCallRequested(ToolCall(whole_name, _storable_json(text), is_repaired))
    text = f"<tool_call>\n{name}({source})\n</tool_call>"
    return AnswerDelta(characters.feed(text) + characters.flush())


def _storable_json(text: str) -> str:
    """Return JSON that can be stored: half a character stays a JSON escape."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(json.loads(text))
    return text
