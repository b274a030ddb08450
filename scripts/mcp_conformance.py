"""The client scenarios of MCP's official conformance suite, run by hand against our client.

`.venv/bin/python scripts/mcp_conformance.py FOLDER` runs all of them. FOLDER has been filled by
`npm install --prefix FOLDER @modelcontextprotocol/conformance node@22`. The suite then starts this file once
for each scenario, with the address of its server. If FOLDER has @modelcontextprotocol/server-everything as
well, it is used by stdio, HTTP and SSE: each of its tools is called, one call is cancelled, its prompts and
resources are read.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from qwen3_chat.errors import Qwen3ChatError, UsageError
from qwen3_chat.events import Notice
from qwen3_chat.mcp.forms import FormAction, FormAnswer, FormRequested, parse_values
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_config import McpServer, McpServers, OauthClient, Transport
from qwen3_chat.mcp.server_messages import ServerResource
from qwen3_chat.mcp.server_status import McpTrust
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.texts import t
from qwen3_chat.tools.call_context import CallContext, current_call
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool import Tool, ToolError
from qwen3_chat.tools.tool_source import ToolServerStarting

SCENARIOS: Final = (
    *("initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry"),
    *("auth/metadata-default", "auth/metadata-var1", "auth/metadata-var2", "auth/metadata-var3"),
    *("auth/basic-cimd", "auth/scope-from-www-authenticate", "auth/scope-from-scopes-supported"),
    *("auth/scope-omitted-when-undefined", "auth/scope-step-up", "auth/scope-retry-limit"),
    *("auth/token-endpoint-auth-basic", "auth/token-endpoint-auth-post", "auth/token-endpoint-auth-none"),
    *("auth/pre-registration", "auth/2025-03-26-oauth-metadata-backcompat"),
    *("auth/2025-03-26-oauth-endpoint-fallback", "auth/resource-mismatch", "auth/offline-access-scope"),
    "auth/offline-access-not-supported",
)
"""The scenarios of what this app supports: not those that sign a program in without its user."""

METADATA_URL: Final = "https://conformance-test.local/client-metadata.json"
"""The address of client metadata that the suite expects where it is used."""

NUMBERS: Final = {"a": 5, "b": 3, "duration": 2}
OTHERS: Final[dict[str, tuple[dict[str, object], ...]]] = {
    "gzip-file-as-resource": ({"data": "data:text/plain,hi"}, {"data": "data:,hi", "outputType": "resource"}),
    "trigger-url-elicitation": ({}, {"errorPath": True}),
    "get-annotated-message": ({"messageType": "success", "includeImage": True}, {"messageType": "error"}),
}
"""The arguments of calls that need others than the simplest ones."""

PROMPT_VALUES: Final = {"resourceType": "Text", "resourceId": "1"}
UNLISTED: Final = "demo://resource/dynamic/text/7"
LONG_CALL: Final = "trigger-long-running-operation"
MAX_SHOWN_CHARS: Final = 120
START_LIMIT_S: Final = 20.0


def main() -> int:
    """Run the suite over a folder, or one scenario where the suite gives an address."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    if sys.argv[1].startswith("http"):
        context = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
        client = OauthClient(context.get("client_id", ""), context.get("client_secret", ""), METADATA_URL)
        asyncio.run(_use(McpServer("suite", Transport.HTTP, url=sys.argv[1], oauth=client)))
        return 0
    folder = Path(sys.argv[1]).absolute() / "node_modules"
    status = max((_run_suite(folder / ".bin", scenario) for scenario in SCENARIOS), default=0)
    everything = folder / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    if everything.is_file():
        node = str(folder / ".bin" / "node")
        print("server-everything by stdio")
        asyncio.run(_use(McpServer("everything", Transport.STDIO, node, (str(everything), "stdio"))))
        for kind, path, transport in (
            ("streamableHttp", "mcp", Transport.HTTP),
            ("sse", "sse", Transport.SSE),
        ):
            print(f"server-everything by {kind}")
            with _listening([node, str(everything), kind]) as address:
                asyncio.run(_use(McpServer("everything", transport, url=f"{address}/{path}")))
    return status


@contextmanager
def _listening(command: list[str]) -> Iterator[str]:
    """Start a server that takes its port from `PORT`; yield its address once it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        command, env={**os.environ, "PORT": str(port)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        deadline_s = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline_s:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
            time.sleep(0.1)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _run_suite(programs: Path, scenario: str) -> int:
    """Run one scenario; print its last lines; return its exit status."""
    with tempfile.TemporaryDirectory() as results:
        done = subprocess.run(
            [
                *(programs / "conformance", "client", "--scenario", scenario, "--output-dir", results),
                *("--command", f"{sys.executable} {__file__}"),
            ],
            env={**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    shown = lines if done.returncode else [line for line in lines if "assed" in line]
    print(f"{scenario}: {'failed' if done.returncode else 'passed'}", *shown, sep="\n  ")
    return done.returncode


async def _use(server: McpServer) -> None:
    """Connect to a server as the app does, call each of its tools, read its prompts and resources."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trust = McpTrust(
            PermissionFile(folder / "permissions"), PinFile(folder / "pins"), allows_all=True, fill=_fill
        )
        servers = McpServers({server.name: server})
        tools = McpTools(
            lambda: servers, None, None, os.environ, trust, chat_folder=lambda _: folder, tokens_folder=folder
        )
        try:
            await tools.prepare([f"mcp:{server.name}"], _report)
            if protocol := tools.status(server.name).protocol:
                print(f"protocol {protocol}")
            for tool in tools.tools_named(f"mcp:{server.name}"):
                for others in OTHERS.get(tool.name.rpartition(".")[2], ({},)):
                    _print(tool.name, await _call(tool, {**_arguments(tool), **others}))
                if tool.name.endswith(LONG_CALL):
                    _print(f"{tool.name}, cancelled", await _cancelled(tool))
            await tools.texts_listed()
            for prompt in tools.prompts():
                values = {
                    argument.name: PROMPT_VALUES.get(argument.name, "Text") for argument in prompt.arguments
                }
                _print(f"prompt {prompt.name}", await _result(tools.prompt_text(prompt, values)))
            resources = list(tools.resources())
            if resources:
                resources.append(ServerResource(server.name, UNLISTED, "unlisted"))
            for resource in resources:
                _print(f"resource {resource.uri}", await _result(tools.resource_text(resource)))
        finally:
            await tools.close()


async def _call(tool: Tool, arguments: dict[str, object]) -> str:
    """Call a tool as a turn does; return its result, after how often it told its progress."""
    n_reports = 0

    def report(progress: float, total: float | None, message: str) -> None:
        nonlocal n_reports
        n_reports += 1

    token = current_call.set(CallContext(1, report))
    try:
        text = await _result(tool.run(arguments))
    finally:
        current_call.reset(token)
    return f"({n_reports} reports) {text}" if n_reports else text


async def _cancelled(tool: Tool) -> str:
    """Cancel a long call once it tells its progress."""
    has_begun = asyncio.Event()
    current_call.set(CallContext(1, lambda progress, total, message: has_begun.set()))
    task = asyncio.ensure_future(tool.run({"duration": 60, "steps": 60}))
    await asyncio.wait(
        [task, waiting := asyncio.create_task(has_begun.wait())], return_when="FIRST_COMPLETED"
    )
    waiting.cancel()
    task.cancel()
    await asyncio.wait([task])
    return "cancelled" if task.cancelled() else "was not cancelled"


def _arguments(tool: Tool) -> dict[str, object]:
    """Return arguments that fit a simple schema: defaults, the first of an enum, small values."""
    simple: dict[str, object] = {"number": 1, "integer": 1, "boolean": True}
    arguments = dict[str, object]()
    for name, part in tool.schema.get("properties", {}).items():
        plain = simple.get(part.get("type", ""), "https://example.com/")
        arguments[name] = NUMBERS.get(name, part.get("default", (part.get("enum") or [plain])[0]))
    return arguments


async def _result(work: Awaitable[str]) -> str:
    try:
        return await work
    except (ToolError, Qwen3ChatError) as error:
        return f"failed: {error}"


def _print(name: str, text: str) -> None:
    print(f"{name}: {' '.join(text.split())[:MAX_SHOWN_CHARS]}", flush=True)


async def _fill(request: FormRequested) -> FormAnswer:
    """Send a form as it stands at first, with a word where something is needed; sign in."""
    if request.is_sign_in:
        await asyncio.to_thread(lambda: urlopen(request.url).read())
        return FormAnswer(FormAction.ACCEPT)
    texts = {f.name: f.first_text or ("Text" if f.is_required else "") for f in request.fields}
    try:
        content = parse_values(request.fields, texts)
    except UsageError:
        return FormAnswer(FormAction.CANCEL)
    return FormAnswer(FormAction.ACCEPT, content)


def _report(event: Notice | ToolServerStarting) -> None:
    if isinstance(event, Notice):
        print(t(event.key, **event.values), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
