"""Tests of going to a search hit, from the list of chats and from the sidebar."""

from __future__ import annotations

import pytest

from qwen3_chat.events import AnswerDelta, ReasoningDelta
from qwen3_chat.ui.screens.chats_screen import ChatsScreen
from tests.fakes import FakeEngine, Step, finished
from tests.harness import Harness, Start


def replies(*texts: tuple[str, str]) -> FakeEngine:
    scripts: list[list[Step]] = [
        [ReasoningDelta(thinking, 3), AnswerDelta(answer), finished()] for thinking, answer in texts
    ]
    return FakeEngine(*scripts)


LONG = "\n\n".join(f"Paragraph {number}." for number in range(60))


async def search(app: Harness, text: str) -> None:
    await app.pilot.press("ctrl+r")
    await app.until(lambda: isinstance(app.app.screen, ChatsScreen))
    await app.pilot.press(*text)
    await app.until(lambda: isinstance(app.app.screen, ChatsScreen) and app.app.screen.chats._hits)
    await app.pilot.press("enter")
    await app.until(lambda: app.app.screen is app.screen)


def marked(app: Harness) -> str:
    return app.screen.marked.message.content if app.screen.marked else ""


@pytest.mark.parametrize(
    ("query", "hit", "seen"),
    [
        ("pumpernickel", "Paragraph", "Pumpernickel"),
        ("天气", "Paragraph", "北京的天气"),
        ("ruminate", "Second answer", "Let me ruminate"),
    ],
    ids=["an English word", "two Chinese characters", "thinking"],
)
async def test_a_chat_opens_where_it_holds_what_was_searched_for(
    start: Start, query: str, hit: str, seen: str
) -> None:
    first = f"{LONG}\n\nPumpernickel, or 北京的天气。\n\n{LONG}"
    async with start(replies(("Hm.", first), ("Let me ruminate.", "Second answer"))) as app:
        await app.turn("One")
        await app.turn("Two")
        await app.pilot.press("ctrl+n")
        await search(app, query)
        await app.until(lambda: hit in marked(app) and app.shows(seen))
        assert app.screen.transcript.search_text == query


async def test_a_hit_on_another_branch_brings_that_branch_back(start: Start) -> None:
    async with start(replies(("", "About pears"), ("", "About plums"))) as app:
        await app.turn("One")
        await app.pilot.press("f5")
        await app.until(lambda: not app.screen.is_answering and app.shows("About plums"))
        await search(app, "pears")
        await app.until(lambda: marked(app) == "About pears")
        assert app.session.chat is not None
        head = (await app.store.branch(app.session.chat.id))[-1]
        assert head.message.content == "About pears"


async def test_letters_walk_from_hit_to_hit_and_escape_ends_it(start: Start) -> None:
    async with start(replies(("", "pears 1"), ("", "plums"), ("", "pears 3"))) as app:
        for text in ("One", "Two", "Three"):
            await app.turn(text)
        await search(app, "pears")
        await app.until(lambda: marked(app) == "pears 3")
        await app.pilot.press("n")
        await app.until(lambda: marked(app) == "pears 1")
        await app.pilot.press("p")
        await app.until(lambda: marked(app) == "pears 3")
        await app.pilot.press("escape")
        await app.until(lambda: app.screen.input.has_focus)
        assert not app.screen.transcript.search_text
        await app.pilot.press("n")
        assert app.screen.input.text == "n"


async def test_the_list_at_the_side_opens_chats_and_stays_where_there_is_room(start: Start) -> None:
    async with start(size=(120, 30)) as app:
        await app.turn("First")
        await app.pilot.press("ctrl+n")
        await app.turn("Second")
        await app.pilot.press("ctrl+b")
        await app.until(lambda: app.screen.sidebar.options.option_count == 2)
        await app.sees("● Second")
        await app.pilot.press("down", "enter")
        await app.until(lambda: app.session.chat and app.session.chat.title == "First")
        await app.sees("● First")
        assert app.screen.input.has_focus
        await app.pilot.press("ctrl+b", "f2", "ctrl+u", *"Pears", "enter")
        await app.sees("● Pears")
        await app.until(lambda: "Pears" in app.rows()[0])
        await app.pilot.press("ctrl+b")
        await app.until(lambda: not app.screen.sidebar.display)


async def test_the_list_lies_over_a_narrow_chat_and_leaves_once_one_is_chosen(start: Start) -> None:
    async with start(size=(80, 24)) as app:
        await app.turn("First")
        width = app.screen.transcript.size.width
        await app.pilot.press("ctrl+b")
        await app.sees("● First")
        assert app.screen.transcript.size.width == width
        await app.pilot.press("enter")
        await app.until(lambda: not app.screen.sidebar.display and app.screen.input.has_focus)


async def test_deleting_the_open_chat_at_the_side_leaves_it(start: Start) -> None:
    async with start(size=(120, 30)) as app:
        await app.turn("First")
        await app.pilot.press("ctrl+b")
        await app.sees("● First")
        await app.pilot.press("ctrl+d")
        await app.until(lambda: app.session.chat is None)
        await app.sees("There are no chats yet.")
        await app.pilot.press("ctrl+z")
        await app.sees("First")


async def test_two_quick_presses_of_enter_open_one_chat(start: Start) -> None:
    async with start() as app:
        await app.turn("First")
        await app.pilot.press("ctrl+r")
        await app.until(lambda: isinstance(app.app.screen, ChatsScreen))
        screen = app.app.screen
        assert isinstance(screen, ChatsScreen)
        await app.until(lambda: screen.chats.options.option_count == 1)
        await screen.chats.action_resume()
        await screen.chats.action_resume()
        await app.until(lambda: app.app.screen is app.screen)
        assert app.session.chat is not None
