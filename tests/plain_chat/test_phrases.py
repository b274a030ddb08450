from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.plain_chat.chat_loop import SlashCommand, TypedCommand, parse_slash_command
from qwen3_chat.plain_chat.line_renderer import PhraseBuffer, WordWrap

PHRASES = [
    ("There are 3. And", "There are 3. ", "And"),
    ("It is 9.11 or", "", "It is 9.11 or"),
    ("one\ntwo", "one\n", "two"),
    ("“有三个。”然后", "“有三个。”", "然后"),
    ("真的吗？", "真的吗？", ""),
    ("He said “Yes!” and", "He said “Yes!” ", "and"),
]


@pytest.mark.parametrize(("text", "complete", "rest"), PHRASES)
def test_whole_lines_and_sentences_come_at_once_the_rest_later(text: str, complete: str, rest: str) -> None:
    phrases = PhraseBuffer()
    assert phrases.feed(text) == complete
    assert phrases.flush() == rest


@given(st.lists(st.text("ab .。\n!”", max_size=6)))
def test_nothing_is_lost_however_the_text_is_cut(pieces: list[str]) -> None:
    phrases = PhraseBuffer()
    assert "".join(map(phrases.feed, pieces)) + phrases.flush() == "".join(pieces)


COMMANDS = [
    ("/help", TypedCommand(SlashCommand.HELP, "")),
    (" /OPEN 3 ", TypedCommand(SlashCommand.OPEN, "3")),
    ("/chats two words", TypedCommand(SlashCommand.CHATS, "two words")),
    ("/thing", TypedCommand(None, "")),
    ("/usr/bin/env", None),
    ("// a comment", None),
    ("Hello", None),
    ("/", None),
    ("", None),
]


@pytest.mark.parametrize(("line", "command"), COMMANDS)
def test_a_command_is_a_word_after_a_slash(line: str, command: TypedCommand | None) -> None:
    assert parse_slash_command(line) == command


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        (["twelve columns and then some more words\n"], ["twelve columns and ", "then some more words", ""]),
        (["a sentence. ", "Another one. ", "More."], ["a sentence. Another ", "one. More."]),
        (["https://example.org/a/long/address is long"], ["https://example.org/a/long/address is ", "long"]),
        (["没有空格的中文由终端自己换行，不在这里断开"], ["没有空格的中文由终端自己换行，不在这里断开"]),
        (["    indented\n\n  code"], ["    indented", "", "  code"]),
    ],
)
def test_no_word_is_broken_at_the_edge_of_a_terminal(pieces: list[str], lines: list[str]) -> None:
    written: list[str] = []
    wrap = WordWrap(written.append, lambda: 20)
    for piece in pieces:
        wrap(piece)
    assert "".join(written).split("\n") == lines


@given(st.lists(st.text("ab .\n", max_size=30)))
def test_what_is_piped_on_stays_as_it_is(pieces: list[str]) -> None:
    written: list[str] = []
    wrap = WordWrap(written.append, lambda: 0)
    for piece in pieces:
        wrap(piece)
    assert written == pieces
