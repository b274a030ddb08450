"""The session of one chat with an engine: the chat's configuration, its branch of messages, the turn in
progress.
"""

from __future__ import annotations

from asyncio import Lock
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import msgspec

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.context_plan import ContextPolicy
from qwen3_chat.engine import Engine
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineEvent, EngineFailed, TurnFinished
from qwen3_chat.models.catalog import sampling_for
from qwen3_chat.request import ChatRequest
from qwen3_chat.session.context_fitter import ContextFitter
from qwen3_chat.session.repetition import RepetitionDetector
from qwen3_chat.session.reply_draft import ReplyDraft
from qwen3_chat.session.sent_messages import sent_messages, with_sampled_ids
from qwen3_chat.session.thinking_mode import decide_model_mode, fixed_mode
from qwen3_chat.session.turn_events import (
    ReplyStarted,
    ReplyStored,
    Rewound,
    SessionEvent,
    ThinkingRepeats,
    UserStored,
)
from qwen3_chat.session.turn_options import TurnOptions
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import NO_CHAT_OPTIONS, Chat, ChatOptions, MessageMeta, StoredMessage


class ChatConfiguration:
    """Kept here until there is a chat, in the store with the chat from then on."""

    def __init__(self, store: ChatStore, system: str) -> None:
        self.chat: Chat | None = None
        self.mode_override: ThinkingMode | None = None
        self._store = store
        self._system = self._default_system = system
        self._chat_options = NO_CHAT_OPTIONS
        self._chat_lock = Lock()
        """Held while the chat is stored or opened: what is chosen for it meanwhile waits for that."""

    @property
    def chat_id(self) -> int | None:
        """The chat's number in the store, once it is there."""
        return None if self.chat is None else self.chat.id

    @property
    def system(self) -> str:
        """The system prompt of this chat."""
        return self._system if self.chat is None else self.chat.system

    @property
    def chat_options(self) -> ChatOptions:
        """What was chosen for this chat; it wins over `options`."""
        return self._chat_options if self.chat is None else self.chat.options

    async def set_system(self, system: str) -> None:
        """Change the system prompt of this chat from now on."""
        async with self._chat_lock:
            if (chat_id := self.chat_id) is None:
                self._system = system
            else:
                await self._store.set_system(chat_id, system)
                await self._reread(chat_id)

    async def set_chat_options(self, options: ChatOptions) -> None:
        """Choose how the replies of this chat are generated from now on."""
        async with self._chat_lock:
            if (chat_id := self.chat_id) is None:
                self._chat_options = options
            else:
                await self._store.set_options(chat_id, options)
                await self._reread(chat_id)

    async def set_mode_override(self, mode: ThinkingMode) -> None:
        """Set the thinking mode for the turns to come."""
        async with self._chat_lock:
            await self._apply_mode_override(mode)

    async def reread_chat(self) -> None:
        """Take over what was changed in the store, such as the title."""
        if self.chat_id is not None:
            await self._reread(self.chat_id)

    def _reset_configuration(self) -> None:
        """Be without a chat, as in the beginning."""
        self.chat = self.mode_override = None
        self._system, self._chat_options = self._default_system, NO_CHAT_OPTIONS

    async def _store_chat(self, mode_override: ThinkingMode | None) -> Chat:
        """Store the chat with all that was chosen, or what the toggle is by now where it is there already."""
        async with self._chat_lock:
            if self.chat is None:
                self.mode_override = mode_override
                self.chat = await self._store.create_chat(
                    system=self.system, mode_override=mode_override, options=self.chat_options
                )
            else:
                await self._apply_mode_override(mode_override)
            return self.chat

    async def _apply_mode_override(self, mode_override: ThinkingMode | None) -> None:
        self.mode_override = mode_override
        if self.chat_id is not None and mode_override is not None:
            await self._store.set_mode_override(self.chat_id, mode_override)

    async def _reread(self, chat_id: int) -> None:
        chat = await self._store.chat(chat_id)
        if self.chat_id == chat_id:  # another one may have been opened meanwhile
            self.chat = chat


_CONTINUABLE = (StopReason.CANCELLED, StopReason.MAX_TOKENS, StopReason.CONTEXT_FULL, StopReason.ERROR)


class ChatSession(ChatConfiguration):
    """One chat, its branch of messages and the turn that runs; the chat is stored with its first message."""

    def __init__(
        self,
        engine: Engine,
        store: ChatStore,
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
        return self._system_messages + tuple(stored.message for stored in self.messages)

    @property
    def _system_messages(self) -> tuple[ChatMessage, ...]:
        return (ChatMessage(Role.SYSTEM, self.system),) if self.system else ()

    @property
    def mode(self) -> ThinkingMode:
        """The mode that the next turn gets if no tag is typed."""
        return decide_model_mode(self.engine.model, "", self.mode_override, self.history).mode

    def start_new(self) -> None:
        """Leave the chat; the next message starts another."""
        self.engine.leave_chat()
        self.messages = ()
        self._reset_configuration()

    async def resume(self, chat_id: int) -> None:
        """Go on with a stored chat.

        Raises:
            StoreError: there is no such chat.
        """
        async with self._chat_lock:
            chat = await self._store.chat(chat_id)
            messages = await self._store.branch(chat_id)
            self.engine.leave_chat()
            self.chat, self.mode_override, self.messages = chat, chat.mode_override, messages

    async def stop(self) -> None:
        """Stop what is going on, also between loading and generating; what arrived is kept."""
        self._is_stopping = True
        await self.engine.cancel()

    async def show_version(self, message_id: int) -> None:
        """Go on from another version of a message, at the end of its newest branch."""
        assert self.chat is not None
        head = await self._store.newest_leaf(self.chat.id, message_id)
        await self._store.set_head(self.chat.id, head)
        self.messages = await self._store.branch(self.chat.id, head)

    async def send(self, text: str) -> AsyncGenerator[SessionEvent, None]:
        """Store the user's message, then have it answered."""
        self._is_stopping = False
        decision = decide_model_mode(self.engine.model, text, self.mode_override, self.history)
        await self._store_chat(decision.mode_override)
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

    async def regenerate(
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
        decision = decide_model_mode(
            self.engine.model, asked.message.content, mode or self.mode_override, self.history[:-1]
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
        return reason in _CONTINUABLE and self.engine.capabilities.continues_prefix

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
        continued: StoredMessage | None = None,
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
        branch = self.messages[:-1] if continued else self.messages
        whole = self._request(mode, branch, continued)
        fitting = ContextFitter(self.engine, whole, branch, policy or self.options.context_policy)
        try:
            async with aclosing(fitting.fit()) as steps:
                async for step in steps:
                    yield step
        except EngineError as error:
            yield EngineFailed.from_error(error)
            return
        if (request := fitting.request) is None:
            return
        meta = fitting.reply_meta(request)
        if continued is None:
            draft_message = await self._add(ChatMessage(Role.ASSISTANT, ""), meta)
        else:
            await self._store.reopen_message(continued.id)
            draft_message = replace(continued, meta=meta)
        repetition = RepetitionDetector()
        draft = ReplyDraft(self._store, draft_message, continued)
        try:
            yield ReplyStarted(draft_message, mode, continues=continued is not None)
            async with aclosing(self._generate(request, load_s)) as events:
                async for event in events:
                    draft.feed(event)
                    yield event
                    if repetition.feed(event):
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
        self, mode: ThinkingMode, branch: tuple[StoredMessage, ...], continued: StoredMessage | None
    ) -> ChatRequest:
        model = self.engine.model
        options = self.options.overridden_by(self.chat_options)
        return ChatRequest(
            messages=self._system_messages + sent_messages(branch, model),
            mode=mode,
            sampling=options.sampling_from(sampling_for(mode, is_demo=model is not None and model.is_demo)),
            seed=self._draw_seed() if options.seed is None else options.seed,
            tools=options.tools,
            max_tokens=options.max_tokens,
            thinking_budget=options.thinking_budget,
            prefix=with_sampled_ids(continued, model) if continued else None,
            chat_id=self.chat_id,
        )
