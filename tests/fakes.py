"""A scripted engine that does on demand what the real one does by accident: die, hang, fill its context."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from qwen3_chat.chat import StopReason, ThinkingMode, Timings, Usage
from qwen3_chat.events import (
    AnswerDelta,
    EngineEvent,
    EngineFailed,
    EventSink,
    LoadProgressed,
    ReasoningDelta,
    TurnFinished,
)
from qwen3_chat.record_copies import replace
from qwen3_chat.request import Capabilities, ChatRequest, LoadedModel, TokenCounts

MODEL = LoadedModel(
    name="Fake",
    quant="Q8_0",
    path="/nowhere/fake.gguf",
    architecture="qwen3",
    parameters=600_000_000,
    size_bytes=640_000_000,
    n_ctx=1000,
    n_ctx_train=40960,
    n_layers=28,
    n_gpu_layers=0,
    device="CPU",
    is_demo=False,
)


def finished(
    reason: StopReason = StopReason.END_OF_TURN, mode: ThinkingMode = ThinkingMode.THINK
) -> TurnFinished:
    """Return the event that ends a reply."""
    return TurnFinished(
        reason, mode, Usage(10, 4, 2, 1), Timings(tokens_per_s=50, reasoning_s=1), 7, (1, 2, 3)
    )


Step = EngineEvent | asyncio.Event | Exception

REPLY: tuple[EngineEvent, ...] = (ReasoningDelta("Let me see.", 3), AnswerDelta("It is 3.", 4), finished())


async def play(script: Sequence[Step], on_event: EventSink) -> TurnFinished | None:
    """Push the events of a script, wait for its `asyncio.Event`s, raise its errors; return its last event.

    Other tasks run between two events, as they do between those of a process.
    """
    for step in script:
        match step:
            case asyncio.Event():
                await step.wait()
            case Exception():
                raise step
            case EngineFailed():
                raise step.to_error()
            case _:
                on_event(step)
                await asyncio.sleep(0)
    return script[-1] if script and isinstance(script[-1], TurnFinished) else None


class FakeEngine:
    """An engine that plays one script of events per reply."""

    capabilities = Capabilities(
        *(True, True, True, True, True, True, True), requires_calls=True, continues_with_call=True
    )

    def __init__(
        self,
        *scripts: Sequence[Step],
        tokens_per_message: int = 10,
        loading: Sequence[Step] = (),
    ) -> None:
        self.model: LoadedModel | None = MODEL
        self.requests: list[ChatRequest] = []
        self.cancelled = asyncio.Event()
        self.ends_of_thinking = 0
        self.max_n_ctx: int | None = None
        self._scripts = list(scripts)
        self._tokens_per_message = tokens_per_message
        self._loading = loading

    async def load(self, on_event: EventSink) -> None:
        """Play the script of the load."""
        await play(self._loading, on_event)

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Return the same count for every message."""
        counts = tuple(self._tokens_per_message for _ in request.messages)
        return TokenCounts(counts, sum(counts), exact=True)

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Play the next script; if the caller is cancelled, push what follows up to its end first."""
        self.requests.append(request)
        script = self._scripts.pop(0) if self._scripts else REPLY
        try:
            end = await play(script, on_event)
        except asyncio.CancelledError:
            self.cancelled.set()
            for step in script[-1:]:
                if isinstance(step, TurnFinished):
                    on_event(step)
            raise
        return end or finished(mode=request.mode)

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Return the context that the test has set, if it is large enough."""
        return self.max_n_ctx if self.max_n_ctx and self.max_n_ctx >= tokens else None

    async def enlarge(self, n_ctx: int, on_event: EventSink) -> None:
        """Enlarge the context at once."""
        assert self.model is not None
        self.model = replace(self.model, n_ctx=n_ctx)
        on_event(LoadProgressed(1))

    async def end_thinking(self) -> None:
        """Count the calls."""
        self.ends_of_thinking += 1

    def leave_chat(self) -> None:
        """Do nothing: this engine keeps no state of a chat."""

    async def close(self) -> None:
        """Do nothing: this engine holds no resources."""
