"""A conversation of ChatGPT's export as a chat of this app, with its branches. Pure.

Its `mapping` is a tree of nodes. Empty and hidden nodes are left out; what followed them follows the message
before. Thinking stands in nodes of its own and goes to the answer below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from qwen3_chat.chat import ChatMessage, Role, ToolCall
from qwen3_chat.documents.message_lists import FOREIGN_DECISION, message_text, reply_meta
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ChatImportError
from qwen3_chat.record_copies import replace
from qwen3_chat.store.records import CallRecord, Chat, MessageMeta, StoredMessage, WholeChat

_HIDDEN_TYPES: Final = {
    "user_editable_context",
    "model_editable_context",
    "reasoning_recap",
    "app_pairing_content",
}
"""Contents that ChatGPT does not show: instructions, memory, how long it thought."""
_TEXT_FIELDS: Final = ("text", "result", "content")


@dataclass(frozen=True, slots=True)
class _Place:
    """The place in the tree below which the next node comes."""

    parent_id: int | None = None
    thinking: str = ""
    """Thinking that no answer has yet."""
    call: ToolCall | None = None
    """The call whose result may follow."""


def read_chatgpt_conversation(conversation: Mapping[str, Any], now: datetime) -> WholeChat:
    """Return the chat of a conversation of `conversations.json`.

    Raises:
        ChatImportError: it is no conversation, has no message, or its nodes are no tree.
    """
    mapping = conversation.get("mapping")
    if not isinstance(mapping, dict):
        raise ChatImportError(ErrorCode.IMPORT_FORM_UNKNOWN)
    tree = _Tree(mapping, now)
    if not tree.messages:
        raise ChatImportError(ErrorCode.IMPORT_CHAT_EMPTY)
    title = conversation.get("title")
    chat = Chat(
        id=0,
        title=title.strip() if isinstance(title, str) else "",
        system="",
        mode_override=None,
        head_id=tree.message_ids.get(str(conversation.get("current_node")), tree.messages[-1].id),
        created_at=_moment(conversation.get("create_time"), now),
        updated_at=_moment(conversation.get("update_time"), now),
    )
    return WholeChat(chat, tuple(tree.messages))


class _Tree:
    """The messages of a mapping; `message_ids` has the message at or above each node."""

    def __init__(self, mapping: Mapping[str, Any], now: datetime) -> None:
        self.messages: list[StoredMessage] = []
        self.message_ids: dict[str, int] = {}
        self._now = now
        children = _children(mapping)
        waiting = [(node_id, _Place()) for node_id in reversed(children[None])]
        n_visited = 0
        while waiting:  # not by recursion: each message is a level
            node_id, place = waiting.pop()
            n_visited += 1
            place = self._add_node(mapping[node_id], place)
            if node_id not in children:
                place = self._add_thinking(place)
            if place.parent_id is not None:
                self.message_ids[node_id] = place.parent_id
            waiting += [(child_id, place) for child_id in reversed(children.get(node_id, ()))]
        if n_visited < len(mapping):
            raise ChatImportError(ErrorCode.IMPORT_MESSAGES_ENTANGLED)

    def _add_node(self, node: Mapping[str, Any], place: _Place) -> _Place:
        message = node.get("message")
        if not isinstance(message, dict):
            return place
        content, metadata = _object(message, "content"), _object(message, "metadata")
        kind, role = content.get("content_type"), _object(message, "author").get("role")
        if kind == "thoughts":
            return replace(place, thinking="\n\n".join(filter(None, (place.thinking, _thoughts(content)))))
        if kind in _HIDDEN_TYPES or metadata.get("is_visually_hidden_from_conversation") is True:
            return place
        text = _content_text(content)
        moment = _moment(message.get("create_time"), self._now)
        match role:
            case "user" if text.strip():
                place = self._add_thinking(place)
                return _Place(self._append(place, ChatMessage(Role.USER, text), MessageMeta(), moment))
            case "assistant" if text.strip():
                return self._add_reply(message, text, place, moment)
            case "tool" if text.strip():
                return self._add_result(message, text, place, moment)
            case "user" | "assistant" | "tool" | "system":
                return place
            case _:
                raise ChatImportError(ErrorCode.IMPORT_ROLE_UNKNOWN, role=role)

    def _add_thinking(self, place: _Place) -> _Place:
        """Add the thinking that no answer follows as a reply of its own."""
        if not place.thinking:
            return place
        reply = ChatMessage(Role.ASSISTANT, "", place.thinking)
        return _Place(self._append(place, reply, reply_meta(reply), self._now))

    def _add_reply(self, message: Mapping[str, Any], text: str, place: _Place, moment: datetime) -> _Place:
        recipient, model = message.get("recipient"), _object(message, "metadata").get("model_slug")
        call = ToolCall(recipient, text) if isinstance(recipient, str) and recipient != "all" else None
        reply = ChatMessage(
            Role.ASSISTANT, "" if call else text, place.thinking, tool_calls=(call,) if call else ()
        )
        meta = reply_meta(reply, model if isinstance(model, str) else None)
        return _Place(self._append(place, reply, meta, moment), call=call)

    def _add_result(self, message: Mapping[str, Any], text: str, place: _Place, moment: datetime) -> _Place:
        call = place.call
        if call is None:  # of a tool that nobody was seen to call
            name = _object(message, "author").get("name")
            call = ToolCall(name if isinstance(name, str) else "?", "{}")
            reply = ChatMessage(Role.ASSISTANT, "", place.thinking, (call,))
            place = _Place(self._append(place, reply, reply_meta(reply), moment))
        meta = MessageMeta(call=CallRecord(0, call.name, call.arguments, FOREIGN_DECISION))
        result_id = self._append(place, ChatMessage(Role.TOOL, text), meta, moment)
        return _Place(result_id, place.thinking)

    def _append(self, place: _Place, message: ChatMessage, meta: MessageMeta, moment: datetime) -> int:
        number = len(self.messages) + 1
        self.messages.append(StoredMessage(number, 0, place.parent_id, message, meta, moment))
        return number


def _children(mapping: Mapping[str, Any]) -> dict[str | None, list[str]]:
    """Return the nodes below each node, in the order that it lists them in; those below none for None."""
    children: dict[str | None, list[str]] = {None: []}
    for number, (node_id, node) in enumerate(mapping.items(), start=1):
        if not isinstance(node, dict):
            raise ChatImportError(ErrorCode.IMPORT_FORM_UNKNOWN)
        parent_id = node.get("parent")
        if parent_id is not None and (not isinstance(parent_id, str) or parent_id not in mapping):
            raise ChatImportError(ErrorCode.IMPORT_PARENT_MISSING, number=number)
        children.setdefault(parent_id, []).append(node_id)
    for parent_id, listed in children.items():
        if parent_id is not None and len(listed) > 1:
            order = {name: place for place, name in enumerate(_list(mapping[parent_id], "children"))}
            listed.sort(key=lambda node_id: order.get(node_id, len(order)))
    return children


def _content_text(content: Mapping[str, Any]) -> str:
    if isinstance(content.get("parts"), list):
        return message_text(content["parts"])
    return next((text for name in _TEXT_FIELDS if isinstance(text := content.get(name), str)), "")


def _thoughts(content: Mapping[str, Any]) -> str:
    texts = []
    for thought in _list(content, "thoughts"):
        match thought:
            case {"content": str(text)} if text.strip():
                texts.append(text)
            case {"summary": str(text)}:
                texts.append(text)
    return "\n\n".join(texts)


def _moment(seconds: object, now: datetime) -> datetime:
    """Return a time in seconds since 1970; `now` for anything else."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return now
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return now


def _object(parent: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = parent.get(name)
    return value if isinstance(value, dict) else {}


def _list(parent: Mapping[str, Any], name: str) -> list[Any]:
    value = parent.get(name)
    return value if isinstance(value, list) else []
