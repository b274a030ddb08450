"""The client of the process that colours code: requests in, colours in the code blocks."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Self
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Struct

from qwen3_chat.child_process import ChildProcess, LineTooLong
from qwen3_chat.highlighting.highlighted_code import HighlightedCode, StyledSpan
from qwen3_chat.highlighting.limits import (
    MAX_ATTEMPTS,
    MAX_CHARACTERS,
    MAX_FAILED_BLOCKS,
    MAX_FAILED_STARTS,
    MAX_STORED_BLOCKS,
    MAX_STORED_SPANS,
    MAX_WAITING_BLOCKS,
    REQUEST_CHARACTERS,
    START_LIMIT_S,
    WALL_LIMIT_S,
)
from qwen3_chat.highlighting.messages import (
    STYLE_NAMES,
    BlockForgotten,
    ColourRows,
    HtmlRendered,
    RenderHtml,
    Reply,
    RowsColoured,
)

_MODULE = "qwen3_chat.highlighting"
_decode = msgspec.json.Decoder(Reply).decode
_encode = msgspec.json.Encoder().encode

_FAILURES = (OSError, EOFError, TimeoutError, LineTooLong, msgspec.MsgspecError)
"""The errors of a process that does not start, has ended, or is to be killed."""
_USED_UP = {-signal.SIGPROF} if hasattr(signal, "SIGPROF") else set[int]()
"""The exit status of a process that the system ended because its processor time was up."""

OnColours = Callable[[HighlightedCode], None]
"""A function that is called with a block when more of its colours are known."""


class _RequestFailed(Exception):
    """A request has exceeded a limit, or there is no process that could work on it."""


class _Progress(Struct):
    """The part of a block that the process was sent."""

    block_id: int
    rows: int = 0
    characters: int = 0
    has_end: bool = False

    def covers(self, code: HighlightedCode) -> bool:
        return self.rows == len(code.rows) and self.has_end == code.is_complete


class Highlighter:
    """Colours for code blocks; the process starts with the first block that needs it.

    A block that exceeds a limit stays plain for good: the process is killed if need be, and another one goes
    on with the next block. A process may also end, or get no processor, through no fault of the block, so a
    block that did not use up its processor time is tried once more. The colours of the blocks seen last are
    stored, and so is which ones stay plain.
    """

    def __init__(self, log_path: Path | None = None) -> None:
        """Add what the process writes to stderr to a log, if there is one."""
        self._log_path = log_path
        self._child: ChildProcess | None = None
        self._lines: deque[bytes] = deque()
        self._turn = asyncio.Lock()
        self._failed_starts = 0
        self._failed_blocks: Counter[str] = Counter()
        """The blocks that exceeded a limit, by language."""
        self._is_closed = False
        self._working: asyncio.Task[None] | None = None
        self._waiting: dict[HighlightedCode, OnColours] = {}
        """The blocks that need colours; the one drawn last is the next."""
        self._progress: WeakKeyDictionary[HighlightedCode, _Progress] = WeakKeyDictionary()
        self._block_ids = count(1)
        self._stored = StoredColours()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *failure: object) -> None:
        await self.close()

    @property
    def is_working(self) -> bool:
        """True while blocks wait for their colours."""
        return self._working is not None

    def request(self, code: HighlightedCode, on_colours: OnColours) -> None:
        """Ask for the colours of the rows that have none, without waiting; stored ones are there at once."""
        if code.is_plain or self._is_closed or self._stored.restore(code):
            return
        if self._stays_plain(code.language):
            code.is_plain = True
            return
        progress = self._progress.get(code)
        if progress is None:
            progress = self._progress[code] = _Progress(next(self._block_ids))
        if progress.covers(code):
            return  # the colours are on their way, or need the end of the block
        self._waiting.pop(code, None)
        self._waiting[code] = on_colours
        if len(self._waiting) > MAX_WAITING_BLOCKS:  # a block that is drawn again is requested again
            del self._waiting[next(iter(self._waiting))]
        if self._working is None:
            self._working = asyncio.create_task(self._work(), name="highlighter")

    async def render_html(self, language: str, text: str) -> str:
        """Return a block as HTML in colours; an empty text if it has to stay plain."""
        html: list[str] = []

        def receive(reply: Reply) -> None:
            html.extend([reply.html] if isinstance(reply, HtmlRendered) else [])

        if len(text) <= MAX_CHARACTERS and not self._stays_plain(language):
            async with self._turn:
                with suppress(_RequestFailed):
                    await self._exchange(RenderHtml(language, text), receive)
        return "".join(html)

    async def close(self) -> None:
        """End the process; blocks without colours stay plain."""
        self._is_closed = True
        self._waiting.clear()
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait([self._working])
        await self._end_process()

    async def _work(self) -> None:
        """Colour blocks until none is waiting."""
        try:
            while self._waiting:
                code, on_colours = self._waiting.popitem()
                async with self._turn:
                    await self._colour(code, on_colours)
        finally:
            self._working = None

    def _stays_plain(self, language: str) -> bool:
        return self._is_closed or self._failed_blocks[language] >= MAX_FAILED_BLOCKS

    async def _colour(self, code: HighlightedCode, on_colours: OnColours) -> None:
        """Colour the rows of a block that have no colours yet."""
        while not (code.is_plain or (progress := self._progress[code]).covers(code)):
            try:
                await self._colour_rows(code, progress, on_colours)
            except _RequestFailed:
                code.is_plain = True
        if code.is_complete:
            self._stored.add(code)
        on_colours(code)

    async def _colour_rows(self, code: HighlightedCode, progress: _Progress, on_colours: OnColours) -> None:
        """Have one portion of a block's rows coloured.

        Raises:
            _RequestFailed: the portion has exceeded a limit, or no process starts.
        """

        def receive(reply: Reply) -> None:
            match reply:
                case RowsColoured(first_row, spans):
                    code.spans[first_row : first_row + len(spans)] = [
                        tuple((start, end, STYLE_NAMES[style]) for start, end, style in row) for row in spans
                    ]
                    if not reply.is_last:
                        on_colours(code)
                case BlockForgotten():  # by a new process, or because many blocks were written since
                    self._progress[code] = _Progress(next(self._block_ids))
                case _:
                    code.is_plain = True

        first = end = progress.rows
        portion = 0
        while end < len(code.rows) and portion < REQUEST_CHARACTERS:
            portion += len(code.rows[end]) + 1
            end += 1
        if progress.characters + portion > MAX_CHARACTERS:
            code.is_plain = True
            return
        is_end = code.is_complete and end == len(code.rows)
        progress.rows, progress.has_end, progress.characters = end, is_end, progress.characters + portion
        await self._exchange(
            ColourRows(progress.block_id, code.language, first, code.rows[first:end], is_end), receive
        )

    async def _exchange(self, request: ColourRows | RenderHtml, receive: Callable[[Reply], None]) -> None:
        """Send a request to the process, and call `receive` with each reply.

        Raises:
            _RequestFailed: no process starts, one used up its time, or each ended or was killed.
        """
        try:
            for _ in range(MAX_ATTEMPTS):
                child = await self._running_process()
                try:
                    async with asyncio.timeout(WALL_LIMIT_S):
                        await self._receive_replies(child, request, receive)
                    return
                except _FAILURES:
                    if await self._end_process() in _USED_UP:
                        break
        except asyncio.CancelledError:
            await self._end_process()
            raise
        self._failed_blocks[request.language] += 1
        raise _RequestFailed

    async def _receive_replies(
        self, child: ChildProcess, request: ColourRows | RenderHtml, receive: Callable[[Reply], None]
    ) -> None:
        child.write(_encode(request) + b"\n")
        while True:
            reply = await self._next_reply(child)
            receive(reply)
            if not isinstance(reply, RowsColoured) or reply.is_last:
                return
            await asyncio.sleep(0)  # keys come before colours

    async def _running_process(self) -> ChildProcess:
        """Return the process, started if none runs.

        Raises:
            _RequestFailed: it did not start, several times in a row.
        """
        while self._child is None:
            if self._failed_starts >= MAX_FAILED_STARTS:
                raise _RequestFailed
            self._failed_starts += 1
            try:
                async with asyncio.timeout(START_LIMIT_S):
                    self._child = await ChildProcess.start(_MODULE, log_path=self._log_path)
                    await self._next_reply(self._child)  # `HighlighterReady`
                self._failed_starts = 0
            except _FAILURES:
                await self._end_process()
        return self._child

    async def _next_reply(self, child: ChildProcess) -> Reply:
        """Wait for the next reply.

        Raises:
            EOFError: the process has ended.
        """
        if not self._lines:
            self._lines.extend(await child.read_lines())
        if not self._lines:
            raise EOFError
        reply: Reply = _decode(self._lines.popleft())
        return reply

    async def _end_process(self) -> int | None:
        """Kill the process if one runs, which holds nothing to be stored; return its exit status."""
        child, self._child = self._child, None
        self._lines.clear()
        return None if child is None else await child.discard()


class StoredColours:
    """The colours of complete blocks, and which of them stay plain, by what the blocks hold.

    A chat that is opened again, and an answer that is laid out again, have their colours at once.
    """

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._n_spans = 0

    def add(self, code: HighlightedCode) -> None:
        """Store the colours of a complete block; forget those used longest ago if there are too many."""
        self._remove(code.digest())
        entry = _Entry(tuple(code.spans), code.is_plain)
        self._entries[code.digest()] = entry
        self._n_spans += entry.size
        while self._n_spans > MAX_STORED_SPANS or len(self._entries) > MAX_STORED_BLOCKS:
            self._remove(next(iter(self._entries)))

    def restore(self, code: HighlightedCode) -> bool:
        """Give a complete block the colours stored for its content; return False if there are none."""
        if not code.is_complete or (entry := self._entries.get(code.digest())) is None:
            return False
        self._entries.move_to_end(code.digest())
        code.spans[:], code.is_plain = entry.spans, entry.is_plain
        return True

    def _remove(self, digest: bytes) -> None:
        if (entry := self._entries.pop(digest, None)) is not None:
            self._n_spans -= entry.size


class _Entry(Struct, frozen=True):
    """The colours of a block; `size` counts its rows and spans."""

    spans: tuple[Sequence[StyledSpan], ...]
    is_plain: bool

    @property
    def size(self) -> int:
        return len(self.spans) + sum(map(len, self.spans))
