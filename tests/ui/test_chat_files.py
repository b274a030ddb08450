"""The files that tools have written, from the marked result to the message that is being written."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ToolCallRequested
from qwen3_chat.session import TurnOptions
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.tool import Arguments, Reach, Tool
from qwen3_chat.ui.screens.chat_files_screen import ChatFilesScreen
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, open_app

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)
CALL = (ToolCallRequested(ToolCall("python", '{"code": "plot()"}')), finished(StopReason.TOOL_CALLS))
ANSWER = (AnswerDelta("There it is.", 3), finished())


class Plots(Toolbox):
    """A toolbox whose `python` has written files."""

    def __init__(self) -> None:
        super().__init__()

        async def run(arguments: Arguments) -> str:
            return "[Files written: plot.png, table.csv]"

        self._made = {"python": Tool("python", "", {"type": "object"}, run, Reach.NOTHING)}


async def make_files(app: Harness) -> None:
    """Have a call made, and the files be there that its result names."""
    await app.turn("Plot it.")
    folder = app.store.chat_folder(app.session.chat_id or 0)
    (folder / "plot.png").write_bytes(PNG)
    (folder / "table.csv").write_text("city,people\nBeijing,21\n")


async def open_list(app: Harness) -> ChatFilesScreen:
    """Mark the result and open the list of its files."""
    await app.pilot.press("alt+up", "up", "o")
    await app.until(lambda: isinstance(app.app.screen, ChatFilesScreen))
    screen = app.app.screen
    assert isinstance(screen, ChatFilesScreen)
    await app.sees("Files that tools have written")
    return screen


def choose(screen: ChatFilesScreen, name: str) -> None:
    screen.options.highlighted = next(index for index, file in enumerate(screen._files) if file.name == name)


async def test_a_plot_is_opened_and_a_table_attached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = list[str]()
    async with open_app(
        tmp_path, FakeEngine(CALL, ANSWER), options=TurnOptions(tools=("python",)), toolbox=Plots()
    ) as app:
        monkeypatch.setattr(app.app, "open_url", opened.append)
        await make_files(app)
        screen = await open_list(app)
        choose(screen, "plot.png")
        await app.pilot.press("o")
        await app.until(lambda: bool(opened))
        assert opened == [(app.store.files_path(app.session.chat_id or 0) / "plot.png").as_uri()]
        choose(screen, "table.csv")
        await app.pilot.press("o")
        await app.pilot.press("enter")
        await app.until(lambda: bool(app.screen.input.attachments))
        (attached,) = app.screen.input.attachments
        assert (attached.name, attached.text) == ("table.csv", "city,people\nBeijing,21\n")
        assert len(opened) == 1


async def test_a_picture_can_not_be_attached_and_a_sentence_says_so(tmp_path: Path) -> None:
    async with open_app(
        tmp_path, FakeEngine(CALL, ANSWER), options=TurnOptions(tools=("python",)), toolbox=Plots()
    ) as app:
        await make_files(app)
        choose(await open_list(app), "plot.png")
        await app.pilot.press("enter")
        await app.sees("reads")  # a word: the sentence is folded by the length of a path


async def test_only_a_result_that_names_files_has_the_key(tmp_path: Path) -> None:
    async with open_app(
        tmp_path, FakeEngine(CALL, ANSWER), options=TurnOptions(tools=("python",)), toolbox=Plots()
    ) as app:
        await app.turn("Plot it.")
        await app.pilot.press("alt+up")
        assert not app.screen.check_action("message", ("files",))
        await app.pilot.press("up")
        assert app.screen.check_action("message", ("files",))
        await app.pilot.press("o")
        await app.sees("No tool has written a file in this chat.")
