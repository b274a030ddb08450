from __future__ import annotations

import asyncio

from textual.widgets import OptionList

from qwen3_chat.events import AnswerDelta
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from qwen3_chat.ui.screens.chats_screen import ChatsScreen
from qwen3_chat.ui.screens.help_screen import HelpScreen
from qwen3_chat.ui.widgets.chat_list import ChatChoice, ChatList
from tests.fakes import FakeEngine, finished
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
        await app.pilot.press(*"草莓", "enter")  # what is typed replaces the title
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
        await app.sees("Enter Open  F2 Rename  F3 Pin  ^D Delete  Esc Close")


async def test_the_list_opens_once_however_quickly_it_is_asked_for(start: Start) -> None:
    async with start() as app:
        await app.turn("First")
        app.screen.action_chats()
        app.screen.action_chats()
        await app.sees("Search titles")
        assert [type(screen) for screen in app.app.screen_stack[-2:]] == [ChatScreen, ChatsScreen]
        await app.pilot.press("escape")
        assert app.app.screen is app.screen
        await app.until(lambda: all(worker.is_finished for worker in app.screen.workers))


async def test_a_choice_that_was_on_its_way_when_help_was_opened_closes_neither(start: Start) -> None:
    async with start() as app:
        await opened_list(app)
        chats = app.app.screen
        await app.pilot.press("f1")
        assert isinstance(app.app.screen, HelpScreen)
        chats.post_message(ChatList.Chosen(ChatChoice(1)))
        await app.pilot.pause()
        assert isinstance(app.app.screen, HelpScreen)
        await app.pilot.press("escape")
        assert app.app.screen is chats
        await app.pilot.press("enter")
        await app.until(lambda: app.session.chat and app.session.chat.title == "Third")


async def test_a_chat_that_is_deleted_while_an_answer_begins_in_it_is_there_again(start: Start) -> None:
    may_end = asyncio.Event()
    async with start(
        FakeEngine([AnswerDelta("It ", 1), may_end, AnswerDelta("stays.", 2), finished()])
    ) as app:
        await app.say("First")
        await app.sees("It")
        assert app.session.chat_id is not None
        await app.store.delete_chat(app.session.chat_id)
        app.screen.post_message(ChatList.Deleted(app.session.chat_id))
        await app.pilot.pause()
        may_end.set()
        await app.sees("It stays.")
        await app.until(lambda: not app.screen.is_answering)
        assert await titles(app) == ["First"]
        assert [stored.message.content for stored in app.session.messages] == ["First", "It stays."]


async def test_the_welcome_offers_the_last_chat_and_a_command_continues_it(start: Start) -> None:
    async with start() as app:
        await app.turn("Talk of pears")
        await app.pilot.press("ctrl+n")
        await app.sees("continues your last chat, “Talk of pears”")
        await app.pilot.press(*"/continue_last", "enter")
        await app.until(lambda: [m.message.content for m in app.session.messages][:1] == ["Talk of pears"])
        assert not app.screen.chats.can_continue_last
