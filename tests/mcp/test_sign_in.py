"""Signing in to a server: the SDK's own authorization server on this machine, visited as a browser would."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener, urlopen

import pytest

from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import McpError
from qwen3_chat.events import Notice
from qwen3_chat.mcp.forms import FormAction, FormAnswer, FormRequested
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport
from qwen3_chat.mcp.server_process.sign_in import parse_redirect
from qwen3_chat.mcp.server_process.web_transport import may_connect
from qwen3_chat.mcp.server_status import McpState, McpTrust
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool_source import ToolServerStarting
from tests.conftest import WAIT_LIMIT_S
from tests.mcp.signing_server import Authorities, signing_server

pytestmark = pytest.mark.full


@pytest.fixture
def served() -> Iterator[tuple[str, Authorities]]:
    with signing_server() as served:
        yield served


class NoRedirect(HTTPRedirectHandler):
    """A browser on another machine: it does not get to where it is sent."""

    def redirect_request(self, *_: object) -> Request | None:
        return None


class Browser:
    """A person with a browser, who visits what is shown."""

    def __init__(self) -> None:
        self.shown: list[FormRequested] = []
        self.page = ""
        self.has_read = asyncio.Event()

    async def visit(self, request: FormRequested) -> FormAnswer:
        loop = asyncio.get_running_loop()

        def load() -> None:
            self.page = urlopen(request.url).read().decode()
            loop.call_soon_threadsafe(self.has_read.set)

        self.shown.append(request)
        await asyncio.to_thread(load)
        await asyncio.Event().wait()  # the question closes by itself
        raise AssertionError

    async def paste(self, request: FormRequested) -> FormAnswer:
        def visit() -> str:
            with suppress(URLError):
                build_opener(NoRedirect).open(request.url)
            try:
                build_opener(NoRedirect).open(request.url)
            except URLError as error:
                return str(getattr(error, "headers", {})["Location"])
            return ""

        self.shown.append(request)
        return FormAnswer(FormAction.ACCEPT, {"address": await asyncio.to_thread(visit)})

    async def decline(self, request: FormRequested) -> FormAnswer:
        self.shown.append(request)
        return FormAnswer(FormAction.DECLINE)


async def use(
    folder: Path, url: str, fill: Callable[[FormRequested], Awaitable[FormAnswer]] | None
) -> tuple[McpState, McpError | None, str]:
    """Connect and call the tool; return the state, the error, the result."""
    server = McpServer("web", Transport.HTTP, url=url)
    trust = McpTrust(PermissionFile(folder / "p"), PinFile(folder / "q"), allows_all=True, fill=fill)
    tools = McpTools(
        lambda: McpServers({"web": server}), None, folder, os.environ, trust, tokens_folder=folder / "tokens"
    )

    def report(event: Notice | ToolServerStarting) -> None:
        assert "access-" not in repr(event)

    try:
        await tools.prepare(["mcp:web"], report)
        status = tools.status("web")
        offered = tools.tools_named("mcp:web.echo")
        result = await offered[0].run({"text": "hi"}) if offered else ""
        assert status.error is None or isinstance(status.error, McpError)
        return status.state, status.error, result
    finally:
        await tools.close()


async def test_the_user_signs_in_once_and_the_token_is_renewed(
    tmp_path: Path, served: tuple[str, Authorities]
) -> None:
    url, authorities = served
    authorities.expires_in = 1  # less than the margin, so it has expired at the next start
    browser = Browser()
    assert await use(tmp_path, url, browser.visit) == (McpState.READY, None, "hi")
    (shown,) = browser.shown
    assert shown.is_sign_in
    assert shown.url.startswith(f"http://{urlsplit(url).netloc}/authorize?")
    assert "code_challenge_method=S256" in shown.url
    async with asyncio.timeout(WAIT_LIMIT_S):
        await browser.has_read.wait()  # the question may close before the browser has read it
    assert browser.page.startswith("You are signed in.")
    file = tmp_path / "tokens" / "web.json"
    if sys.platform != "win32":
        assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_bytes())["tokens"]["access_token"].startswith("access-")
    n_renewed = authorities.n_renewed
    assert await use(tmp_path, url, None) == (McpState.READY, None, "hi")  # nobody is asked
    assert authorities.n_renewed > n_renewed
    assert len(authorities.clients) == 1


async def test_a_browser_on_another_machine_brings_its_address(
    tmp_path: Path, served: tuple[str, Authorities]
) -> None:
    browser = Browser()
    assert (await use(tmp_path, served[0], browser.paste))[2] == "hi"
    assert len(browser.shown) == 1


@pytest.mark.parametrize("who", ["declines", "nobody", "authority"])
async def test_without_a_sign_in_there_is_a_sentence(
    tmp_path: Path, served: tuple[str, Authorities], who: str
) -> None:
    url, authorities = served
    browser = Browser()
    authorities.refuses = who == "authority"
    fill = {"declines": browser.decline, "nobody": None, "authority": browser.visit}[who]
    state, error, _ = await use(tmp_path, url, fill)
    assert state is McpState.FAILED
    assert error is not None
    if who == "authority":
        assert (error.code, "Not today." in str(error)) == (ErrorCode.MCP_SIGN_IN_FAILED, True)
    else:
        assert error.code is ErrorCode.MCP_SIGN_IN_MISSING
    assert not (tmp_path / "tokens" / "web.json").exists() or "tokens" not in authorities.tokens


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("/callback?code=a&state=s", {"code": "a", "state": "s"}),
        ("http://127.0.0.1:1/callback?error=x&state=s", {"error": "x", "state": "s"}),
        ("/callback?code=a&state=other", None),
        ("/callback?code=a", None),
        ("/callback?state=s", None),
        ("/other?code=a&state=s", None),
        ("http://[", None),
        ("", None),
    ],
)
def test_only_the_redirect_of_this_sign_in_counts(target: str, found: dict[str, str] | None) -> None:
    assert parse_redirect(target, "s") == found
    assert parse_redirect(target.replace("state=s", "state="), "") is None


@pytest.mark.parametrize(
    ("home", "url", "may"),
    [
        ("https://a.com/mcp", "https://a.com/token", True),
        ("https://a.com/mcp", "http://a.com/token", False),
        ("https://a.com/mcp", "https://login.b.com/token", True),
        ("https://a.com/mcp", "http://login.b.com/token", False),
        ("https://a.com/mcp", "http://127.0.0.1:8/x", False),
        ("https://a.com/mcp", "https://localhost/x", False),
        ("https://a.com/mcp", "https://169.254.169.254/x", False),
        ("https://a.com/mcp", "https://192.168.1.1/x", False),
        ("http://localhost:1/mcp", "http://127.0.0.1:2/x", True),
        ("http://192.168.1.9:1/mcp", "http://192.168.1.9:2/x", True),
    ],
)
def test_a_server_has_us_ask_no_machine_of_this_network(home: str, url: str, may: bool) -> None:
    assert may_connect(home, url) is may
