from __future__ import annotations

import asyncio

import pytest

from qwen3_chat.mcp.forms import FieldKind, FormAction, FormAnswer, FormField, FormRequested, sign_in_form
from qwen3_chat.plain_chat.form_lines import FormLines

FORM = FormRequested(
    1,
    "web",
    "Where do you live?",
    (
        FormField("city", "City", FieldKind.TEXT, is_required=True),
        FormField("floor", "Floor", FieldKind.INTEGER, default="2"),
        FormField("note", "Note", FieldKind.TEXT, "For the post"),
    ),
)
VISIT = FormRequested(2, "web", "Log in.", url="https://example.com/in")


async def fill(request: FormRequested, *lines: str) -> tuple[FormAnswer, str]:
    written, typed = list[str](), iter(lines)
    answer = await FormLines(written.append, lambda prompt: next(typed, None)).fill(request)
    return answer, "\n".join(written)


async def test_a_form_is_filled_line_by_line() -> None:
    answer, written = await fill(FORM, "", "fill", "", "Oslo", "", "", "send")
    assert answer == FormAnswer(FormAction.ACCEPT, {"city": "Oslo", "floor": 2})
    assert "Please type one of the words." in written  # an empty line chooses nothing
    assert "City: text\nNeeded here: text\nFloor: a whole number. An empty line means 2" in written
    assert "Note: text. An empty line leaves it out\nFor the post" in written


@pytest.mark.parametrize(
    ("lines", "action"),
    [
        (("decline",), FormAction.DECLINE),
        (("cancel",), FormAction.CANCEL),
        (("fill", "Oslo", "", "", "decline"), FormAction.DECLINE),
    ],
)
async def test_a_form_is_declined_or_cancelled(lines: tuple[str, ...], action: FormAction) -> None:
    assert (await fill(FORM, *lines))[0] == FormAnswer(action)


async def test_an_address_is_shown_whole() -> None:
    answer, written = await fill(VISIT, "done")
    assert answer == FormAnswer(FormAction.ACCEPT)
    assert "\nhttps://example.com/in\n" in written


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (("", "done"), FormAnswer(FormAction.ACCEPT)),
        (("cancel",), FormAnswer(FormAction.CANCEL)),
        (
            ("http://127.0.0.1:1/callback?code=a",),
            FormAnswer(FormAction.ACCEPT, {"address": "http://127.0.0.1:1/callback?code=a"}),
        ),
    ],
)
async def test_signing_in_ends_with_a_word_or_the_address_at_the_end(
    lines: tuple[str, ...], answer: FormAnswer
) -> None:
    request = sign_in_form(FormRequested(3, "web", "", url="https://login.example.com/in", is_sign_in=True))
    given, written = await fill(request, *lines)
    assert given == answer
    assert "web wants you to sign in at login.example.com." in written
    assert "\nhttps://login.example.com/in\n" in written


async def test_the_end_of_the_input_stops_the_turn() -> None:
    with pytest.raises(asyncio.CancelledError):
        await fill(FORM, "fill")
