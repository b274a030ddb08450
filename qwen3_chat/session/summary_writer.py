"""The summary of dropped turns, written by the model itself."""

from __future__ import annotations

import re
from typing import Final

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.context_plan import plan_context
from qwen3_chat.engine import Engine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import AnswerDelta, EngineEvent, PrefillProgressed
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from qwen3_chat.session.turn_events import SessionEventSink, Summarising
from qwen3_chat.texts import t

FENCE: Final = "```"
_SENTENCE_END: Final = re.compile(r"[.!?…][\"'”’)]*(?=\s)|[。！？][”’）]*")


def max_summary_tokens(n_ctx: int) -> int:
    """Return the maximum length of a summary: 384 tokens, or a tenth of a small context."""
    return min(384, n_ctx // 10)


def with_summary_heading(system: str, summary: str) -> str:
    """Return the system prompt of a chat with a summary in place of its beginning."""
    return "\n\n".join(part for part in (system, f"{t('session.summary_heading')}\n{summary}") if part)


def tidy_summary(text: str, *, is_cut: bool) -> str:
    """Return a summary in whole sentences and without half a code block: the chat builds on it.

    Small models begin with the end of a fence, and write until their tokens are used up.
    """
    lines = text.strip().splitlines()
    if sum(line.lstrip().startswith(FENCE) for line in lines) % 2:
        if lines[0].lstrip().startswith(FENCE):
            lines = lines[1:]
        else:
            return "\n".join([*lines, FENCE])  # a block that was cut off: its end is no sentence's
    text = "\n".join(lines).strip()
    if not is_cut:
        return text
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[: ends[-1]] if ends and ends[-1] * 2 >= len(text) else text


class SummaryWriter:
    """A writer that has the model summarise messages; `text` is the summary."""

    def __init__(self, engine: Engine, request: ChatRequest, messages: tuple[ChatMessage, ...]) -> None:
        """Prepare the summary of `messages`, the system prompt among them, in the turn of `request`."""
        self.text = ""
        self._engine = engine
        self._messages = messages
        self._request = request

    async def write(self, n_ctx: int, on_event: SessionEventSink) -> None:
        """Generate the summary and push its progress; the oldest messages are dropped if not all fit.

        Raises:
            EngineError: the engine failed or wrote nothing.
        """
        max_tokens = max_summary_tokens(n_ctx)
        summarised_count = sum(message.role is not Role.SYSTEM for message in self._messages)
        instruction = t("session.summary_instruction", words=max_tokens // 3)
        request = replace(
            self._request,
            messages=(*self._messages, ChatMessage(Role.USER, instruction)),
            mode=ThinkingMode.NO_THINK,
            tools=(),
            max_tokens=max_tokens,
            thinking_budget=None,
            prefix=None,
            chat_id=None,  # no snapshot of its KV cache is worth saving
        )
        plan = plan_context(request.messages, await self._engine.count_tokens(request), n_ctx, max_tokens)
        sent_messages = tuple(
            message for i, message in enumerate(request.messages) if i not in plan.dropped_messages
        )

        def on_summary_event(event: EngineEvent) -> None:
            match event:
                case PrefillProgressed():
                    on_event(event)
                case AnswerDelta(text=text, tokens=tokens):
                    self.text += text
                    on_event(Summarising(summarised_count, tokens))
                case _:
                    pass

        on_event(Summarising(summarised_count))
        end = await self._engine.generate(replace(request, messages=sent_messages), on_summary_event)
        self.text = tidy_summary(self.text, is_cut=end.stop_reason is not StopReason.END_OF_TURN)
        if not self.text:
            raise EngineError(ErrorCode.SUMMARY_EMPTY)
