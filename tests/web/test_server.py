"""The server with a real process behind it, spoken to as browsers and others speak."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.interface_log import InterfaceLog
from qwen3_chat.texts import t
from qwen3_chat.web import shared_app
from qwen3_chat.web.app_process import AppProcess
from qwen3_chat.web.page_messages import MAX_PAGE_MESSAGE_BYTES, CloseCode
from qwen3_chat.web.server import MAX_STRANGERS, WebServer
from qwen3_chat.web.shared_app import MAX_UNSENT_BYTES, MAX_WAITING_PAGES, SharedApp
from tests.conftest import REPOSITORY, WAIT_LIMIT_S

APP = (sys.executable, str(REPOSITORY / "tests" / "web" / "packet_app.py"))


class Browser:
    """What a browser keeps of a server: its addresses and its cookie."""

    def __init__(self, session: aiohttp.ClientSession, link: str) -> None:
        self.session = session
        self.link = link
        parts = urlsplit(link)
        self.origin = f"http://{parts.netloc}"
        self.port = int(parts.netloc.rpartition(":")[2])
        self.path = parts.path.removesuffix("/enter")
        self.cookie = ""

    def address(self, name: str) -> str:
        return f"{self.origin}{self.path}/{name}"

    @property
    def headers(self) -> dict[str, str]:
        return {"Cookie": f"qwen3-chat={self.cookie}", "Origin": self.origin, "Sec-Fetch-Site": "same-origin"}

    async def get(self, name: str, **headers: str) -> tuple[int, bytes]:
        """Get a part of the page with its cookie; return the status and the body."""
        merged = {key: value for key, value in (self.headers | headers).items() if value}
        async with self.session.get(self.address(name), headers=merged, allow_redirects=False) as response:
            return response.status, await response.read()

    async def enter(self) -> aiohttp.ClientResponse:
        """Follow the link."""
        async with self.session.get(self.link, allow_redirects=False) as response:
            await response.read()
        if "qwen3-chat" in response.cookies:
            self.cookie = response.cookies["qwen3-chat"].value
        return response

    async def page(self, size: str = "width=90&height=20") -> Page:
        """Open the page's connection."""
        socket = await self.session.ws_connect(
            self.address(f"socket?{size}"), headers=self.headers, max_msg_size=0
        )
        return Page(socket)


class Page:
    """A page's connection, with everything that came by it."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.output = bytearray()
        self.messages: list[tuple[str, object]] = []

    async def read(self) -> bool:
        """Read one frame; return False at the end of the connection."""
        frame = await self.socket.receive(WAIT_LIMIT_S)
        match frame.type:
            case aiohttp.WSMsgType.BINARY:
                self.output += frame.data
            case aiohttp.WSMsgType.TEXT:
                kind, value = json.loads(frame.data)
                self.messages.append((kind, value))
            case _:
                return False
        return True

    async def until_shown(self, text: bytes) -> None:
        """Read until the app has written a text; forget what came before its end."""
        while text not in self.output:
            assert await self.read(), (bytes(self.output[-500:]), self.messages, self.socket.close_code)
        del self.output[: self.output.index(text) + len(text)]

    async def until_told(self, kind: str) -> object:
        """Read until a message of a kind has come; forget the ones before it."""
        while not any(message[0] == kind for message in self.messages):
            assert await self.read(), (self.messages, self.socket.close_code)
        while (message := self.messages.pop(0))[0] != kind:
            pass
        return message[1]

    async def until_closed(self) -> int | None:
        """Read to the end; return the code."""
        while await self.read():
            pass
        return self.socket.close_code

    def lose(self) -> None:
        """Lose the connection, without a word."""
        connection = self.socket._response.connection
        assert connection is not None
        assert connection.transport is not None
        connection.transport.abort()

    async def type(self, text: str) -> None:
        """Type a text."""
        await self.socket.send_str(json.dumps(["stdin", text]))


@asynccontextmanager
async def running(
    tmp_path: Path, *, ends_with_page: bool = False, grace_s: float = 3600
) -> AsyncGenerator[tuple[WebServer, SharedApp, Browser], None]:
    app = SharedApp(partial(AppProcess.start, APP, dict(os.environ)))
    log_path = tmp_path / "interface.log"
    log = InterfaceLog(log_path)
    server = WebServer(app, log, ends_with_page=ends_with_page, closed_grace_s=grace_s)
    link = await server.open(0)
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            yield server, app, Browser(session, link)
    finally:
        await server.close()
        log.flush()
    assert not log_path.exists() or " E " not in log_path.read_text()  # no failure that nobody foresaw


# who gets something


async def test_the_link_works_once_and_its_cookie_is_out_of_reach_of_scripts_and_other_sites(
    tmp_path: Path,
) -> None:
    async with running(tmp_path) as (_, _, browser):
        first = await browser.enter()
        assert first.status == 200
        cookie = first.cookies["qwen3-chat"]
        assert cookie["httponly"]
        assert (cookie["samesite"], cookie["path"]) == ("Strict", f"{browser.path}/")
        second = await browser.session.get(browser.link)
        assert second.status == 403
        assert not second.cookies
        assert await second.text() == t("web.refused.link") + "\n"
        assert (await browser.get(""))[0] == 200


async def test_a_browser_that_looks_ahead_does_not_use_up_the_link(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, _, browser):
        ahead = await browser.session.get(browser.link, headers={"Sec-Purpose": "prefetch;prerender"})
        assert (ahead.status, len(ahead.cookies)) == (503, 0)
        assert (await browser.enter()).status == 200


FOREIGN = {
    "no cookie": {"Cookie": ""},
    "another cookie": {"Cookie": "qwen3-chat=guess"},
    "a foreign origin": {"Origin": "http://evil.example"},
    "another port of this machine": {"Origin": "http://127.0.0.1:1"},
    "a name that leads here": {"Host": "evil.example"},
    "another site": {"Sec-Fetch-Site": "cross-site", "Origin": ""},
    "the same site on another port": {"Sec-Fetch-Site": "same-site", "Origin": ""},
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN.keys())
async def test_whoever_is_foreign_gets_a_sentence_and_nothing_else(
    tmp_path: Path, headers: dict[str, str]
) -> None:
    async with running(tmp_path) as (_, app, browser):
        await browser.enter()
        sentences = {f"{t(f'web.refused.{kind}')}\n".encode() for kind in ("host", "source", "no_cookie")}
        for name in ("", "alive", "files/page.js", "files/textual.js", "download/x", "socket", "nothing"):
            status, body = await browser.get(name, **headers)
            assert (status, body in sentences) == (403, True), (name, body)
        assert not app.has_pages
        assert app.process_id is None


async def test_a_socket_without_an_origin_is_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, app, browser):
        await browser.enter()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await browser.session.ws_connect(
                browser.address("socket"), headers={"Cookie": browser.headers["Cookie"]}
            )
        assert app.process_id is None


@pytest.mark.parametrize(
    "name", ["nothing", "files/server.py", "files/..%2fapp_service.py", "files/", "download/x"]
)
async def test_with_the_cookie_there_is_only_what_the_page_needs(tmp_path: Path, name: str) -> None:
    async with running(tmp_path) as (_, _, browser):
        await browser.enter()
        assert (await browser.get(name))[0] == 404
        posted = await browser.session.post(browser.address(""), headers=browser.headers, data=b"x" * 100_000)
        assert posted.status == 405


async def test_every_response_says_that_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, _, browser):
        await browser.enter()
        for name in ("", "files/page.js", "nothing"):
            response = await browser.session.get(browser.address(name), headers=browser.headers)
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'self'; script-src 'self';" in policy
            assert "frame-ancestors 'none'" in policy
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            assert "aiohttp" not in response.headers["Server"]
            text = await response.text()
            assert "//" not in text.replace(browser.origin, "").replace(
                f"ws://127.0.0.1:{browser.port}", ""
            ) or (name == "files/page.js")


async def test_the_server_listens_on_this_machine_only(tmp_path: Path) -> None:
    async with running(tmp_path) as (server, _, _):
        assert server._server is not None
        assert [socket.getsockname()[0] for socket in server._server.sockets] == ["127.0.0.1"]


async def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, app, browser):
        with pytest.raises(UsageError) as raised:
            await WebServer(app, InterfaceLog(tmp_path / "other.log"), ends_with_page=False).open(
                browser.port
            )
        assert raised.value.code is ErrorCode.WEB_PORT_NOT_FREE


# the app


async def test_keys_sizes_and_focus_reach_the_app_and_its_output_the_page(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, _, browser):
        await browser.enter()
        page = await browser.page()
        await page.until_shown(b"size:90x20;")
        await page.type("你好")
        await page.until_shown("typed:你好;".encode())
        for message, shown in (
            (["resize", {"width": 70, "height": 15}], b"meta:resize:70x15;"),
            (["resize", {"width": 10**7, "height": -3}], b"meta:resize:1000x1;"),
            (["focus"], b"meta:focus:"),
            (["blur"], b"meta:blur:"),
        ):
            await page.socket.send_str(json.dumps(message))
            await page.until_shown(shown)
        await page.socket.send_str(json.dumps(["ping", "17"]))
        assert await page.until_told("pong") == "17"
        await page.type("link https://example.org/")
        assert await page.until_told("link") == "https://example.org/"


@pytest.mark.parametrize("frame", ["", "{", '["quit"]', '["stdin",1]', b"\x00\xff", "[" * 50_000])
async def test_a_message_that_no_page_sends_closes_its_connection_alone(
    tmp_path: Path, frame: str | bytes
) -> None:
    async with running(tmp_path) as (_, app, browser):
        await browser.enter()
        page = await browser.page()
        await page.until_shown(b"size:")
        if isinstance(frame, bytes):
            await page.socket.send_bytes(frame)
        else:
            await page.socket.send_str(frame)
        assert await page.until_closed() == CloseCode.BAD_MESSAGE
        running_id = app.process_id
        assert running_id is not None
        again = await browser.page()
        await again.until_shown(b"meta:redraw:")
        assert app.process_id == running_id


async def test_a_message_over_the_limit_is_not_read(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, _, browser):
        await browser.enter()
        page = await browser.page()
        await page.until_shown(b"size:")
        with suppress(ConnectionError):  # it is closed while the rest is sent
            await page.type("x" * MAX_PAGE_MESSAGE_BYTES)
        await page.until_closed()
        assert b"typed" not in page.output
        await (await browser.page()).until_shown(b"meta:redraw:")


async def test_a_page_that_comes_back_finds_the_same_app_with_its_title(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, app, browser):
        await browser.enter()
        page = await browser.page()
        await page.type("title Thinking")
        assert await page.until_told("title") == "Thinking"
        running_id = app.process_id
        await page.socket.close()
        for size, shown in (("width=60&height=18", b"60x18"), ("width=x", b"80x24")):
            page = await browser.page(size)
            assert await page.until_told("title") == "Thinking"
            await page.until_shown(b"meta:resize:" + shown + b";meta:redraw:")
            assert app.process_id == running_id
            page.lose()


async def test_the_next_page_waits_until_the_first_is_closed(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, app, browser):
        await browser.enter()
        first = await browser.page()
        await first.until_shown(b"size:")
        second = await browser.page()
        await second.until_told("waiting")
        await second.type("not mine")
        await first.type("mine")
        await first.until_shown(b"typed:mine;")
        running_id = app.process_id
        await first.socket.close()
        await second.until_shown(b"meta:redraw:")
        assert b"not mine" not in second.output
        assert app.process_id == running_id


async def test_a_waiting_page_can_take_the_app(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, _, browser):
        await browser.enter()
        first = await browser.page()
        await first.until_shown(b"size:")
        second = await browser.page()
        await second.until_told("waiting")
        await second.socket.send_str('["take"]')
        await first.until_told("moved")
        assert await first.until_closed() == CloseCode.MOVED
        await second.until_shown(b"meta:redraw:")
        await second.type("here")
        await second.until_shown(b"typed:here;")


async def test_only_so_many_pages_wait(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, _, browser):
        await browser.enter()
        pages = [await browser.page() for _ in range(MAX_WAITING_PAGES + 2)]
        codes = [page.socket.close_code for page in pages[:-1]]
        assert await pages[-1].until_closed() == CloseCode.CROWDED
        assert codes == [None] * len(codes)
        await pages[0].until_shown(b"size:")


async def test_a_file_is_saved_never_shown_and_its_copy_deleted(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, app, browser):
        await browser.enter()
        page = await browser.page()
        await page.type("file <script>alert(1)</script>")
        key = str(await page.until_told("file"))
        copy = app.downloads[key].path
        response = await browser.session.get(browser.address(f"download/{key}"), headers=browser.headers)
        assert await response.read() == b"<script>alert(1)</script>"
        assert response.headers["Content-Type"] == "application/octet-stream"
        assert response.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''%E5%AF%B9")
        assert not copy.exists()
        assert (await browser.get(f"download/{key}"))[0] == 404
        await page.type("file left")
        left = app.downloads[str(await page.until_told("file"))].path
    assert not left.exists()


class SlowSocket:
    """A connection to a page that takes nothing until it is told to."""

    def __init__(self) -> None:
        self.takes = asyncio.Event()
        self.output: list[bytes] = []
        self.messages: list[str] = []

    async def send_bytes(self, data: bytes) -> None:
        await self.takes.wait()
        self.output.append(data)

    async def send_str(self, data: str) -> None:
        await self.takes.wait()
        self.messages.append(data)

    async def close(self, *, code: int = 1000) -> bool:
        return True


async def test_a_page_that_takes_nothing_is_sent_no_more_than_the_limit_and_then_the_screen_once() -> None:
    socket, drawn_again = SlowSocket(), asyncio.Event()
    page = shared_app.BrowserPage(socket, (80, 24))

    async def redraw() -> None:
        assert not drawn_again.is_set()
        drawn_again.set()

    sending = asyncio.create_task(page.send(redraw))
    packet = b"x" * 1024**2
    for _ in range(MAX_UNSENT_BYTES // len(packet) + 100):
        page.draw(packet)
    page.tell("title", "Thinking")
    socket.takes.set()
    await asyncio.wait_for(drawn_again.wait(), WAIT_LIMIT_S)
    assert sum(map(len, socket.output)) == MAX_UNSENT_BYTES
    assert socket.messages == ['["title", "Thinking"]']
    page.draw(b"the screen")
    page.close(CloseCode.MOVED)
    await asyncio.wait_for(sending, WAIT_LIMIT_S)
    assert socket.output[-1] == b"the screen"


# the end


async def test_the_end_of_the_app_is_told_and_the_next_page_starts_another(tmp_path: Path) -> None:
    async with running(tmp_path) as (server, _, browser):
        await browser.enter()
        page, waiting = await browser.page(), await browser.page()
        await page.until_shown(b"size:")
        await page.type("fail The disk is full.")
        sentence = t("web.app_failed", status=1, reason="The disk is full.")
        for told in (page, waiting):
            assert await told.until_told("ended") == [sentence, True]
            assert await told.until_closed() == CloseCode.APP_ENDED
        assert server.last_end is not None
        assert server.last_end.status == 1
        await (await browser.page()).until_shown(b"size:90x20;")


async def test_started_for_one_page_the_server_ends_with_it_but_not_before_it_came(tmp_path: Path) -> None:
    async with running(tmp_path, ends_with_page=True, grace_s=0) as (server, app, browser):
        await browser.enter()
        assert not server.is_over
        page = await browser.page()
        await page.until_shown(b"size:")
        await page.socket.close()
        await asyncio.wait_for(server.wait(), WAIT_LIMIT_S)
        assert not app.has_pages


async def test_a_lost_connection_does_not_end_the_server_soon(tmp_path: Path) -> None:
    async with running(tmp_path, ends_with_page=True, grace_s=0) as (server, app, browser):
        await browser.enter()
        page = await browser.page()
        await page.until_shown(b"size:")
        page.lose()
        async with asyncio.timeout(WAIT_LIMIT_S):
            while app.has_pages:  # noqa: ASYNC110 - until the server has noticed
                await asyncio.sleep(0)
        await (await browser.page()).until_shown(b"meta:redraw:")
        assert not server.is_over


async def test_closing_the_server_ends_the_app_and_tells_the_page(tmp_path: Path) -> None:
    async with running(tmp_path) as (server, app, browser):
        await browser.enter()
        page = await browser.page()
        await page.until_shown(b"size:")
        closing = asyncio.create_task(server.close())
        assert await page.until_told("ended") == [t("web.ended"), False]
        await closing
        assert app.process_id is None


# hostile


def hostile_requests(browser: Browser) -> list[bytes]:
    """Return 200 requests that no browser sends, the same ones each time."""
    chance = random.Random(20)
    host = f"Host: 127.0.0.1:{browser.port}\r\n".encode()
    path = browser.path.encode()
    cookie = f"Cookie: qwen3-chat={browser.cookie}\r\n".encode()
    upgrade = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    made = [
        b"",
        b"\r\n\r\n",
        b"GET",
        b"\x16\x03\x01" + chance.randbytes(300),
        b"GET / HTTP/9.9\r\n" + host + b"\r\n",
        b"GET " + b"/" * 100_000 + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X: " + b"y" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"".join(b"X%d: y\r\n" % n for n in range(5000)) + b"\r\n",
        b"GET " + path + b"/ HTTP/1.1\r\n" + host + host + cookie + b"\r\n",
        b"GET " + path + b"/socket HTTP/1.1\r\n" + host + cookie + upgrade + b"x\r\n\r\n",
        b"GET " + path + b"/enter?key=%ff%00 HTTP/1.1\r\n" + host + b"\r\n",
        b"GET " + path + b"/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\n" + host + b"\r\n",
        b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 99999999999\r\n\r\n" + b"z" * 10_000,
        b"POST / HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\nffffffffffff\r\n",
        b"POST / HTTP/1.1\r\n" + host + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + chance.randbytes(100),
    ]
    while len(made) < 200:
        base = bytearray(chance.choice(made[5:]))
        for _ in range(chance.randint(1, 8)):
            base[chance.randrange(len(base))] = chance.randrange(256)
        made.append(bytes(base))
    return made


async def send_raw(port: int, request: bytes) -> bytes:
    """Send bytes and read the answer until the server closes, or has nothing more to say."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with suppress(ConnectionError):
        writer.write(request)
        await writer.drain()
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(100_000), WAIT_LIMIT_S)
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    return answer


async def test_200_hostile_requests_get_nothing_and_the_chat_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, app, browser):
        await browser.enter()
        page = await browser.page()
        await page.until_shown(b"size:")
        running_id = app.process_id
        # Connections that say nothing must keep nobody out.
        silent = [await asyncio.open_connection("127.0.0.1", browser.port) for _ in range(MAX_STRANGERS * 2)]
        answers = [await send_raw(browser.port, request) for request in hostile_requests(browser)]
        assert len(answers) == 200
        served = [answer for answer in answers if answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 1"))]
        assert served == []
        assert not any(b"Traceback" in answer or str(REPOSITORY).encode() in answer for answer in answers)
        for _, writer in silent:
            writer.close()
        await page.type("still here")
        await page.until_shown(b"typed:still here;")
        assert app.process_id == running_id
        assert (await browser.get(""))[0] == 200
