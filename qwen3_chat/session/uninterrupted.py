"""Work that a cancellation of its caller does not interrupt."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")


async def finish_even_if_cancelled(work: Coroutine[None, None, Result]) -> Result:
    """Run some work to its end; if the caller was cancelled meanwhile, raise that afterwards.

    What is written to the store and what is held in memory change together, or not at all.
    """
    task = asyncio.ensure_future(work)
    cancellation: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as error:
            cancellation = error
    if cancellation is not None:
        raise cancellation
    return task.result()
