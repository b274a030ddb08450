"""The summary of dropped turns, written by the model itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.context_plan import plan_context
from qwen3_chat.engine import Engine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineError
from qwen3_chat.events import AnswerDelta, EngineEvent, EngineFailed, PrefillProgressed, TurnFinished
from qwen3_chat.request import ChatRequest
from qwen3_chat.session.turn_events import Summarising
from qwen3_chat.texts import t


def max_summary_tokens(n_ctx: int) -> int:
    """Return the maximum length of a summary: 384 tokens, or a tenth of a small context."""
    return min(384, n_ctx // 10)


def with_summary_heading(system: str, summary: str) -> str:
    """Return the system prompt of a chat with a summary in place of its beginning."""
    return "\n\n".join(part for part in (system, f"{t('session.summary_heading')}\n{summary}") if part)


class SummaryWriter:
    """A writer that has the model summarise messages; `text` is the summary."""

    def __init__(self, engine: Engine, request: ChatRequest, messages: tuple[ChatMessage, ...]) -> None:
        """Prepare the summary of `messages`, the system prompt among them, in the turn of `request`."""
        self.text = ""
        self._engine = engine
        self._messages = messages
        self._request = request

    async def write(self, n_ctx: int) -> AsyncGenerator[EngineEvent | Summarising, None]:
        """Generate the summary and yield its progress; the oldest messages are dropped if not all fit.

        Raises:
            EngineError: the engine failed or wrote nothing; `Cancelled` where it was stopped.
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
        yield Summarising(summarised_count)
        async with aclosing(self._engine.generate(replace(request, messages=sent_messages))) as events:
            async for event in events:
                match event:
                    case PrefillProgressed():
                        yield event
                    case AnswerDelta(text=text, tokens=tokens):
                        self.text += text
                        yield Summarising(summarised_count, tokens)
                    case EngineFailed():
                        raise event.to_error()
                    case TurnFinished(stop_reason=StopReason.CANCELLED):
                        raise Cancelled(ErrorCode.SUMMARY_CANCELLED)
                    case _:
                        pass
        self.text = self.text.strip()
        if not self.text:
            raise EngineError(ErrorCode.SUMMARY_EMPTY)
