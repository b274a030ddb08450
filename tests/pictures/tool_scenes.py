"""The scenes of calls of tools and of MCP servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested
from qwen3_chat.mcp.server_administration import ListedServer
from qwen3_chat.mcp.server_status import McpState
from qwen3_chat.record_copies import replace
from qwen3_chat.session import TurnOptions
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.call_context import current_call
from qwen3_chat.tools.permissions import Permission, PermissionScope
from qwen3_chat.tools.tool import Arguments, Reach, Tool, ToolError
from qwen3_chat.ui.screens.mcp_servers_screen import McpServersScreen
from tests.fakes import Step, finished
from tests.harness import Harness, make_catalogue
from tests.pictures.texts import say
from tests.session.test_tool_turns import OwnTools

ADDRESS = "https://qwenlm.github.io/blog/"
PAGE = """# Qwen blog

| Date | Post |
|---|---|
| 2025-04-29 | Qwen3: Think Deeper, Act Faster |
| 2025-07-22 | Qwen3-Coder |

{"posts": 2, "next": null, "tags": ["models", "agents"], "language": "en-US"}
"""
CODE = "import numpy as np\nx = np.linspace(0, 6.28, 100)\nsave_plot(x, np.sin(x))\nx[np.sin(x).argmax()]"


async def fetch(arguments: Arguments) -> str:
    """Return the page; wait for ever where the address says so."""
    url = str(arguments["url"])
    if url.endswith("wait"):
        current_call.get().report(2, 5, "page 2")
        await asyncio.Event().wait()
    if url.endswith("none"):
        raise ToolError("The page does not exist (404).")
    return PAGE


async def run_code(arguments: Arguments) -> str:
    """Return what code returns that wrote a file."""
    return "1.586\n[Files written: sine.png]"


def toolbox() -> Toolbox:
    """Return a page and an interpreter that need no network and no jail."""
    schema = {"type": "object", "properties": {"url": {"type": "string"}}}
    code = {"type": "object", "properties": {"code": {"type": "string"}}}
    page, python = Tool("fetch", "", schema, fetch), Tool("python", "", code, run_code, Reach.NOTHING)
    return OwnTools([page, python])


OPTIONS = TurnOptions(tools=("fetch", "python"))


def calling(name: str = "fetch", *, is_repaired: bool = False, **arguments: str) -> list[list[Step]]:
    """Return a reply that calls a tool, and one that goes on after it."""
    call = ToolCall(name, json.dumps(arguments or {"url": ADDRESS}), is_repaired=is_repaired)
    thought = say("The user wants the news: I fetch the page.", "用户想了解最新进展：先抓取网页。")
    answer = say("Qwen3 was announced in April 2025.", "Qwen3 于 2025 年 4 月发布。")
    first: list[Step] = [
        ReasoningDelta(thought, 12),
        ToolCallRequested(call),
        finished(StopReason.TOOL_CALLS),
    ]
    return [first, [AnswerDelta(answer, 12), finished()]]


async def ask(app: Harness) -> None:
    """Ask, and wait until it is asked whether the call may run."""
    question = say("Introduce the latest developments of Qwen", "介绍 Qwen 的最新进展")
    await app.say(f"{ADDRESS} {question}")
    await app.until(lambda: getattr(app.app.screen, "is_armed", False))


async def allow(app: Harness) -> None:
    """Ask, and allow the call."""
    await ask(app)
    await app.pilot.press("1")
    await app.until(lambda: not app.screen.is_answering)


async def unfold(app: Harness) -> None:
    """Unfold the result."""
    await allow(app)
    await app.pilot.press("ctrl+o")


async def refuse(app: Harness) -> None:
    """Refuse the call with a reason."""
    await ask(app)
    await app.pilot.press("0", *say("not now", "现在不行"), "enter")
    await app.until(lambda: not app.screen.is_answering)


async def run(app: Harness) -> None:
    """Let the call run without an end."""
    await ask(app)
    await app.pilot.press("1")
    await app.sees("page 2")


async def plot(app: Harness) -> None:
    """Run code that writes a picture, and mark its result."""
    await app.turn(say("Plot the sine.", "画出正弦曲线。"))
    await app.pilot.press("ctrl+up", "ctrl+up")


async def picker(app: Harness) -> None:
    """Open the list of tools."""
    app.screen.action_tools()
    await app.until(lambda: app.app.screen is not app.screen)


def listed() -> Sequence[ListedServer]:
    """Return a server that runs, one that failed and one that is down."""
    ready = ListedServer(
        "time",
        McpState.READY,
        "/usr/bin/uvx mcp-server-time --local-timezone=Asia/Shanghai",
        ("get_current_time", "convert_time"),
        698,
        "mcp-time 2026.10.19",
        "2026-07-28",
        permissions=(Permission("mcp:time", "", PermissionScope.ARGUMENTS, "{}"),),
        has_log=True,
    )
    error = "The MCP server web ended by itself (status 1). Its last output: No module named 'httpx'"
    failed = replace(ready, name="web", state=McpState.FAILED, error=error, tools=(), protocol="")
    return ready, failed


async def servers(app: Harness) -> None:
    """Show the list of servers at the one that is down."""
    administration = make_catalogue(app.exports.parent).administration
    assert administration is not None
    app.app.push_screen(McpServersScreen(listed(), administration, "web"))
    await app.until(lambda: app.app.screen is not app.screen)
