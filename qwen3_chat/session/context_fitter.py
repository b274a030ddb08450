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
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineFailed, Notice
from qwen3_chat.request import ChatRequest, TokenCounts
from qwen3_chat.session.summary_writer import SummaryWriter, max_summary_tokens, with_summary_heading
from qwen3_chat.session.turn_events import ContextExceeded, MessagesDropped, SessionEvent
from qwen3_chat.store.records import MessageMeta, StoredMessage

_HEADROOM_SHARE = 4  # of the context: so much is free again after something was left out


class ContextFitter:
    """One request on its way into the context: `request` is what is sent, None until it fits.

    Its messages are those of `branch`, after the system prompt where there is one. `dropped_count` of them are not
    sent, the oldest; `summary` stands for them.
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
        """Do what the policy says; where that is for the user to say, the last event asks.

        Raises:
            EngineError: nothing can make it fit, or the engine failed.
        """
        if (measure := await self._fits(self._full_request)) is None:
            async with aclosing(self._events_by_policy(self._policy_in_force())) as events:
                async for event in events:
                    yield event
        elif self._dropped_before:
            yield self._dropped_event(measure)  # there is room for all of it again

    def reply_meta(self, request: ChatRequest) -> MessageMeta:
        """Record how the reply to what is sent comes about, and what it is written without."""
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
        """What was chosen once in a chat holds in it."""
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
        measure = await self._engine.count_tokens(self._full_request)
        made = self._plan(self._full_request, measure)
        reserve = self._reserve_tokens
        larger = await self._engine.larger_n_ctx(measure.total + reserve)
        asked = ContextExceeded(
            prompt_tokens=measure.total,
            reserve_tokens=reserve,
            n_ctx=self._n_ctx,
            to_leave_out=0 if made.missing_tokens else len(made.dropped_messages),
            larger_n_ctx=larger,
            continues=self._full_request.prefix is not None,
            is_exact=measure.exact,
        )
        if not asked.policies:
            raise self._too_long(measure)
        yield asked

    async def _drop(self) -> AsyncGenerator[SessionEvent, None]:
        made = self._plan(self._full_request, await self._engine.count_tokens(self._full_request))
        count = len(made.dropped_messages)
        while (measure := await self._fits(self._without(count))) is None:
            count = self._drop_another_turn(count, await self._engine.count_tokens(self._without(count)))
        self.dropped_count = count
        yield self._dropped_event(measure)

    async def _summarise(self) -> AsyncGenerator[SessionEvent, None]:
        count, summary = self._dropped_before, self._summary_before
        while (
            not count or not summary or (measure := await self._fits(self._without(count, summary))) is None
        ):
            # The first time, what was left out without a summary is told of as well.
            told = count if summary else 0
            shorter = self._without(told, summary)
            made = self._plan(
                shorter, await self._engine.count_tokens(shorter), max_summary_tokens(self._n_ctx)
            )
            if made.missing_tokens or not made.dropped_messages:
                raise self._too_long(await self._engine.count_tokens(shorter))
            opening = len(shorter.messages) - (len(self._ids) - told)
            count = told + len(made.dropped_messages)
            old = shorter.messages[: opening + len(made.dropped_messages)]
            writing = SummaryWriter(self._engine, self._full_request, old)
            async with aclosing(writing.write(self._n_ctx)) as events:
                async for event in events:
                    yield event
            summary = writing.text
        self.dropped_count, self.summary = count, summary
        yield self._dropped_event(measure)

    async def _enlarge(self) -> AsyncGenerator[SessionEvent, None]:
        measure = await self._engine.count_tokens(self._full_request)
        if larger := await self._engine.larger_n_ctx(measure.total + self._reserve_tokens):
            async with aclosing(self._engine.enlarge(larger)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, EngineFailed):
                        return
            if (fitted := await self._fits(self._full_request)) is not None:
                yield Notice("session.enlarged", {"n_ctx": self._n_ctx})
                if self._dropped_before:
                    yield self._dropped_event(fitted)
                return
        else:
            yield Notice("session.not_enlarged", {"n_ctx": self._n_ctx})
        async with aclosing(self._ask()) as asking:
            async for asked in asking:
                yield asked

    @property
    def _n_ctx(self) -> int:
        model = self._engine.model
        if model is None:
            raise EngineError("engine.no_model")
        return model.n_ctx

    @property
    def _reserve_tokens(self) -> int:
        if self._full_request.prefix is not None:  # what there is to think has been thought, at least in part
            return answer_reserve_tokens(self._n_ctx)
        return turn_reserve_tokens(self._n_ctx, self._full_request.mode)

    async def _fits(self, request: ChatRequest) -> TokenCounts | None:
        """Count; a request that fits becomes the one that is sent."""
        measure = await self._engine.count_tokens(request)
        if measure.total + self._reserve_tokens > self._n_ctx:
            return None
        self.request = request
        return measure

    def _plan(self, request: ChatRequest, counts: TokenCounts, extra_tokens: int = 0) -> ContextPlan:
        """Plan with some headroom; `extra_tokens` are kept free on top of the reserve."""
        n_ctx = self._n_ctx
        return plan_context(
            request.messages,
            counts,
            n_ctx,
            self._reserve_tokens + extra_tokens,
            dropped_before=self._dropped_before if request is self._full_request else 0,
            headroom_tokens=max(0, n_ctx // _HEADROOM_SHARE - extra_tokens),
        )

    def _drop_another_turn(self, count: int, counts: TokenCounts) -> int:
        """Leave out a turn more than was planned: the counts of the messages were estimates.

        Raises:
            EngineError: there is none.
        """
        made = self._plan(self._without(count), counts)
        if not made.dropped_messages:
            raise self._too_long(counts)
        return count + len(made.dropped_messages)

    def _without(self, count: int, summary: str = "") -> ChatRequest:
        """Return the request without its oldest messages, a summary in the system prompt instead."""
        messages = self._full_request.messages
        opening = messages[: len(messages) - len(self._ids)]
        kept = messages[len(opening) + count :]
        if summary:
            system = opening[0].content if opening else ""
            opening = (ChatMessage(Role.SYSTEM, with_summary_heading(system, summary)),)
        return replace(self._full_request, messages=(*opening, *kept))

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
        return EngineError("session.too_long", tokens=counts.per_message[-1], n_ctx=self._n_ctx)
