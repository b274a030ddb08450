"""The app in a browser, wired up and served until the user is done."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import webbrowser
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from html import escape
from pathlib import Path

import aiohttp

from qwen3_chat.cli.composition import open_interface_log
from qwen3_chat.cli.engine_composition import make_engine
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.cli.standard_streams import BROWSER_VARIABLE
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.private_file import write_private_file
from qwen3_chat.texts import t
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.web.app_process import AppEnd, AppProcess
from qwen3_chat.web.server import WebServer
from qwen3_chat.web.shared_app import SharedApp, describe_end

LINK_FILE_NAME = "open-qwen3-chat.html"


def run_web(arguments: Sequence[str], choice: ModelChoice, port: int, *, opens_browser: bool) -> int:
    """Serve the app until the user is done; return the exit status, 1 if the app failed.

    Raises:
        Qwen3ChatError: the port is not free, or the choice of the model makes no sense.
    """
    return asyncio.run(_run(arguments, choice, port, opens_browser=opens_browser))


async def _run(arguments: Sequence[str], choice: ModelChoice, port: int, *, opens_browser: bool) -> int:
    paths = find_paths()
    settings = read_settings(paths.settings_file).settings
    make_engine(choice, settings, paths)  # for its errors: they belong here, not in the browser
    command = (sys.executable, "-P", "-m", "qwen3_chat", *arguments)
    app = SharedApp(partial(AppProcess.start, command, {**os.environ, BROWSER_VARIABLE: "1"}))
    async with open_interface_log(paths, f"aiohttp {aiohttp.__version__}") as log:
        server = WebServer(app, log, ends_with_page=opens_browser)
        server.on_app_ended = _tell_end
        link = await server.open(port)
        try:
            _print(t("web.link", link=link))
            _print(t("web.until_closed" if opens_browser else "web.until_interrupt"))
            _stop_on_signals(server)
            folder = settings.export_dir or paths.exports
            async with _opened_in_browser(server, link, folder if opens_browser else None):
                await server.wait()
        finally:
            await server.close()
    return 0 if server.last_end is None or server.last_end.status == 0 else 1


def _print(sentence: str) -> None:
    print(terminal_safe(sentence), flush=True)


def _tell_end(end: AppEnd) -> None:
    """Repeat what the app said at its end, as it would have said it in a terminal."""
    if end.status != 0 or end.errors:
        print(terminal_safe(describe_end(end) if end.status else end.errors), file=sys.stderr, flush=True)


def _stop_on_signals(server: WebServer) -> None:
    loop = asyncio.get_running_loop()
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        with suppress(NotImplementedError, AttributeError):  # Windows has none of these handlers
            loop.add_signal_handler(getattr(signal, name), server.stop)


@asynccontextmanager
async def _opened_in_browser(server: WebServer, link: str, folder: Path | None) -> AsyncGenerator[None, None]:
    """Have the browser open the link, if there is a folder for the file that leads there.

    On a command line, every user of this machine could read the link, and be faster. So the browser gets a
    file that only this user can read; its folder is one that browsers in a sandbox can read.
    """
    if folder is None:
        yield
        return
    file = folder / LINK_FILE_NAME
    server.on_entered = partial(_remove, file)
    opening = asyncio.create_task(asyncio.to_thread(_open_in_browser, file, link))
    try:
        yield
    finally:
        await opening
        _remove(file)


def _remove(file: Path) -> None:
    with suppress(OSError):
        file.unlink(missing_ok=True)


def _open_in_browser(file: Path, link: str) -> None:
    content = (
        f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={escape(link)}">'
    )
    try:
        write_private_file(file, content.encode())
        browser = webbrowser.get()
        if type(browser) is webbrowser.GenericBrowser:  # one that would run in this terminal
            raise webbrowser.Error
        is_open = browser.open(file.absolute().as_uri())
    except (OSError, webbrowser.Error):
        is_open = False
    if not is_open:
        print(terminal_safe(t("web.no_browser")), file=sys.stderr, flush=True)
