"""Makes a request fit into the engine's context, by the user's policy."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import replace

from qwen3_chat.chat import ChatMessage, Role
from qwen3_chat.engine import Engine
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineFailed, Notice
from qwen3_chat.prompt import ContextPolicy, Plan, answer_reserve_tokens, plan, turn_reserve_tokens
from qwen3_chat.request import ChatRequest, Measure
from qwen3_chat.session.summary import Summary, summary_tokens, with_summary
from qwen3_chat.session.turn_events import ContextExceeded, LeftOut, SessionEvent
from qwen3_chat.store.records import MessageMeta, StoredMessage

_HEADROOM_SHARE = 4  # of the context: so much is free again after something was left out


class Fitting:
    """One request on its way into the context: `request` is what is sent, None until it fits.

    Its messages are those of `branch`, after the system prompt where there is one. `left_out` of them are not
    sent, the oldest; `summary` stands for them.
    """

    def __init__(
        self, engine: Engine, whole: ChatRequest, branch: Sequence[StoredMessage], policy: ContextPolicy
    ) -> None:
        self.request: ChatRequest | None = None
        self.left_out = 0
        self.summary = ""
        self._engine = engine
        self._whole = whole
        self._ids = [stored.id for stored in branch]
        self._policy = policy
        before = next((m.meta for m in reversed(branch) if m.message.role is Role.ASSISTANT), None)
        self._left_before = (before.left_out or 0) if before else 0
        self._summary_before = (before.summary or "") if before else ""

    async def events(self) -> AsyncGenerator[SessionEvent, None]:
        """Do what the policy says; where that is for the user to say, the last event asks.

        Raises:
            EngineError: nothing can make it fit, or the engine failed.
        """
        if (measure := await self._fits(self._whole)) is None:
            async with aclosing(self._steps(self._policy_in_force())) as events:
                async for event in events:
                    yield event
        elif self._left_before:
            yield self._told(measure)  # there is room for all of it again

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
            left_out=self.left_out or None,
            summary=self.summary or None,
        )

    def _policy_in_force(self) -> ContextPolicy:
        """What was chosen once in a chat holds in it."""
        if self._policy is ContextPolicy.ASK and self._left_before:
            return ContextPolicy.SUMMARISE if self._summary_before else ContextPolicy.DROP
        return self._policy

    def _steps(self, policy: ContextPolicy) -> AsyncGenerator[SessionEvent, None]:
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
        measure = await self._engine.measure(self._whole)
        made = self._plan(self._whole, measure)
        reserve = self._reserve_tokens
        larger = await self._engine.larger_n_ctx(measure.total + reserve)
        asked = ContextExceeded(
            prompt_tokens=measure.total,
            reserve_tokens=reserve,
            n_ctx=self._n_ctx,
            to_leave_out=0 if made.missing_tokens else len(made.left_out),
            larger_n_ctx=larger,
            continues=self._whole.prefix is not None,
            is_exact=measure.exact,
        )
        if not asked.policies:
            raise self._too_long(measure)
        yield asked

    async def _drop(self) -> AsyncGenerator[SessionEvent, None]:
        made = self._plan(self._whole, await self._engine.measure(self._whole))
        count = len(made.left_out)
        while (measure := await self._fits(self._without(count))) is None:
            count = self._one_more_turn(count, await self._engine.measure(self._without(count)))
        self.left_out = count
        yield self._told(measure)

    async def _summarise(self) -> AsyncGenerator[SessionEvent, None]:
        count, summary = self._left_before, self._summary_before
        while (
            not count or not summary or (measure := await self._fits(self._without(count, summary))) is None
        ):
            # The first time, what was left out without a summary is told of as well.
            told = count if summary else 0
            shorter = self._without(told, summary)
            made = self._plan(shorter, await self._engine.measure(shorter), summary_tokens(self._n_ctx))
            if made.missing_tokens or not made.left_out:
                raise self._too_long(await self._engine.measure(shorter))
            opening = len(shorter.messages) - (len(self._ids) - told)
            count = told + len(made.left_out)
            old = shorter.messages[: opening + len(made.left_out)]
            writing = Summary(self._engine, self._whole, old)
            async with aclosing(writing.events(self._n_ctx)) as events:
                async for event in events:
                    yield event
            summary = writing.text
        self.left_out, self.summary = count, summary
        yield self._told(measure)

    async def _enlarge(self) -> AsyncGenerator[SessionEvent, None]:
        measure = await self._engine.measure(self._whole)
        if larger := await self._engine.larger_n_ctx(measure.total + self._reserve_tokens):
            async with aclosing(self._engine.enlarge(larger)) as events:
                async for event in events:
                    yield event
                    if isinstance(event, EngineFailed):
                        return
            if (fitted := await self._fits(self._whole)) is not None:
                yield Notice("session.enlarged", {"n_ctx": self._n_ctx})
                if self._left_before:
                    yield self._told(fitted)
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
        if self._whole.prefix is not None:  # what there is to think has been thought, at least in part
            return answer_reserve_tokens(self._n_ctx)
        return turn_reserve_tokens(self._n_ctx, self._whole.mode)

    async def _fits(self, request: ChatRequest) -> Measure | None:
        """Count; a request that fits becomes the one that is sent."""
        measure = await self._engine.measure(request)
        if measure.total + self._reserve_tokens > self._n_ctx:
            return None
        self.request = request
        return measure

    def _plan(self, request: ChatRequest, measure: Measure, extra_tokens: int = 0) -> Plan:
        """Plan with some headroom; `extra_tokens` are kept free on top of the reserve."""
        n_ctx = self._n_ctx
        return plan(
            request.messages,
            measure,
            n_ctx,
            self._reserve_tokens + extra_tokens,
            left_before=self._left_before if request is self._whole else 0,
            headroom_tokens=max(0, n_ctx // _HEADROOM_SHARE - extra_tokens),
        )

    def _one_more_turn(self, count: int, measure: Measure) -> int:
        """Leave out a turn more than was planned: the counts of the messages were estimates.

        Raises:
            EngineError: there is none.
        """
        made = self._plan(self._without(count), measure)
        if not made.left_out:
            raise self._too_long(measure)
        return count + len(made.left_out)

    def _without(self, count: int, summary: str = "") -> ChatRequest:
        """Return the request without its oldest messages, a summary in the system prompt instead."""
        messages = self._whole.messages
        opening = messages[: len(messages) - len(self._ids)]
        kept = messages[len(opening) + count :]
        if summary:
            system = opening[0].content if opening else ""
            opening = (ChatMessage(Role.SYSTEM, with_summary(system, summary)),)
        return replace(self._whole, messages=(*opening, *kept))

    def _told(self, measure: Measure) -> LeftOut:
        return LeftOut(
            ids=tuple(self._ids[: self.left_out]),
            prompt_tokens=measure.total,
            reserve_tokens=self._reserve_tokens,
            n_ctx=self._n_ctx,
            summary=self.summary,
            is_new=self.left_out != self._left_before or self.summary != self._summary_before,
            is_exact=measure.exact,
        )

    def _too_long(self, measure: Measure) -> EngineError:
        return EngineError("session.too_long", tokens=measure.per_message[-1], n_ctx=self._n_ctx)
