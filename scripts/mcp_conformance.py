"""The client scenarios of MCP's official conformance suite, run by hand against our client.

`.venv/bin/python scripts/mcp_conformance.py FOLDER` runs all of them. FOLDER has been filled by
`npm install --prefix FOLDER @modelcontextprotocol/conformance node@22`. The suite then starts this file once
for each scenario, with the address of its server.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from qwen3_chat.errors import UsageError
from qwen3_chat.events import Notice
from qwen3_chat.mcp.forms import FormAction, FormAnswer, FormRequested, parse_values
from qwen3_chat.mcp.mcp_tools import McpTools, McpTrust
from qwen3_chat.mcp.server_config import McpServer, McpServers, Transport
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.texts import t
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool import Tool, ToolError
from qwen3_chat.tools.tool_source import ToolServerStarting

SCENARIOS: Final = ("initialize", "tools_call", "elicitation-sep1034-client-defaults", "sse-retry")
"""The scenarios of what this app supports; all others are of OAuth."""

NUMBERS: Final = {"a": 5, "b": 3}


def main() -> int:
    """Run the suite over a folder, or one scenario where the suite gives an address."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    if sys.argv[1].startswith("http"):
        asyncio.run(_hold(sys.argv[1]))
        return 0
    return max(_run_suite(Path(sys.argv[1]), scenario) for scenario in SCENARIOS)


def _run_suite(folder: Path, scenario: str) -> int:
    """Run one scenario; print its last lines; return its exit status."""
    programs = folder.absolute() / "node_modules" / ".bin"
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


async def _hold(url: str) -> None:
    """Connect to the suite's server as the app does, list its tools and call each."""
    server = McpServer("suite", Transport.HTTP, url=url)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trust = McpTrust(
            PermissionFile(folder / "permissions"), PinFile(folder / "pins"), allows_all=True, fill=_fill
        )
        tools = McpTools(lambda: McpServers({"suite": server}), None, None, os.environ, trust)
        try:
            await tools.prepare(["mcp:suite"], _report)
            for tool in tools.tools_named("mcp:suite"):
                print(tool.name, await _call(tool))
        finally:
            await tools.close()


async def _call(tool: Tool) -> str:
    arguments = {name: NUMBERS.get(name, 1) for name in tool.schema.get("properties", {})}
    try:
        return await tool.run(arguments)
    except ToolError as error:
        return f"failed: {error}"


async def _fill(request: FormRequested) -> FormAnswer:
    """Send a form as it stands at first."""
    try:
        content = parse_values(request.fields, {field.name: field.first_text for field in request.fields})
    except UsageError:
        return FormAnswer(FormAction.CANCEL)
    return FormAnswer(FormAction.ACCEPT, content)


def _report(event: Notice | ToolServerStarting) -> None:
    if isinstance(event, Notice):
        print(t(event.key, **event.values), file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
