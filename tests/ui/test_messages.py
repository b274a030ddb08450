"""Tests of the actions on the marked message."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from qwen3_chat.chat import Role, ThinkingMode
from qwen3_chat.errors import StoreError
from qwen3_chat.events import AnswerDelta
from qwen3_chat.store.chat_store import utc_now
from qwen3_chat.store.records import StoredMessage
from qwen3_chat.ui.screens.code_blocks_screen import CodeBlocksScreen
from qwen3_chat.ui.screens.file_name_screen import FileNameScreen
from qwen3_chat.ui.turn_view import TurnPhase
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Harness, Start

CODE = (
    "Two ways:\n\n```python\nprint(1)\n```\n\n- then\n\n  ```sh\n  ls  -l\n  ```\n\n```svg\n<svg></svg>\n```"
)


def answers(*texts: str) -> FakeEngine:
    scripts: list[list[Step]] = [[AnswerDelta(text), finished()] for text in texts]
    return FakeEngine(*scripts)


def contents(app: Harness) -> list[str]:
    return [stored.message.content for stored in app.session.messages]


async def stored(app: Harness) -> list[StoredMessage]:
    assert app.session.chat is not None
    return list(await app.store.branch(app.session.chat.id))


def marked(app: Harness) -> str | None:
    return app.screen.marked.message.content if app.screen.marked else None


def _is(app: Harness, text: str) -> bool:
    return marked(app) == text


def _is_not(app: Harness, key: int | None) -> bool:
    return app.screen.transcript.marked != key


async def mark(app: Harness, text: str) -> None:
    """Press Up until the message with a text is marked."""
    message_id = next(m.id for m in app.session.messages if text in m.message.content)
    while app.screen.transcript.marked != message_id:
        before = app.screen.transcript.marked
        await app.pilot.press("ctrl+up")
        await app.until(partial(_is_not, app, before))


async def test_walking_through_messages_marks_them_and_escape_returns_to_the_input(start: Start) -> None:
    async with start(answers("Answer 1", "Answer 2")) as app:
        await app.turn("One")
        await app.turn("Two")
        for text in ("Answer 2", "Two", "Answer 1", "One", "One"):
            await app.pilot.press("ctrl+up")
            await app.until(partial(_is, app, text))
        await app.sees("▶ You")
        await app.pilot.press("down")
        assert marked(app) == "Answer 1"
        await app.pilot.press("escape")
        await app.until(lambda: app.screen.input.has_focus)
        assert app.screen.marked is None
        assert not app.shows("▶")


async def test_the_footer_shows_what_can_be_done_to_the_marked_message(start: Start) -> None:
    async with start(answers("Answer"), size=(120, 24)) as app:
        await app.turn("One")
        assert "E Edit" not in app.rows()[-1]
        await mark(app, "One")
        await app.until(lambda: "E Edit" in app.rows()[-1] and "D Delete" in app.rows()[-1])
        await mark_down(app)
        await app.until(lambda: "E Edit" not in app.rows()[-1] and "C Copy" in app.rows()[-1])


async def mark_down(app: Harness) -> None:
    await app.pilot.press("ctrl+down")


async def test_letters_are_letters_when_nothing_is_marked(start: Start) -> None:
    async with start(answers("Answer")) as app:
        await app.turn("One")
        await app.pilot.press(*"ermcbqd", "left", "delete")
        assert app.screen.input.text == "ermcbq"
        assert contents(app) == ["One", "Answer"]


async def test_typing_another_letter_returns_to_the_input(start: Start) -> None:
    async with start(answers("Answer")) as app:
        await app.turn("One")
        await app.pilot.press("ctrl+up", "x", "e")
        assert app.screen.input.text == "xe"
        assert app.screen.marked is None


async def test_an_earlier_question_is_changed_and_asked_again(start: Start) -> None:
    async with start(answers("Answer 1", "Answer 2", "Answer 3")) as app:
        await app.turn("One")
        await app.turn("Two")
        app.screen.input.text = "draft"
        await mark(app, "One")
        await app.pilot.press("e")
        assert app.screen.input.text == "One"
        await app.sees("Another version of your message")
        await app.pilot.press("!", "enter")
        await app.until(lambda: contents(app) == ["One!", "Answer 3"] and not app.screen.is_answering)
        assert [m.message.content for m in await stored(app)] == ["One!", "Answer 3"]
        assert app.screen.input.text == "draft"
        await app.sees("version 2/2")
        await mark(app, "One!")
        await app.pilot.press("left")
        await app.until(lambda: contents(app) == ["One", "Answer 1", "Two", "Answer 2"])
        assert [m.message.content for m in await stored(app)] == contents(app)


async def test_a_step_back_and_a_step_forward_are_inverse_after_an_edit(start: Start) -> None:
    async with start(answers("A1", "A2", "B1")) as app:
        await app.turn("One")
        await app.pilot.press("f5")
        await app.until(lambda: contents(app) == ["One", "A2"] and not app.screen.is_answering)
        await mark(app, "One")
        await app.pilot.press("e", "!", "enter")
        await app.until(lambda: contents(app) == ["One!", "B1"] and not app.screen.is_answering)
        rows = [["One!", "B1"], ["One", "A2"], ["One", "A1"]]
        for key, shown in (("f2", rows[1]), ("f2", rows[2]), ("f3", rows[1]), ("f3", rows[0])):
            await app.until(lambda: app.screen.versions.other(0) is not None)
            await app.pilot.press(key)
            await app.until(partial(_shows, app, shown))


def _shows(app: Harness, shown: list[str]) -> bool:
    return contents(app) == shown


async def test_editing_can_be_left_with_everything_as_it_was(start: Start) -> None:
    async with start(answers("Answer")) as app:
        await app.turn("One")
        app.screen.input.text = "draft"
        await mark(app, "One")
        await app.pilot.press("enter", "x", "escape")
        await app.until(lambda: app.screen.input.text == "draft")
        await app.turn("Two")
        assert contents(app)[:3] == ["One", "Answer", "Two"]


async def test_an_answer_in_the_middle_is_given_again(start: Start) -> None:
    async with start(answers("Answer 1", "Answer 2", "Answer 3")) as app:
        await app.turn("One")
        await app.turn("Two")
        await mark(app, "Answer 1")
        await app.pilot.press("r")
        await app.until(lambda: contents(app) == ["One", "Answer 3"] and not app.screen.is_answering)
        await app.sees("version 2/2")


async def test_an_answer_in_the_other_mode_is_a_version_of_the_answer(start: Start) -> None:
    engine = answers("Thought over", "Quick", "Next")
    async with start(engine) as app:
        await app.turn("One")
        await mark(app, "Thought over")
        await app.pilot.press("m")
        await app.until(lambda: contents(app) == ["One", "Quick"] and not app.screen.is_answering)
        assert engine.requests[-1].mode is ThinkingMode.NO_THINK
        assert [
            app.screen.versions.branch_versions.for_message(m.id).count for m in app.session.messages
        ] == [0, 2]
        assert app.session.mode_override is None
        await mark(app, "Quick")
        await app.pilot.press("left")
        await app.until(lambda: contents(app) == ["One", "Thought over"])
        await app.pilot.press("m")
        await app.until(lambda: contents(app) == ["One", "Next"] and not app.screen.is_answering)
        assert engine.requests[-1].mode is ThinkingMode.NO_THINK


async def test_a_mode_that_was_typed_is_not_overruled(start: Start) -> None:
    async with start(answers("Quick")) as app:
        await app.turn("One /no_think")
        await mark(app, "Quick")
        await app.pilot.press("m")
        await app.sees("edit it to have it")
        assert contents(app) == ["One /no_think", "Quick"]


async def test_a_deleted_message_comes_back_with_what_followed(start: Start) -> None:
    async with start(answers("Answer 1", "Answer 2")) as app:
        await app.turn("One")
        await app.turn("Two")
        await mark(app, "Answer 1")
        await app.pilot.press("d")
        await app.until(lambda: contents(app) == ["One"])
        await app.sees("Deleted, with")
        await app.pilot.press("ctrl+z")
        await app.until(lambda: contents(app) == ["One", "Answer 1", "Two", "Answer 2"])
        assert [m.message.content for m in await stored(app)] == contents(app)
        await app.until(lambda: marked(app) == "Answer 1")


async def test_undo_belongs_to_the_input_once_something_was_typed(start: Start) -> None:
    async with start(answers("Answer")) as app:
        await app.turn("One")
        await mark(app, "Answer")
        await app.pilot.press("delete")
        await app.until(lambda: contents(app) == ["One"])
        await app.pilot.press("escape", "x", "ctrl+z")
        assert app.screen.input.text == ""
        await app.pilot.press("ctrl+z")
        await app.until(lambda: contents(app) == ["One", "Answer"])


async def test_a_deleted_version_gives_way_to_the_one_before(start: Start) -> None:
    async with start(answers("Answer 1", "Answer 2")) as app:
        await app.turn("One")
        await app.pilot.press("f5")
        await app.until(lambda: contents(app) == ["One", "Answer 2"] and not app.screen.is_answering)
        await mark(app, "Answer 2")
        await app.pilot.press("d")
        await app.until(lambda: contents(app) == ["One", "Answer 1"])
        assert not app.screen.versions.branch_versions.for_latest.count


async def test_a_question_asked_in_two_modes_is_deleted_as_one(start: Start) -> None:
    async with start(answers("Thought over", "Quick")) as app:
        await app.turn("One")
        await mark(app, "Thought over")
        await app.pilot.press("m")
        await app.until(lambda: contents(app) == ["One", "Quick"] and not app.screen.is_answering)
        await mark(app, "One")
        await app.pilot.press("d")
        await app.until(lambda: contents(app) == [])
        assert await stored(app) == []
        await app.sees("Welcome")
        await app.pilot.press("ctrl+z")
        await app.until(lambda: contents(app) == ["One", "Quick"])


async def test_a_message_is_copied_and_quoted_as_it_was_written(start: Start) -> None:
    async with start(answers("**重点。**下文\n\nsecond line")) as app:
        await app.turn("One /no_think")
        await mark(app, "重点")
        await app.pilot.press("c")
        await app.until(lambda: app.app.clipboard == "**重点。**下文\n\nsecond line")
        await app.pilot.press("q")
        await app.until(lambda: app.screen.input.text == "> **重点。**下文\n>\n> second line\n\n")
        assert app.screen.input.has_focus


async def test_undoing_a_long_quote_leaves_the_input_in_order(start: Start) -> None:
    async with start(answers("\n\n".join(f"Line {number}" for number in range(40)))) as app:
        await app.turn("One")
        await mark(app, "Line 0")
        await app.pilot.press("q")
        await app.until(lambda: app.screen.input.text.count("\n") > 40)
        await app.pilot.press("ctrl+z")
        assert app.screen.input.text == ""
        await app.pilot.press("ctrl+y")
        assert app.screen.input.text.count("\n") > 40


async def test_what_was_deleted_a_month_ago_is_gone_after_the_next_start(start: Start) -> None:
    async with start(answers("Answer")) as app:
        await app.turn("One")
        await mark(app, "Answer")
        await app.pilot.press("d")
        await app.until(lambda: contents(app) == ["One"])
        app.store._clock = lambda: utc_now() + timedelta(days=31)
        app.screen.chats.purge()
        await app.until(lambda: all(worker.is_finished for worker in app.screen.workers))
        with pytest.raises(StoreError):
            await app.store.message(2)


async def test_a_code_block_is_copied_by_its_number(start: Start) -> None:
    async with start(answers(CODE)) as app:
        await app.turn("One")
        await mark(app, "Two ways")
        await app.pilot.press("b")
        await app.until(lambda: isinstance(app.app.screen, CodeBlocksScreen))
        await app.sees("python · 1 line")
        await app.pilot.press("2")
        await app.until(lambda: app.app.clipboard == "ls  -l")
        assert app.screen.marked is not None


async def test_code_is_saved_under_a_new_name_and_pictures_open_in_the_browser(
    start: Start, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    opened: list[str] = []
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    async with start(answers(CODE), size=(120, 30)) as app:
        monkeypatch.setattr(app.app, "open_url", opened.append)
        await app.turn("One")
        await mark(app, "Two ways")
        await app.pilot.press("b")
        await app.until(lambda: isinstance(app.app.screen, CodeBlocksScreen))
        for name in ("", "main", "main"):  # typed over the name without its ending
            await app.pilot.press("s")
            await app.until(lambda: isinstance(app.app.screen, FileNameScreen))
            await app.sees("Save code as")
            await app.pilot.press(*name, "enter")
            await app.until(lambda: isinstance(app.app.screen, CodeBlocksScreen))
        await app.until(lambda: len(list(work.iterdir())) == 3)
        assert {path.name for path in work.iterdir()} == {"code.py", "main.py", "main (2).py"}
        assert (work / "main.py").read_text() == "print(1)\n"
        await app.pilot.press("s", "escape", "o")
        assert not opened
        await app.pilot.press("down", "down", "o")
        await app.until(lambda: opened)
        assert opened == [(app.exports / "code.svg").as_uri()]


async def test_while_an_answer_is_written_a_message_can_be_copied_but_not_changed(start: Start) -> None:
    gate = asyncio.Event()
    engine = FakeEngine([AnswerDelta("Half"), gate, AnswerDelta(" and whole"), finished()])
    async with start(engine) as app:
        await app.say("One")
        await app.until(lambda: app.screen.turn.phase is TurnPhase.ANSWERING and app.shows("Half"))
        await app.pilot.press("ctrl+up", "c")
        await app.until(lambda: app.app.clipboard == "Half")
        await app.pilot.press("d")
        await app.sees("still being")
        assert [m.message.role for m in app.session.messages] == [Role.USER, Role.ASSISTANT]
        gate.set()
        await app.until(lambda: not app.screen.is_answering)
        assert contents(app) == ["One", "Half and whole"]


async def test_a_click_on_a_header_marks_its_message(start: Start) -> None:
    async with start(answers("Answer")) as app:
        await app.turn("One")
        await app.sees("Answer")
        row = next(y for y, text in enumerate(app.rows()) if "You" in text)
        await app.pilot.click(offset=(6, row))
        await app.until(lambda: marked(app) == "One")
        await app.pilot.click(offset=(6, row))
        await app.until(lambda: app.screen.marked is None)


async def test_a_new_chat_begins_from_a_message_and_leaves_the_other_alone(start: Start) -> None:
    async with start(answers("Three.", "Four.", "Five.")) as app:
        await app.turn("One")
        await app.turn("Two")
        old = app.session.chat_id
        await mark(app, "Three.")
        await app.pilot.press("f")
        await app.until(lambda: app.session.chat_id != old)
        await app.until(lambda: contents(app) == ["One", "Three."])
        assert await app.store.branch(app.session.chat_id or 0) == app.session.messages
        await app.turn("Else")
        assert contents(app) == ["One", "Three.", "Else", "Five."]
        assert [m.message.content for m in await app.store.branch(old or 0)] == [
            "One",
            "Three.",
            "Two",
            "Four.",
        ]
