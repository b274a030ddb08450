from __future__ import annotations

from collections.abc import Iterator

import pytest

from qwen3_chat.texts import Language, load_catalogue, set_language
from qwen3_chat.ui.command_names import OTHER_CHATS_WORDS, command_words, pinyin_of
from qwen3_chat.ui.completion import command_by_name, matching_commands, typed_command
from qwen3_chat.ui.key_bindings import APP_KEYS, CHAT_KEYS
from qwen3_chat.ui.screens.help_screen import HelpScreen
from tests.harness import Start

NAMES = [binding.id or "" for binding in (*CHAT_KEYS, *APP_KEYS)]
OURS = ("clear", "exit", "help", "model", "new")


@pytest.fixture
def chinese() -> Iterator[None]:
    set_language(Language.ZH)
    yield
    set_language(Language.EN)


@pytest.mark.parametrize("binding", [*CHAT_KEYS, *APP_KEYS], ids=NAMES)
def test_each_command_is_found_by_the_pinyin_of_its_chinese_label(binding: object) -> None:
    description = str(getattr(binding, "description", ""))
    label = load_catalogue(Language.ZH)[description]
    assert pinyin_of(label), f"characters without pinyin in {label}"


def test_pinyin_is_whole_or_the_initials_and_a_character_may_have_two() -> None:
    assert pinyin_of("新对话") == ("xinduihua", "xdh")
    assert {"chongda", "zhongda", "cd", "zd"} == set(pinyin_of("重答"))
    assert pinyin_of("") == pinyin_of("abc") == pinyin_of("囧") == ()


def test_words_of_other_chats_belong_to_commands_and_each_to_one() -> None:
    words = [word for words in OTHER_CHATS_WORDS.values() for word in words]
    assert set(OTHER_CHATS_WORDS) <= set(NAMES)
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("clear", "new_chat"),
        ("new", "new_chat"),
        ("exit", "quit"),
        ("help", "help"),
        ("model", "models"),
        ("导出", "export"),
        ("dc", "export"),
        ("daochu", "export"),
        ("新对", "new_chat"),
        ("xdh", "new_chat"),
        ("sz", "settings"),
        ("answer_n", "answer_now"),
        ("fold_a", "fold_all"),
    ],
)
async def test_a_command_is_found_first_by_whatever_it_is_called(start: Start, typed: str, name: str) -> None:
    async with start() as app:
        assert matching_commands(typed, app.screen.writing.commands)[0].name == name


@pytest.mark.parametrize("word", ["clear", "new"])
async def test_other_chats_words_for_a_new_chat_begin_one(start: Start, word: str) -> None:
    async with start() as app:
        await app.turn("Hello")
        await app.pilot.press("/", *word, "enter")
        await app.until(lambda: app.session.chat is None)
        assert app.screen.input.text == ""


async def test_a_word_that_is_sent_without_its_list_is_understood_too(start: Start) -> None:
    async with start() as app:
        await app.say("/bangzhu")
        await app.until(lambda: isinstance(app.app.screen, HelpScreen))


async def test_in_chinese_commands_have_chinese_names(start: Start, chinese: None) -> None:
    async with start(size=(80, 30)) as app:
        await app.turn("Hello")
        await app.pilot.press("/", "x", "d")
        await app.sees("/新对话")
        await app.pilot.press("tab")
        assert app.screen.input.text == "/新对话"
        await app.pilot.press("enter")
        await app.until(lambda: app.session.chat is None)


async def test_each_name_that_is_shown_is_understood_as_it_is_typed(start: Start, chinese: None) -> None:
    async with start() as app:
        commands = [command for command in app.screen.writing.commands if command.tag is None]
        assert {"mcp", "tools"} <= {command.name for command in commands}
        for command in commands:
            assert typed_command(f"/{command.shown}") == command.shown
            assert command_by_name(command.shown, commands) == command


def test_a_chinese_text_after_a_slash_is_no_command() -> None:
    assert typed_command("/新对话") == "新对话"
    assert typed_command("/请把下面这句话翻译成英文") is None
    assert typed_command("/新 对话") is None


def test_the_words_name_both_languages() -> None:
    assert {"new", "新对话", "xdh", "clear"} <= set(command_words("new_chat", "ui.key.new_chat"))


async def test_the_input_is_emptied_and_comes_back(start: Start) -> None:
    async with start() as app:
        await app.pilot.press(*"one", "ctrl+j", *"two")
        await app.pilot.press("alt+x")
        assert app.screen.input.text == ""
        await app.sees("Alt+X brings it back.")
        await app.pilot.press("alt+x")
        assert app.screen.input.text == "one\ntwo"
        await app.pilot.press("alt+a", *"new")
        assert app.screen.input.text == "new"
