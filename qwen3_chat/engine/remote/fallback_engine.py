"""The `Engine` protocol over several servers, one of which answers where those before it are down."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from qwen3_chat.engine.remote.remote_engine import RemoteEngine
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError, Qwen3ChatError
from qwen3_chat.events import EventSink, Notice, TurnFinished
from qwen3_chat.request import Capabilities, ChatRequest, LoadedModel, TokenCounts

SERVER_DOWN_CODES = frozenset(
    {
        ErrorCode.SERVER_NOT_LISTENING,
        ErrorCode.SERVER_HOST_UNKNOWN,
        ErrorCode.SERVER_UNREACHABLE,
        ErrorCode.SERVER_TIMEOUT,
        ErrorCode.SERVER_DISCONNECTED,
        ErrorCode.SERVER_BEHIND_PROXY_DOWN,
        ErrorCode.SERVER_BUSY,
        ErrorCode.SERVER_LOADING,
        ErrorCode.SERVER_FAILED,
        ErrorCode.SERVER_WITHOUT_MODELS,
        ErrorCode.SERVER_LISTING_EMPTY,
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

    async def load(self, on_event: EventSink) -> None:
        """Probe the server; while it is down, change to the next one with a notice.

        Raises:
            EngineError: no server can be used.
        """
        while True:
            self._current.reset()
            try:
                return await self._current.load(on_event)
            except EngineError as error:
                if error.code not in SERVER_DOWN_CODES or not self._others:
                    raise
                reason = str(error)
            name, make = self._others.pop(0)
            on_event(Notice("remote.fell_back", {"reason": reason, "name": name}))
            try:
                next_engine = make()
            except Qwen3ChatError as error:
                raise EngineError(error.code, **error.values) from error
            self._abandoned.append(self._current)
            self._current = next_engine

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request.

        Raises:
            EngineError: the server can't be reached or the request can't be encoded.
        """
        return await self._current.count_tokens(request)

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Generate a reply on the server in use; return the last event.

        Raises:
            EngineError: the server failed.
        """
        return await self._current.generate(request, on_event)

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Return None, because only the server can change its context."""
        return await self._current.larger_n_ctx(tokens)

    async def enlarge(self, n_ctx: int, on_event: EventSink) -> None:
        """Push a notice that the context of a server can't be changed from here."""
        await self._current.enlarge(n_ctx, on_event)

    async def end_thinking(self) -> None:
        """Make the running reply stop thinking and answer now."""
        await self._current.end_thinking()

    def leave_chat(self) -> None:
        """Do nothing: the server manages its own cache."""

    async def close(self) -> None:
        """Close all connections."""
        for engine in (*self._abandoned, self._current):
            await engine.close()
