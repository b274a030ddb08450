"""The fitting of a request into the engine's context by the user's policy: ask, drop, summarise, enlarge."""

from __future__ import annotations

from collections.abc import Sequence

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
from qwen3_chat.events import Notice
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, TokenCounts
from qwen3_chat.session.summary_writer import SummaryWriter, max_summary_tokens, with_summary_heading
from qwen3_chat.session.turn_events import ContextExceeded, MessagesDropped, SessionEventSink
from qwen3_chat.store.records import MessageMeta, StoredMessage

_HEADROOM_DIVISOR = 4  # a quarter of the context is free again after messages were dropped


class ContextFitter:
    """The fitter of one request into the context: `request` is the one to send, None until it fits.

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
        self.is_summarising = False
        """True while the model writes a summary."""
        self._engine = engine
        self._full_request = full_request
        self._ids = [stored.id for stored in branch]
        self._policy = policy
        before = next((m.meta for m in reversed(branch) if m.message.role is Role.ASSISTANT), None)
        self._dropped_before = (before.left_out or 0) if before else 0
        self._summary_before = (before.summary or "") if before else ""

    async def fit(self, on_event: SessionEventSink) -> ChatRequest | None:
        """Apply the policy and return the request to send; None if the user has to choose first.

        The event before None is `ContextExceeded`.

        Raises:
            EngineError: nothing can make it fit, or the engine failed.
        """
        if (counts := await self._accept_if_it_fits(self._full_request)) is not None:
            if self._dropped_before:
                on_event(self._dropped_event(counts))  # all of it fits again
            return self.request
        match self._policy_in_force():
            case ContextPolicy.ASK:
                await self._ask(on_event)
            case ContextPolicy.DROP:
                await self._drop(on_event)
            case ContextPolicy.SUMMARISE:
                await self._summarise(on_event)
            case ContextPolicy.ENLARGE:
                await self._enlarge(on_event)
        return self.request

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
            adapters=(model.adapters or None) if model else None,
        )

    def _policy_in_force(self) -> ContextPolicy:
        """Return the policy to apply: instead of asking again, the choice made earlier in this chat."""
        if self._policy is ContextPolicy.ASK and self._dropped_before:
            return ContextPolicy.SUMMARISE if self._summary_before else ContextPolicy.DROP
        return self._policy

    async def _ask(self, on_event: SessionEventSink) -> None:
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
            must_call=self._full_request.must_call,
        )
        if not exceeded.policies:
            raise self._too_long(counts)
        on_event(exceeded)

    async def _drop(self, on_event: SessionEventSink) -> None:
        plan = self._plan(self._full_request, await self._engine.count_tokens(self._full_request))
        dropped_count = len(plan.dropped_messages)
        while (counts := await self._accept_if_it_fits(self._shortened(dropped_count))) is None:
            counts = await self._engine.count_tokens(self._shortened(dropped_count))
            dropped_count = self._drop_another_turn(dropped_count, counts)
        self.dropped_count = dropped_count
        on_event(self._dropped_event(counts))

    async def _summarise(self, on_event: SessionEventSink) -> None:
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
            self.is_summarising = True
            await writer.write(self._n_ctx, on_event)
            self.is_summarising = False
            summary = writer.text
        self.dropped_count, self.summary = dropped_count, summary
        on_event(self._dropped_event(counts))

    async def _enlarge(self, on_event: SessionEventSink) -> None:
        counts = await self._engine.count_tokens(self._full_request)
        if larger_n_ctx := await self._engine.larger_n_ctx(counts.total + self._reserve_tokens):
            await self._engine.enlarge(larger_n_ctx, on_event)
            if (new_counts := await self._accept_if_it_fits(self._full_request)) is not None:
                on_event(Notice("session.enlarged", {"n_ctx": self._n_ctx}))
                if self._dropped_before:
                    on_event(self._dropped_event(new_counts))
                return
        else:
            on_event(Notice("session.not_enlarged", {"n_ctx": self._n_ctx}))
        await self._ask(on_event)

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
        tokens, option = counts.per_message[-1], self._engine.capabilities.context_option
        if option:
            return EngineError(
                ErrorCode.MESSAGE_TOO_LONG_FOR_SERVER, tokens=tokens, n_ctx=self._n_ctx, option=option
            )
        return EngineError(ErrorCode.MESSAGE_TOO_LONG, tokens=tokens, n_ctx=self._n_ctx)
