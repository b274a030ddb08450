"""The HTTP server of the app in a browser: this machine only, one user, nothing without the cookie."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from urllib.parse import quote
from weakref import WeakSet

from aiohttp import WSMsgType, web
from aiohttp.web_protocol import RequestHandler

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.interface_log import InterfaceLog
from qwen3_chat.web.access import COOKIE, HOST_NAMES, Access, Refusal, Refused, Sender
from qwen3_chat.web.app_process import AppEnd
from qwen3_chat.web.page_messages import MAX_PAGE_MESSAGE_BYTES, CloseCode, decode_page_message, read_size
from qwen3_chat.web.pages import app_page, entered_page, read_page_file, refused_text, security_headers
from qwen3_chat.web.shared_app import BrowserPage, SharedApp

MAX_STRANGERS: Final = 32
"""The most connections that have not shown the cookie; the oldest is closed for one more."""
MAX_REQUEST_LINE_BYTES: Final = 4096
MAX_HEADER_FIELD_BYTES: Final = 8192
MAX_HEADERS: Final = 64
HEARTBEAT_S: Final = 15.0
KEEP_ALIVE_S: Final = 30.0
LINGER_S: Final = 1.0
"""The time for which the body of a request is read that nobody asked for."""
DOWNLOAD_BYTES: Final = 256 * 1024

CLOSED_GRACE_S: Final = 20.0
"""The time for which the app is kept after its page was closed: a reload closes it, too."""
LOST_GRACE_S: Final = 600.0
"""The time for which the app is kept after the connection to its page was lost."""
CLOSE_CODES_OF_PAGES: Final = (1000, 1001)
"""The codes of a page that is closed, or left for another; a lost connection has none of them."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class WebServer:
    """The server of one app; `ends_with_page` ends it soon after the last page has left."""

    def __init__(
        self,
        app: SharedApp,
        log: InterfaceLog,
        *,
        ends_with_page: bool,
        closed_grace_s: float = CLOSED_GRACE_S,
    ) -> None:
        self._app = app
        self._log = log
        self._ends_with_page = ends_with_page
        self._closed_grace_s = closed_grace_s
        self._access = Access(0)
        self._strangers: deque[RequestHandler] = deque()
        self._sockets: WeakSet[web.WebSocketResponse] = WeakSet()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._connection_lost = False
        self._is_over = asyncio.Event()
        self.last_end: AppEnd | None = None
        """How the app ended last; None while none has."""
        self.on_entered: Callable[[], None] = lambda: None
        """Called once the link was used."""
        self.on_app_ended: Callable[[AppEnd], None] = lambda end: None
        app.on_pages_changed = self._pages_changed
        app.on_end = self._app_ended
        app.can_start_again = not ends_with_page

    async def open(self, port: int) -> str:
        """Listen on this machine only; 0 is any free port. Return the link.

        Raises:
            UsageError: the port is not free.
        """
        try:
            listener = socket.create_server((HOST_NAMES[0], port))
        except (OSError, OverflowError) as error:
            raise UsageError(ErrorCode.WEB_PORT_NOT_FREE, port=port) from error
        number = listener.getsockname()[1]
        self._access = access = Access(number)
        application = web.Application(middlewares=[self._guard], client_max_size=1)
        headers = security_headers(number)

        async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
            response.headers.update(headers)

        application.on_response_prepare.append(add_headers)
        application.add_routes(
            [
                web.get(f"{access.path}/enter", self._enter, allow_head=False),
                web.get(f"{access.path}/", self._show_page, allow_head=False),
                web.get(f"{access.path}/alive", self._tell_alive, allow_head=False),
                web.get(f"{access.path}/files/{{name}}", self._send_file, allow_head=False),
                web.get(f"{access.path}/download/{{key}}", self._send_download, allow_head=False),
                web.get(f"{access.path}/socket", self._connect, allow_head=False),
            ]
        )
        quiet = logging.Logger("qwen3_chat.web")  # has no handler: what a stranger sends is nobody's news
        quiet.addHandler(logging.NullHandler())
        self._runner = web.AppRunner(
            application,
            access_log=None,
            logger=quiet,
            handle_signals=False,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            max_line_size=MAX_REQUEST_LINE_BYTES,
            max_field_size=MAX_HEADER_FIELD_BYTES,
            max_headers=MAX_HEADERS,
            shutdown_timeout=LINGER_S,
        )
        await self._runner.setup()
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, sock=listener)
        return access.link

    @property
    def is_over(self) -> bool:
        """True once the server is to end."""
        return self._is_over.is_set()

    async def wait(self) -> None:
        """Wait until the server is to end."""
        await self._is_over.wait()

    def stop(self) -> None:
        """Let the server end."""
        self._is_over.set()

    async def close(self) -> None:
        """Let the app store everything and end, then close every connection."""
        self.stop()
        if self._end_timer is not None:
            self._end_timer.cancel()
        self._app.can_start_again = False
        await self._app.shutdown()
        if self._server is not None:
            self._server.close()
        if self._runner is not None:
            for connection in list(self._sockets):
                with suppress(ConnectionError, RuntimeError):
                    await connection.close(code=CloseCode.APP_ENDED)
            await self._runner.cleanup()

    # connections and requests

    def _accept(self) -> RequestHandler:
        """Make the handler of a new connection; close the oldest of too many strangers."""
        assert self._runner is not None
        assert self._runner.server is not None
        handler: RequestHandler = self._runner.server()
        self._strangers.append(handler)
        if len(self._strangers) > MAX_STRANGERS:
            oldest = self._strangers.popleft()
            if isinstance(oldest.transport, asyncio.Transport):
                oldest.transport.abort()
        return handler

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let nothing through that does not come from the page; a failure is logged and tells nothing."""
        try:
            if not self._is_link(request):
                is_socket = request.path == f"{self._access.path}/socket"
                self._access.check(_sender(request), needs_source=is_socket)
                with suppress(ValueError):  # it is a stranger no more
                    self._strangers.remove(request.protocol)
            return await handler(request)
        except Refused as refused:
            return _refuse(refused.refusal)
        except web.HTTPException as error:  # no such route, or another method
            return web.Response(status=error.status, text=refused_text(Refusal.UNKNOWN))
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:
            self._log.write_failure(error)
            return web.Response(status=500, text=refused_text(Refusal.UNKNOWN))

    def _is_link(self, request: web.Request) -> bool:
        return request.method == "GET" and request.path == f"{self._access.path}/enter"

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        if "prefetch" in request.headers.get("Sec-Purpose", ""):
            return web.Response(status=503)  # nobody has followed the link yet
        cookie = self._access.enter(request.query.get("key", ""), _sender(request))
        response = web.Response(text=entered_page(), content_type="text/html")
        response.set_cookie(COOKIE, cookie, path=f"{self._access.path}/", httponly=True, samesite="Strict")
        self.on_entered()
        return response

    async def _show_page(self, request: web.Request) -> web.StreamResponse:
        url = f"ws://{request.headers['Host']}{self._access.path}/socket"
        return web.Response(text=app_page(url), content_type="text/html")

    async def _tell_alive(self, request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    async def _send_file(self, request: web.Request) -> web.StreamResponse:
        if (file := read_page_file(request.match_info["name"])) is None:
            raise web.HTTPNotFound
        content, mime_type = file
        return web.Response(body=content, content_type=mime_type)

    async def _send_download(self, request: web.Request) -> web.StreamResponse:
        """Send a file that the app handed over, always as a file to save: no page of its own can run here."""
        key = request.match_info["key"]
        if (download := self._app.downloads.get(key)) is None:
            raise web.HTTPNotFound
        response = web.StreamResponse()
        response.content_type = "application/octet-stream"
        response.headers["Content-Disposition"] = (
            f"attachment; filename*=UTF-8''{quote(download.name, safe='')}"
        )
        try:
            file = await asyncio.to_thread(download.path.open, "rb")
        except OSError as error:
            raise web.HTTPNotFound from error
        with file:
            await response.prepare(request)
            while chunk := await asyncio.to_thread(file.read, DOWNLOAD_BYTES):
                await response.write(chunk)
        await response.write_eof()
        self._app.drop_download(key)
        return response

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        """Connect a page with the app."""
        connection = web.WebSocketResponse(
            heartbeat=HEARTBEAT_S, max_msg_size=MAX_PAGE_MESSAGE_BYTES, compress=False
        )
        if not connection.can_prepare(request).ok:
            raise web.HTTPBadRequest
        await connection.prepare(request)
        self._sockets.add(connection)
        query = request.query
        page = BrowserPage(connection, read_size(query.get("width", ""), query.get("height", "")))
        sending = asyncio.create_task(page.send(lambda: self._app.redraw(page)))
        try:
            await self._app.join(page)
            await self._receive(connection, page)
        finally:
            self._connection_lost = connection.close_code not in CLOSE_CODES_OF_PAGES
            sending.cancel()
            await self._app.leave(page)
        return connection

    async def _receive(self, connection: web.WebSocketResponse, page: BrowserPage) -> None:
        async for frame in connection:
            message = decode_page_message(frame.data) if frame.type is WSMsgType.TEXT else None
            if message is None:
                await connection.close(code=CloseCode.BAD_MESSAGE)
                return
            await self._app.receive(page, message)

    # the end

    def _pages_changed(self) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
            self._end_timer = None
        if self._ends_with_page and not self._app.has_pages:
            grace_s = LOST_GRACE_S if self._connection_lost else self._closed_grace_s
            self._end_timer = asyncio.get_running_loop().call_later(grace_s, self.stop)

    def _app_ended(self, end: AppEnd) -> None:
        self.last_end = end
        self.on_app_ended(end)
        if self._ends_with_page:
            self.stop()


def _sender(request: web.Request) -> Sender:
    headers = request.headers
    return Sender(
        host=headers.get("Host") if len(headers.getall("Host", ())) == 1 else None,
        source=headers.get("Origin"),
        fetch_site=headers.get("Sec-Fetch-Site"),
        cookie=request.cookies.get(COOKIE),
    )


def _refuse(refusal: Refusal) -> web.Response:
    return web.Response(status=403, text=refused_text(refusal), headers={"Connection": "close"})
