"""Ends what runs on a screen before the app is left."""

from __future__ import annotations

from asyncio import timeout
from collections.abc import Collection
from contextlib import suppress

from textual.screen import Screen
from textual.worker import WorkerError

PATIENCE_S = 3
"""How long a running turn may take to end by itself."""


async def work_ended(screen: Screen[None], groups: Collection[str]) -> None:
    """Wait for the workers of a screen that was asked to stop; those that take too long are cancelled."""
    with suppress(TimeoutError):
        async with timeout(PATIENCE_S):
            await _ended(screen, groups)
    screen.workers.cancel_node(screen)
    await _ended(screen, groups)


async def _ended(screen: Screen[None], groups: Collection[str]) -> None:
    for worker in [one for one in screen.workers if one.node is screen and one.group in groups]:
        with suppress(WorkerError):
            await worker.wait()
