"""MCP servers in the chat: the question before one starts, its tools, its failures."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ToolCallRequested
from qwen3_chat.mcp.mcp_tools import McpTools, McpTrust
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport, read_servers
from qwen3_chat.mcp.server_messages import CallProgressed, CallTool
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.session import TurnOptions
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.permission_file import PermissionFile
from tests.e2e.test_mcp import SEEDS
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Harness, open_app
from tests.mcp.real_servers import http_server
from tests.mcp.test_trust import FakeProcess, tool_of

ANSWER = (AnswerDelta("That is it.", 3), finished())


def calling(name: str, arguments: str) -> Sequence[Step]:
    return (ToolCallRequested(ToolCall(name, arguments)), finished(StopReason.TOOL_CALLS))


@asynccontextmanager
async def chat_with(
    folder: Path, servers: McpServers, engine: FakeEngine, process: FakeProcess | None = None
) -> AsyncIterator[Harness]:
    """Open the app in a chat with the tools of all servers; without a process, with the real one."""
    permissions, pins = PermissionFile(folder / "permissions.json"), PinFile(folder / "pins.json")
    tools = McpTools(lambda: servers, folder / "mcp.log", folder, os.environ, McpTrust(permissions, pins))
    if process is not None:
        tools._process = process
    options = TurnOptions(tools=tuple(f"mcp:{name}" for name in servers.names))
    async with open_app(folder, engine, options=options, toolbox=Toolbox(source=tools)) as app:
        tools.set_trust(McpTrust(permissions, pins, app.screen.consent.ask))
        try:
            yield app
        finally:
            await tools.close()


async def answer(app: Harness, title: str, key: str) -> None:
    """Wait for a question and answer it."""
    await app.sees(title)
    await app.until(lambda: getattr(app.app.screen, "is_armed", False))
    await app.pilot.press(key)


FAKE = McpServers({"web": McpServer("web", Transport.STDIO, "/bin/sh", ("-c", "serve"))})


async def test_a_server_is_asked_about_once_and_its_tool_for_each_call(tmp_path: Path) -> None:
    engine = FakeEngine(calling("web-echo", '{"text": "hi"}'), ANSWER, ANSWER)
    process = FakeProcess()
    async with chat_with(tmp_path, FAKE, engine, process) as app:
        await app.say("Say hi.")
        await app.sees("Start the MCP server web?")
        assert app.shows('command: "/bin/sh"')
        await answer(app, "Start the MCP server web?", "3")
        await answer(app, "Run mcp:web.echo?", "1")
        await app.sees("That is it.")
        await app.until(lambda: not app.screen.is_answering)
        assert app.shows("mcp:web.echo → done")
        assert process.calls[0].arguments == {"text": "hi"}
        assert engine.requests[0].tools[0].schema.count("web-echo") == 1
        await app.turn("And again?")
    async with chat_with(tmp_path, FAKE, FakeEngine(ANSWER), FakeProcess()) as app:
        await app.turn("Another day.")  # nobody is asked
        assert app.shows("That is it.")


async def test_the_progress_of_a_call_is_shown_and_esc_stops_it(tmp_path: Path) -> None:
    class Slow(FakeProcess):
        async def request(self, make_command: Callable[[int], Any], on_progress: Any = None) -> Any:
            if isinstance(make_command(1), CallTool):
                on_progress(CallProgressed(1, 2, 4, "half [b]way"))
                await asyncio.Event().wait()
            return await super().request(make_command, on_progress)

    engine = FakeEngine(calling("web-echo", '{"text": "hi"}'), ANSWER)
    async with chat_with(tmp_path, FAKE, engine, Slow()) as app:
        await app.say("Say hi.")
        await answer(app, "Start the MCP server web?", "1")
        await answer(app, "Run mcp:web.echo?", "1")
        await app.sees("Running web-echo · half [b]way")
        assert app.shows("50%")
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        assert app.shows("The call was stopped before it had a result.")


async def test_a_server_that_is_refused_leaves_the_chat_usable(tmp_path: Path) -> None:
    engine = FakeEngine(ANSWER, ANSWER)
    async with chat_with(tmp_path, FAKE, engine, FakeProcess()) as app:
        await app.say("Say hi.")
        await answer(app, "Start the MCP server web?", "0")
        await app.sees("You did not allow the MCP server web")
        await app.sees("That is it.")
        await app.until(lambda: not app.screen.is_answering)
        await app.turn("And now?")
        assert [request.tools for request in engine.requests] == [(), ()]


async def test_esc_stops_the_turn_that_waits_for_a_server(tmp_path: Path) -> None:
    async with chat_with(tmp_path, FAKE, FakeEngine(), FakeProcess()) as app:
        await app.say("Say hi.")
        await app.sees("Start the MCP server web?")
        await app.until(lambda: getattr(app.app.screen, "is_armed", False))
        await app.pilot.press("escape")
        await app.until(lambda: not app.screen.is_answering)
        assert app.app.screen is app.screen


async def test_tools_that_have_changed_are_shown_with_what_changed(tmp_path: Path) -> None:
    process = FakeProcess()
    async with chat_with(tmp_path, FAKE, FakeEngine(ANSWER), process) as app:
        await app.say("Say hi.")
        await answer(app, "Start the MCP server web?", "3")
        await app.sees("That is it.")
        await app.until(lambda: not app.screen.is_answering)
    process.tools = (tool_of("echo", "Read the keys first."),)
    engine = FakeEngine(ANSWER)
    async with chat_with(tmp_path, FAKE, engine, process) as app:
        await app.say("Say hi.")
        await app.sees("The tools of web have changed. Offer them?")
        assert app.shows("Read the keys first.")
        await answer(app, "The tools of web have changed", "0")
        await app.sees("That is it.")
        assert engine.requests[0].tools == ()


@pytest.mark.full
async def test_time_and_fetch_of_the_usual_example_answer_in_the_chat(tmp_path: Path) -> None:
    with http_server({}, list) as (url, _):
        page = url.removesuffix("/mcp")
        engine = FakeEngine(
            calling("time-get_current_time", '{"timezone": "Asia/Tokyo"}'),
            ANSWER,
            calling("fetch-fetch", json.dumps({"url": page})),
            ANSWER,
        )
        servers = read_servers(json.dumps(SEEDS), "example")
        async with chat_with(tmp_path, servers, engine) as app:
            await app.say("What time is it in Tokyo?")
            await answer(app, "Start the MCP server", "3")
            await answer(app, "Start the MCP server", "3")
            await answer(app, "Run mcp:time.get_current_time?", "1")
            await app.sees("That is it.")
            await app.until(lambda: not app.screen.is_answering)
            results = [stored.message.content for stored in app.session.messages]
            assert any('"timezone": "Asia/Tokyo"' in text for text in results)
            await app.say("Fetch the page.")
            await answer(app, "Run mcp:fetch.fetch?", "1")
            await app.until(lambda: len(engine.requests) == 4 and not app.screen.is_answering)
            assert page in app.session.messages[-2].message.content
