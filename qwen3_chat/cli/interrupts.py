"""Ctrl+C as a request to stop the reply, not to leave.

`ask` and the plain chat share it, and neither imports the other.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def stop_on_interrupt(stop: Callable[[], Awaitable[None]]) -> Iterator[None]:
    """Call `stop` on Ctrl+C within the context, so that the reply ends and its text stays."""
    loop = asyncio.get_running_loop()
    tasks: set[asyncio.Future[None]] = set()
    # Windows has no such handlers: Ctrl+C raises KeyboardInterrupt there, which stores the text as well.
    with suppress(NotImplementedError):
        loop.add_signal_handler(signal.SIGINT, lambda: tasks.add(asyncio.ensure_future(stop())))
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)
