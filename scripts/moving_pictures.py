"""Take the moving pictures of both READMEs: the app itself with the demo model, in `.venv`.

`python scripts/moving_pictures.py` writes docs/pictures/chat-{en,zh}-{dark,light}.svg.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

from animated_svg import Frame, animate

sys.path.insert(0, str(Path(__file__).parent.parent))

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.demo import DEMO_FILE
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineEvent, EventSink, ReasoningDelta, TurnFinished
from qwen3_chat.request import ChatRequest, LoadSettings
from qwen3_chat.texts import Language, current_language, set_language
from qwen3_chat.ui.turn_view import TurnPhase
from tests.harness import Harness, open_app
from tests.pictures.texts import say

PICTURES = Path(__file__).resolve().parent.parent / "docs" / "pictures"
THEMES = {"dark": "qwen-dark", "light": "qwen-light"}
SIZE = (80, 22)
PIECE_CHARS, PIECE_S = {Language.EN: 3, Language.ZH: 2}, 0.05
"""The pieces that a reply is shown in, and their pace: that of a larger model."""
KEY_S, FRAME_S = 0.05, 0.1


def picture_file(language: Language, shade: str) -> Path:
    """Return the file of a picture."""
    return PICTURES / f"chat-{language.value}-{shade}.svg"


class SlowedEngine(LocalEngine):
    """The demo model at the pace of a larger one, so that the eye can follow."""

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Generate a reply, then hand it on piece by piece."""
        events: list[EngineEvent] = []
        end = await super().generate(request, events.append)
        await replay(events, on_event, PIECE_CHARS[current_language()], PIECE_S)
        return end


async def replay(
    events: Sequence[EngineEvent], on_event: EventSink, piece_chars: int, piece_s: float
) -> None:
    """Hand the events of a reply on, its text in pieces with a pause after each, in seconds."""
    for event in events:
        if not isinstance(event, ReasoningDelta | AnswerDelta):
            on_event(event)
            continue
        for start in range(0, len(event.text), piece_chars):
            on_event(type(event)(event.text[start : start + piece_chars], event.tokens))
            await asyncio.sleep(piece_s)


class Recorder:
    """The frames of a running app, each for as long as it was seen."""

    def __init__(self, app: Harness) -> None:
        self._app = app
        self._caption = ""
        self._began = monotonic()
        self._moments: list[tuple[str, str, float]] = []

    def caption(self, english: str, chinese: str) -> None:
        """Say something about the frames from now on."""
        self._caption = say(english, chinese)

    async def record(self) -> None:
        """Take a frame whenever something has changed, until the task is cancelled."""
        while True:
            moment = (self._app.app.export_screenshot(), self._caption)
            if not self._moments or self._moments[-1][:2] != moment:
                self._moments.append((*moment, monotonic() - self._began))
            await asyncio.sleep(FRAME_S)

    def frames(self) -> list[Frame]:
        """Return what was recorded."""
        ends = [start for _, _, start in self._moments[1:]] + [monotonic() - self._began]
        return [
            Frame(picture, end - start, caption)
            for (picture, caption, start), end in zip(self._moments, ends, strict=True)
        ]


async def play(app: Harness, recorder: Recorder) -> None:
    """Show what the picture is to show."""
    await asyncio.sleep(1.2)
    await type_and_send(app, say("How many r's in strawberries?", "strawberries里有几个字母r？"))
    recorder.caption("The thinking streams …", "思考过程实时显示……")
    await app.until(lambda: app.screen.is_answering)
    await app.until(lambda: app.screen.turn.phase is TurnPhase.ANSWERING)
    recorder.caption("… and folds when the answer begins", "……开始回答时自动折叠")
    await app.until(lambda: not app.screen.is_answering)
    await asyncio.sleep(1.5)
    recorder.caption("Ctrl+O unfolds it: counted, stored, searchable", "Ctrl+O 展开：有计数、会保存、可搜索")
    await app.pilot.press("ctrl+o")
    await asyncio.sleep(2.5)
    await app.pilot.press("ctrl+o")
    recorder.caption("Ctrl+T: the next answer without thinking", "Ctrl+T：下一个回答不思考")
    await app.pilot.press("ctrl+t")
    await app.until(lambda: app.session.mode is ThinkingMode.NO_THINK)
    await asyncio.sleep(1.0)
    await type_and_send(app, say("Show me a letter counter in Python.", "用Python写统计字母的程序。"))
    await app.until(lambda: app.screen.is_answering)
    await app.until(lambda: not app.screen.is_answering)
    recorder.caption("Every chat is kept, on this machine", "每个对话都保存在本机")
    await asyncio.sleep(3.5)


async def type_and_send(app: Harness, text: str) -> None:
    """Type a message key by key and send it."""
    for character in text:
        app.screen.input.insert(character)
        await asyncio.sleep(KEY_S * len(character.encode()))
    await asyncio.sleep(0.4)
    await app.pilot.press("enter")


async def take_picture(language: Language, theme: str, folder: Path) -> Sequence[Frame]:
    """Run the app in a theme and return its frames."""
    set_language(language)
    os.chdir(folder)  # paths on the screen are relative
    (folder / "config.toml").write_text(f'theme = "{theme}"\nreduced_motion = true\n', "utf-8")
    engine = SlowedEngine(LoadSettings(str(DEMO_FILE)), folder / "engine.log")
    try:
        async with open_app(Path(), engine, SIZE) as app:
            app.screen.input.cursor_blink = False
            await app.until(lambda: engine.model is not None)
            recorder = Recorder(app)
            recording = asyncio.create_task(recorder.record())
            await play(app, recorder)
            recording.cancel()
            return recorder.frames()
    finally:
        await engine.close()


def main() -> None:
    """Take all four pictures."""
    PICTURES.mkdir(exist_ok=True)
    for language in Language:
        for shade, theme in THEMES.items():
            with tempfile.TemporaryDirectory() as folder:
                frames = asyncio.run(take_picture(language, theme, Path(folder)))
                os.chdir(PICTURES)
            title = say("qwen3-chat answers a question", "qwen3-chat 回答问题")
            file = picture_file(language, shade)
            file.write_text(animate(frames, title), "utf-8")
            print(f"{file.name}: {len(frames)} frames, {file.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
