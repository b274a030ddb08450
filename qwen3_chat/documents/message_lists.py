"""Conversations as lists of messages: OpenAI's form, read and written, and ShareGPT's, read. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from qwen3_chat.chat import ChatMessage, Role, StopReason, ToolCall
from qwen3_chat.documents.export_options import ThinkingStyle
from qwen3_chat.engine.reply_splitter import ReplySplitter, ReplyTag, TagScanner
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ChatImportError
from qwen3_chat.events import AnswerDelta, ReasoningDelta, ToolCallRequested
from qwen3_chat.store.records import CallRecord, Chat, MessageMeta, StoredMessage, WholeChat
from qwen3_chat.texts.terminal_safe import escape_json

FOREIGN_DECISION: Final = ""
"""The decision about a call that ran in another program: nobody here made one."""


class _Speaker(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    CALL = "call"
    TOOL = "tool"


_SPEAKERS: Final = {
    "system": _Speaker.SYSTEM,
    "developer": _Speaker.SYSTEM,
    "user": _Speaker.USER,
    "human": _Speaker.USER,
    "assistant": _Speaker.ASSISTANT,
    "gpt": _Speaker.ASSISTANT,
    "chatgpt": _Speaker.ASSISTANT,
    "model": _Speaker.ASSISTANT,
    "function_call": _Speaker.CALL,
    "tool_call": _Speaker.CALL,
    "tool": _Speaker.TOOL,
    "function": _Speaker.TOOL,
    "observation": _Speaker.TOOL,
    "function_response": _Speaker.TOOL,
    "tool_response": _Speaker.TOOL,
}


@dataclass(frozen=True, slots=True)
class _OpenCall:
    """A call whose result has not been read yet."""

    index: int
    id: str
    call: ToolCall


class MessageListReader:
    """A reader that makes a chat of messages, each of which follows the one before."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._system: list[str] = []
        self._messages: list[StoredMessage] = []
        self._open_calls: list[_OpenCall] = []

    def chat(self, title: str) -> WholeChat:
        """Return the chat of the messages that were added.

        Raises:
            ChatImportError: there is no message.
        """
        if not self._messages:
            raise ChatImportError(ErrorCode.IMPORT_CHAT_EMPTY)
        system = "\n\n".join(self._system)
        chat = Chat(0, title, system, None, self._messages[-1].id, self._now, self._now)
        return WholeChat(chat, tuple(self._messages))

    def add(self, message: Mapping[str, Any]) -> None:
        """Add a message of either form.

        Raises:
            ChatImportError: it is none.
        """
        speaker = self._speaker(message)
        content = message_text(message.get("content", message.get("value")))
        match speaker:
            case _Speaker.SYSTEM if self._messages:
                raise ChatImportError(ErrorCode.IMPORT_SYSTEM_PROMPT_LATE)
            case _Speaker.SYSTEM:
                self.add_system(content)
            case _Speaker.USER:
                self._append(ChatMessage(Role.USER, content))
            case _Speaker.ASSISTANT | _Speaker.CALL:
                self._add_reply(message, content, is_call=speaker is _Speaker.CALL)
            case _Speaker.TOOL:
                self._add_result(message, content)

    def add_system(self, text: str) -> None:
        """Add to the system prompt."""
        if text:
            self._system.append(text)

    def _speaker(self, message: Mapping[str, Any]) -> _Speaker:
        name = message.get("role", message.get("from"))
        if not isinstance(name, str) or name.lower() not in _SPEAKERS:
            raise ChatImportError(ErrorCode.IMPORT_ROLE_UNKNOWN, role=name)
        return _SPEAKERS[name.lower()]

    def _add_reply(self, message: Mapping[str, Any], content: str, *, is_call: bool) -> None:
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        ids_and_calls = list(_written_calls(message))
        if is_call:
            reply = ChatMessage(Role.ASSISTANT, "", tool_calls=tuple(_calls_of_text(content)))
        elif isinstance(reasoning, str) or ids_and_calls:
            calls = tuple(call for _id, call in ids_and_calls)
            thinking = reasoning if isinstance(reasoning, str) else ""
            reply = ChatMessage(Role.ASSISTANT, content, thinking, calls)
        else:
            reply = split_reply(content)
        self._append(reply)
        ids = [call_id for call_id, _call in ids_and_calls] or [""] * len(reply.tool_calls)
        self._open_calls = [
            _OpenCall(index, call_id, call)
            for index, (call_id, call) in enumerate(zip(ids, reply.tool_calls, strict=True))
        ]

    def _add_result(self, message: Mapping[str, Any], content: str) -> None:
        call_id = message.get("tool_call_id")
        opened = next((entry for entry in self._open_calls if entry.id and entry.id == call_id), None)
        opened = opened or next(iter(self._open_calls), None)
        if opened is None:
            raise ChatImportError(ErrorCode.IMPORT_RESULT_WITHOUT_CALL)
        self._open_calls.remove(opened)
        record = CallRecord(opened.index, opened.call.name, opened.call.arguments, FOREIGN_DECISION)
        self._append(ChatMessage(Role.TOOL, content), MessageMeta(call=record))

    def _append(self, message: ChatMessage, meta: MessageMeta | None = None) -> None:
        number = len(self._messages) + 1
        if message.role is not Role.TOOL:
            self._open_calls = []
        self._messages.append(
            StoredMessage(number, 0, number - 1 or None, message, meta or reply_meta(message), self._now)
        )


def read_message_list(messages: Sequence[object], title: str, system: str, now: datetime) -> WholeChat:
    """Return the chat of a list of messages in OpenAI's or ShareGPT's form.

    Raises:
        ChatImportError: it holds something else.
    """
    reader = MessageListReader(now)
    reader.add_system(system)
    for message in messages:
        if not isinstance(message, dict):
            raise ChatImportError(ErrorCode.IMPORT_FORM_UNKNOWN)
        reader.add(message)
    return reader.chat(title)


def message_text(content: object) -> str:
    """Return the text of a content: a text, or parts of which those that are no text are only named.

    Raises:
        ChatImportError: it is neither.
    """
    match content:
        case None:
            return ""
        case str():
            return content
        case list():
            return "\n".join(filter(None, map(_part_text, content)))
        case _:
            raise ChatImportError(ErrorCode.IMPORT_FORM_UNKNOWN)


def _part_text(part: object) -> str:
    match part:
        case str():
            return part
        case {"text": str(text)}:
            return text
        case {"type": str(kind)} | {"content_type": str(kind)}:
            return f"[{kind}]"
        case _:
            return ""


def split_reply(text: str) -> ChatMessage:
    """Return a reply whose thinking and calls stand in its text, between tags."""
    if not text.lstrip().startswith(ReplyTag.THINK_OPEN) and ReplyTag.TOOL_CALL_OPEN not in text:
        return ChatMessage(Role.ASSISTANT, text)
    scanner, splitter = TagScanner(), ReplySplitter()
    pieces = [*scanner.feed(text.lstrip()), *scanner.flush()]
    parts = [part for piece in pieces for part in splitter.feed(piece)] + splitter.flush()
    return ChatMessage(
        Role.ASSISTANT,
        "".join(part.text for part in parts if isinstance(part, AnswerDelta)),
        "".join(part.text for part in parts if isinstance(part, ReasoningDelta)),
        tuple(part.call for part in parts if isinstance(part, ToolCallRequested)),
    )


def reply_meta(message: ChatMessage, model: str | None = None) -> MessageMeta:
    """Return what is known of a message of another program: that a reply is whole, maybe its model."""
    if message.role is not Role.ASSISTANT:
        return MessageMeta()
    reason = StopReason.TOOL_CALLS if message.tool_calls else StopReason.END_OF_TURN
    return MessageMeta(model=model, stop_reason=reason)


def _written_calls(message: Mapping[str, Any]) -> Iterator[tuple[str, ToolCall]]:
    match message:
        case {"tool_calls": list(calls)}:
            for call in calls:
                match call:
                    case {"function": {"name": str(name)} as function}:
                        call_id = call.get("id")
                        arguments = _arguments_text(function.get("arguments"))
                        yield (call_id if isinstance(call_id, str) else ""), ToolCall(name, arguments)
                    case _:
                        raise ChatImportError(ErrorCode.IMPORT_FORM_UNKNOWN)
        case {"function_call": {"name": str(name)} as function}:
            yield "", ToolCall(name, _arguments_text(function.get("arguments")))


def _calls_of_text(text: str) -> Iterator[ToolCall]:
    """Yield the calls of a message that consists of nothing else, as JSON."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ChatImportError(ErrorCode.IMPORT_FORM_UNKNOWN) from error
    for call in value if isinstance(value, list) else [value]:
        match call:
            case {"name": str(name)}:
                yield ToolCall(name, _arguments_text(call.get("arguments")))
            case _:
                raise ChatImportError(ErrorCode.IMPORT_FORM_UNKNOWN)


def _arguments_text(arguments: object) -> str:
    if arguments is None:
        return "{}"
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def render_message_list(chat: Chat, messages: Sequence[StoredMessage], thinking: ThinkingStyle) -> str:
    """Return a chat as one line of JSON in OpenAI's form, up to its last whole answer; empty without one.

    Questions have the tag of the thinking mode as the model read it, replies their thinking as
    `reasoning_content`.
    """
    entries, whole = list[dict[str, Any]](), 0
    if chat.system:
        entries.append({"role": "system", "content": chat.system})
    reply_id = 0
    for stored in messages:
        if stored.message.role is Role.ASSISTANT:
            reply_id = stored.id
        entries.append(_entry(stored, reply_id, thinking is not ThinkingStyle.NONE))
        if stored.message.role is Role.ASSISTANT and stored.stop_reason is StopReason.END_OF_TURN:
            whole = len(entries)
    if not whole:
        return ""
    return escape_json(json.dumps({"messages": entries[:whole]}, ensure_ascii=False)) + "\n"


def _entry(stored: StoredMessage, reply_id: int, with_thinking: bool) -> dict[str, Any]:
    message, call = stored.message, stored.meta.call
    match message.role:
        case Role.ASSISTANT:
            entry: dict[str, Any] = {"role": "assistant", "content": message.content}
            if message.reasoning and with_thinking:
                entry["reasoning_content"] = message.reasoning
            calls = [
                {
                    "id": _call_id(reply_id, index),
                    "type": "function",
                    "function": {"name": written.name, "arguments": written.arguments},
                }
                for index, written in enumerate(message.tool_calls)
            ]
            return {**entry, "tool_calls": calls} if calls else entry
        case Role.TOOL:
            call_id = _call_id(reply_id, call.index if call else 0)
            return {"role": "tool", "tool_call_id": call_id, "content": message.content}
        case _:
            return {"role": message.role.value, "content": message.sent_content}


def _call_id(reply_id: int, index: int) -> str:
    return f"call_{reply_id}_{index}"
