"""Blocking calls in threads beside the event loop, of two kinds that differ when they are cancelled."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

OutcomeT = TypeVar("OutcomeT")


async def run_to_end(work: Callable[[], OutcomeT]) -> OutcomeT:
    """Run short work on a file to its end, even when cancelled, so that the file can be closed."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait({running})
        if not running.cancelled():
            running.exception()
        raise


async def run_detached(work: Callable[[], OutcomeT]) -> OutcomeT:
    """Run work that may hang on a network; when cancelled, it runs on until the program ends."""
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[OutcomeT] = loop.create_future()

    def settle(method: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed already
            loop.call_soon_threadsafe(lambda: None if outcome.done() else method())

    def run() -> None:
        try:
            result = work()
        except Exception as error:
            caught = error
            settle(lambda: outcome.set_exception(caught))
        else:
            settle(lambda: outcome.set_result(result))

    threading.Thread(target=run, daemon=True).start()
    return await outcome
