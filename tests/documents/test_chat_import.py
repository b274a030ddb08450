"""Chats of files: the forms of other programs, and what no program wrote."""

from __future__ import annotations

import json
import struct
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode, ToolCall
from qwen3_chat.documents import chat_import
from qwen3_chat.documents.chat_import import ChatFileContents, read_chat_file
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ChatImportError, Qwen3ChatError
from qwen3_chat.record_copies import replace
from qwen3_chat.store.records import MessageMeta, StoredMessage, WholeChat
from tests.documents.conversation import CONVERSATION, FAST, THOUGHT, branch, chat_of, question, reply

NOW = datetime(2026, 5, 1, tzinfo=UTC)
HERE = Path(__file__).parent


def read(tmp_path: Path, content: object, name: str = "chats.json") -> ChatFileContents:
    path = tmp_path / name
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_text(text, "utf-8")
    return read_chat_file(path, NOW)


def only_chat(tmp_path: Path, content: object) -> WholeChat:
    contents = read(tmp_path, content)
    assert contents.skipped == ()
    (chat,) = contents.chats
    return chat


def texts(messages: tuple[StoredMessage, ...]) -> list[str]:
    """Return who says what below what; thinking stands in parentheses, calls in brackets."""
    lines = []
    for stored in messages:
        message = stored.message
        thinking = f"({message.reasoning}) " if message.reasoning else ""
        calls = "".join(f"[{call.name} {call.arguments}]" for call in message.tool_calls)
        lines.append(
            f"{stored.parent_id or 0}>{stored.id} {message.role}: {thinking}{message.content}{calls}"
        )
    return lines


# Our own JSON


@pytest.mark.parametrize("name", ["version_1.json", "version_2.json"])
def test_each_version_of_our_own_json_is_read(tmp_path: Path, name: str) -> None:
    text = (HERE / "version_1.json").read_text("utf-8")
    if name == "version_2.json":
        text = render(chat_of(), CONVERSATION, ExportFormat.JSON)
    chat = only_chat(tmp_path, text)
    assert [stored.message for stored in chat.messages] == [stored.message for stored in CONVERSATION]
    assert chat.messages[1].meta == THOUGHT
    assert chat.chat.head_id == CONVERSATION[-1].id


def test_all_branches_are_read_and_the_message_to_go_on_from(tmp_path: Path) -> None:
    messages = branch(question("a"), reply("1"), reply("2"), question("b"))
    messages = (*messages[:2], replace(messages[2], parent_id=1), replace(messages[3], parent_id=2))
    chat = only_chat(tmp_path, render(replace(chat_of(), head_id=3), messages, ExportFormat.JSON))
    assert texts(chat.messages) == ["0>1 user: a", "1>2 assistant: 1", "1>3 assistant: 2", "2>4 user: b"]
    assert chat.chat.head_id == 3


def test_messages_may_stand_in_any_order(tmp_path: Path) -> None:
    document = json.loads(render(chat_of(), CONVERSATION, ExportFormat.JSON))
    document["messages"].reverse()
    assert [stored.id for stored in only_chat(tmp_path, document).messages] == [1, 2, 3, 4, 5, 6]


def export_with(**values: object) -> dict[str, Any]:
    """Return an export whose second message has these values."""
    document: dict[str, Any] = json.loads(render(chat_of(), CONVERSATION, ExportFormat.JSON))
    document["messages"][1].update(values)
    return document


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (export_with(parent_id=77), ErrorCode.IMPORT_PARENT_MISSING),
        (export_with(parent_id=2), ErrorCode.IMPORT_MESSAGES_ENTANGLED),
        (export_with(parent_id=6), ErrorCode.IMPORT_MESSAGES_ENTANGLED),
        (export_with(id=1), ErrorCode.IMPORT_MESSAGES_ENTANGLED),
        (export_with(role="system"), ErrorCode.IMPORT_SYSTEM_PROMPT_LATE),
        (export_with(meta={"usage": {"prompt_tokens": -1}}), ErrorCode.IMPORT_VALUE_INVALID),
        (export_with(meta={"model": "\ud800"}), ErrorCode.IMPORT_VALUE_INVALID),
        (export_with(content=None), ErrorCode.EXPORT_UNREADABLE),
        ({"format": "qwen3-chat", "version": 3}, ErrorCode.EXPORT_NEWER),
    ],
)
def test_an_export_that_this_app_did_not_write_is_one_sentence(
    tmp_path: Path, document: object, code: ErrorCode
) -> None:
    with pytest.raises(Qwen3ChatError) as caught:
        read(tmp_path, document)
    assert caught.value.code is code


# Lists of messages

OPENAI = {
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "345*12?"}, {"type": "image_url"}]},
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "A tool.",
            "tool_calls": [
                {"id": "x", "type": "function", "function": {"name": "calculator", "arguments": '{"e": 1}'}},
                {"id": "y", "type": "function", "function": {"name": "now", "arguments": {"city": "北京"}}},
            ],
        },
        {"role": "tool", "tool_call_id": "y", "content": "noon"},
        {"role": "tool", "tool_call_id": "x", "content": "4140"},
        {"role": "assistant", "content": "<think>\nEasy.\n</think>\n\n4140"},
    ]
}


def test_openai_messages_become_a_chat(tmp_path: Path) -> None:
    chat = only_chat(tmp_path, OPENAI)
    assert chat.chat.system == "Be brief."
    assert chat.chat.title == "345*12?"
    assert texts(chat.messages) == [
        "0>1 user: 345*12?\n[image_url]",
        '1>2 assistant: (A tool.) [calculator {"e": 1}][now {"city": "北京"}]',
        "2>3 tool: noon",
        "3>4 tool: 4140",
        "4>5 assistant: (Easy.) 4140",
    ]
    calls = [stored.meta.call for stored in chat.messages[2:4]]
    assert [(call.index, call.name) for call in calls if call] == [(1, "now"), (0, "calculator")]
    assert [stored.stop_reason for stored in chat.messages] == [
        *(None, StopReason.TOOL_CALLS, None, None),
        StopReason.END_OF_TURN,
    ]
    assert {stored.created_at for stored in chat.messages} == {NOW}


def test_sharegpt_messages_become_a_chat(tmp_path: Path) -> None:
    chat = only_chat(
        tmp_path,
        {
            "id": "1",
            "system": "Be brief.",
            "conversations": [
                {"from": "human", "value": "天气？"},
                {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "北京"}}'},
                {"from": "observation", "value": "晴"},
                {"from": "gpt", "value": "晴。"},
            ],
        },
    )
    assert chat.chat.system == "Be brief."
    assert texts(chat.messages) == [
        "0>1 user: 天气？",
        '1>2 assistant: [weather {"city": "北京"}]',
        "2>3 tool: 晴",
        "3>4 assistant: 晴。",
    ]


def test_a_file_may_hold_one_list_many_or_one_a_line(tmp_path: Path) -> None:
    messages = OPENAI["messages"]
    assert len(read(tmp_path, messages).chats) == 1
    assert len(read(tmp_path, [messages, OPENAI, {"conversations": messages}]).chats) == 3
    line = json.dumps(OPENAI)
    assert len(read(tmp_path, f"\ufeff{line}\n\n{line}\n").chats) == 2


def test_what_is_no_conversation_is_left_out_and_named(tmp_path: Path) -> None:
    line = json.dumps(OPENAI)
    contents = read(tmp_path, f'{line}\n{{"messages": []}}\n{line}\n[1, 2\n{{"a": 1}}\n', "chats.jsonl")
    assert len(contents.chats) == 2
    assert [(skipped.index, skipped.reason.code) for skipped in contents.skipped] == [
        (1, ErrorCode.IMPORT_CHAT_EMPTY),
        (3, ErrorCode.IMPORT_FORM_UNKNOWN),
        (4, ErrorCode.IMPORT_FORM_UNKNOWN),
    ]


def messages_of(*messages: dict[str, object]) -> dict[str, object]:
    return {"messages": list(messages)}


USER: dict[str, object] = {"role": "user", "content": "a"}


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (messages_of({"role": "alien", "content": "a"}), ErrorCode.IMPORT_ROLE_UNKNOWN),
        (messages_of({"role": ["user"], "content": "a"}), ErrorCode.IMPORT_ROLE_UNKNOWN),
        (messages_of({"content": "a"}), ErrorCode.IMPORT_ROLE_UNKNOWN),
        (messages_of({"role": "user", "content": 7}), ErrorCode.IMPORT_FORM_UNKNOWN),
        (messages_of(USER, {"role": "system", "content": "b"}), ErrorCode.IMPORT_SYSTEM_PROMPT_LATE),
        (messages_of(USER, {"role": "tool", "content": "b"}), ErrorCode.IMPORT_RESULT_WITHOUT_CALL),
        (messages_of({"from": "function_call", "value": "[1]"}), ErrorCode.IMPORT_FORM_UNKNOWN),
        (messages_of({"from": "function_call", "value": "{"}), ErrorCode.IMPORT_FORM_UNKNOWN),
        (messages_of({"role": "assistant", "tool_calls": [7]}), ErrorCode.IMPORT_FORM_UNKNOWN),
        ({"messages": [7]}, ErrorCode.IMPORT_FORM_UNKNOWN),
        ({"messages": "a"}, ErrorCode.IMPORT_FORM_UNKNOWN),
        ([1, 2], ErrorCode.IMPORT_ALL_SKIPPED),
        ([], ErrorCode.IMPORT_FILE_WITHOUT_CHATS),
        ("", ErrorCode.IMPORT_NOT_JSON),
        ("{", ErrorCode.IMPORT_NOT_JSON),
        ("null", ErrorCode.IMPORT_FORM_UNKNOWN),
        ("[" * 200_000, ErrorCode.IMPORT_NOT_JSON),
        ('{"messages": ' + "9" * 5000 + "}", ErrorCode.IMPORT_NOT_JSON),
    ],
)
def test_other_lists_are_one_sentence(tmp_path: Path, document: object, code: ErrorCode) -> None:
    with pytest.raises(Qwen3ChatError) as caught:
        read(tmp_path, document)
    assert caught.value.code is code
    assert str(caught.value)


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(ChatImportError) as caught:
            read_chat_file(path, NOW)
        assert caught.value.code is ErrorCode.IMPORT_FILE_UNREADABLE
    (tmp_path / "latin.json").write_bytes(b'["\xff"]')
    with pytest.raises(ChatImportError) as caught:
        read_chat_file(tmp_path / "latin.json", NOW)
    assert caught.value.code is ErrorCode.IMPORT_NOT_JSON


def test_an_export_for_training_is_read_back(tmp_path: Path) -> None:
    tagged = ChatMessage(Role.USER, "天气呢？", mode_tag=ThinkingMode.NO_THINK)
    messages = (*CONVERSATION[:2], *branch(*[question("")] * 2, tagged)[2:], *CONVERSATION[3:5])
    answer = replace(CONVERSATION[5], meta=FAST)
    whole = replace(CONVERSATION[1], id=6, parent_id=5)
    text = render(chat_of(), (*messages, whole, answer), ExportFormat.JSON_LINES, ThinkingStyle.FULL)
    assert text.count("\n") == 1
    written = json.loads(text)["messages"]
    assert written[0] == {"role": "system", "content": "Be brief."}
    assert written[1] == {"role": "user", "content": "How many r's? /think"}
    assert written[2]["reasoning_content"] == "Let me count.\n\ns-t-r"
    assert written[4]["tool_calls"][0]["id"] == written[5]["tool_call_id"]
    assert len(written) == 7, "an answer that was cut off is no example"
    chat = only_chat(tmp_path, text)
    assert [stored.message.content for stored in chat.messages] == [
        *("How many r's? /think", "**3**", "天气呢？ /no_think"),
        *("", '{"sky": "晴"}', "**3**"),
    ]
    assert chat.messages[3].message.tool_calls == (ToolCall("get_weather", '{"city": "北京"}'),)
    assert "reasoning_content" not in render(chat_of(), messages, ExportFormat.JSON_LINES, ThinkingStyle.NONE)


# ChatGPT's export


def node(parent: str | None, role: str | None, content: object = None, **fields: object) -> dict[str, object]:
    if role is None:
        return {"parent": parent, "message": None}
    content = {"content_type": "text", "parts": [content]} if isinstance(content, str) else content
    author = {"role": role, "name": fields.pop("name", None)}
    message = {"author": author, "content": content, "recipient": "all", "metadata": {}, **fields}
    return {"parent": parent, "message": message}


def conversation(
    nodes: dict[str, dict[str, object]], current: str = "", **fields: object
) -> dict[str, object]:
    for name, child in nodes.items():
        if isinstance(parent := child.get("parent"), str) and parent in nodes:
            nodes[parent].setdefault("children", []).append(name)  # type: ignore[attr-defined]
    return {
        "title": "Strawberries",
        "create_time": 1_700_000_000.5,
        "update_time": 1_700_000_100,
        "mapping": nodes,
        "current_node": current,
        **fields,
    }


def chatgpt() -> dict[str, object]:
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "s", "content": "Count."}]}
    picture = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}
    hidden = {"metadata": {"is_visually_hidden_from_conversation": True}}
    return conversation(
        {
            "root": node(None, None),
            "system": node("root", "system", ""),
            "memory": node("system", "user", {"content_type": "user_editable_context", "text": "I"}),
            "hidden": node("memory", "system", "secret", **hidden),
            "q": node("hidden", "user", "How many r's?", create_time=1_700_000_001),
            "t": node("q", "assistant", thoughts),
            "r": node("t", "assistant", {"content_type": "reasoning_recap", "content": "Thought for 3s"}),
            "a": node("r", "assistant", "Three.", metadata={"model_slug": "gpt-x"}),
            "b": node("q", "assistant", {"content_type": "code", "text": "print(3)"}, recipient="python"),
            "o": node("b", "tool", {"content_type": "execution_output", "text": "3"}, name="python"),
            "c": node("o", "assistant", "3"),
            "p": node("c", "user", {"content_type": "multimodal_text", "parts": [picture, "And this?"]}),
            "d": node("p", "tool", "drawn", name="dalle"),
        },
        current="r",
    )


def test_a_conversation_of_chatgpt_becomes_a_chat_with_its_branches(tmp_path: Path) -> None:
    chat = only_chat(tmp_path, [chatgpt()])
    assert texts(chat.messages) == [
        "0>1 user: How many r's?",
        "1>2 assistant: (Count.) Three.",
        "1>3 assistant: [python print(3)]",
        "3>4 tool: 3",
        "4>5 assistant: 3",
        "5>6 user: [image_asset_pointer]\nAnd this?",
        "6>7 assistant: [dalle {}]",
        "7>8 tool: drawn",
    ]
    assert chat.chat.title == "Strawberries"
    assert chat.chat.head_id == 1
    assert chat.chat.created_at.isoformat() == "2023-11-14T22:13:20.500000+00:00"
    assert chat.messages[0].created_at.isoformat() == "2023-11-14T22:13:21+00:00"
    assert chat.messages[1].meta == MessageMeta(model="gpt-x", stop_reason=StopReason.END_OF_TURN)


def test_thinking_without_an_answer_is_not_lost(tmp_path: Path) -> None:
    thoughts = {"content_type": "thoughts", "thoughts": [{"summary": "Count."}, 7]}
    nodes = {"q": node(None, "user", "a"), "t": node("q", "assistant", thoughts)}
    assert texts(only_chat(tmp_path, [conversation(nodes)]).messages)[1:] == ["1>2 assistant: (Count.) "]
    nodes = {**nodes, "p": node("t", "user", "b")}
    assert texts(only_chat(tmp_path, [conversation(nodes)]).messages)[1:] == [
        "1>2 assistant: (Count.) ",
        "2>3 user: b",
    ]


def test_a_chat_of_thousands_of_levels_is_read(tmp_path: Path) -> None:
    nodes = {str(n): node(str(n - 1) if n else None, "user", f"{n}") for n in range(5000)}
    chat = only_chat(tmp_path, [conversation(nodes, current="4999")])
    assert (len(chat.messages), chat.chat.head_id) == (5000, 5000)


@pytest.mark.parametrize(
    ("nodes", "code"),
    [
        ({"a": node("b", "user", "a"), "b": node("a", "user", "b")}, ErrorCode.IMPORT_MESSAGES_ENTANGLED),
        ({"a": node("a", "user", "a")}, ErrorCode.IMPORT_MESSAGES_ENTANGLED),
        ({"a": node("z", "user", "a")}, ErrorCode.IMPORT_PARENT_MISSING),
        ({"a": node(None, "alien", "a")}, ErrorCode.IMPORT_ROLE_UNKNOWN),
        ({"a": node(None, None)}, ErrorCode.IMPORT_CHAT_EMPTY),
        ({}, ErrorCode.IMPORT_CHAT_EMPTY),
        ({"a": 7}, ErrorCode.IMPORT_FORM_UNKNOWN),
        ({"a": {"parent": 7}}, ErrorCode.IMPORT_PARENT_MISSING),
    ],
)
def test_a_mapping_that_is_no_tree_is_one_sentence(
    tmp_path: Path, nodes: dict[str, dict[str, object]], code: ErrorCode
) -> None:
    with pytest.raises(ChatImportError) as caught:
        read(tmp_path, [{"mapping": nodes}])
    assert caught.value.code is code


@pytest.mark.parametrize("time", [None, "now", 1e300, float("nan"), -1e18, True, [1]])
def test_a_time_that_is_none_becomes_that_of_the_import(tmp_path: Path, time: object) -> None:
    nodes = {"a": node(None, "user", "a", create_time=time)}
    chat = only_chat(tmp_path, [conversation(nodes, update_time=time)])
    assert chat.chat.updated_at == chat.messages[0].created_at == NOW


# Zips


def zip_of(tmp_path: Path, entries: dict[str, object], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content if isinstance(content, bytes) else json.dumps(content))
    return path


def test_the_zip_of_chatgpt_is_read(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"user.json": {}, "conversations.json": [chatgpt()], "a/picture.png": b"\x89"})
    assert len(read_chat_file(path, NOW).chats) == 1
    parts: dict[str, object] = {f"export/conversations-{n:03}.json": [chatgpt()] * 2 for n in range(3)}
    assert len(read_chat_file(zip_of(tmp_path, parts), NOW).chats) == 6


@pytest.mark.parametrize(
    ("entries", "code"),
    [
        ({"other.json": []}, ErrorCode.IMPORT_ZIP_WITHOUT_CHATS),
        ({"conversations.json": b"{"}, ErrorCode.IMPORT_NOT_JSON),
        ({"conversations.json": []}, ErrorCode.IMPORT_FILE_WITHOUT_CHATS),
    ],
)
def test_another_zip_is_one_sentence(tmp_path: Path, entries: dict[str, object], code: ErrorCode) -> None:
    with pytest.raises(ChatImportError) as caught:
        read_chat_file(zip_of(tmp_path, entries), NOW)
    assert caught.value.code is code


def test_a_damaged_or_locked_zip_is_one_sentence(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"conversations.json": [chatgpt()]})
    content = path.read_bytes()
    n_read, sentences = 0, list[str]()
    for place in range(0, len(content), 7):
        for damaged in (content[:place], content[:place] + b"\xff" + content[place + 1 :]):
            path.write_bytes(damaged)
            try:
                n_read += len(read_chat_file(path, NOW).chats)
            except ChatImportError as error:
                sentences.append(str(error))
    assert n_read > 0, "some bytes mean nothing"
    assert max(map(len, sentences)) < 900
    header = content.index(b"PK\x01\x02")
    locked = bytearray(content)
    for place in (6, header + 8):  # the flags of the entry, in both of its headers
        locked[place : place + 2] = struct.pack("<H", 1)
    path.write_bytes(locked)
    with pytest.raises(ChatImportError) as caught:
        read_chat_file(path, NOW)
    assert caught.value.code is ErrorCode.IMPORT_ZIP_DAMAGED


def test_a_zip_that_unpacks_into_too_much_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_import, "MAX_IMPORT_BYTES", 100_000)
    path = zip_of(tmp_path, {"conversations.json": b" " * 10_000_000})
    assert path.stat().st_size < 20_000
    with pytest.raises(ChatImportError) as caught:
        read_chat_file(path, NOW)
    assert caught.value.code is ErrorCode.IMPORT_TOO_LARGE
    parts: dict[str, object] = {f"conversations-{n}.json": b"[]" + b" " * 60_000 for n in range(2)}
    with pytest.raises(ChatImportError):
        read_chat_file(zip_of(tmp_path, parts), NOW)


def test_a_zip_of_too_many_entries_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_import, "MAX_ZIP_ENTRIES", 20)
    entries: dict[str, object] = {"conversations.json": [chatgpt()]}
    entries |= {f"{n}.png": b"" for n in range(20)}
    with pytest.raises(ChatImportError) as caught:
        read_chat_file(zip_of(tmp_path, entries), NOW)
    assert caught.value.code is ErrorCode.IMPORT_TOO_MANY_ENTRIES


@pytest.mark.parametrize(
    ("limit", "value", "code"),
    [
        ("MAX_IMPORT_BYTES", 50, ErrorCode.IMPORT_TOO_LARGE),
        ("MAX_VALUES", 5, ErrorCode.IMPORT_TOO_LARGE),
        ("MAX_CHATS", 2, ErrorCode.IMPORT_TOO_MANY_CHATS),
        ("MAX_MESSAGES", 12, ErrorCode.IMPORT_TOO_MANY_MESSAGES),
    ],
)
def test_a_file_over_a_limit_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, code: ErrorCode
) -> None:
    monkeypatch.setattr(chat_import, limit, value)
    with pytest.raises(ChatImportError) as caught:
        read(tmp_path, [OPENAI] * 3)
    assert caught.value.code is code
