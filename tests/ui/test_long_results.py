"""Long results in the chat screen: what is shown of them, and where the rest is."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, ToolCallRequested
from qwen3_chat.record_copies import replace
from qwen3_chat.session import TurnOptions
from qwen3_chat.tools.tool import Arguments, Reach, Tool
from tests.fakes import MODEL, FakeEngine, finished
from tests.harness import Harness, open_app
from tests.session.test_tool_turns import OwnTools

PAGE = "A line of the page.\n" * 4_000


async def fetch(arguments: Arguments) -> str:
    return PAGE


TOOLS = OwnTools([Tool("fetch", "", {"type": "object"}, fetch, Reach.NOTHING)])


async def ask(app: Harness) -> None:
    await app.say("Fetch the page")
    await app.sees("It is long.")
    await app.until(lambda: not app.screen.is_answering)


def unwrapped(app: Harness) -> str:
    """Return the text on the screen without the ends of its rows."""
    return "".join(row.strip(" ·▁▂▃▄▅▆▇█") for row in app.rows())


def fetching() -> FakeEngine:
    called = (ToolCallRequested(ToolCall("fetch", "{}")), finished(StopReason.TOOL_CALLS))
    engine = FakeEngine(called, (AnswerDelta("It is long.", 3), finished()))
    engine.model = replace(MODEL, n_ctx=40_960)
    return engine


async def test_a_note_names_the_file_of_the_whole_result(tmp_path: Path) -> None:
    options = TurnOptions(tools=("fetch",))
    async with open_app(tmp_path, fetching(), (120, 40), options=options, toolbox=TOOLS) as app:
        await ask(app)
        (file,) = (tmp_path / "results").iterdir()
        assert file.read_text("utf-8") == PAGE
        assert app.shows("▸ fetch · done · 1,0")
        (result,) = (view for view in app.screen.transcript.transcript_layout.message_views if view.reasoning)
        assert result.reasoning.endswith("\n[60,000 more characters]")
        assert app.shows("The whole result, 80,000 characters:")
        assert str(file) in unwrapped(app)
        (chat,) = await app.store.chats()
    async with open_app(tmp_path, FakeEngine(), (120, 40), resume=chat.id) as app:
        await app.sees("It is long.")
        assert str(file) in unwrapped(app)


async def test_a_result_that_was_not_saved_says_why_and_the_chat_goes_on(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file in the way", "utf-8")
    options = TurnOptions(tools=("fetch",))
    async with open_app(tmp_path, fetching(), (120, 40), options=options, toolbox=TOOLS) as app:
        await ask(app)
        assert app.shows("was not saved: the disk is full or can't be written to.")
        assert app.shows("It is long.")


@pytest.mark.parametrize("size", [(60, 18), (80, 24)])
async def test_the_note_is_whole_on_a_small_screen(tmp_path: Path, size: tuple[int, int]) -> None:
    options = TurnOptions(tools=("fetch",))
    async with open_app(tmp_path, fetching(), size, options=options, toolbox=TOOLS) as app:
        await ask(app)
        (file,) = (tmp_path / "results").iterdir()
        assert str(file) in unwrapped(app)


async def test_a_note_names_the_folder_of_the_files_that_code_wrote(tmp_path: Path) -> None:
    async def plot(arguments: Arguments) -> str:
        return "9\n[Files written: plot.png]"

    tools = OwnTools([Tool("python", "", {"type": "object"}, plot, Reach.NOTHING)])
    called = (ToolCallRequested(ToolCall("python", "{}")), finished(StopReason.TOOL_CALLS))
    engine = FakeEngine(called, (AnswerDelta("It is long.", 3), finished()))
    options = TurnOptions(tools=("python",))
    async with open_app(tmp_path, engine, (100, 40), options=options, toolbox=tools) as app:
        await ask(app)
        assert app.session.chat is not None
        note = f"Its files are in {app.store.files_path(app.session.chat.id)}"
        assert note.replace(" ", "") in unwrapped(app).replace(
            " ", ""
        )  # where it is folded depends on the path
