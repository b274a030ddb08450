"""The whole way: the program, its server, and a real browser."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from qwen3_chat.texts import Language, load_catalogue
from tests.conftest import REPOSITORY, WAIT_LIMIT_S
from tests.e2e.test_tools import damaged_call
from tests.pty_terminal import READY, app_environment
from tests.remote import wire_server
from tests.web.chromium import Chromium, Tab, needs_chromium, run_chromium, wait_for_text

pytestmark = [pytest.mark.full, needs_chromium]

ALT, CTRL = 1, 2
KEEP_SOCKETS = """
const Socket = window.WebSocket;
window.sockets = [];
window.WebSocket = class extends Socket { constructor(url) { super(url); window.sockets.push(this); } };
"""
"""A script that lets the test close the connections of a page."""
LIGHT_PAGE = "rgb(247, 246, 251)"
NETWORK = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}

PICTURES = os.environ.get("QWEN3_CHAT_PICTURES")
"""A folder for pictures of what the tests see, to look at; none are written without it."""


async def take_picture(tab: Tab, name: str) -> None:
    """Write a picture, if somebody wants to look at it."""
    if PICTURES:
        await tab.picture(Path(PICTURES) / f"{name}.png")


@asynccontextmanager
async def running_chromium(tmp_path: Path) -> AsyncGenerator[Chromium, None]:
    """Run a browser that saves downloads into a folder, and may use the clipboard."""
    async with run_chromium(tmp_path / "profile") as chromium:
        yield chromium


@asynccontextmanager
async def serving(
    tmp_path: Path, arguments: Sequence[str] = ("--demo",), language: str = "en_US.UTF-8"
) -> AsyncGenerator[tuple[Process, str], None]:
    """Run `qwen3-chat web` and yield its process with its link."""
    environment = app_environment(tmp_path / "home", LC_ALL=language)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "qwen3_chat", "web", "--no-open", *arguments),
        stdout=subprocess.PIPE,
        env=environment,
        cwd=tmp_path,
    )
    assert process.stdout is not None
    try:
        await asyncio.wait_for(process.stdout.readline(), WAIT_LIMIT_S)
        link = await asyncio.wait_for(process.stdout.readline(), WAIT_LIMIT_S)
        yield process, link.decode().strip()
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.wait(), WAIT_LIMIT_S)


def stored(tmp_path: Path, query: str) -> list[tuple[object, ...]]:
    """Return rows of the store."""
    database = sqlite3.connect(tmp_path / "home" / "data" / "chats.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()


async def ask(tab: Tab, question: str, answer: str) -> None:
    """Type a question as an input method does, send it, and wait for a part of the answer."""
    await tab.type(question)
    await tab.wait_until_shown(question)
    since = len(tab.output)
    await tab.press_enter()
    await tab.wait_until_shown(answer, since)


async def test_a_chat_with_thinking_keys_clicks_chinese_a_download_and_a_reload(tmp_path: Path) -> None:
    downloads = tmp_path / "downloads"
    async with running_chromium(tmp_path) as chromium, serving(tmp_path) as (_, link):
        tab = await chromium.new_tab()
        await tab.call("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        await tab.call(
            "Browser.grantPermissions",
            permissions=["clipboardReadWrite", "clipboardSanitizedWrite"],
            origin=link.partition("/enter")[0],
        )
        await tab.open(link)
        await tab.wait_until_shown(READY)
        assert await tab.sentence() == ""
        await take_picture(tab, "welcome")

        await ask(tab, "What is 12 + 30?", "Thought")
        await tab.wait_for("document.title === 'qwen3-chat'")
        await take_picture(tab, "answer")
        since = len(tab.output)
        await tab.click(40, 116)  # the line of the thinking
        await tab.wait_until_shown("▾", since)
        await take_picture(tab, "unfolded")
        await tab.press("k", 75, modifiers=ALT)
        await tab.wait_until_shown("Thinking off", since)
        await ask(tab, "你好，请介绍一下自己", "pull 4B")
        await tab.wait_for("document.title === 'qwen3-chat'")
        await take_picture(tab, "chinese")

        since = len(tab.output)
        await tab.press("F4", 115)
        await tab.wait_until_shown("Copied", since)
        copied = await tab.run("navigator.clipboard.readText()")
        answers = stored(tmp_path, "SELECT content FROM messages WHERE role = 'assistant' ORDER BY id")
        assert copied.strip() == str(answers[-1][0]).strip()

        since = len(tab.output)
        await tab.press("v", 86, modifiers=CTRL, commands=["paste"])
        await tab.wait_until_shown("qwen3-chat pull", since)  # the system's clipboard is in the input
        await tab.press("x", 88, modifiers=ALT)
        await tab.press("s", 83, modifiers=CTRL)
        await tab.wait_until_shown("Export as")
        await tab.press_enter()
        await tab.wait_until_shown("Given to the browser")
        exported = await asyncio.to_thread(lambda: list(downloads.glob("*.md")))
        async with asyncio.timeout(WAIT_LIMIT_S):
            while not exported:
                await asyncio.sleep(0.05)
                exported = await asyncio.to_thread(lambda: list(downloads.glob("*.md")))
        text = await wait_for_text(exported[0])
        assert "你好，请介绍一下自己" in text
        assert "12 + 30" in text
        assert not (tmp_path / "home" / "exports").exists()

        await tab.type("a draft")
        await tab.wait_until_shown("a draft")
        for _ in range(2):
            since = len(tab.output)
            await tab.call("Page.reload")
            await tab.wait_until_shown("a draft", since)
            await tab.wait_until_shown("你好，请介绍一下自己", since)
        await take_picture(tab, "reloaded")

        host = urlsplit(link).netloc
        assert {urlsplit(url).netloc for url in tab.requested if urlsplit(url).scheme != "data"} == {host}
        assert [line for line in tab.console if "favicon" not in line and "403" not in line] == []

        other = await chromium.new_tab()
        await other.open(link)
        await other.wait_for_sentence("it works once")
        await other.open(link.partition("enter")[0])
        await other.wait_for_sentence("open in another tab")
        await take_picture(other, "waiting")
        since = len(other.output)
        await other.run("document.getElementById('choice').click()")
        await tab.wait_for_sentence("has moved")
        await other.wait_until_shown("a draft", since)
        await take_picture(tab, "moved")


async def test_in_chinese_and_light_with_a_call_that_is_asked_about_and_a_lost_connection(
    tmp_path: Path,
) -> None:
    texts = load_catalogue(Language.ZH)
    settings = tmp_path / "home" / "config" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('theme = "qwen-light"\n')
    async with running_chromium(tmp_path) as chromium, wire_server.running(damaged_call) as model_server:
        options = ("--endpoint", model_server.url, "--tools", "calculator", "--lang", "zh")
        async with serving(tmp_path, options) as (process, link):
            tab = await chromium.new_tab(dark=False)
            await tab.call("Page.addScriptToEvaluateOnNewDocument", source=KEEP_SOCKETS)
            await tab.open(link)
            await tab.wait_until_shown("Ctrl+J")
            await tab.type("6*7 等于多少？")
            await tab.wait_until_shown("等于多少")
            await tab.press_enter()
            await tab.wait_until_shown('"6 * 7"')
            assert await tab.run("getComputedStyle(document.body).backgroundColor") == LIGHT_PAGE
            await take_picture(tab, "consent")
            await asyncio.sleep(1.5)  # the question takes no key that was meant for something else
            await tab.press("1", 49, text="1")
            await tab.wait_until_shown("It is 42.")
            await take_picture(tab, "called")
            assert stored(tmp_path, "SELECT count(*) FROM messages WHERE role = 'tool'") == [(1,)]

            # The connection is lost: the page says so, tries again, and shows the chat.
            await tab.call("Network.emulateNetworkConditions", offline=True, **NETWORK)
            (app,) = psutil.Process(process.pid).children()
            await tab.run("void sockets.forEach((socket) => socket.close())")
            await tab.wait_for_sentence(texts["web.page.lost"])
            await take_picture(tab, "lost")
            since = len(tab.output)
            await tab.call("Network.emulateNetworkConditions", offline=False, **NETWORK)
            await tab.wait_until_shown("It is 42.", since)
            assert app.is_running()

            await tab.press("q", 81, modifiers=CTRL)
            await tab.wait_for_sentence(texts["web.ended"])
            await take_picture(tab, "ended")


async def test_the_app_ends_with_a_server_that_is_killed(tmp_path: Path) -> None:
    async with running_chromium(tmp_path) as chromium, serving(tmp_path) as (process, link):
        tab = await chromium.new_tab()
        await tab.open(link)
        await tab.wait_until_shown(READY)
        (app,) = psutil.Process(process.pid).children()
        await tab.type("kept")
        await tab.wait_until_shown("kept")
        process.kill()
        await asyncio.to_thread(psutil.wait_procs, [app], WAIT_LIMIT_S)
        assert not app.is_running()
        assert "kept" in await wait_for_text(tmp_path / "home" / "data" / "draft.json")


def test_the_repository_s_checks_install_the_browser() -> None:
    assert "chromium" in (REPOSITORY / ".ci" / "run").read_text("utf-8")
