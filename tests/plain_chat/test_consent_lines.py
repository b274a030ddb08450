"""The question whether a call may run, as plain lines."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from qwen3_chat.chat import ToolCall
from qwen3_chat.plain_chat.consent_lines import ConsentLines
from qwen3_chat.plain_chat.line_renderer import LineRenderer
from qwen3_chat.record_copies import replace
from qwen3_chat.tools.consent import ConsentAnswer, ConsentRequest
from qwen3_chat.tools.permissions import PermissionScope, locate_target, possible_permissions
from qwen3_chat.tools.result_notes import NoPaths
from qwen3_chat.tools.tool import Arguments, Caution, Target, TargetKind, Tool


async def run(arguments: Arguments) -> str:
    return ""


SCHEMA = {"type": "object", "properties": {"url": {"type": "string"}}}
FETCH = Tool("fetch", "", SCHEMA, run, target=Target("url", TargetKind.URL))
CALL = ToolCall("fetch", '{"url": "https://example.com/\\u001b[31m"}')
REQUEST = ConsentRequest(FETCH, CALL, possible_permissions(FETCH, CALL, locate_target(FETCH, CALL)), 2, 3)


async def answer(*lines: str | None, request: ConsentRequest = REQUEST) -> tuple[ConsentAnswer, str]:
    written: list[str] = []
    typed = iter(lines)

    def read_line(prompt: str) -> str | None:
        written.append(prompt)
        return next(typed)

    renderer = LineRenderer(written.append, monotonic, shows_thinking=True, paths=NoPaths())
    return await ConsentLines(renderer.write_line, read_line).ask(request), "".join(written)


async def test_the_call_is_told_whole_with_the_words_that_answer() -> None:
    given, said = await answer("once")
    assert given == ConsentAnswer(is_allowed=True)
    assert "The model wants to run fetch (2 of 3) with:\nurl:" in said
    assert "\x1b" not in said
    for word in ("once: ", "chat: ", "always: ", "deny: ", "edit: "):
        assert f"\n{word}" in said


async def test_what_a_person_should_know_first_is_said_with_the_call() -> None:
    _, said = await answer("once")
    assert "jail" not in said
    for caution, words in (
        (Caution.ALL_RIGHTS, "There is no jail"),
        (Caution.UNCHECKED_ADDRESSES, "An MCP server opens this address by itself"),
    ):
        _, said = await answer("once", request=ConsentRequest(replace(FETCH, caution=caution), CALL))
        assert words in said


@pytest.mark.parametrize(("word", "scope"), [("chat", "tool"), ("always", "arguments")])
async def test_a_word_gives_the_permission_that_it_names(word: str, scope: str) -> None:
    given, _ = await answer(word)
    assert given.permission is not None
    assert (given.is_allowed, given.permission.scope) == (True, PermissionScope(scope))


async def test_the_prompt_names_the_words_and_a_lasting_answer_how_it_is_taken_back() -> None:
    _, said = await answer("chat")
    assert "Type once, chat, always, deny or edit: " in said
    assert "qwen3-chat tools revoke" not in said
    _, said = await answer("always")
    assert "Allowed for good; `qwen3-chat tools revoke fetch` takes that back." in said


async def test_no_other_line_consents() -> None:
    given, said = await answer("", " ", "y", "yes", "1", "once please", "folder", "Once", "deny not now")
    assert given == ConsentAnswer(is_allowed=False, reason="not now")
    assert said.count("Please type one of the words.") == 8


async def test_edited_arguments_are_checked_and_told_again() -> None:
    given, said = await answer("edit {", 'edit {"url": 1}', 'edit {"url": "https://b.org/"}', "host")
    assert "must be a JSON object" in said
    assert "These arguments don't suit the tool" in said
    assert given.arguments == '{"url": "https://b.org/"}'
    assert given.permission is not None
    assert given.permission.value == "https://b.org"


async def test_the_end_of_the_input_stops_the_turn() -> None:
    with pytest.raises(asyncio.CancelledError):
        await answer(None)
