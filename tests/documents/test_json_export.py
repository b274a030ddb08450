"""JSON: nothing is lost on the way out and in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.documents import json_export
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.documents.json_export import parse_json_export
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ExportError
from qwen3_chat.record_copies import replace
from qwen3_chat.store.records import NO_CHAT_OPTIONS, ChatOptions, MessageMeta
from tests.conftest import REPOSITORY
from tests.documents.conversation import CONVERSATION, branch, chat_of

HERE = Path(__file__).parent

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
    assert (document["format"], document["version"]) == ("qwen3-chat", 2)
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


def test_the_steps_of_a_turn_are_there_with_what_became_of_each_call() -> None:
    document = json.loads(render(chat_of(), CONVERSATION, ExportFormat.JSON))
    reply, result = document["messages"][3:5]
    assert reply["tool_calls"] == [{"name": "get_weather", "arguments": '{"city": "北京"}', "id": "4.0"}]
    assert result["content"] == '{"sky": "晴"}'
    assert result["call"] == {
        "id": "4.0",
        "name": "get_weather",
        "arguments": '{"city": "上海"}',
        "decision": "edited",
        "is_error": False,
        "elapsed_s": 0.4,
        "whole": {"characters": 123_456, "sha256": "0a" * 32, "size_bytes": 123_460},
    }
    assert result["meta"] == {}


def test_version_1_is_still_read() -> None:
    transcript = parse_json_export((HERE / "version_1.json").read_text("utf-8"))
    call = replace(CONVERSATION[4].meta.call, whole=None)  # type: ignore[type-var]
    old = replace(CONVERSATION[4], meta=MessageMeta(call=call))
    assert transcript.messages == (*CONVERSATION[:4], old, *CONVERSATION[5:])


def test_no_permission_leaves_with_a_chat_and_none_comes_with_one() -> None:
    chat = replace(chat_of(), options=ChatOptions(tools=("calculator",), temperature=1.5))
    document = json.loads(render(chat, CONVERSATION, ExportFormat.JSON))
    assert set(document) == {"format", "version", "chat", "messages"}
    assert set(document["chat"]) <= {"id", "title", "created_at", "updated_at", "head_id", "system", "toggle"}
    document["permissions"] = [{"tool": "python", "scope": "always"}]
    document["chat"]["options"] = {"tools": ["calculator"]}
    document["chat"]["permissions"] = ["all"]
    assert parse_json_export(json.dumps(document)).chat.options == NO_CHAT_OPTIONS


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
    [
        ("format", "other", ErrorCode.EXPORT_UNREADABLE),
        ("version", 3, ErrorCode.EXPORT_NEWER),
        ("version", 0, ErrorCode.EXPORT_UNREADABLE),
    ],
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


def hostile_result(**values: object) -> str:
    """Return an export whose only message is the result of a call with these values."""
    call = {"id": "1.0", "name": "f", "arguments": "{}", "decision": "allow", "is_error": False}
    return hostile(role="tool", call={**call, "elapsed_s": 0.1, **values})


HOSTILE = {
    "nesting": "[" * 100_000,
    "a number of 5,000 digits": '{"version": ' + "9" * 5000 + "}",
    "an id that no database holds": hostile(id=2**64),
    "a parent that no database holds": hostile(parent_id=-(2**70)),
    "a token that no vocabulary has": hostile(token_ids=[2**40]),
    "a token below zero": hostile(token_ids=[-1]),
    "a time before all times": hostile(created_at="0001-01-01T00:00:00+23:59"),
    "a role of 100,000 characters": hostile(role="x" * 100_000),
    "a call without a number": hostile_result(id="1.x"),
    "a call of a number of 5,000 digits": hostile_result(id="1." + "9" * 5000),
    "a call that took an eternity": hostile_result(elapsed_s=float("inf")),
    "a call that took no number": hostile_result(elapsed_s=float("nan")),
    "a file elsewhere": hostile_result(whole={"characters": 1, "sha256": "../../etc/passwd"}),
    "a hash with a line below": hostile_result(whole={"characters": 1, "sha256": "0" * 64 + "\n"}),
    "a size below zero": hostile_result(whole={"characters": -1}),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_export_is_one_short_sentence_or_is_read(text: str) -> None:
    sentence = ""
    try:
        parse_json_export(text)
    except ExportError as error:
        sentence = str(error)
    assert len(sentence) < 600


@pytest.mark.parametrize(
    "name", [name for name in HOSTILE if name.startswith(("a call", "a file", "a hash", "a size"))]
)
def test_a_result_that_no_app_wrote_is_refused(name: str) -> None:
    with pytest.raises(ExportError):
        parse_json_export(HOSTILE[name])


FORMAT_DOCUMENT = (REPOSITORY / "docs" / "export-format.md").read_text("utf-8")


def test_the_example_of_the_document_is_read_and_written_the_same() -> None:
    (example,) = re.findall(r"^```json\n(.*?)^```", FORMAT_DOCUMENT, re.DOTALL | re.MULTILINE)
    transcript = parse_json_export(example)
    written = json.loads(render(transcript.chat, transcript.messages, ExportFormat.JSON))
    for message, source in zip(written["messages"], json.loads(example)["messages"], strict=True):
        assert {"meta": {}, **source} == message


def test_the_document_names_every_field() -> None:
    fields = {
        field.encode_name
        for entry in (json_export._File, json_export._ChatEntry, json_export._MessageEntry)
        for field in msgspec.structs.fields(entry)
    }
    for entry in (json_export._CallEntry, json_export._ResultEntry):
        fields |= {field.encode_name for field in msgspec.structs.fields(entry)}
    fields |= {f"whole.{field.encode_name}" for field in msgspec.structs.fields(json_export._WholeEntry)}
    assert sorted(field for field in fields if f"`{field}`" not in FORMAT_DOCUMENT) == ["chat"]
