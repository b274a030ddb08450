"""The generation of one reply: its prompt, the decoding loop, the end of its thinking, its usage."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing

from qwen3_chat.chat import EARLY_STOPPING_TEXT, ChatMessage, StopReason, ThinkingMode, Timings, Usage
from qwen3_chat.context_plan import answer_reserve_tokens, whole_answer_tokens
from qwen3_chat.engine.reply_splitter import ReplyTag
from qwen3_chat.engine.worker.abort_flag import AbortedError
from qwen3_chat.engine.worker.answer_constraint import AnswerConstraint
from qwen3_chat.engine.worker.client_channel import Job
from qwen3_chat.engine.worker.deltas import DeltaBuilder
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.engine.worker.prompt_ids import begun_reply_ids, tokenise
from qwen3_chat.engine.worker.prompt_lookup import PromptLookup, SpeedupEstimate
from qwen3_chat.engine.worker.sampler import Sampler
from qwen3_chat.engine.worker.tool_call_constraint import ToolCallConstraint
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineEvent, Notice, PrefillProgressed, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest

_AFTER_THINK_CLOSE = "\n\n"
_MAX_CHARACTER_TOKENS = 4


def apply_thinking_budget(request: ChatRequest) -> ChatRequest:
    """Return the request; a budget of 0 becomes the hard switch, an empty think block in the prompt."""
    if request.thinking_budget == 0:
        return replace(request, mode=ThinkingMode.NO_THINK, hard_switch=True)
    return request


class ReplyGenerator:
    """The generator of one reply: it evaluates the prompt, then decodes until something ends the reply."""

    def __init__(self, model: LlamaModel, request: ChatRequest, job: Job, load_s: float = 0.0) -> None:
        self._model = model
        self._context = model.context
        self.request = apply_thinking_budget(request)
        self.stop_reason = StopReason.ERROR
        """The reason why the reply ended; ERROR until it does."""
        self._job = job
        self._load_s = load_s
        self._started_s = time.perf_counter()
        self._prefilled_s = self._first_token_s = 0.0
        self._lookup: PromptLookup | None = None
        rendered = model.template.render_request(self.request, job.abort.is_set)
        self._prompt = tokenise(rendered, model.vocab, self.request)
        self._deltas = DeltaBuilder(model.vocab, rendered.opens_reasoning)
        self._constraint = (
            AnswerConstraint(model.vocab, self.request.answer_schema, rendered, self._deltas)
            if self.request.answer_schema
            else ToolCallConstraint(model.vocab, model.template, self.request.tools, self._deltas)
        )
        self._ids = begun_reply_ids(model.template, model.vocab, rendered, self.request)
        self._n_prefix = len(self._ids)
        self._early_stopping_ids = self._encode_early_stopping()
        """The ids that end the thinking early; empty where that is impossible, and once they are appended."""

    def events(self) -> Iterator[EngineEvent]:
        """Generate the reply and yield its events, `TurnFinished` as the last.

        A reply that is continued is yielded from its beginning.

        Raises:
            EngineError: the prompt doesn't fit, or llama.cpp could not evaluate or decode.
        """
        with closing(self._constraint):
            yield from self._events()

    def _events(self) -> Iterator[EngineEvent]:
        known = self.known_ids
        n_known, n_ctx = len(known), self._context.n_ctx
        template = self._model.template
        if self.request.tools and not template.has_notified_of_tools:
            template.has_notified_of_tools = True
            yield Notice("engine.tools_left_out")
        yield from self._deltas.replay(self._ids, self._constraint.follow)
        if n_known >= n_ctx:
            raise EngineError(ErrorCode.PROMPT_TOO_LONG, tokens=n_known, n_ctx=n_ctx)
        self._context.set_abort_flag(self._job.abort)
        if self._model.draft is not None:
            self._model.draft.set_abort_flag(self._job.abort)
        n_reused = self._context.keep_prefix(known)
        yield PrefillProgressed(n_reused, n_known, n_reused)
        try:
            for n_done in self._context.evaluate(known[n_reused:]):
                yield PrefillProgressed(n_reused + n_done, n_known, n_reused)
            self._prefilled_s = self._elapsed_s()
            with Sampler(self.request.sampling, self.request.seed, self._model.vocab.native) as sampler:
                for token in self._ids:
                    sampler.accept(token)
                guesses, draft_model = self.request.guesses, self._model.draft
                self._lookup = PromptLookup(self._context, known, guesses, draft_model)
                with self._lookup as lookup:
                    self.stop_reason = yield from self._decode(sampler, lookup)
        except AbortedError:
            self.stop_reason = StopReason.CANCELLED
        except EngineError:
            yield from self._deltas.flush()
            raise
        yield from self._deltas.flush()
        if self.stop_reason is StopReason.END_OF_TURN and self._deltas.tool_calls:
            self.stop_reason = StopReason.TOOL_CALLS
        yield self._finish_event(n_reused)

    @property
    def known_ids(self) -> list[int]:
        """The ids of the prompt, and of the reply as far as it came."""
        return self._prompt + self._ids

    def message(self) -> ChatMessage:
        """Return the reply as far as it came."""
        return self._deltas.message(self._ids)

    def _decode(self, sampler: Sampler, lookup: PromptLookup) -> Generator[EngineEvent, None, StopReason]:
        """Decode until something ends the reply; yield its deltas, return the reason."""
        context, deltas, ids = self._context, self._deltas, self._ids
        constraint = self._constraint
        end_ids, abort = self._model.vocab.end_ids, self._job.abort
        max_ids = self._n_prefix + (self.request.max_tokens or context.n_ctx)
        while True:
            if constraint.grammar is None:
                token = sampler.sample(context.native, lookup.output_index)
            elif (closing := self._closing_token(constraint, max_ids)) is not None:
                sampler.accept(token := closing)
            else:
                token = sampler.sample_allowed(context.native, lookup.output_index, constraint.grammar)
            ids.append(token)
            if not self._first_token_s:
                self._first_token_s = self._elapsed_s()
            if token in end_ids:
                if not (self._lacks_answer and deltas.is_between_characters):
                    return StopReason.END_OF_TURN
                ids.pop()
                yield from self._end_thinking(sampler, lookup)
                continue
            yield from deltas.feed(token)
            constraint.follow(token)
            if len(ids) >= max_ids:
                return StopReason.MAX_TOKENS
            if abort.is_set():
                return StopReason.CANCELLED
            if context.free_tokens < 1:
                return StopReason.CONTEXT_FULL
            lookup.append(token)
            if deltas.in_reasoning and self._must_end_thinking(max_ids) and deltas.is_between_characters:
                yield from self._end_thinking(sampler, lookup)

    @property
    def _lacks_answer(self) -> bool:
        """True if the reply may not end yet: it thinks, has to answer, and can be made to."""
        needs_answer = self.request.answer_schema != "" and self._deltas.in_reasoning
        return needs_answer and 0 < len(self._early_stopping_ids) < self._context.free_tokens

    def _closing_token(self, constraint: ToolCallConstraint | AnswerConstraint, max_ids: int) -> int | None:
        """Return a token that brings JSON nearer to its end, where little room is left for it; else None."""
        if not isinstance(constraint, AnswerConstraint) or self._room(max_ids) > self._answer_room(max_ids):
            return None
        return constraint.closing_token()

    def _room(self, max_ids: int) -> int:
        """Return how many tokens the reply may still have."""
        return min(max_ids - len(self._ids), self._context.free_tokens)

    def _answer_room(self, max_ids: int) -> int:
        """Return how many tokens are left to the end of an answer that has to be whole."""
        return whole_answer_tokens(max_ids - self._n_prefix)

    def _must_end_thinking(self, max_ids: int) -> bool:
        """Return True if the thinking has to end: on request, at its budget, or where little room is left."""
        if not self._early_stopping_ids:  # no token for the end of thinking, or tried already
            return False
        budget = self.request.thinking_budget
        reserve = answer_reserve_tokens(self._context.n_ctx)
        return (
            self._job.answer_now_requested
            # A character that begins now may take that many tokens, and would exceed the budget.
            or (budget is not None and self._deltas.reasoning_tokens > budget - _MAX_CHARACTER_TOKENS)
            or self._context.free_tokens <= reserve + len(self._early_stopping_ids)
            or (
                self.request.answer_schema != ""
                and self._room(max_ids) <= self._answer_room(max_ids) + len(self._early_stopping_ids)
            )
        )

    def _end_thinking(self, sampler: Sampler, lookup: PromptLookup) -> Iterator[EngineEvent]:
        """Append the end of the thinking in place of the model, as one batch."""
        # Emptied: the thinking is ended once at most, and not tried again where there is no room for that.
        forced, self._early_stopping_ids = self._early_stopping_ids, []
        if self._context.free_tokens <= len(forced):
            return
        for token in forced:
            sampler.accept(token)
            self._ids.append(token)
            yield from self._deltas.feed(token)
            self._constraint.follow(token)
        lookup.extend(forced)

    def _encode_early_stopping(self) -> list[int]:
        """Return the ids that end the thinking early; none if the vocabulary has no token for its end."""
        vocab = self._model.vocab
        closing = vocab.token(ReplyTag.THINK_CLOSE)
        if closing is None:
            return []
        return [*vocab.encode(EARLY_STOPPING_TEXT), closing, *vocab.encode(_AFTER_THINK_CLOSE)]

    def _finish_event(self, n_reused: int) -> TurnFinished:
        n_sampled = len(self._ids) - self._n_prefix
        decode_s = self._elapsed_s() - self._prefilled_s if n_sampled else 0.0
        drafts = self._lookup.model_speedup if self._lookup else SpeedupEstimate()
        return TurnFinished(
            stop_reason=self.stop_reason,
            mode=self.request.mode,
            usage=Usage(
                prompt_tokens=len(self._prompt),
                reused_tokens=min(n_reused, len(self._prompt)),
                reasoning_tokens=self._deltas.reasoning_tokens,
                answer_tokens=self._deltas.answer_tokens,
            ),
            timings=Timings(
                load_s=self._load_s,
                prefill_s=self._prefilled_s,
                first_token_s=self._first_token_s,
                reasoning_s=self._deltas.reasoning_s,
                decode_s=decode_s,
                tokens_per_s=n_sampled / decode_s if decode_s else 0.0,
                drafted_tokens=drafts.n_drafted,
                accepted_tokens=drafts.n_accepted,
                draft_steps=drafts.n_steps,
                draft_pauses=drafts.n_pauses,
                draft_speedup=round(drafts.speedup, 3),
            ),
            seed=self.request.seed,
            token_ids=tuple(self._ids),
        )

    def _elapsed_s(self) -> float:
        return time.perf_counter() - self._started_s
