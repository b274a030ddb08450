"""A server of the official SDK that speaks 2026-07-28, by stdio and by HTTP with a header."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from qwen3_chat.mcp.forms import FormAction, FormAnswer, FormRequested
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport
from qwen3_chat.mcp.server_status import McpState
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.call_context import CallContext, current_call
from tests.mcp import modern_server
from tests.mcp.real_servers import running_tools
from tests.mcp.test_connections import wait_until

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and processes"),
]


@contextmanager
def reached(transport: Transport) -> Iterator[McpServer]:
    """Yield the server, which already runs where it is reached by HTTP."""
    if transport is Transport.STDIO:
        yield McpServer("modern", transport, sys.executable, (modern_server.__file__,))
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, modern_server.__file__, str(port)]) as process:

        def listens() -> bool:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return True
            return process.poll() is not None

        try:
            wait_until(listens)
            url = f"http://127.0.0.1:{port}/mcp"
            yield McpServer("modern", transport, url=url, headers={"X-Key": "env:THE_KEY"})
        finally:
            process.kill()


@pytest.mark.parametrize("transport", [Transport.STDIO, Transport.HTTP])
async def test_a_server_of_2026_asks_reports_and_changes(tmp_path: Path, transport: Transport) -> None:
    environ = {**os.environ, "THE_KEY": modern_server.KEY}
    with reached(transport) as server:
        others = {"without": replace(server, name="without", headers={})} if server.url else {}
        servers = McpServers({"modern": server, **others})
        async with running_tools(tmp_path, servers, environ) as (tools, sentences):
            status = tools.status("modern")
            assert (status.protocol, status.title) == ("2026-07-28", "modern 7")
            assert tools.status("without").state is not McpState.READY
            assert len(sentences) == len(others)
            requests, reports = list[FormRequested](), list[tuple[float, float | None, str]]()

            async def fill(request: FormRequested) -> FormAnswer:
                requests.append(request)
                return FormAnswer(FormAction.ACCEPT, {} if request.url else {"name": "Bo"})

            async def call(name: str) -> str:
                (tool,) = tools.tools_named(f"mcp:modern.{name}")
                token = current_call.set(CallContext(report=lambda *report: reports.append(report)))
                try:
                    return await tool.run({})
                finally:
                    current_call.reset(token)

            assert await call("count_up") == "counted, 2026-07-28"
            assert reports[0] == (1, 3, "step 1")
            tools.set_trust(replace(tools._trust, fill=fill))
            answer = await call("ask_name")
            assert '"name":"Bo"' in answer
            assert [(r.message, r.url) for r in requests] == [
                ("Who are you?", ""),
                ("Pay.", modern_server.PAGE),
            ]
            await tools.texts_listed()
            (prompt,), (resource,) = tools.prompts(), tools.resources()
            assert await tools.prompt_text(prompt, {"name": "Bo"}) == "Greet Bo."
            assert await tools.resource_text(resource) == "rain"
            assert await call("grow") == "one more"
            await asyncio.to_thread(wait_until, lambda: status.has_changed)
            assert [tool.name for tool in status.definitions][-1] == "grown"
