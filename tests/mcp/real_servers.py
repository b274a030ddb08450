"""Servers that run, for the tests: made-up ones, and one that is reached by HTTP."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil

import made_up_mcp_server
from qwen3_chat.events import Notice
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport
from qwen3_chat.mcp.server_status import McpTrust
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.texts import t
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool_source import ToolServerStarting


def made_up(*kinds: str, timeout_s: float = 60) -> McpServers:
    """Return made-up servers, each under the name of its kind."""
    script = made_up_mcp_server.__file__
    return McpServers(
        {
            kind: McpServer(kind, Transport.STDIO, sys.executable, ("-S", script, kind), timeout_s=timeout_s)
            for kind in kinds
        }
    )


@asynccontextmanager
async def running_tools(
    folder: Path, servers: McpServers, environ: dict[str, str] | None = None
) -> AsyncIterator[tuple[McpTools, list[str]]]:
    """Open the tools of servers, all of which are allowed; with them the sentences for the user."""
    sentences: list[str] = []
    trust = McpTrust(
        PermissionFile(folder / "permissions.json"), PinFile(folder / "pins.json"), allows_all=True
    )
    tools = McpTools(
        lambda: servers,
        folder / "mcp.log",
        folder,
        environ or os.environ,
        trust,
        chat_folder=lambda chat_id: folder / str(chat_id),
    )

    def report(event: Notice | ToolServerStarting) -> None:
        if isinstance(event, Notice) and event.key != "mcp.starts":
            sentences.append(t(event.key, **event.values))

    try:
        await tools.prepare([f"mcp:{name}" for name in servers.names], report)
        yield tools, sentences
    finally:
        await tools.close()


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return the processes that have a folder in their environment: servers started for a test."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("MADE_UP_FOR") == str(folder) and process.status() != "zombie":
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def web_page(text: str) -> Iterator[str]:
    """Serve a page with a text; see `served`."""
    with served(f"<h1>News</h1><p>{text}</p>") as address:
        yield address


@contextmanager
def served(html: str, port: int = 0) -> Iterator[str]:
    """Serve a page under every address, also to those who take this for their proxy; yield its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = b"" if self.path.endswith("/robots.txt") else html.encode()
            self.send_response(200 if data else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *values: object) -> None:
            return

    with _serving(Handler, port) as used:
        yield f"http://127.0.0.1:{used}/"


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def http_server(
    headers: dict[str, str], tools: Callable[[], list[dict[str, Any]]]
) -> Iterator[tuple[str, list[str]]]:
    """Serve an MCP server that wants headers; yield its address and the methods that it was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(body["method"])
            if any(self.headers.get(name) != value for name, value in headers.items()):
                self.reply(401, {})
            elif "id" not in body:
                self.reply(202, None)
            else:
                self.reply(200, answer(body))

        def do_GET(self) -> None:
            self.reply(405, None)

        def reply(self, status: int, value: object) -> None:
            data = b"" if value is None else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *values: object) -> None:
            return

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        match request["method"]:
            case "initialize":
                result: dict[str, Any] = {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {"tools": {}},
                    "serverInfo": {"name": "made-up", "version": "1"},
                }
            case "tools/list":
                result = {"tools": tools()}
            case "tools/call":
                result = {"content": [{"type": "text", "text": request["params"]["arguments"]["text"]}]}
            case _:
                error = {"code": -32601, "message": "no such method"}
                return {"jsonrpc": "2.0", "id": request["id"], "error": error}
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}

    with _serving(Handler) as port:
        yield f"http://127.0.0.1:{port}/mcp", asked
