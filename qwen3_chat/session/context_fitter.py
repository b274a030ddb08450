"""The fitting of a request into the engine's context by the user's policy: ask, drop, summarise, enlarge."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.context_plan import (
    ContextPlan,
    ContextPolicy,
    answer_reserve_tokens,
    plan_context,
    turn_reserve_tokens,
)
from qwen3_chat.engine import Engine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineFailed, Notice
from qwen3_chat.request import ChatRequest, TokenCounts
from qwen3_chat.session.summary_writer import SummaryWriter, max_summary_tokens, with_summary_heading
from qwen3_chat.session.turn_events import ContextExceeded, MessagesDropped, SessionEvent
from qwen3_chat.store.records import MessageMeta, StoredMessage

_HEADROOM_DIVISOR = 4  # a quarter of the context is free again after messages were dropped


class ContextFitter:
    """The fitter of one request: `request` is the one to send, None until it fits.

    Its messages are those of `branch`, after the system prompt where there is one. The oldest
    `dropped_count` of them are not sent; `summary`, unless it is empty, replaces them. Replies store both, as
    `MessageMeta.left_out` and `MessageMeta.summary`.
    """

    def __init__(
        self,
        engine: Engine,
        full_request: ChatRequest,
        branch: Sequence[StoredMessage],
        policy: ContextPolicy,
    ) -> None:
        self.request: ChatRequest | None = None
        self.dropped_count = 0
        self.summary = ""
        self._engine = engine
        self._full_request = full_request
        self._ids = [stored.id for stored in branch]
        self._policy = policy
        before = next((m.meta for m in reversed(branch) if m.message.role is Role.ASSISTANT), None)
        self._dropped_before = (before.left_out or 0) if before else 0
        self._summary_before = (before.summary or "") if before else ""

    async def fit(self) -> AsyncGenerator[SessionEvent, None]:
        """Apply the policy; where the user has to choose, the last event is `ContextExceeded`.

        Raises:
            EngineError: nothing can make it fit, or the engine failed.
        """
        if (counts := await self._accept_if_it_fits(self._full_request)) is None:
            async with aclosing(self._events_by_policy(self._policy_in_force())) as events:
                async for event in events:
                    yield event
        elif self._dropped_before:
            yield self._dropped_event(counts)  # all of it fits again

    def reply_meta(self, request: ChatRequest) -> MessageMeta:
        """Return the metadata to store with the reply, `dropped_count` and `summary` among it."""
        model = self._engine.model
        return MessageMeta(
            model=model.name if model else None,
            quant=model.quant if model else None,
            mode=request.mode,
            seed=request.seed,
            sampling=request.sampling,
            engine=model.engine if model else None,
            left_out=self.dropped_count or None,
            summary=self.summary or None,
        )

    def _policy_in_force(self) -> ContextPolicy:
        """Return the policy to apply: instead of asking again, the choice made earlier in this chat."""
        if self._policy is ContextPolicy.ASK and self._dropped_before:
            return ContextPolicy.SUMMARISE if self._summary_before else ContextPolicy.DROP
        return self._policy

    def _events_by_policy(self, policy: ContextPolicy) -> AsyncGenerator[SessionEvent, None]:
        match policy:
            case ContextPolicy.ASK:
                return self._ask()
            case ContextPolicy.DROP:
                return self._drop()
            case ContextPolicy.SUMMARISE:
                return self._summarise()
            case ContextPolicy.ENLARGE:
                return self._enlarge()

    async def _ask(self) -> AsyncGenerator[SessionEvent, None]:
        counts = await self._engine.count_tokens(self._full_request)
        plan = self._plan(self._full_request, counts)
        reserve_tokens = self._reserve_tokens
        larger_n_ctx = await self._engine.larger_n_ctx(counts.total + reserve_tokens)
        exceeded = ContextExceeded(
            prompt_tokens=counts.total,
            reserve_tokens=reserve_tokens,
            n_ctx=self._n_ctx,
            to_leave_out=0 if plan.missing_tokens else len(plan.dropped_messages),
            larger_n_ctx=larger_n_ctx,
            continues=self._full_request.prefix is not None,
            is_exact=counts.exact,
        )
        if not exceeded.policies:
            raise self._too_long(counts)
        yield exceeded

    async def _drop(self) -> AsyncGenerator[SessionEvent, None]:
        plan = self._plan(self._full_request, await self._engine.count_tokens(self._full_request))
        dropped_count = len(plan.dropped_messages)
        while (counts := await self._accept_if_it_fits(self._shortened(dropped_count))) is None:
            counts = await self._engine.count_tokens(self._shortened(dropped_count))
            dropped_count = self._drop_another_turn(dropped_count, counts)
        self.dropped_count = dropped_count
        yield self._dropped_event(counts)

    async def _summarise(self) -> AsyncGenerator[SessionEvent, None]:
        dropped_count, summary = self._dropped_before, self._summary_before
        while (
            not dropped_count
            or not summary
            or (counts := await self._accept_if_it_fits(self._shortened(dropped_count, summary))) is None
        ):
            # The first summary also covers the messages that were dropped before there was one.
            summarised_count = dropped_count if summary else 0
            shortened = self._shortened(summarised_count, summary)
            plan = self._plan(
                shortened, await self._engine.count_tokens(shortened), max_summary_tokens(self._n_ctx)
            )
            if plan.missing_tokens or not plan.dropped_messages:
                raise self._too_long(await self._engine.count_tokens(shortened))
            system_count = len(shortened.messages) - (len(self._ids) - summarised_count)
            dropped_count = summarised_count + len(plan.dropped_messages)
            old_messages = shortened.messages[: system_count + len(plan.dropped_messages)]
            writer = SummaryWriter(self._engine, self._full_request, old_messages)
            async with aclosing(writer.write(self._n_ctx)) as events:
                async for event in events:
                    yield event
            summary = writer.text
        self.dropped_count, self.summary = dropped_count, summary
        yield self._dropped_event(counts)

    async def _enlarge(self) -> AsyncGenerator[SessionEvent, None]:
        counts = await self._engine.count_tokens(self._full_request)
        if larger_n_ctx := await self._engine.larger_n_ctx(counts.total + self._reserve_tokens):
            async with aclosing(self._engine.enlarge(larger_n_ctx)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, EngineFailed):
                        return
            if (new_counts := await self._accept_if_it_fits(self._full_request)) is not None:
                yield Notice("session.enlarged", {"n_ctx": self._n_ctx})
                if self._dropped_before:
                    yield self._dropped_event(new_counts)
                return
        else:
            yield Notice("session.not_enlarged", {"n_ctx": self._n_ctx})
        async with aclosing(self._ask()) as exceeded_events:
            async for exceeded in exceeded_events:
                yield exceeded

    @property
    def _n_ctx(self) -> int:
        model = self._engine.model
        if model is None:
            raise EngineError(ErrorCode.NO_MODEL_LOADED)
        return model.n_ctx

    @property
    def _reserve_tokens(self) -> int:
        if self._full_request.prefix is not None:  # the thinking is done, at least in part
            return answer_reserve_tokens(self._n_ctx)
        return turn_reserve_tokens(self._n_ctx, self._full_request.mode)

    async def _accept_if_it_fits(self, request: ChatRequest) -> TokenCounts | None:
        """If `request` fits, set `self.request` to it and return its token counts; else return None."""
        counts = await self._engine.count_tokens(request)
        if counts.total + self._reserve_tokens > self._n_ctx:
            return None
        self.request = request
        return counts

    def _plan(self, request: ChatRequest, counts: TokenCounts, extra_tokens: int = 0) -> ContextPlan:
        """Plan which turns to drop, with headroom; `extra_tokens` are kept free on top of the reserve."""
        n_ctx = self._n_ctx
        return plan_context(
            request.messages,
            counts,
            n_ctx,
            self._reserve_tokens + extra_tokens,
            dropped_before=self._dropped_before if request is self._full_request else 0,
            headroom_tokens=max(0, n_ctx // _HEADROOM_DIVISOR - extra_tokens),
        )

    def _drop_another_turn(self, dropped_count: int, counts: TokenCounts) -> int:
        """Return the number of messages to drop with one more turn: the planned counts were estimates.

        Raises:
            EngineError: no turn is left to drop.
        """
        plan = self._plan(self._shortened(dropped_count), counts)
        if not plan.dropped_messages:
            raise self._too_long(counts)
        return dropped_count + len(plan.dropped_messages)

    def _shortened(self, dropped_count: int, summary: str = "") -> ChatRequest:
        """Return the full request with its oldest messages dropped and the summary in the system prompt."""
        messages = self._full_request.messages
        system_messages = messages[: len(messages) - len(self._ids)]
        sent_messages = messages[len(system_messages) + dropped_count :]
        if summary:
            system = system_messages[0].content if system_messages else ""
            system_messages = (ChatMessage(Role.SYSTEM, with_summary_heading(system, summary)),)
        return replace(self._full_request, messages=(*system_messages, *sent_messages))

    def _dropped_event(self, counts: TokenCounts) -> MessagesDropped:
        return MessagesDropped(
            ids=tuple(self._ids[: self.dropped_count]),
            prompt_tokens=counts.total,
            reserve_tokens=self._reserve_tokens,
            n_ctx=self._n_ctx,
            summary=self.summary,
            is_new=self.dropped_count != self._dropped_before or self.summary != self._summary_before,
            is_exact=counts.exact,
        )

    def _too_long(self, counts: TokenCounts) -> EngineError:
        """Return the error for a chat that can't be made to fit; it names the size of the newest message."""
        return EngineError(ErrorCode.MESSAGE_TOO_LONG, tokens=counts.per_message[-1], n_ctx=self._n_ctx)
