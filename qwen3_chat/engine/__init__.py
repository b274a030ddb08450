"""The `Engine` protocol: the one interface that drives a model, whatever runs it."""

from __future__ import annotations

from typing import Protocol

from qwen3_chat.events import EventSink, TurnFinished
from qwen3_chat.request import Capabilities, ChatRequest, LoadedModel, TokenCounts


class Engine(Protocol):
    """The interface of everything that can continue a conversation.

    It pushes the events of a load or a reply to a function of the caller. Cancelling the caller's task stops
    either.
    """

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of this engine."""
        ...

    @property
    def model(self) -> LoadedModel | None:
        """The model in use; None before `load` is done and after the engine died."""
        ...

    async def load(self, on_event: EventSink) -> None:
        """Load the model unless it is loaded.

        Raises:
            EngineError: the load failed.
        """
        ...

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request, even while a reply is generated.

        Raises:
            EngineError: the engine is not available or the request can't be rendered.
        """
        ...

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Generate a reply, after loading the model if needed; return the last event.

        If the caller is cancelled, the reply ends, and what was generated until then still arrives, with a
        `TurnFinished` if the engine can tell its length.

        Raises:
            EngineError: the reply failed.
        """
        ...

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Return the size of a larger context with room for that many tokens; None if there can't be one."""
        ...

    async def enlarge(self, n_ctx: int, on_event: EventSink) -> None:
        """Load the model again with a context of that size; after a failure, restore it with a notice.

        Raises:
            EngineError: it can't be restored either.
        """
        ...

    async def end_thinking(self) -> None:
        """Make the running reply stop thinking and answer now."""
        ...

    def leave_chat(self) -> None:
        """Prepare for a change to another chat, so that a return to this one is quick."""
        ...

    async def close(self) -> None:
        """Release all resources of the engine."""
        ...
