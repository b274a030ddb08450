"""Take the pictures of docs/tools.md in both languages: the app with real MCP servers, in `.venv`.

`python scripts/tool_pictures.py` writes docs/pictures/tools-*.svg, a moving one and three still ones for each
language. The model is a script that says the same each time; servers, pages, questions and code are real. The
page is served on this machine, on port 8123, and `uvx` is a stand-in that starts what `.venv` has.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from animated_svg import Frame, animate
from moving_pictures import PICTURES, Recorder, replay, type_and_send
from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import (
    AnswerDelta,
    EngineEvent,
    EventSink,
    ReasoningDelta,
    ToolCallRequested,
    TurnFinished,
)
from qwen3_chat.mcp.config_file import load_servers
from qwen3_chat.mcp.mcp_tools import McpTools
from qwen3_chat.mcp.server_status import McpTrust
from qwen3_chat.mcp.tool_pins import PinFile
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest
from qwen3_chat.session import TurnOptions
from qwen3_chat.texts import Language, current_language, set_language, t
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.permission_file import PermissionFile
from qwen3_chat.tools.tool_settings import ToolSettings
from tests.fakes import MODEL, FakeEngine, Step, finished
from tests.harness import Harness, open_app
from tests.mcp.real_servers import served
from tests.pictures.texts import say

SIZE = (80, 24)
PORT = 8123
ADDRESS = f"http://127.0.0.1:{PORT}/blog/"
BIN = Path(tempfile.gettempdir(), "bin")
PAGE = """<html><head><title>Blog</title></head><body><h1>Qwen blog</h1>
<table><tr><th>Date</th><th>Post</th></tr>
<tr><td>2025-04-29</td><td>Qwen3: Think Deeper, Act Faster</td></tr>
<tr><td>2025-07-22</td><td>Qwen3-Coder: Agentic Coding in the World</td></tr>
<tr><td>2025-09-11</td><td>Qwen3-Next: Towards Ultimate Efficiency</td></tr></table></body></html>"""
PLOT = """import numpy as np, struct, zlib
x = np.linspace(0, 4 * np.pi, 400)
image = np.full((200, 400), 255, np.uint8)
image[(100 - 90 * np.sin(x)).astype(int), np.arange(400)] = 0
def chunk(kind, data):
    whole = kind + data
    return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))
rows = b"".join(b"\\0" + row.tobytes() for row in image)
head = struct.pack(">IIBBBBB", 400, 200, 8, 0, 0, 0, 0)
parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
open("sine.png", "wb").write(b"\\x89PNG\\r\\n\\x1a\\n" + b"".join(parts))
x[np.argmax(np.sin(x))].round(3)"""
SETTLE_S, KEY_PAUSE_S, PIECE_S = 0.6, 1.8, 0.06


class PacedEngine(FakeEngine):
    """A scripted model whose text comes at the pace of a real one."""

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Play the next script piece by piece."""
        events: list[EngineEvent] = []
        end = await super().generate(request, events.append)
        await replay(events, on_event, 6 if current_language() is Language.EN else 3, PIECE_S)
        return end


def write_uvx() -> None:
    """Write the stand-in for `uvx`: it starts what is installed beside this Python."""
    BIN.mkdir(exist_ok=True)
    file = BIN / "uvx"
    file.write_text(f'#!/bin/sh\nname=$1; shift\nexec "{Path(sys.executable).parent}/$name" "$@"\n', "utf-8")
    file.chmod(0o755)


SEEDS = {
    "mcpServers": {
        "time": {"command": "uvx", "args": ["mcp-server-time", "--local-timezone=Asia/Shanghai"]},
        "fetch": {"command": "uvx", "args": ["mcp-server-fetch", "--allow-private-ips"]},
        "notes": {"command": "notes-server", "args": []},
    }
}
"""The well-known example, whose `fetch` may read a page of this machine here; `notes` is not installed."""


def make_tools(folder: Path, servers: Sequence[str]) -> tuple[McpTools, ToolSettings, McpTrust]:
    """Return the tools of these servers, whose file is written anew, and what the other tools may do."""
    table = {name: SEEDS["mcpServers"][name] for name in servers}
    (folder / "mcp.json").write_text(json.dumps({"mcpServers": table}), "utf-8")
    trust = McpTrust(PermissionFile(folder / "permissions.json"), PinFile(folder / "pins.json"))
    load = partial(load_servers, folder / "mcp.json")

    def chat_folder(chat_id: int) -> Path:
        made = folder / "chat_files" / str(chat_id)
        made.mkdir(parents=True, exist_ok=True)
        return made

    return McpTools(load, folder / "mcp.log", folder, os.environ, trust), ToolSettings(chat_folder), trust


@asynccontextmanager
async def app_with(
    engine: FakeEngine, names: Sequence[str], servers: Sequence[str] = ()
) -> AsyncIterator[Harness]:
    """Open the app in the current folder, with these tools and servers."""
    tools, settings, trust = make_tools(Path.cwd(), servers)
    options = TurnOptions(tools=tuple(names))
    async with open_app(
        Path(), engine, SIZE, options=options, toolbox=Toolbox(settings, tools), get_mcp_tools=lambda: tools
    ) as app:
        app.screen.input.cursor_blink = False
        tools.set_trust(replace(trust, ask=app.screen.consent.ask))
        try:
            yield app
        finally:
            await tools.close()


def seeds_model() -> PacedEngine:
    """Return the model that answers the question of the example."""
    thought = say(
        "The user gives an address. I fetch the page, then I sum it up.",
        "用户给出了一个地址。先抓取网页，再总结。",
    )
    answer = say(
        "According to the page, the latest developments of Qwen are:\n\n"
        "1. **Qwen3** (April 2025): it thinks deeper and acts faster.\n"
        "2. **Qwen3-Coder** (July 2025): coding as an agent.\n"
        "3. **Qwen3-Next** (September 2025): more efficient.\n",
        "根据该网页，Qwen 的最新进展有：\n\n"
        "1. **Qwen3**（2025 年 4 月）：思考更深，行动更快。\n"
        "2. **Qwen3-Coder**（2025 年 7 月）：智能体编程。\n"
        "3. **Qwen3-Next**（2025 年 9 月）：效率更高。\n",
    )
    call = ToolCall("fetch-fetch", json.dumps({"url": ADDRESS}))
    first: Sequence[Step] = (
        ReasoningDelta(thought, 16),
        ToolCallRequested(call),
        finished(StopReason.TOOL_CALLS),
    )
    engine = PacedEngine(
        first, (ReasoningDelta(say("Three posts.", "共三篇。"), 5), AnswerDelta(answer, 70), finished())
    )
    engine.model = replace(MODEL, n_ctx=32_768)
    return engine


async def answer(app: Harness, key: str) -> None:
    """Wait until a question can be answered, leave it for a moment, and answer it."""
    await app.until(lambda: getattr(app.app.screen, "is_armed", False))
    await asyncio.sleep(KEY_PAUSE_S)
    await app.pilot.press(key)


async def seeds() -> str:
    """Record the question of the example from the first key to the unfolded result."""
    async with app_with(seeds_model(), ("mcp:fetch",), ("fetch",)) as app:
        recorder = Recorder(app)
        recording = asyncio.create_task(recorder.record())
        recorder.caption(
            "A scripted model; the MCP server and the page are real",
            "模型按脚本回答；MCP 服务器和网页都是真的",
        )
        await asyncio.sleep(1.0)
        question = say("Introduce the latest developments of Qwen", "介绍 Qwen 的最新进展")
        await type_and_send(app, f"{ADDRESS} {question}")
        recorder.caption("What would start is shown whole", "将要启动什么，完整显示")
        await answer(app, "1")
        await app.until(lambda: app.app.screen is app.screen)
        recorder.caption("The model asks for the page; you decide", "模型请求抓取网页，由你决定")
        await answer(app, "1")
        await app.until(lambda: not app.screen.is_answering)
        recorder.caption("Ctrl+O unfolds what the tool returned", "Ctrl+O 展开工具返回的内容")
        await asyncio.sleep(2.0)
        await app.pilot.press("ctrl+o")
        await asyncio.sleep(4.0)
        recording.cancel()
        return animate(recorder.frames(), say("A question about a web page", "关于一个网页的问题"))


async def still(app: Harness, title: str) -> str:
    """Return what is on the screen once nothing moves any longer."""
    await asyncio.sleep(SETTLE_S)
    await app.pilot.pause()
    return animate([Frame(app.app.export_screenshot(), 1)], title)


async def tools() -> str:
    """Show the list of tools."""
    async with app_with(FakeEngine(), ("now", "calculator", "fetch")) as app:
        app.screen.action_tools()
        await app.sees(t("ui.tools.title"))
        return await still(app, t("ui.tools.title"))


async def servers() -> str:
    """Show the list of servers: one runs, one does not, one is missing."""
    async with app_with(FakeEngine(), (), ("time", "fetch", "notes")) as app:
        app.screen.action_tools("servers")
        await app.sees(t("ui.mcp.title"))
        await app.pilot.press("enter")
        await answer(app, "1")
        await app.sees(t("ui.mcp.state.ready"))
        return await still(app, t("ui.mcp.title"))


async def plot() -> str:
    """Show code that drew a picture, and its result."""
    call = ToolCall("python", json.dumps({"code": PLOT}))
    last = AnswerDelta(say("The sine is drawn in `sine.png`.", "正弦曲线画在 `sine.png` 里。"), 9)
    engine = FakeEngine((ToolCallRequested(call), finished(StopReason.TOOL_CALLS)), (last, finished()))
    async with app_with(engine, ("python",)) as app:
        await app.say(say("Plot the sine.", "画出正弦曲线。"))
        await answer(app, "1")
        await app.until(lambda: not app.screen.is_answering)
        await app.pilot.press("ctrl+up", "ctrl+up")
        return await still(app, say("Code that draws a picture", "画图的代码"))


SCENES: dict[str, Callable[[], Coroutine[None, None, str]]] = {
    "seeds": seeds,
    "picker": tools,
    "servers": servers,
    "plot": plot,
}


def take(scene: Callable[[], Coroutine[None, None, str]]) -> str:
    """Return the picture of a scene, which plays in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # paths on the screen are relative
        Path("config.toml").write_text('theme = "qwen-dark"\nreduced_motion = true\n', "utf-8")
        try:
            return asyncio.run(scene())
        finally:
            os.chdir(PICTURES)


def main() -> None:
    """Take all pictures, or those that are named."""
    write_uvx()
    os.environ["PATH"] = f"{BIN}:{os.environ['PATH']}"
    wanted = sys.argv[1:] or list(SCENES)
    with served(PAGE, PORT):
        for language in Language:
            for name in wanted:
                set_language(language)
                file = PICTURES / f"tools-{name}-{language.value}.svg"
                file.write_text(take(SCENES[name]), "utf-8")
                print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
