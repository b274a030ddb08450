"""The `Engine` protocol over several servers, one of which answers where those before it are down."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from qwen3_chat.engine.remote.remote_engine import RemoteEngine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.events import EngineEvent, EngineFailed, Notice
from qwen3_chat.request import Capabilities, ChatRequest, LoadedModel, TokenCounts

SERVER_DOWN_CODES = frozenset(
    {
        ErrorCode.SERVER_NOT_LISTENING,
        ErrorCode.SERVER_HOST_UNKNOWN,
        ErrorCode.SERVER_UNREACHABLE,
        ErrorCode.SERVER_TIMEOUT,
        ErrorCode.SERVER_DISCONNECTED,
        ErrorCode.SERVER_BUSY,
        ErrorCode.SERVER_LOADING,
        ErrorCode.SERVER_FAILED,
        ErrorCode.SERVER_WITHOUT_MODELS,
    }
)
"""Failures that another server can make up for; only the user can mend a refused key or a wrong address."""

RemoteEngineFactory = Callable[[], RemoteEngine]


class FallbackEngine:
    """The engine of the first server that is up, checked before each turn, never an earlier one.

    A reply that has begun is never begun again on another server. `others` are created only when they are
    needed, so their keys are not read before.
    """

    def __init__(self, first: RemoteEngine, others: Sequence[tuple[str, RemoteEngineFactory]]) -> None:
        self._current = first
        self._others = list(others)
        self._abandoned: list[RemoteEngine] = []

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the server in use."""
        return self._current.capabilities

    @property
    def model(self) -> LoadedModel | None:
        """The model in use; None before `load` is done."""
        return self._current.model

    async def load(self) -> AsyncGenerator[EngineEvent, None]:
        """Probe the server; while it is down, change to the next one with a notice."""
        while True:
            self._current.reset()
            failed: EngineFailed | None = None
            async with aclosing(self._current.load()) as events:
                async for event in events:
                    if isinstance(event, EngineFailed) and event.code in SERVER_DOWN_CODES and self._others:
                        failed = event
                    else:
                        yield event
            if failed is None:
                return
            name, make = self._others.pop(0)
            yield Notice("remote.fell_back", {"reason": failed.text, "name": name})
            try:
                next_engine = make()
            except Qwen3ChatError as error:
                yield EngineFailed.from_error(error)
                return
            self._abandoned.append(self._current)
            self._current = next_engine

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request.

        Raises:
            EngineError: the server can't be reached or the request can't be encoded.
        """
        return await self._current.count_tokens(request)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Generate a reply on the server in use; the last event is `TurnFinished` or `EngineFailed`."""
        async with aclosing(self._current.generate(request)) as events:
            async for event in events:
                yield event

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Return None, because only the server can change its context."""
        return await self._current.larger_n_ctx(tokens)

    async def enlarge(self, n_ctx: int) -> AsyncGenerator[EngineEvent, None]:
        """Yield a notice that the context of a server can't be changed from here."""
        async with aclosing(self._current.enlarge(n_ctx)) as events:
            async for event in events:
                yield event

    async def end_thinking(self) -> None:
        """Make the running reply stop thinking and answer now."""
        await self._current.end_thinking()

    async def cancel(self) -> None:
        """Stop the running reply or load."""
        await self._current.cancel()

    def leave_chat(self) -> None:
        """Do nothing: the server manages its own cache."""

    async def close(self) -> None:
        """Close all connections."""
        for engine in (*self._abandoned, self._current):
            await engine.close()
