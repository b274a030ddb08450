"""Reading a stream seldom and much at a time: to wake up for each token is most of what a token costs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator


class Gathering:
    """Walks over the pieces of a stream, with rests in which more of them come together.

    What came in a rest is taken without another one, so that rests never hold up a fast stream.
    """

    def __init__(self, rest_s: float) -> None:
        self._rest_s = rest_s
        self._waits = 0  # since the last rest: one for what came meanwhile, one for what came later

    async def next(self, pieces: AsyncIterator[bytes]) -> bytes | None:
        """Return the next piece, None at the end."""
        waited: list[bool] = []
        others = asyncio.get_running_loop().call_soon(
            waited.append, True
        )  # runs only if the piece is not here
        piece = await anext(pieces, None)
        others.cancel()
        self._waits += len(waited)
        return piece

    async def rest(self) -> None:
        """Rest, unless something may be here already."""
        if self._waits > 1:
            self._waits = 0
            await asyncio.sleep(self._rest_s)
