"""Write docs/screens.md and its Chinese twin anew: the app with the demo model, in `.venv`.

`python scripts/screens_document.py` runs the scenes below in both languages, within two minutes.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from moving_pictures import SlowedEngine
from qwen3_chat.chat import ThinkingMode
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.request import LoadSettings
from qwen3_chat.texts import Language, set_language
from qwen3_chat.ui.turn_view import TurnPhase
from tests.harness import Harness, open_app
from tests.pictures.texts import say

DOCS = Path(__file__).resolve().parent.parent / "docs"
DOCUMENTS = {Language.EN: DOCS / "screens.md", Language.ZH: DOCS / "zh" / "screens.md"}
SMALL = (80, 24)
STILL_S = 0.5
_INTRODUCTIONS = {
    Language.EN: "# Screens\n\nThe app with its demo model, taken by `python scripts/screens_document.py`.",
    Language.ZH: "# 界面截图\n\n应用本身，使用自带的演示模型，由 `python scripts/screens_document.py` 截取。",
}


@dataclass(frozen=True)
class Scene:
    """A heading in both languages, and what is done before the screen is taken."""

    english: str
    chinese: str
    act: Callable[[Harness], Awaitable[None]]
    size: tuple[int, int] = SMALL
    engine: Callable[[str], LocalEngine] = lambda log: LocalEngine(LoadSettings(str(DEMO_FILE)), Path(log))
    waits_for_model: bool = True


def slowed(log: str) -> LocalEngine:
    """Return the demo model at the pace of a larger one."""
    return SlowedEngine(LoadSettings(str(DEMO_FILE)), Path(log))


def no_model(log: str) -> LocalEngine:
    """Return an engine whose file is no model."""
    Path("README.md").write_text("# Read me\n" * 99, "utf-8")
    return LocalEngine(LoadSettings("README.md"), Path(log))


async def welcome(app: Harness) -> None:
    """Show the welcome."""


async def first_turn(app: Harness) -> None:
    """Ask the first question."""
    await app.turn(say("How many r's in strawberries?", "strawberries里有几个字母r？"))


async def unfolded(app: Harness) -> None:
    """Unfold the thinking."""
    await first_turn(app)
    await app.pilot.press("ctrl+o")


async def without_thinking(app: Harness) -> None:
    """Switch the thinking off by a tag."""
    await first_turn(app)
    await app.turn(say("Then, how many r's in blueberries? /no_think", "那blueberries里有几个r？ /no_think"))


async def thinking_again(app: Harness) -> None:
    """Switch it on again."""
    await without_thinking(app)
    await app.turn(say("Really? /think", "真的吗？ /think"))


async def thinking(app: Harness) -> None:
    """Stay in the thinking."""
    await app.say(say("How many r's in strawberries?", "strawberries里有几个字母r？"))
    await app.sees("r(1")


async def waiting(app: Harness) -> None:
    """Send two messages while an answer is written."""
    await app.pilot.press("ctrl+t")
    await app.until(lambda: app.session.mode is ThinkingMode.NO_THINK)
    await app.say(say("Write a story.", "讲个故事。"))
    await app.until(lambda: app.screen.turn.phase is TurnPhase.ANSWERING)
    await app.say(say("And how many r's in blueberries?", "那blueberries里有几个r？"))
    await app.say(say("Which has more?", "哪个更多？"))


async def chats(app: Harness) -> None:
    """Open the list of chats."""
    for question in say(
        "How are you?|345 + 678?|Show me a table.", "你好！|345 + 678 = ?|给我看一个表格。"
    ).split("|"):
        await app.turn(question)
        await app.pilot.press("ctrl+n")
    await app.pilot.press("ctrl+r")


async def marked(app: Harness) -> None:
    """Mark the second version of an answer."""
    await first_turn(app)
    await app.pilot.press("f5")
    await app.until(lambda: app.shows("2/2") and not app.screen.is_answering)
    await app.pilot.press("ctrl+up")


async def found(app: Harness) -> None:
    """Open a hit in a thought, from the chats at the side."""
    await first_turn(app)
    await app.pilot.press("ctrl+b")
    await asyncio.sleep(STILL_S)
    await app.pilot.press(*say("letter", "数一数"))
    await asyncio.sleep(2 * STILL_S)
    await app.pilot.press("down", "enter")


async def options(app: Harness) -> None:
    """Open what is chosen for one chat."""
    await first_turn(app)
    await app.pilot.press("ctrl+l")


async def help_page(app: Harness) -> None:
    """Open the help."""
    await first_turn(app)
    await app.pilot.press("f1")


async def failed(app: Harness) -> None:
    """Wait for the sentence about the file."""
    await app.sees("README.md")


async def small(app: Harness) -> None:
    """Ask on a small screen."""
    await app.turn("12 + 30 = ?")


SCENES = [
    Scene("First start, without a model, 80×24", "首次启动，没有模型，80×24", welcome),
    Scene("Thinking live", "思考实时显示", thinking, engine=slowed),
    Scene("Thinking folded when the answer starts", "开始回答时思考折叠", first_turn),
    Scene("Unfolded with Ctrl+O", "按 Ctrl+O 展开", unfolded),
    Scene("The next turn does not think", "下一轮不思考", without_thinking),
    Scene("And thinks again", "再次思考", thinking_again),
    Scene("Messages that wait for the end of the answer", "等待回答结束的消息", waiting, engine=slowed),
    Scene("The list of chats", "对话列表", chats),
    Scene("A marked message, which one letter acts on", "选中的消息，用一个字母操作", marked),
    Scene(
        "Found in a thought, from the chats at the side, 110×24",
        "从侧边列表在思考中找到，110×24",
        found,
        (110, 24),
    ),
    Scene("What is chosen for one chat", "本对话的选项", options),
    Scene("Help", "帮助", help_page),
    Scene("A file that is no model", "不是模型的文件", failed, engine=no_model, waits_for_model=False),
    Scene("40×12", "40×12", small, (40, 12)),
]


async def take(scene: Scene) -> str:
    """Return the rows of the screen of a scene, played in the current folder."""
    engine = scene.engine("engine.log")
    try:
        async with open_app(Path(), engine, scene.size) as app:
            app.screen.input.cursor_blink = False
            await app.until(lambda: engine.model is not None or not scene.waits_for_model)
            await scene.act(app)
            await asyncio.sleep(STILL_S)
            return "\n".join(row.rstrip() for row in app.rows()).rstrip()
    finally:
        await engine.close()


def main() -> None:
    """Write both documents."""
    for language, document in DOCUMENTS.items():
        set_language(language)
        parts = [_INTRODUCTIONS[language]]
        for scene in SCENES:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)  # paths on the screen are relative
                rows = asyncio.run(take(scene))
                os.chdir(DOCS)
            parts.append(f"## {say(scene.english, scene.chinese)}\n\n```text\n{rows}\n```")
        document.write_text("\n\n".join(parts) + "\n", "utf-8")


if __name__ == "__main__":
    main()
