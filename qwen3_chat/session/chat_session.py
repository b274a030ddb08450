"""A chat with an engine behind it: every turn goes through here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import msgspec

from qwen3_chat.catalog import sampling_for
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineEvent, EngineFailed, TurnFinished
from qwen3_chat.prompt import ContextPolicy
from qwen3_chat.request import ChatRequest
from qwen3_chat.session.chat_choices import ChatChoices
from qwen3_chat.session.fitting import Fitting
from qwen3_chat.session.fixed_thinking import decide_for, fixed_mode
from qwen3_chat.session.repetition import RepetitionWatch
from qwen3_chat.session.reply_draft import ReplyDraft
from qwen3_chat.session.sent_messages import sent_messages, with_sampled_ids
from qwen3_chat.session.turn_events import (
    ReplyStarted,
    ReplyStored,
    Rewound,
    SessionEvent,
    ThinkingRepeats,
    UserStored,
)
from qwen3_chat.session.turn_options import TurnOptions
from qwen3_chat.store import Store
from qwen3_chat.store.records import MessageMeta, StoredMessage

_STOPPED = (StopReason.CANCELLED, StopReason.MAX_TOKENS, StopReason.CONTEXT_FULL, StopReason.ERROR)


class ChatSession(ChatChoices):
    """One chat, its branch of messages and the turn that runs; the chat is stored with its first message."""

    def __init__(
        self,
        engine: Engine,
        store: Store,
        draw_seed: Callable[[], int],
        clock: Callable[[], float],
        system: str = "",
        options: TurnOptions | None = None,
    ) -> None:
        super().__init__(store, system)
        self.engine = engine
        self.options = options or TurnOptions()
        self.messages: tuple[StoredMessage, ...] = ()
        self._draw_seed = draw_seed
        self._clock = clock
        self._load_s = 0.0
        self._is_stopping = False

    @property
    def history(self) -> tuple[ChatMessage, ...]:
        """What the model knows so far, the system prompt first."""
        return self._opening + tuple(stored.message for stored in self.messages)

    @property
    def _opening(self) -> tuple[ChatMessage, ...]:
        return (ChatMessage(Role.SYSTEM, self.system),) if self.system else ()

    @property
    def mode(self) -> ThinkingMode:
        """The mode that the next turn gets if no tag is typed."""
        return decide_for(self.engine.model, "", self.toggle, self.history).mode

    def start_new(self) -> None:
        """Leave the chat; the next message starts another."""
        self.engine.leave_chat()
        self.messages = ()
        self._begin_new()

    async def resume(self, chat_id: int) -> None:
        """Go on with a stored chat.

        Raises:
            StoreError: there is no such chat.
        """
        async with self._beginning:
            chat = await self._store.chat(chat_id)
            messages = await self._store.branch(chat_id)
            self.engine.leave_chat()
            self.chat, self.toggle, self.messages = chat, chat.toggle, messages

    async def stop(self) -> None:
        """Stop what is going on, also between loading and generating; what arrived is kept."""
        self._is_stopping = True
        await self.engine.cancel()

    async def show_variant(self, message_id: int) -> None:
        """Go on from another version of a message, at the end of its newest branch."""
        assert self.chat is not None
        head = await self._store.newest_end(self.chat.id, message_id)
        await self._store.set_head(self.chat.id, head)
        self.messages = await self._store.branch(self.chat.id, head)

    async def send(self, text: str) -> AsyncGenerator[SessionEvent, None]:
        """Store the user's message, then have it answered."""
        self._is_stopping = False
        decision = decide_for(self.engine.model, text, self.toggle, self.history)
        await self._keep(decision.toggle)
        message = ChatMessage(Role.USER, text, mode_tag=decision.tag_to_append)
        stored = await self._add(message, MessageMeta())
        await self.reread_chat()
        yield UserStored(stored)
        async with aclosing(self._reply(decision.mode)) as events:
            async for event in events:
                yield event

    async def prepare(self) -> AsyncGenerator[EngineEvent, None]:
        """Load the model where it is not loaded; the next reply tells how long it took."""
        began_s = self._clock()
        async with aclosing(self.engine.load()) as events:
            async for event in events:
                yield event
                self._load_s = self._clock() - began_s

    async def answer_again(
        self, policy: ContextPolicy | None = None, mode: ThinkingMode | None = None
    ) -> AsyncGenerator[SessionEvent, None]:
        """Answer the latest user message again; earlier answers stay stored as variants.

        In another mode than before, this answer's own or the chat's, the message gets a sibling with the tag
        that says so.
        """
        asked_at = max((i for i, m in enumerate(self.messages) if m.message.role is Role.USER), default=None)
        if asked_at is None:
            return
        self._is_stopping = False
        async with aclosing(self.prepare()) as loading:
            async for event in loading:
                yield event
                if isinstance(event, EngineFailed):
                    return
        asked = self.messages[asked_at]
        self.messages = self.messages[: asked_at + 1]
        decision = decide_for(
            self.engine.model, asked.message.content, mode or self.toggle, self.history[:-1]
        )
        if decision.tag_to_append is not asked.message.mode_tag:
            self.messages = self.messages[:-1]
            await self._add(replace(asked.message, mode_tag=decision.tag_to_append), asked.meta)
        yield Rewound(self.messages)
        async with aclosing(self._reply(decision.mode, policy=policy)) as events:
            async for happened in events:
                yield happened

    @property
    def can_continue(self) -> bool:
        """Whether the latest message is a reply that was stopped and can go on."""
        reason = self.messages[-1].stop_reason if self.messages else None
        return reason in _STOPPED and self.engine.capabilities.continues_prefix

    async def continue_reply(self, policy: ContextPolicy | None = None) -> AsyncGenerator[SessionEvent, None]:
        """Go on with the latest reply from where it was stopped; nothing happens where it was not."""
        if not self.can_continue:
            return
        self._is_stopping = False
        stopped = self.messages[-1]
        async with aclosing(self._reply(stopped.meta.mode or self.mode, stopped, policy)) as events:
            async for event in events:
                yield event

    async def _add(self, message: ChatMessage, meta: MessageMeta) -> StoredMessage:
        assert self.chat is not None
        parent = self.messages[-1].id if self.messages else None
        stored = await self._store.add_message(self.chat.id, parent, message, meta)
        self.messages += (stored,)
        return stored

    async def _reply(
        self,
        mode: ThinkingMode,
        stopped: StoredMessage | None = None,
        policy: ContextPolicy | None = None,
    ) -> AsyncGenerator[SessionEvent, None]:
        """Generate one reply, or the rest of one: load, fit, generate, commit what arrived."""
        async with aclosing(self.prepare()) as loading:
            async for event in loading:
                yield event
                if isinstance(event, EngineFailed):
                    return
        load_s, self._load_s = self._load_s, 0.0
        mode = fixed_mode(self.engine.model) or mode  # known only now where the model had yet to be loaded
        branch = self.messages[:-1] if stopped else self.messages
        whole = self._request(mode, branch, stopped)
        fitting = Fitting(self.engine, whole, branch, policy or self.options.context_policy)
        try:
            async with aclosing(fitting.events()) as steps:
                async for step in steps:
                    yield step
        except EngineError as error:
            yield EngineFailed.of(error)
            return
        if (request := fitting.request) is None:
            return
        meta = fitting.reply_meta(request)
        if stopped is None:
            draft_message = await self._add(ChatMessage(Role.ASSISTANT, ""), meta)
        else:
            await self._store.reopen_message(stopped.id)
            draft_message = replace(stopped, meta=meta)
        repetition = RepetitionWatch()
        draft = ReplyDraft(self._store, draft_message, stopped)
        try:
            yield ReplyStarted(draft_message, mode, continues=stopped is not None)
            async with aclosing(self._generate(request, load_s)) as events:
                async for event in events:
                    draft.feed(event)
                    yield event
                    if repetition.notices(event):
                        yield ThinkingRepeats()
        finally:
            self.messages = (*self.messages[:-1], draft.outcome())  # kept even if it can't be stored
            stored = await draft.finish()
            self.messages = (*self.messages[:-1], stored)
        yield ReplyStored(stored)

    async def _generate(self, request: ChatRequest, load_s: float) -> AsyncGenerator[EngineEvent, None]:
        if self._is_stopping:
            return
        async with aclosing(self.engine.generate(request)) as events:
            async for event in events:
                if isinstance(event, TurnFinished):
                    event = msgspec.structs.replace(event, timings=replace(event.timings, load_s=load_s))
                yield event

    def _request(
        self, mode: ThinkingMode, branch: tuple[StoredMessage, ...], stopped: StoredMessage | None
    ) -> ChatRequest:
        model = self.engine.model
        options = self.options.within(self.chat_options)
        return ChatRequest(
            messages=self._opening + sent_messages(branch, model),
            mode=mode,
            sampling=options.sampling(sampling_for(mode, is_demo=model is not None and model.is_demo)),
            seed=self._draw_seed() if options.seed is None else options.seed,
            tools=options.tools,
            max_tokens=options.max_tokens,
            thinking_budget=options.thinking_budget,
            prefix=with_sampled_ids(stopped, model) if stopped else None,
            chat_id=self.chat_id,
        )
