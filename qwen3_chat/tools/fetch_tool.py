"""The tool `fetch`: a page of the public internet as text.

A name is resolved once, its addresses are checked, and the connection goes to one of these, so a name that
changes in between leads nowhere else. Each redirect is checked in the same way. A proxy of the user resolves
names itself; the result says so.
"""

from __future__ import annotations

import asyncio
import codecs
import ipaddress
import re
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.documents.file_text import convert_html_to_markdown, decode_text, extract_pdf_text
from qwen3_chat.engine.remote.body_unpacking import REQUEST_ENCODING, BodyUnpacker, UnpackingError
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.proxies import ProxyAddressError, proxy_mounts
from qwen3_chat.texts.terminal_safe import label_of_name
from qwen3_chat.tools.permissions import host_of
from qwen3_chat.tools.public_address import is_public
from qwen3_chat.tools.tool import Arguments, Target, TargetKind, Tool, ToolError
from qwen3_chat.tools.tool_settings import ToolSettings

if TYPE_CHECKING:
    import httpx2

MAX_FETCHED_BYTES: Final = 4 << 20
"""The largest page, unpacked, in bytes."""

MAX_FETCH_S: Final = 30.0
"""The longest time for a page with all its redirects, in seconds."""

MAX_REDIRECTS: Final = 5
"""The most redirects that are followed; they stay on the host that the user allowed."""

MAX_URL_CHARS: Final = 2_000
"""The longest address, in characters."""

_MAX_ADDRESSES: Final = 4
_CONNECT_S: Final = 10.0
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_TEXT_SUBTYPES: Final = ("json", "xml", "javascript", "yaml", "toml", "x-sh", "csv")
_CHARSETS: Final = re.compile(
    r"utf-(8|16|32)(-[a-z]+)?|ascii|gb.+|big5.*|shift_jis.*|euc_.+|iso.+|cp[0-9]+|koi8.+|mac.+|hz"
)
"""The encodings that pages are written in, by the names of Python's codecs; the others do more than that."""
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "url": {"type": "string", "maxLength": MAX_URL_CHARS, "description": "The address, with http(s)://"}
    },
    "required": ["url"],
    "additionalProperties": False,
}
_DESCRIPTION: Final = "Read a page of the internet: a web page as Markdown, a text, a PDF."

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]
"""A function that returns the addresses of a host, in the order in which to try them; it raises `OSError`."""


async def resolve_host(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host.

    Raises:
        OSError: there are none.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def fetch_tool(
    settings: ToolSettings, resolve: Resolver = resolve_host, proxies: Mapping[str, str] | None = None
) -> Tool:
    """Return the tool; `proxies` are those of the environment or the system, unless given."""

    async def run(arguments: Arguments) -> str:
        text, used_proxy = await fetch_text(str(arguments["url"]), settings.private_hosts, resolve, proxies)
        note = "[A proxy fetched this and resolved the name.]\n" if used_proxy else ""
        return f"{note}{text}"

    return Tool("fetch", _DESCRIPTION, _SCHEMA, run, target=Target("url", TargetKind.URL))


async def fetch_text(
    url: str,
    private_hosts: frozenset[str],
    resolve: Resolver = resolve_host,
    proxies: Mapping[str, str] | None = None,
) -> tuple[str, bool]:
    """Fetch a page; return its text, and whether a proxy fetched it.

    Raises:
        ToolError: it can't be fetched, must not be, or is no text.
    """
    fetcher = _Fetcher(private_hosts, resolve, proxies)
    try:
        async with asyncio.timeout(MAX_FETCH_S):
            page = await fetcher.fetch(url)
    except TimeoutError as error:
        raise ToolError(f"The page did not come within {MAX_FETCH_S:.0f} s.") from error
    return await asyncio.to_thread(page_text, page), fetcher.used_proxy


async def read_page(url: str, private_hosts: Iterable[str]) -> Attachment:
    """Fetch a page that the user names, as an attachment under its address.

    Raises:
        UsageError: it can't be fetched, must not be, or is no text.
    """
    try:
        text, _ = await fetch_text(url, frozenset(private_hosts))
    except ToolError as error:
        raise UsageError(ErrorCode.FILE_UNREADABLE, file=url, reason=str(error).rstrip(".")) from error
    return Attachment(label_of_name(url), text)


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page as it came: its media type, the encoding that was declared, its bytes."""

    media_type: str
    charset: str
    content: bytes


def page_text(page: FetchedPage) -> str:
    """Return a page as text: HTML as Markdown, PDFs and plain texts.

    Raises:
        ToolError: it is something else.
    """
    try:
        if page.content.startswith(b"%PDF-"):
            return extract_pdf_text("PDF", page.content)
        text = _decode(page)
    except UsageError as error:
        raise ToolError(str(error)) from error
    if text is None:
        raise ToolError(f"The page is no text; its type is {page.media_type or 'unknown'!r:.100}.")
    if page.media_type in _HTML or (not page.media_type and "<html" in text[:1000].lower()):
        text = convert_html_to_markdown(text)
    return text if text.strip() else "The page has no text."


def _decode(page: FetchedPage) -> str | None:
    if page.charset:
        try:
            if _CHARSETS.fullmatch(codecs.lookup(page.charset).name):
                return page.content.decode(page.charset, "replace")
        except (LookupError, ValueError):  # a name that is none, or with a NUL
            pass
    subtype = page.media_type.rpartition("/")[2]
    is_text = page.media_type.startswith("text/") or any(name in subtype for name in _TEXT_SUBTYPES)
    decoded = decode_text(page.content)
    if decoded is None and is_text:
        decoded = page.content.decode("utf-8", "replace")
    return decoded


class _RefusedError(ToolError):
    """An address that is not fetched."""


def _not_public(host: str) -> _RefusedError:
    return _RefusedError(
        f"{host}is not on the public internet. The user can allow it by the setting private_hosts."
    )


class _Fetcher:
    """One fetch with its redirects."""

    def __init__(
        self, private_hosts: frozenset[str], resolve: Resolver, proxies: Mapping[str, str] | None
    ) -> None:
        self._private_hosts = private_hosts
        self._resolve = resolve
        self._proxies = proxies
        self.used_proxy = False

    async def fetch(self, url: str) -> FetchedPage:
        """Fetch a page.

        Raises:
            ToolError: it can't be fetched, or must not.
        """
        import httpx2  # here: it takes 0.1 s

        try:
            async with self._client() as client:
                for _ in range(MAX_REDIRECTS + 1):
                    request = client.build_request("GET", _checked_url(url))
                    response = await client.send(request, stream=True)
                    try:
                        if response.status_code not in _REDIRECTS or "location" not in response.headers:
                            return await _read_page(response)
                    finally:
                        await response.aclose()
                    url = _redirected(request.url, response.headers["location"])
            raise ToolError(f"The page redirects more than {MAX_REDIRECTS} times.")
        except UnpackingError as error:
            raise ToolError("The page is packed in a way that can't be read, or damaged.") from error
        except ProxyAddressError as error:
            raise ToolError(f"The address of the proxy in {error.variable} can't be used.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise ToolError(f"The page can't be fetched: {_failure(error)}.") from error

    def _client(self) -> httpx2.AsyncClient:
        import httpx2

        fetcher = self

        class DirectTransport(httpx2.AsyncHTTPTransport):
            """A transport that connects to an address that was checked."""

            async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
                host, port = (
                    request.url.host,
                    request.url.port or (443 if request.url.scheme == "https" else 80),
                )
                addresses = await fetcher.allowed_addresses(host, port)
                for address in addresses[:-1]:
                    try:
                        return await super().handle_async_request(_pinned(request, address))
                    except (httpx2.ConnectError, httpx2.ConnectTimeout):
                        continue
                return await super().handle_async_request(_pinned(request, addresses[-1]))

        class ProxiedTransport(httpx2.AsyncHTTPTransport):
            """A transport through a proxy, which resolves names; addresses are checked nevertheless."""

            async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
                fetcher.check_literal(request.url.host)
                fetcher.used_proxy = True
                return await super().handle_async_request(request)

        tls = httpx2.create_ssl_context()
        return httpx2.AsyncClient(
            transport=DirectTransport(verify=tls, trust_env=False),
            mounts=proxy_mounts(lambda address: ProxiedTransport(proxy=address, verify=tls), self._proxies),
            timeout=httpx2.Timeout(MAX_FETCH_S, connect=_CONNECT_S),
            headers={"Accept-Encoding": REQUEST_ENCODING, "User-Agent": "qwen3-chat"},
            follow_redirects=False,
            trust_env=False,
        )

    async def allowed_addresses(self, host: str, port: int) -> Sequence[str]:
        """Return the addresses of a host, all of which are public, or allowed by name or address.

        Raises:
            ToolError: one of them is not.
        """
        addresses = list(await self._resolve(host, port))[:_MAX_ADDRESSES]
        if not addresses:
            raise OSError("the name has no address")
        if host not in self._private_hosts:
            for address in addresses:
                if address not in self._private_hosts and not is_public(address):
                    which = "" if address == host else f"is {address}, which "
                    raise _not_public(f"{host:.100} {which}")
        return addresses

    def check_literal(self, host: str) -> None:
        """Check a host that is an address, in any spelling that systems understand; names pass.

        Raises:
            ToolError: it is an address that is not public.
        """
        if host in self._private_hosts:
            return
        address = host
        try:
            ipaddress.ip_address(host)
        except ValueError:
            try:
                address = socket.inet_ntoa(socket.inet_aton(host))  # 127.1, 0x7f000001
            except OSError:
                if host.rstrip(".").lower().endswith("localhost"):
                    address = "127.0.0.1"
                else:
                    return
        if address not in self._private_hosts and not is_public(address):
            raise _not_public(f"{host:.100} ")


def _checked_url(url: str) -> str:
    import httpx2

    if len(url) > MAX_URL_CHARS:
        raise ToolError("The address is too long.")
    parsed = httpx2.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise _RefusedError("Only addresses with http:// or https:// can be fetched.")
    if parsed.userinfo:
        raise _RefusedError("An address with a user name or a password is not fetched.")
    return str(parsed.copy_with(fragment=None))


def _redirected(url: httpx2.URL, location: str) -> str:
    """Return where a redirect leads; one to another host is for the model to ask for, the user to allow."""
    target = url.join(location[: MAX_URL_CHARS + 1])
    old, new = host_of(str(url)), host_of(str(target))
    is_upgrade = (url.scheme, target.scheme) == ("http", "https") and url.host == target.host
    if (old is not None and old == new) or (is_upgrade and not url.port and not target.port):
        return str(target)
    raise ToolError(f"The page has moved to {target!s:.500}. Fetch that address if it is what you need.")


def _pinned(request: httpx2.Request, address: str) -> httpx2.Request:
    """Return a request to an address; server and certificate are still those of the host."""
    import httpx2

    extensions = {**request.extensions, "sni_hostname": request.url.host}
    url = request.url.copy_with(host=address)
    return httpx2.Request(request.method, url, headers=request.headers, extensions=extensions)


async def _read_page(response: httpx2.Response) -> FetchedPage:
    if not response.is_success:
        raise ToolError(f"The server answered with status {response.status_code}.")
    unpacker = BodyUnpacker(response.headers.get("content-encoding", ""))
    content = bytearray()
    async for packed in response.aiter_raw():
        for piece in unpacker.feed(packed):
            content += piece
            if len(content) > MAX_FETCHED_BYTES:
                raise ToolError(f"The page is larger than {MAX_FETCHED_BYTES >> 20} MiB.")
    media_type, _, parameters = response.headers.get("content-type", "").partition(";")
    charset = ""
    for parameter in parameters.split(";")[:10]:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            charset = value.strip().strip("\"'")[:40]
    return FetchedPage(media_type.strip().lower()[:100], charset, bytes(content))


def _failure(error: Exception) -> str:
    if isinstance(error, socket.gaierror):
        return "the name has no address"
    return f"{(isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__:.200}"
