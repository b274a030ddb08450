"""The client scenarios of MCP's official conformance suite, run by hand against our client.

`.venv/bin/python scripts/mcp_conformance.py FOLDER` runs all of them. FOLDER has been filled by
`npm install --prefix FOLDER @modelcontextprotocol/conformance node@22`. The suite then starts this file once
for each scenario, with the address of its server. If FOLDER has @modelcontextprotocol/server-everything as
well, each of its tools is called, and its prompts and resources are read.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from qwen3_chat.errors import Qwen3ChatError, UsageError
from qwen3_chat.events import Notice
from qwen3_chat.mcp.forms import FormAction, FormAnswer, FormRequested, parse_values
from qwen3_chat.mcp.mcp_tools import McpTools, McpTrust
from qwen3_chat.mcp.server_config import McpServer, McpServers, OauthClient, Transport
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.texts import t
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
MAX_SHOWN_CHARS: Final = 120


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
    status = max(_run_suite(folder / ".bin", scenario) for scenario in SCENARIOS)
    everything = folder / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    if everything.is_file():
        command = str(folder / ".bin" / "node"), (str(everything), "stdio")
        asyncio.run(_use(McpServer("everything", Transport.STDIO, *command)))
    return status


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
        tools = McpTools(
            lambda: McpServers({server.name: server}), None, None, os.environ, trust, tokens_folder=folder
        )
        try:
            await tools.prepare([f"mcp:{server.name}"], _report)
            for tool in tools.tools_named(f"mcp:{server.name}"):
                _print(tool.name, await _result(tool.run(_arguments(tool))))
            for prompt in tools.prompts():
                values = {argument.name: "Text" for argument in prompt.arguments}
                _print(f"prompt {prompt.name}", await _result(tools.prompt_text(prompt, values)))
            for resource in tools.resources():
                _print(f"resource {resource.uri}", await _result(tools.resource_text(resource)))
        finally:
            await tools.close()


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
