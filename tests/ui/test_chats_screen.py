from __future__ import annotations

from textual.widgets import OptionList

from qwen3_chat.ui.screens.chats import ChatsScreen
from tests.harness import Harness, Start


async def opened_list(app: Harness) -> OptionList:
    for title in ("First", "Second", "Third"):
        await app.turn(title)
        await app.pilot.press("ctrl+n")
    await app.pilot.press("ctrl+r")
    await app.until(lambda: isinstance(app.app.screen, ChatsScreen))
    options = app.app.screen.query_one(OptionList)
    await app.until(lambda: options.option_count == 3)
    return options


async def titles(app: Harness) -> list[str]:
    return [chat.title for chat in await app.store.chats()]


async def test_a_chat_is_renamed_and_escape_leaves_the_title_alone(start: Start) -> None:
    async with start() as app:
        options = await opened_list(app)
        await app.pilot.press("f2")
        await app.sees("New title")
        await app.pilot.press("ctrl+u", *"草莓", "enter")
        await app.until(lambda: options.option_count == 3 and app.shows("草莓"))
        assert await titles(app) == ["草莓", "Second", "First"]
        await app.pilot.press("f2", *"x", "escape")
        assert await titles(app) == ["草莓", "Second", "First"]
        assert isinstance(app.app.screen, ChatsScreen)


async def test_a_pinned_chat_comes_first(start: Start) -> None:
    async with start() as app:
        await opened_list(app)
        await app.pilot.press("down", "down", "f3")
        await app.sees("pinned")
        assert await titles(app) == ["First", "Third", "Second"]
        await app.pilot.press("f3")
        await app.until(lambda: not app.shows("pinned ·"))
        assert await titles(app) == ["Third", "Second", "First"]


async def test_a_deleted_chat_can_be_brought_back(start: Start) -> None:
    async with start() as app:
        options = await opened_list(app)
        await app.pilot.press("ctrl+d")
        await app.until(lambda: options.option_count == 2)
        await app.pilot.press("ctrl+d")
        await app.until(lambda: options.option_count == 1)
        assert await titles(app) == ["First"]
        await app.pilot.press("ctrl+z", "ctrl+z")
        await app.until(lambda: options.option_count == 3)
        assert await titles(app) == ["Third", "Second", "First"]


async def test_an_empty_list_says_so_and_offers_nothing_to_do(start: Start) -> None:
    async with start() as app:
        await app.pilot.press("ctrl+r")
        await app.sees("There are no chats yet.")
        await app.pilot.press("enter", "f2", "f3", "ctrl+d", "ctrl+z")
        assert isinstance(app.app.screen, ChatsScreen)
        await app.pilot.press("escape")
        assert not isinstance(app.app.screen, ChatsScreen)


async def test_the_key_bar_lists_each_key_once_in_the_declared_order(start: Start) -> None:
    async with start() as app:
        await opened_list(app)
        await app.sees("Enter Go on  F2 Rename  F3 Pin  ^D Delete  Esc Close")
