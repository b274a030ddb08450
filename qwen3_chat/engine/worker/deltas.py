"""The deltas of a reply: sampled tokens as pieces of thinking and answer, joined so that few are sent."""

from __future__ import annotations

import codecs
import time
from collections.abc import Callable, Sequence

import msgspec

from qwen3_chat.chat import ChatMessage, Role, ToolCall
from qwen3_chat.engine.reply_splitter import ReplyPart, ReplySplitter, ReplyTag
from qwen3_chat.engine.worker.vocab import Vocab
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested

_JOIN_INTERVAL_S = 0.03


class DeltaBuilder:
    """A converter of tokens into deltas: the first at once, then those of 30 ms joined to one.

    A character that is split across tokens is held back until it is complete, and dropped if it never is.
    """

    def __init__(
        self, vocab: Vocab, opened_by_prompt: bool, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.reasoning_tokens = 0
        self.answer_tokens = 0
        self.reasoning_s = 0.0
        self.emitted: list[ReplyPart] = []
        """All deltas so far."""
        self._vocab = vocab
        self._clock = clock
        self._tags = {token: tag for tag in ReplyTag if (token := vocab.token(tag)) is not None}
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._splitter = ReplySplitter(opened_by_prompt)
        self._texts: list[str] = []
        self._parts: list[ReplyPart] = []
        self._due_s = 0.0
        self._thinking_since_s = clock() if opened_by_prompt else None

    @property
    def in_reasoning(self) -> bool:
        """True while the next token belongs to the thinking."""
        return self._splitter.in_reasoning

    @property
    def in_tool_call(self) -> bool:
        """True if the last token was a tag, or text, inside a tool call."""
        return self._splitter.in_tool_call

    @property
    def begins_tool_call(self) -> bool:
        """True if the last token was the tag that opens a tool call; asked only after such a tag."""
        return self._splitter.begins_tool_call

    @property
    def is_between_characters(self) -> bool:
        """True if the last token ended a character."""
        return not self._decoder.getstate()[0]

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls so far."""
        return tuple(part.call for part in self.emitted if isinstance(part, ToolCallRequested))

    def message(self, token_ids: Sequence[int] = ()) -> ChatMessage:
        """Return the deltas so far as a message."""
        answer = [part.text for part in self.emitted if isinstance(part, AnswerDelta)]
        reasoning = [part.text for part in self.emitted if isinstance(part, ReasoningDelta)]
        return ChatMessage(
            Role.ASSISTANT, "".join(answer), "".join(reasoning), self.tool_calls, token_ids=tuple(token_ids)
        )

    def feed(self, token: int) -> list[ReplyPart]:
        """Add a token; return the deltas that are due."""
        self._add_token(token)
        now_s = self._clock()
        if now_s < self._due_s:
            return []
        self._split_text()
        if self._parts:
            self._due_s = now_s + _JOIN_INTERVAL_S
        return self._release()

    def replay(
        self, tokens: Sequence[int], follow: Callable[[int], None] = lambda token: None
    ) -> list[ReplyPart]:
        """Add the beginning of a reply that is continued; return its deltas at once.

        `follow` is called with each token once it is added.
        """
        for token in tokens:
            self._add_token(token)
            follow(token)
        self._split_text()
        return self._release()

    def flush(self) -> list[ReplyPart]:
        """Return the deltas that were held back, at the end of the reply."""
        self._split_text()
        self._parts += self._splitter.flush()
        self._update_reasoning_time(False)
        return self._release()

    def _add_token(self, token: int) -> None:
        tag = self._tags.get(token)
        if tag is None:
            self._count(self._splitter.in_reasoning)
            self._texts.append(self._decoder.decode(self._vocab.piece(token)))
        else:
            self._feed_tag(tag)

    def _feed_tag(self, tag: ReplyTag) -> None:
        self._split_text()
        self._decoder.reset()
        was_thinking = self._splitter.in_reasoning
        self._parts += self._splitter.feed(tag)
        self._count(was_thinking or self._splitter.in_reasoning)
        self._update_reasoning_time(self._splitter.in_reasoning)

    def _split_text(self) -> None:
        if self._texts:
            self._parts += self._splitter.feed("".join(self._texts))
            self._texts.clear()

    def _release(self) -> list[ReplyPart]:
        parts, self._parts = [self._with_token_count(part) for part in self._parts], []
        self.emitted += parts
        return parts

    def _with_token_count(self, part: ReplyPart) -> ReplyPart:
        match part:
            case ReasoningDelta():
                return msgspec.structs.replace(part, tokens=self.reasoning_tokens)
            case AnswerDelta():
                return msgspec.structs.replace(part, tokens=self.answer_tokens)
            case ToolCallRequested():
                return part

    def _count(self, is_reasoning: bool) -> None:
        if is_reasoning:
            self.reasoning_tokens += 1
        else:
            self.answer_tokens += 1

    def _update_reasoning_time(self, thinks: bool) -> None:
        if thinks and self._thinking_since_s is None:
            self._thinking_since_s = self._clock()
        elif not thinks and self._thinking_since_s is not None:
            self.reasoning_s += self._clock() - self._thinking_since_s
            self._thinking_since_s = None
