"""The one app of the server, the page that it is shown in, and the pages that wait for it."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from qwen3_chat.texts import t
from qwen3_chat.web.app_process import AppEnd, AppProcess
from qwen3_chat.web.page_messages import (
    Blurred,
    CloseCode,
    Focused,
    PageMessage,
    Pinged,
    Resized,
    Taken,
    Typed,
    encode_page_message,
)

MAX_WAITING_PAGES: Final = 4
MAX_UNSENT_BYTES: Final = 8 * 1024**2
"""The most that waits for a page; what a slow page misses is made good by drawing the screen again."""
MAX_DOWNLOADS: Final = 16
"""The most files that wait to be fetched; the oldest goes first."""
CLOSE_TIMEOUT_S: Final = 2.0


class PageSocket(Protocol):
    """The connection to a page."""

    async def send_bytes(self, data: bytes) -> None:
        """Send what a terminal gets."""

    async def send_str(self, data: str) -> None:
        """Send a message."""

    async def close(self, *, code: int = 1000) -> bool:
        """Close, with the reason."""


class BrowserPage:
    """A page, with what is still to be sent to it; sending never waits for the page."""

    def __init__(self, socket: PageSocket, size: tuple[int, int]) -> None:
        self.size = size
        self.missed_output = False
        """True if output was dropped that the page had no room for."""
        self._socket = socket
        self._unsent: deque[bytes | str | CloseCode] = deque()
        self._unsent_bytes = 0
        self._has_unsent = asyncio.Event()

    def draw(self, output: bytes) -> None:
        """Send what the app writes."""
        if self.missed_output or self._unsent_bytes + len(output) > MAX_UNSENT_BYTES:
            self.missed_output = True
            return
        self._unsent_bytes += len(output)
        self._put(output)

    def tell(self, kind: str, value: object = None) -> None:
        """Send a message."""
        self._put(encode_page_message(kind, value))

    def close(self, code: CloseCode) -> None:
        """Close the connection once everything is sent."""
        self._put(code)

    def _put(self, item: bytes | str | CloseCode) -> None:
        self._unsent.append(item)
        self._has_unsent.set()

    async def send(self, redraw: Callable[[], Awaitable[None]]) -> None:
        """Send what is to be sent, until the connection ends; have drawn again what was dropped."""
        with suppress(ConnectionError):
            while True:
                await self._has_unsent.wait()
                self._has_unsent.clear()
                while self._unsent:
                    match self._unsent.popleft():
                        case bytes(output):
                            await self._socket.send_bytes(output)
                            self._unsent_bytes -= len(output)
                        case CloseCode() as code:
                            await self._socket.close(code=code)
                            return
                        case message:
                            await self._socket.send_str(message)
                if self.missed_output:
                    self.missed_output = False
                    await redraw()


@dataclass(frozen=True, slots=True)
class DeliveredFile:
    """A file that the app hands over: a private copy, deleted once it was fetched or the server ends."""

    path: Path
    name: str


Starter = Callable[
    [tuple[int, int], Callable[[bytes], None], Callable[[dict[str, Any]], None]], Awaitable[AppProcess]
]
"""Starts an app for a size in cells, with where its output and its JSON go."""


class SharedApp:
    """The app: started with the first page, kept while a page is reloaded or its connection is lost.

    Only one page has it, since the app holds one model and one chat; the next one waits, or takes it.
    """

    def __init__(self, start: Starter) -> None:
        self._start = start
        self._lock = asyncio.Lock()
        self._process: AppProcess | None = None
        self._running: asyncio.Task[AppEnd] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._shown: BrowserPage | None = None
        self._waiting: list[BrowserPage] = []
        self._page_state: dict[str, str] = {}
        """The title and the background that a page shows around the screen, by the kind of message."""
        self.downloads: dict[str, DeliveredFile] = {}
        self.can_start_again = True
        """False if the server ends with the app, so that no page can start another."""
        self.on_pages_changed: Callable[[], None] = lambda: None
        """Called whenever a page came or left."""
        self.on_end: Callable[[AppEnd], None] = lambda end: None
        """Called when the app has ended by itself."""

    @property
    def has_pages(self) -> bool:
        """True while a page is connected, showing the app or waiting."""
        return self._shown is not None or bool(self._waiting)

    @property
    def process_id(self) -> int | None:
        """The process of the app; None while none runs."""
        return None if self._process is None else self._process.pid

    # pages

    async def join(self, page: BrowserPage) -> None:
        """Show the app in a page, or let it wait."""
        if self._shown is None:
            self._shown = page
            await self._show()
        elif len(self._waiting) >= MAX_WAITING_PAGES:
            page.close(CloseCode.CROWDED)
        else:
            self._waiting.append(page)
            page.tell("waiting")
        self.on_pages_changed()

    async def leave(self, page: BrowserPage) -> None:
        """Take the app from a page whose connection ended; the next one that waits gets it."""
        if page in self._waiting:
            self._waiting.remove(page)
        elif page is self._shown:
            self._shown = self._waiting.pop(0) if self._waiting else None
            if self._shown is not None:
                await self._show()
        self.on_pages_changed()

    async def receive(self, page: BrowserPage, message: PageMessage) -> None:
        """Do what a page says; one that waits can only ask for the app."""
        match message:
            case Pinged(sent=sent):
                page.tell("pong", sent)
                return
            case Taken() if page in self._waiting:
                await self._move_to(page)
                return
            case Resized(size=size):
                page.size = size.cells
        process = self._process
        if page is not self._shown or process is None:
            return
        match message:
            case Typed(text=text):
                await process.type(text)
            case Resized():
                await self._resize(process, page)
            case Focused():
                await process.send_meta(type="focus")
            case Blurred():
                await process.send_meta(type="blur")
            case _:
                pass

    async def redraw(self, page: BrowserPage) -> None:
        """Have the app draw its whole screen for a page."""
        if page is self._shown and self._process is not None:
            await self._process.send_meta(type="redraw")

    async def _move_to(self, page: BrowserPage) -> None:
        previous, self._shown = self._shown, page
        self._waiting.remove(page)
        if previous is not None:
            previous.tell("moved")
            previous.close(CloseCode.MOVED)
        await self._show()

    async def _show(self) -> None:
        """Show the app in the page that has it now; start it if it does not run."""
        async with self._lock:
            page = self._shown
            if page is None:
                return
            page.tell("shown")
            if self._process is None:
                self._process = process = await self._start(page.size, self._draw, self._receive_meta)
                self._running = asyncio.create_task(process.run())
                self._watching = asyncio.create_task(self._watch(self._running))
            else:
                for kind, value in self._page_state.items():
                    page.tell(kind, value)
                await self._resize(self._process, page)
                await self._process.send_meta(type="redraw")

    async def _resize(self, process: AppProcess, page: BrowserPage) -> None:
        columns, rows = page.size
        await process.send_meta(type="resize", width=columns, height=rows)

    # the app

    def _draw(self, output: bytes) -> None:
        if self._shown is not None:
            self._shown.draw(output)

    def _receive_meta(self, meta: dict[str, Any]) -> None:
        match meta:
            case {"type": "title" | "background" as kind, "value": str(value)}:
                self._page_state[kind] = value
                self._tell(kind, value)
            case {"type": "open_url", "url": str(url)}:
                self._tell("link", url)
            case {"type": "download", "key": str(key), "path": str(path), "name": str(name)}:
                self.downloads[key] = DeliveredFile(Path(path), name)
                while len(self.downloads) > MAX_DOWNLOADS:
                    self.drop_download(next(iter(self.downloads)))
                self._tell("file", key)
            case _:
                pass

    def _tell(self, kind: str, value: object) -> None:
        if self._shown is not None:
            self._shown.tell(kind, value)

    def drop_download(self, key: str) -> None:
        """Forget a file, and delete the copy of it."""
        if (download := self.downloads.pop(key, None)) is not None:
            with suppress(OSError):
                download.path.unlink()

    async def _watch(self, running: asyncio.Task[AppEnd]) -> None:
        """Tell all pages when the app has ended; the next one that comes starts another."""
        end = await running
        self._process, self._running, self._page_state = None, None, {}
        pages = [*([self._shown] if self._shown else []), *self._waiting]
        self._shown, self._waiting = None, []
        for page in pages:
            page.tell("ended", [describe_end(end), self.can_start_again])
            page.close(CloseCode.APP_ENDED)
        self.on_end(end)

    async def shutdown(self) -> None:
        """Let the app store everything and end; delete what nobody fetched."""
        if self._process is not None and self._running is not None:
            await self._process.leave(self._running)
        if self._watching is not None:
            await asyncio.wait([self._watching], timeout=CLOSE_TIMEOUT_S)
        for key in list(self.downloads):
            self.drop_download(key)


def describe_end(end: AppEnd) -> str:
    """Return the sentence about the end of the app."""
    if end.status == 0:
        return t("web.ended")
    return t("web.app_failed", status=end.status, reason=end.errors or t("web.no_reason"))
