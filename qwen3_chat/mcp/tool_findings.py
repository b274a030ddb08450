"""Suspicious tools of servers: text that can't be seen, names that could be mistaken for others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from qwen3_chat.mcp.server_messages import ServerTool

_HIDDEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)
_LOOK_ALIKES: Final = str.maketrans(
    "аеорсухіјѕԁԛԝһвкмнтοαερντικυχαΑΒΕΖΗΙΚΜΝΟΡΤΥΧ0135l|",
    "aeopcyxijsdqwhbkmhtoaepvtikuxaabezhikmnoptyxoiesii",
)

MAX_DESCRIPTION_CHARS: Final = 4_000
"""The most of a tool's description that the model reads, in characters."""


def has_hidden_text(tool: ServerTool) -> bool:
    """Return whether characters of a tool's definition can't be seen."""
    return any(_HIDDEN.search(text) for text in _texts([tool.name, tool.description, tool.schema]))


def mistakable_names(names: Sequence[str], others: Iterable[str]) -> dict[str, str]:
    """Return the names that a person could take for another one, each with that: of `others` or their own."""
    forms = dict[str, list[str]]()
    for name in dict.fromkeys((*others, *names)):
        forms.setdefault(_plain_form(name), []).append(name)
    alike = {name: next((o for o in forms[_plain_form(name)] if o != name), "") for name in names}
    return {name: other for name, other in alike.items() if other}


def visible_text(text: str) -> str:
    """Return a description as the model reads it: without what nobody sees, and of limited length."""
    visible = without_hidden_text(text)
    if len(visible) <= MAX_DESCRIPTION_CHARS:
        return visible
    return f"{visible[:MAX_DESCRIPTION_CHARS]} […]"


def without_hidden_text(text: str) -> str:
    """Return a text without the characters that nobody sees."""
    return _HIDDEN.sub("", text)


def visible_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a schema whose descriptions have no hidden characters; what is checked stays as it is."""
    return {key: _visible_part(key, value) for key, value in schema.items()}


def _visible_part(key: str, value: Any) -> Any:
    match value:
        case str() if key in ("description", "title"):
            return visible_text(value)
        case dict():
            return {name: _visible_part(name, part) for name, part in value.items()}
        case list():
            return [_visible_part("", part) for part in value]
        case _:
            return value


def _plain_form(name: str) -> str:
    text = unicodedata.normalize("NFKC", _HIDDEN.sub("", name)).casefold().translate(_LOOK_ALIKES)
    return re.sub(r"[\W_]+", "", text)


def _texts(parts: Sequence[Any]) -> Iterable[str]:
    """Return all texts in a value, names of keys included, without recursion."""
    waiting = list(parts)
    while waiting:
        match waiting.pop():
            case str() as text:
                yield text
            case dict() as table:
                waiting += [*table, *table.values()]
            case list() as items:
                waiting += items
