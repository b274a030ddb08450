"""The `Engine` protocol: the one interface that drives a model, whatever runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from qwen3_chat.events import EngineEvent
from qwen3_chat.request import Capabilities, ChatRequest, LoadedModel, TokenCounts


class Engine(Protocol):
    """The interface of everything that can continue a conversation."""

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of this engine."""
        ...

    @property
    def model(self) -> LoadedModel | None:
        """The model in use; None before `load` is done and after the engine died."""
        ...

    def load(self) -> AsyncGenerator[EngineEvent, None]:
        """Load the model and yield the progress; the last event is `EngineFailed` if that fails."""
        ...

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request, even while a reply is generated.

        Raises:
            EngineError: the engine is not available or the request can't be rendered.
        """
        ...

    def generate(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Generate a reply, after loading the model if needed.

        The last event is `TurnFinished` or `EngineFailed`. Closing the generator early cancels the reply.
        """
        ...

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Return the size of a larger context with room for that many tokens; None if there can't be one."""
        ...

    def enlarge(self, n_ctx: int) -> AsyncGenerator[EngineEvent, None]:
        """Load the model again with a context of that size; after a failure, restore it with a notice."""
        ...

    async def end_thinking(self) -> None:
        """Make the running reply stop thinking and answer now."""
        ...

    async def cancel(self) -> None:
        """Stop the running reply or load; received events stay valid, and the stream ends as usual."""
        ...

    def leave_chat(self) -> None:
        """Prepare for a change to another chat, so that a return to this one is quick."""
        ...

    async def close(self) -> None:
        """Release all resources of the engine."""
        ...
