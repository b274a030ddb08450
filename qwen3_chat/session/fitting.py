"""Makes a request fit into the engine's context."""

from __future__ import annotations

from dataclasses import replace

from qwen3_chat.engine import Engine
from qwen3_chat.errors import EngineError
from qwen3_chat.prompt import answer_reserve_tokens, plan
from qwen3_chat.request import ChatRequest


async def fitted(engine: Engine, request: ChatRequest) -> tuple[ChatRequest, tuple[int, ...]]:
    """Leave out the oldest turns where the whole does not fit; return what is sent, the indexes left out.

    Raises:
        EngineError: not even the newest message fits.
    """
    measure = await engine.measure(request)
    model = engine.model
    if model is None:
        raise EngineError("engine.no_model")
    planned = plan(request.messages, measure, model.n_ctx, answer_reserve_tokens(model.n_ctx))
    if planned.missing_tokens:
        raise EngineError("session.too_long", tokens=measure.per_message[-1], n_ctx=model.n_ctx)
    sent = tuple(message for index, message in enumerate(request.messages) if index not in planned.left_out)
    return replace(request, messages=sent), planned.left_out
