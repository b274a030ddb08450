"""A reply while it arrives, saved in the store every half second."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress

from qwen3_chat.chat import ChatMessage, Role, StopReason, ToolCall
from qwen3_chat.errors import StoreError
from qwen3_chat.events import (
    AnswerDelta,
    EngineEvent,
    EngineFailed,
    ReasoningDelta,
    ToolCallRequested,
    TurnFinished,
)
from qwen3_chat.record_copies import replace
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import MessageMeta, StoredMessage, pack_token_ids

SAVE_INTERVAL_S = 0.5


class ReplyDraft:
    """A collector of a reply's events that saves new text every half second and the final reply in `finish`.

    Calls of the tools in `tool_names` are found in its text where the model wrote them in another form.
    A reply that is `continued` is generated again from its beginning; the stored reply stays as it is until
    the new text is longer.
    """

    def __init__(
        self,
        store: ChatStore,
        message: StoredMessage,
        continued: StoredMessage | None = None,
        tool_names: Collection[str] = (),
    ) -> None:
        self._store = store
        self._message = message
        self._continued = continued
        self._tool_names = tool_names
        self._reasoning: list[str] = []
        self._answer: list[str] = []
        self._calls: list[ToolCall] = []
        self._end: TurnFinished | EngineFailed | None = None
        self._is_dirty = False
        self._saver = asyncio.create_task(self._save_periodically(), name="save the partial reply")

    def feed(self, event: EngineEvent) -> None:
        """Add an event of the engine."""
        match event:
            case ReasoningDelta(text=text):
                self._reasoning.append(text)
            case AnswerDelta(text=text):
                self._answer.append(text)
            case ToolCallRequested(call=call):
                self._calls.append(call)
            case TurnFinished() | EngineFailed():
                self._end = event
            case _:
                return
        self._is_dirty = True

    def outcome(self) -> StoredMessage:
        """Return the reply as it is now, however it ended."""
        message = ChatMessage(
            Role.ASSISTANT, "".join(self._answer), "".join(self._reasoning), tool_calls=tuple(self._calls)
        )
        meta, token_ids = self._end_of_turn()
        if meta.stop_reason is StopReason.END_OF_TURN:
            from qwen3_chat.session.recovered_calls import recover_calls

            message = recover_calls(message, self._tool_names)
            if message.tool_calls:
                meta = replace(meta, stop_reason=StopReason.TOOL_CALLS)
        if self._continued and not (token_ids or self._is_longer_than(self._continued)):
            return self._continued
        return replace(self._message, message=message, meta=meta, packed_token_ids=pack_token_ids(token_ids))

    @property
    def has_ended(self) -> bool:
        """True once the event that ends the reply was fed."""
        return self._end is not None

    async def finish(self) -> StoredMessage:
        """Store the outcome and return it."""
        self._saver.cancel()
        await asyncio.wait({self._saver})
        reply = self.outcome()
        return await self._store.finish_message(reply.id, reply.message, reply.meta, reply.token_ids)

    def _is_longer_than(self, continued: StoredMessage) -> bool:
        before = continued.message
        return sum(map(len, self._answer + self._reasoning)) > len(before.content) + len(before.reasoning)

    def _end_of_turn(self) -> tuple[MessageMeta, tuple[int, ...]]:
        meta = self._message.meta
        match self._end:
            case TurnFinished(stop_reason=reason, usage=usage, timings=timings, token_ids=ids):
                if self._continued and (earlier := self._continued.meta.timings):
                    timings = replace(timings, reasoning_s=timings.reasoning_s + earlier.reasoning_s)
                return replace(meta, stop_reason=reason, usage=usage, timings=timings), ids
            case EngineFailed():
                return replace(meta, stop_reason=StopReason.ERROR), ()
            case None:
                return replace(meta, stop_reason=StopReason.CANCELLED), ()

    async def _save_periodically(self) -> None:
        while True:
            await asyncio.sleep(SAVE_INTERVAL_S)
            if self._is_dirty and not (self._continued and not self._is_longer_than(self._continued)):
                self._is_dirty = False
                with suppress(StoreError):  # `finish` raises it if storing still fails then
                    await self._store.save_partial(
                        self._message.id, "".join(self._answer), "".join(self._reasoning)
                    )
