"""A headless Chromium, steered over its own protocol (CDP): aiohttp, which the server needs, speaks it.

A framework for browsers would bring a runtime of its own for what are six calls.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from shutil import which
from typing import Any

import aiohttp
import pytest

from tests.conftest import WAIT_LIMIT_S
from tests.pty_terminal import drawn_text

PROGRAM = which("chromium") or which("chromium-browser") or which("google-chrome")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--no-first-run",
    "--remote-debugging-port=0",
)
POLL_S = 0.05
MAX_FRAME_BYTES = 64 * 1024**2
BINARY_FRAME = 2

needs_chromium = pytest.mark.skipif(PROGRAM is None, reason="needs Chromium")


class Tab:
    """One tab."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self._connection = connection
        self._numbers = itertools.count(1)
        self._pending: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.requested: list[str] = []
        """The addresses that the page asked for."""
        self.console: list[str] = []
        """The errors that the page met."""
        self.output = b""
        """What the terminal of the page was given."""
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for received in self._connection:
            message = json.loads(received.data)
            match message:
                case {"id": int(number)} if number in self._pending:
                    future = self._pending.pop(number)
                    if not future.done():
                        future.set_result(message)
                case {"method": "Network.requestWillBeSent", "params": {"request": {"url": url}}}:
                    self.requested.append(url)
                case {"method": "Network.webSocketCreated", "params": {"url": url}}:
                    self.requested.append(url)
                case {"method": "Network.webSocketFrameReceived", "params": {"response": frame}}:
                    if frame["opcode"] == BINARY_FRAME:
                        self.output += base64.b64decode(frame["payloadData"])
                case {"method": "Runtime.exceptionThrown", "params": {"exceptionDetails": details}}:
                    self.console.append(str(details.get("exception", details)))
                case {"method": "Log.entryAdded", "params": {"entry": {"level": "error", "text": text}}}:
                    self.console.append(text)
                case _:
                    pass

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol; return its result."""
        number = next(self._numbers)
        self._pending[number] = answer = asyncio.get_running_loop().create_future()
        await self._connection.send_str(json.dumps({"id": number, "method": method, "params": parameters}))
        message = await asyncio.wait_for(answer, WAIT_LIMIT_S)
        assert "error" not in message, (method, message)
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str) -> None:
        """Go to an address."""
        await self.call("Page.navigate", url=url)

    async def run(self, script: str) -> Any:
        """Return the value of an expression in the page; None while it can't be evaluated."""
        result = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True
        )
        return result["result"].get("value")

    async def wait_for(self, script: str) -> None:
        """Wait until an expression is true."""
        async with asyncio.timeout(WAIT_LIMIT_S):
            while await self.run(script) is not True:  # noqa: ASYNC110 - in another process
                await asyncio.sleep(POLL_S)

    async def wait_until_shown(self, text: str, since: int = 0) -> None:
        """Wait until the terminal was given a text, after so many bytes."""
        try:
            async with asyncio.timeout(WAIT_LIMIT_S):
                while text not in drawn_text(self.output[since:]):  # noqa: ASYNC110 - in another process
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise AssertionError((text, drawn_text(self.output[since:])[-2000:])) from None

    async def sentence(self) -> str:
        """Return the sentence that covers the terminal; empty where it is not covered."""
        return str(
            await self.run("document.getElementById('cover')?.hidden ? '' : document.body?.innerText ?? ''")
        )

    async def wait_for_sentence(self, part: str) -> None:
        """Wait until the terminal is covered by a sentence with these words."""
        async with asyncio.timeout(WAIT_LIMIT_S):
            while part not in await self.sentence():  # noqa: ASYNC110 - in another process
                await asyncio.sleep(POLL_S)

    async def type(self, text: str) -> None:
        """Insert a text as an input method does."""
        await self.call("Input.insertText", text=text)

    async def press(
        self, key: str, code: int, *, modifiers: int = 0, text: str = "", commands: Sequence[str] = ()
    ) -> None:
        """Press a key with modifiers, 1 is Alt, 2 is Ctrl; `commands` are what the browser does by itself."""
        options: dict[str, Any] = {
            "key": key,
            "code": f"Key{key.upper()}" if len(key) == 1 and key.isalpha() else key,
            "windowsVirtualKeyCode": code,
            "modifiers": modifiers,
        }
        down = {"type": "keyDown" if text else "rawKeyDown", "text": text, "commands": list(commands)}
        await self.call("Input.dispatchKeyEvent", **down, **options)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **options)

    async def press_enter(self) -> None:
        """Press Enter."""
        await self.press("Enter", 13, text="\r")

    async def click(self, x: float, y: float) -> None:
        """Click a point of the page."""
        at = {"x": x, "y": y}
        await self.call("Input.dispatchMouseEvent", type="mouseMoved", **at)
        for kind in ("mousePressed", "mouseReleased"):
            await self.call("Input.dispatchMouseEvent", type=kind, button="left", clickCount=1, **at)

    async def picture(self, path: Path) -> None:
        """Write a picture of the page."""
        result = await self.call("Page.captureScreenshot", format="png")
        await asyncio.to_thread(path.write_bytes, base64.b64decode(result["data"]))

    async def close(self) -> None:
        """Close the tab."""
        with suppress(ConnectionError, AssertionError):
            await self.call("Page.close")
        self._reading.cancel()
        await self._connection.close()


class Chromium:
    """A running browser with a profile of its own."""

    def __init__(self, session: aiohttp.ClientSession, port: int) -> None:
        self._session = session
        self._base = f"http://127.0.0.1:{port}"
        self._n_tabs = 0

    async def new_tab(self, *, width: int = 1000, height: int = 640, dark: bool = True) -> Tab:
        """Open a tab of this size."""
        async with self._session.put(f"{self._base}/json/new?about:blank") as response:
            target = await response.json()
        address = target["webSocketDebuggerUrl"]
        tab = Tab(await self._session.ws_connect(address, max_msg_size=MAX_FRAME_BYTES))
        for domain in ("Page", "Runtime", "Network", "Log"):
            await tab.call(f"{domain}.enable")
        await tab.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await tab.call("Emulation.setEmulatedMedia", features=[scheme])
        return tab


@asynccontextmanager
async def run_chromium(folder: Path) -> AsyncGenerator[Chromium, None]:
    """Run a browser until the context is left."""
    assert PROGRAM is not None
    port_file = folder / "DevToolsActivePort"
    process = await asyncio.create_subprocess_exec(
        *(PROGRAM, *OPTIONS, f"--user-data-dir={folder}", "about:blank"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"},
    )
    try:
        port = int((await wait_for_text(port_file, lambda text: "\n" in text)).split("\n")[0])
        async with aiohttp.ClientSession() as session:
            yield Chromium(session, port)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def wait_for_text(path: Path, is_complete: Callable[[str], bool] = bool) -> str:
    """Wait for a file with a text; return that."""
    async with asyncio.timeout(WAIT_LIMIT_S):
        while not is_complete(text := await asyncio.to_thread(_read, path)):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
    return text


def _read(path: Path) -> str:
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""
