"""The `Engine` protocol: the one interface that drives a model, whatever runs it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from qwen3_chat.events import EngineEvent
from qwen3_chat.request import Capabilities, ChatRequest, LoadedModel, TokenCounts


class Engine(Protocol):
    """Something that continues a conversation."""

    @property
    def capabilities(self) -> Capabilities:
        """What this engine offers."""
        ...

    @property
    def model(self) -> LoadedModel | None:
        """The model in use; None before `load` is done and after the engine died."""
        ...

    def load(self) -> AsyncGenerator[EngineEvent, None]:
        """Make the model ready, with progress; ends with `EngineFailed` if it can't be."""
        ...

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request; answered even while a reply is generated.

        Raises:
            EngineError: the engine is not there or the request can't be rendered.
        """
        ...

    def generate(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Generate a reply; loads first where needed; the last event is `TurnFinished` or `EngineFailed`.

        Closing the generator early cancels the reply.
        """
        ...

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Find a larger context that so many tokens fit into; None where there can't be one."""
        ...

    def enlarge(self, n_ctx: int) -> AsyncGenerator[EngineEvent, None]:
        """Load the model again with a context of that size; where that fails, it is as before and said."""
        ...

    async def end_thinking(self) -> None:
        """Have the running reply stop thinking and answer now."""
        ...

    async def cancel(self) -> None:
        """Stop the running reply or load; what arrived stays valid, the stream ends as usual."""
        ...

    def leave_chat(self) -> None:
        """Note that the user goes to another chat, so that coming back is quick."""
        ...

    async def close(self) -> None:
        """Give back everything the engine holds."""
        ...
