"""The calibration as the client follows it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from qwen3_chat.engine import wire
from qwen3_chat.engine.exchange import unexpected
from qwen3_chat.engine.local import LocalEngine


async def calibrate(engine: LocalEngine) -> AsyncGenerator[wire.Tried | wire.Calibrated, None]:
    """Measure how the model, which is loaded, runs fastest here; used from the next load on.

    The last reply is what was found. Given up early, the measurement is cancelled.

    Raises:
        EngineError: llama.cpp could not do it.
    """
    worker = await engine.started_worker()
    with worker.open_call() as call:
        worker.send(wire.Calibrate(call.call_id))
        is_over = False
        try:
            while not is_over:
                reply = await call.next_reply()
                is_over = not isinstance(reply, wire.Tried)
                if not isinstance(reply, wire.Tried | wire.Calibrated):
                    raise unexpected(reply)
                yield reply
        finally:
            if not is_over:
                worker.send(wire.Cancel(call.call_id))
