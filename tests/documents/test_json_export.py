"""JSON: nothing is lost on the way out and in."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.documents.json_export import parse_json_export
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ExportError
from tests.documents.conversation import CONVERSATION, branch, chat_of

any_text = st.text(st.characters(codec=None), max_size=20)  # lone surrogates too


def test_a_chat_read_back_is_the_chat_that_was_written() -> None:
    chat = replace(chat_of(), head_id=CONVERSATION[-1].id)
    transcript = parse_json_export(render(chat, CONVERSATION, ExportFormat.JSON, ThinkingStyle.FULL))
    assert transcript.chat == chat
    assert transcript.messages == CONVERSATION


@given(any_text, any_text, any_text, st.sampled_from(Role), st.none() | st.sampled_from(ThinkingMode))
def test_any_text_comes_back(
    content: str, reasoning: str, arguments: str, role: Role, tag: ThinkingMode | None
) -> None:
    message = ChatMessage(role, content, reasoning, (ToolCall(content, arguments),), tag)
    messages = branch(message)
    text = render(chat_of(content, system=reasoning), messages, ExportFormat.JSON)
    text.encode()
    transcript = parse_json_export(text)
    assert transcript.messages == messages
    assert (transcript.chat.title, transcript.chat.system) == (content, reasoning)


def test_other_programs_find_readable_json() -> None:
    text = render(chat_of(), CONVERSATION, ExportFormat.JSON)
    assert "天气呢？" in text
    document = json.loads(text)
    assert (document["format"], document["version"]) == ("qwen3-chat", 1)
    assert document["messages"][1]["meta"]["usage"]["reasoning_tokens"] == 612
    assert document["messages"][1]["token_ids"] == [151667, 2]
    assert document["messages"][0] == {
        "id": 1,
        "parent_id": None,
        "created_at": "2026-03-01T12:00:01.005000Z",
        "role": "user",
        "content": "How many r's?",
        "mode_tag": "think",
        "meta": {},
    }


def test_fields_of_a_later_version_are_no_hindrance() -> None:
    document = json.loads(render(chat_of(), CONVERSATION, ExportFormat.JSON))
    document["messages"][0]["stars"] = 5
    document["messages"][0]["meta"]["mood"] = "good"
    assert parse_json_export(json.dumps(document)).messages == CONVERSATION


REFUSED = [
    ("", ErrorCode.EXPORT_UNREADABLE),
    ("{", ErrorCode.EXPORT_UNREADABLE),
    ("[]", ErrorCode.EXPORT_UNREADABLE),
    ('{"format": "qwen3-chat"}', ErrorCode.EXPORT_UNREADABLE),
]


@pytest.mark.parametrize(("text", "code"), REFUSED)
def test_what_is_no_transcript_is_refused(text: str, code: ErrorCode) -> None:
    with pytest.raises(ExportError) as caught:
        parse_json_export(text)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("format", "other", ErrorCode.EXPORT_UNREADABLE), ("version", 2, ErrorCode.EXPORT_NEWER)],
)
def test_other_formats_and_newer_versions_are_refused(field: str, value: object, code: ErrorCode) -> None:
    document = json.loads(render(chat_of(), CONVERSATION, ExportFormat.JSON))
    document[field] = value
    with pytest.raises(ExportError) as caught:
        parse_json_export(json.dumps(document))
    assert caught.value.code == code
    assert str(caught.value)


def hostile(**values: object) -> str:
    """Return an export whose only message has these values."""
    moment = "2026-01-01T00:00:00Z"
    chat = {"id": 1, "title": "", "created_at": moment, "updated_at": moment, "head_id": 1}
    message = {"id": 1, "parent_id": None, "created_at": moment, "role": "user", "content": ""}
    return json.dumps(
        {"format": "qwen3-chat", "version": 1, "chat": chat, "messages": [{**message, **values}]}
    )


HOSTILE = {
    "nesting": "[" * 100_000,
    "a number of 5,000 digits": '{"version": ' + "9" * 5000 + "}",
    "an id that no database holds": hostile(id=2**64),
    "a parent that no database holds": hostile(parent_id=-(2**70)),
    "a token that no vocabulary has": hostile(token_ids=[2**40]),
    "a token below zero": hostile(token_ids=[-1]),
    "a time before all times": hostile(created_at="0001-01-01T00:00:00+23:59"),
    "a role of 100,000 characters": hostile(role="x" * 100_000),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_export_is_one_short_sentence_or_is_read(text: str) -> None:
    sentence = ""
    try:
        parse_json_export(text)
    except ExportError as error:
        sentence = str(error)
    assert len(sentence) < 600
