"""Ctrl+C as a request to stop the reply, not to leave.

`ask` and the plain chat share it, and neither imports the other.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress


async def run_until_interrupt(turn: Coroutine[None, None, None]) -> bool:
    """Run a turn, which Ctrl+C stops, so that its text stays; return True if it was stopped.

    Raises:
        Qwen3ChatError: the turn could not be run.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(turn)
    # Windows has no such handlers: Ctrl+C raises KeyboardInterrupt there, which stores the text as well.
    with suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGINT, task.cancel)
    try:
        await asyncio.wait({task})
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait({task})
        raise
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)
    if not task.cancelled():
        task.result()
    return task.cancelled()
