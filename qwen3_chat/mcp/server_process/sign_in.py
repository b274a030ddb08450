"""Signing in to a server (OAuth): the user visits an address, and the browser comes back to this machine."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from mcp.client.auth import OAuthClientProvider
from mcp.client.auth.exceptions import OAuthFlowError
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata
from pydantic import AnyUrl

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.mcp.forms import FormAction, FormAnswer, FormError, read_url
from qwen3_chat.mcp.server_messages import HttpLaunch, SignIn
from qwen3_chat.mcp.server_process.token_file import TokenFile
from qwen3_chat.texts.terminal_safe import terminal_safe

REDIRECT_LIMIT_S: Final = 120.0
"""The time for which the browser is waited for once the user says that they have signed in, in seconds."""

MAX_SIGN_INS: Final = 5
"""The most times that the user is asked to sign in over one connection."""

MAX_SIGN_IN_REASON_CHARS: Final = 200

_PATH: Final = "/callback"
_MAX_REQUEST_BYTES: Final = 16_384
_REQUEST_LIMIT_S: Final = 10.0


class RedirectListener:
    """The port to which the browser is sent back; it listens only while the user signs in."""

    def __init__(self, port: int, page: str) -> None:
        self._page = page
        self._socket = _bound_socket(port)
        self.port: int = self._socket.getsockname()[1]

    @property
    def url(self) -> str:
        """The address to which the browser is sent back."""
        return f"http://127.0.0.1:{self.port}{_PATH}"

    def close(self) -> None:
        """Free the port."""
        self._socket.close()

    async def wait(self, state: str) -> AuthorizationCodeResult:
        """Wait for the browser; a request without this `state` is none of ours.

        Raises:
            OAuthFlowError: the authorization server refused.
        """
        result: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, TimeoutError, ValueError):
                async with asyncio.timeout(_REQUEST_LIMIT_S):
                    line = (await reader.readline()).decode("ascii", "replace")
                    found = parse_redirect(line.split(" ")[1] if line.count(" ") > 1 else "", state)
                    writer.write(_response(self._page if found is not None else ""))
                    await writer.drain()
                if found is not None and not result.done():
                    result.set_result(found)
            writer.close()

        server = await asyncio.start_server(answer, sock=self._socket, limit=_MAX_REQUEST_BYTES)
        try:
            async with server:
                return _result(await result)
        finally:
            self._socket = _bound_socket(self.port)  # kept, but it does not listen


class SignInFlow:
    """The way of a server to have the user sign in; `ask` shows an address, `hold` stops the clock meanwhile.

    `error` is why it failed last.
    """

    def __init__(
        self,
        server: str,
        launch: HttpLaunch,
        sign_in: SignIn,
        ask: Callable[[str], Awaitable[FormAnswer]],
        hold: Callable[[bool], None],
        on_secret: Callable[[str], None],
    ) -> None:
        self._server = server
        self._ask = ask
        self._hold = hold
        self._address = ""
        self._n_asked = 0
        self.error: McpError | None = None
        given = _given_client(sign_in)
        self._file = TokenFile(Path(sign_in.tokens_path), launch.url, given, on_secret)
        self._listener = RedirectListener(sign_in.port or self._file.stored.port, sign_in.page)
        if self._file.stored.port != self._listener.port:
            self._file.stored.port, self._file.stored.client = self._listener.port, None
        redirect_uris = [AnyUrl(self._listener.url)]
        self.provider = OAuthClientProvider(
            launch.url,
            OAuthClientMetadata(client_name="qwen3-chat", client_uri=None, redirect_uris=list(redirect_uris)),
            self._file,
            self._remember,
            self._wait,
            sign_in.client_metadata_url or None,
        )
        context = self.provider.context
        context.oauth_metadata, context.token_expiry_time = (
            self._file.known_metadata(),
            self._file.stored.expires_s,
        )
        self._file.metadata = lambda: context.oauth_metadata

    def close(self) -> None:
        """Free the port."""
        self._listener.close()

    async def _remember(self, address: str) -> None:
        self._address = address

    async def _wait(self) -> AuthorizationCodeResult:
        """Show the address, and wait until the browser or the user brings the code."""
        self.error = McpError(ErrorCode.MCP_SIGN_IN_MISSING, name=self._server)
        self._n_asked += 1
        if self._n_asked > MAX_SIGN_INS:
            raise self.error
        address = _shown_address(self._address)
        state = parse_qs(urlsplit(address).query).get("state", [""])[0]
        redirected = asyncio.ensure_future(self._listener.wait(state))
        asked = asyncio.ensure_future(self._ask(address))
        self._hold(True)
        try:
            await asyncio.wait([redirected, asked], return_when=asyncio.FIRST_COMPLETED)
            if not redirected.done():
                answer = asked.result()
                if answer.action is not FormAction.ACCEPT:
                    raise self.error
                if pasted := answer.content.get("address"):
                    found = parse_redirect(str(pasted), state)
                    if found is None:
                        raise OAuthFlowError("The address is not that of this sign-in.")
                    result = _result(found)
                    self.error = None
                    return result
                with suppress(TimeoutError):
                    async with asyncio.timeout(REDIRECT_LIMIT_S):
                        await asyncio.wait([redirected])
                if not redirected.done():
                    raise self.error
            result = redirected.result()
            self.error = None
            return result
        except OAuthFlowError as error:
            reason = terminal_safe(" ".join(str(error).split()))[:MAX_SIGN_IN_REASON_CHARS]
            self.error = McpError(ErrorCode.MCP_SIGN_IN_FAILED, name=self._server, reason=reason)
            raise
        finally:
            self._hold(False)
            for task in (redirected, asked):
                task.cancel()
            await asyncio.wait([redirected, asked])


def parse_redirect(target: str, state: str) -> dict[str, str] | None:
    """Return the parameters of an address to which the browser was sent back; None for any other address."""
    try:
        parts = urlsplit(target)
        values = {name: found[0] for name, found in parse_qs(parts.query).items()}
    except ValueError:
        return None
    is_ours = parts.path == _PATH and bool(state) and values.get("state") == state
    return values if is_ours and ("code" in values or "error" in values) else None


def _result(found: dict[str, str]) -> AuthorizationCodeResult:
    """Return the code.

    Raises:
        OAuthFlowError: the authorization server refused.
    """
    if "code" not in found:
        raise OAuthFlowError(found.get("error_description") or found["error"])
    return AuthorizationCodeResult(code=found["code"], state=found["state"], iss=found.get("iss"))


def _shown_address(address: str) -> str:
    try:
        return read_url(address)
    except FormError as error:
        raise OAuthFlowError(str(error)) from error


def _given_client(sign_in: SignIn) -> OAuthClientInformationFull | None:
    """Return the registration that the entry of the server names, if it names one."""
    if not sign_in.client_id:
        return None
    method = "client_secret_basic" if sign_in.client_secret else "none"
    return OAuthClientInformationFull(
        client_id=sign_in.client_id,
        client_secret=sign_in.client_secret or None,
        token_endpoint_auth_method=method,
    )


def _bound_socket(port: int) -> socket.socket:
    bound = socket.socket()
    if sys.platform != "win32":  # several of this app may have the port, as long as none of them listens
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError:
        bound.bind(("127.0.0.1", 0))
    bound.setblocking(False)
    return bound


def _response(page: str) -> bytes:
    """Return an answer for the browser; nothing of the request is in it."""
    status = "200 OK" if page else "404 Not Found"
    body = page.encode()
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
