from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from qwen3_chat.engine.remote.http_transport import BatchedReader

NEVER_S = 1e6


async def stream(*batches: list[bytes]) -> AsyncIterator[bytes]:
    """Yield the pieces of a batch at once, each batch after a wait."""
    for batch in batches:
        await asyncio.sleep(0)
        for piece in batch:
            yield piece


async def taken_without_a_rest(gathering: BatchedReader, pieces: AsyncIterator[bytes]) -> list[bytes]:
    """Return the pieces up to the next pause."""
    taken = []
    while (piece := await gathering.next(pieces)) is not None:
        taken.append(piece)
        rest = asyncio.ensure_future(gathering.pause())
        await asyncio.sleep(0)
        if not rest.done():
            rest.cancel()
            break
    return taken


async def test_what_came_in_a_rest_is_taken_without_another_one() -> None:
    gathering, pieces = BatchedReader(NEVER_S), stream([b"a", b"b", b"c"], [b"d", b"e"], [b"f"], [b"g"])
    assert await taken_without_a_rest(gathering, pieces) == [b"a", b"b", b"c", b"d"]
    assert await taken_without_a_rest(gathering, pieces) == [b"e", b"f", b"g"]
    assert await taken_without_a_rest(gathering, pieces) == []
