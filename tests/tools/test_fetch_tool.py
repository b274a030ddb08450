"""Pages of loopback servers, and the addresses and redirects that are not followed."""

from __future__ import annotations

import asyncio
import gzip
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import trustme

from qwen3_chat.tools import fetch_tool as fetch_module
from qwen3_chat.tools.fetch_tool import MAX_FETCHED_BYTES, MAX_URL_CHARS, FetchedPage, fetch_tool, page_text
from qwen3_chat.tools.public_address import is_public
from qwen3_chat.tools.tool import ToolError
from qwen3_chat.tools.tool_settings import ToolSettings

HERE = ToolSettings(private_hosts=frozenset({"127.0.0.1"}))


Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Site:
    """A server that answers each path with what it was given, and notes the requests."""

    def __init__(self, pages: Mapping[str, bytes]) -> None:
        self.pages = pages
        self.requests: list[str] = []
        self.port = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.requests.append(head)
        page = self.pages.get(head.split(" ")[1].partition("?")[0], b"HTTP/1.1 404 No\r\n\r\n")
        writer.write(page.replace(b"PORT", str(self.port).encode()))
        await writer.drain()


def response(
    body: bytes | str, media_type: str = "text/plain; charset=utf-8", status: str = "200 OK", **headers: str
) -> bytes:
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join((*lines, "", "")).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return response("", status=status, location=location)


@asynccontextmanager
async def listening(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve on a port of loopback; no connection is left open at the end."""
    tasks = set[asyncio.Task[None]]()

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has left
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.ensure_future(attend(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def serving(pages: Mapping[str, bytes]) -> AsyncIterator[Site]:
    site = Site(pages)
    async with listening(site.answer) as site.port:
        yield site


class Names:
    """A resolver of made-up names; a name with several answers gives the next one each time."""

    def __init__(self, **addresses: Sequence[Sequence[str]]) -> None:
        self.addresses = {name.replace("_", "."): list(answers) for name, answers in addresses.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        if host not in self.addresses:
            return await fetch_module.resolve_host(host, port)
        answers = self.addresses[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


async def fetch(url: str, settings: ToolSettings = HERE, resolve: Names | None = None) -> str:
    return await fetch_tool(settings, resolve or Names(), proxies={}).run({"url": url})


PAGES = {
    "/text": (response("你好"), "你好"),
    "/json": (response('{"a": 1}', "application/json"), '{"a": 1}'),
    "/html": (response("<h1>Hi</h1><script>x()</script><p>you", "text/html"), "# Hi\n\nyou\n"),
    "/gbk": (response("<p>中文网页".encode("gbk"), "text/html; charset=GBK"), "中文网页\n"),
    "/quoted": (response("é".encode("latin-1"), 'text/plain; charset="iso-8859-1"'), "é"),
    "/odd-charset": (response("x", "text/plain; charset=unicode_escape"), "x"),
    "/gzip": (response(gzip.compress(b"packed"), content_encoding="gzip"), "packed"),
    "/deflate": (response(zlib.compress(b"packed"), content_encoding="deflate"), "packed"),
    "/empty": (response(""), "The page has no text."),
    "/no-type": (b"HTTP/1.1 200 OK\r\n\r\n<html><p>bare</html>", "bare\n"),
    "/same-host": (redirect("/text"), "你好"),
    "/by-name": (redirect("http://127.0.0.1:PORT/json", "301 Moved"), '{"a": 1}'),
}


async def test_pages_come_as_text() -> None:
    async with serving({path: page for path, (page, _) in PAGES.items()}) as site:
        for path, (_, text) in PAGES.items():
            assert await fetch(f"http://127.0.0.1:{site.port}{path}") == text, path
        assert all("Accept-Encoding: identity" in head for head in site.requests)


BAD_PAGES = {
    "/missing": (None, "status 404"),
    "/picture": (response(b"\x89PNG\r\n\x1a\n\x00\xff", "image/png"), "no text"),
    "/large": (response(b"x" * (MAX_FETCHED_BYTES + 1)), "larger than"),
    "/bomb": (response(gzip.compress(bytes(MAX_FETCHED_BYTES * 8)), content_encoding="gzip"), "larger than"),
    "/brotli": (response(b"x", content_encoding="br"), "packed"),
    "/damaged": (response(b"xxxx", content_encoding="gzip"), "packed"),
    "/endless": (redirect("/endless"), "redirects more"),
    "/to-file": (redirect("file:///etc/passwd"), "moved to file"),
    "/to-other-port": (redirect("http://127.0.0.1:1/"), "moved to"),
    "/to-other-host": (redirect("http://other.test/"), "moved to http://other.test/"),
    "/to-metadata": (redirect("http://169.254.169.254/latest/"), "moved to"),
    "/to-script": (redirect("javascript:alert(1)"), "moved to|can't be fetched"),
    "/no-http": (b"SSH-2.0-x\r\n", "can't be fetched"),
    "/cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nx", "can't be fetched"),
}


async def test_what_is_no_page_is_told() -> None:
    async with serving({path: page for path, (page, _) in BAD_PAGES.items() if page}) as site:
        for path, (_, reason) in BAD_PAGES.items():
            with pytest.raises(ToolError, match=reason):
                await fetch(f"http://127.0.0.1:{site.port}{path}")


REFUSED = [
    "http://127.0.0.1:{port}/",
    "http://localhost:{port}/",
    "http://127.1:{port}/",
    "http://2130706433:{port}/",
    "http://0x7f000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::a00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fc00::1]:{port}/",
    "http://[fec0::1]:{port}/",
    "http://[ff02::1]:{port}/",
    "http://169.254.169.254:{port}/latest/meta-data/",
    "http://10.0.0.1:{port}/",
    "http://172.16.0.1:{port}/",
    "http://192.168.1.1:{port}/",
    "http://100.64.0.1:{port}/",
    "http://224.0.0.1:{port}/",
    "http://255.255.255.255:{port}/",
    "http://private.test:{port}/",
    "http://mixed.test:{port}/",
    "http://user:password@127.0.0.1:{port}/",
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "http:///",
    "javascript:alert(1)",
    "no address at all",
    "http://" + "a" * MAX_URL_CHARS,
    "http://１２７.0.0.1:{port}/",
    "http://127。0。0。1:{port}/",
]


@pytest.mark.parametrize("url", REFUSED)
async def test_an_address_off_the_public_internet_is_never_connected_to(url: str) -> None:
    names = Names(private_test=[["192.168.1.1"]], mixed_test=[["1.1.1.1", "127.0.0.1"]])
    async with serving({"/": response("reached")}) as site:
        with pytest.raises(ToolError):
            await fetch(url.format(port=site.port), ToolSettings(), names)
        assert site.requests == []


async def test_a_name_is_resolved_once_and_the_server_hears_it() -> None:
    names = Names(name_test=[["127.0.0.1"], ["10.0.0.1"]])
    async with serving({"/": response("reached")}) as site:
        assert await fetch(f"http://name.test:{site.port}/", HERE, names) == "reached"
        assert names.asked == ["name.test"]
        assert f"host: name.test:{site.port}" in site.requests[0].lower()


async def test_a_redirect_is_resolved_and_checked_again() -> None:
    names = Names(name_test=[["127.0.0.1"], ["10.0.0.1"]])
    async with serving({"/": redirect("/next"), "/next": response("reached")}) as site:
        with pytest.raises(ToolError, match=r"10\.0\.0\.1"):
            await fetch(f"http://name.test:{site.port}/", HERE, names)
        assert len(site.requests) == 1


async def test_a_host_may_be_allowed_by_its_name() -> None:
    settings = ToolSettings(private_hosts=frozenset({"intra.test"}))
    async with serving({"/": response("reached")}) as site:
        names = Names(intra_test=[["127.0.0.1"]], other_test=[["127.0.0.1"]])
        assert await fetch(f"http://intra.test:{site.port}/", settings, names) == "reached"
        with pytest.raises(ToolError, match="private_hosts"):
            await fetch(f"http://other.test:{site.port}/", settings, names)


async def test_another_address_is_tried_where_the_first_is_closed() -> None:
    settings = ToolSettings(private_hosts=frozenset({"two.test"}))
    async with serving({"/": response("reached")}) as site:
        names = Names(two_test=[["::1", "127.0.0.1"]])
        assert await fetch(f"http://two.test:{site.port}/", settings, names) == "reached"


async def test_a_page_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch_module, "MAX_FETCH_S", 0.2)

    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with listening(trickle) as port:
        with pytest.raises(ToolError, match="within"):
            await fetch(f"http://127.0.0.1:{port}/")


async def test_with_a_proxy_it_says_that_the_proxy_resolves() -> None:
    async with serving({"http://page.test/": response("by proxy")}) as site:
        tool = fetch_tool(ToolSettings(), Names(), {"http": f"http://127.0.0.1:{site.port}"})
        text = await tool.run({"url": "http://page.test/"})
        assert text == "[A proxy fetched this and resolved the name.]\nby proxy"
        for url in ("http://10.0.0.1/", "http://127.1/", "http://localhost/", "http://[::1]/"):
            with pytest.raises(ToolError, match="not on the public"):
                await tool.run({"url": url})
        assert len(site.requests) == 1


async def test_a_proxy_that_can_t_be_used_is_told() -> None:
    tool = fetch_tool(ToolSettings(), Names(), {"http": "gopher://x"})
    with pytest.raises(ToolError, match="HTTP_PROXY"):
        await tool.run({"url": "http://page.test/"})


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::101:101", True),
        ("::ffff:1.1.1.1", True),
        ("2002:101:101::", True),
        ("64:ff9b::a00:1", False),
        ("192.88.99.1", False),
        ("198.18.0.1", False),
        ("203.0.113.1", False),
        ("2001:db8::1", False),
        ("2001::1", False),
        ("fe80::1%eth0", False),
        ("ff0e::1", False),
        ("name.test", False),
        ("", False),
    ],
)
def test_public_addresses_are_told_from_all_others(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_a_page_without_a_type_that_is_binary_is_no_text() -> None:
    with pytest.raises(ToolError, match="unknown"):
        page_text(FetchedPage("", "", b"\x00\x01\x02"))


@pytest.mark.parametrize(("certified", "reached"), [("page.test", True), ("other.test", False)])
async def test_the_certificate_must_be_that_of_the_name(
    certified: str, reached: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(certified).configure_cert(context)
    site = Site({"/": response("reached")})
    async with listening(site.answer, context) as port:
        url = f"https://page.test:{port}/"
        names = Names(page_test=[["127.0.0.1"]])
        if reached:
            assert await fetch(url, HERE, names) == "reached"
        else:
            with pytest.raises(ToolError, match="certificate"):
                await fetch(url, HERE, names)
