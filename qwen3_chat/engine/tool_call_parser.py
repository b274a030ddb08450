"""The text of a tool call, as models write it, read into its name and its arguments.

Two forms are read: Hermes, a JSON object with `name` and `arguments` (Qwen3), and the XML form of Qwen3-Coder
and Qwen3.5. In the first, code may stand behind the object, between `<code>` and `</code>`. Small damage
is repaired: JSON by the library json_repair; a wrapper, another name of the arguments and missing tags by us.
A call that was repaired is marked, since what it does is for the user to decide.

A repair may change punctuation only. `_substance` proves that: what is left of source and result without
brackets, quotes, commas, colons and white space must be the same. So no argument is lost or invented.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from qwen3_chat.chat import ToolCall

MAX_CALL_CHARS: Final = 200_000
"""The longest text that is read as calls, in characters."""

MAX_REPAIRED_CHARS: Final = 20_000
"""The longest text that is repaired: repairing takes much longer than reading."""

MAX_CALL_BRACKETS: Final = 300
"""The most braces, or square brackets, in a text that is repaired."""

MAX_CALLS: Final = 32
"""The most calls in one text."""

MAX_PARAMETERS: Final = 1_000
"""The most parameters of a call in the XML form."""

_ARGUMENT_KEYS: Final = ("arguments", "parameters", "args", "params", "input")
_ENVELOPE_KEYS: Final = {"id", "type", "index"}  # around a call in the API of OpenAI

_PLAIN_NAME: Final = re.compile(r"[\w.:/-]+")
_LONE_SURROGATE: Final = re.compile(
    "[\ud800-\udfff]"
)  # JSON can spell half a character; nothing could store it
_BEGINS_JSON: Final = re.compile(r"\s*(?:\[\s*)?\{")
_FENCE: Final = re.compile(r"\A\s*```\w*\n(.*?)\n?```\s*\Z", re.DOTALL)
_SOURCE_BLOCK: Final = re.compile(r"(?<=\})\s*<code>\n?(.*?)\n?</code>\s*\Z", re.DOTALL)
_PUNCTUATION: Final = re.compile(r"""[\s{}\[\](),:;"'`\\]+""")
_ESCAPE: Final = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)
_PYTHON_WORDS: Final = {"True": "true", "False": "false", "None": "null"}
_PYTHON_WORD: Final = re.compile(r"\b(True|False|None)\b")

_FUNCTION: Final = re.compile(r"\s*<function=([^>\n]{1,200})>")
_FUNCTION_END: Final = "</function>"
_PARAMETER: Final = re.compile(r"\s*<parameter=([^>\n]{1,200})>")
_PARAMETER_END: Final = "</parameter>"
_NEXT_PARAMETER: Final = re.compile(r"\n<parameter=[^>\n]{1,200}>")
_TAG_OF_A_CALL: Final = re.compile(r"</?(?:function|parameter)")
_SURPLUS_ENDS: Final = re.compile(r"(?:</function>\s*)*")


def parse_calls(source: str, *, repairs: bool = True) -> tuple[ToolCall, ...]:
    """Return the calls in the text between `<tool_call>` and `</tool_call>`; none if it can't be read."""
    if len(source) > MAX_CALL_CHARS:
        return ()
    if is_xml(source):
        return _parse_xml(source, repairs=repairs)
    try:
        value = _DECODER.decode(source)
    except _AmbiguousError:
        return ()
    except (ValueError, RecursionError):
        return _call_with_source(source) or (_parse_damaged(source) if repairs else ())
    return _calls_from(value, is_repaired=False)


def _call_with_source(source: str) -> tuple[ToolCall, ...]:
    """Return a call whose argument `code` is empty in the JSON and stands behind it, between its own tags.

    Code needs no escapes there. None if the text is anything else.
    """
    block = _SOURCE_BLOCK.search(source)
    if block is None:
        return ()
    try:
        value = _DECODER.decode(source[: block.start()])
    except (_AmbiguousError, ValueError, RecursionError):
        return ()
    arguments = value.get("arguments") if isinstance(value, dict) else None
    if not isinstance(arguments, dict) or arguments.get("code") != "":
        return ()
    return _calls_from({**value, "arguments": {**arguments, "code": block[1]}}, is_repaired=False)


def is_xml(source: str) -> bool:
    """Return whether a call is written in the XML form, or was meant to be."""
    return "<function=" in source and not _BEGINS_JSON.match(source)


class _AmbiguousError(Exception):
    """A key that stands twice in one object: either value could be the one that was meant."""


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise _AmbiguousError
    return value


_DECODER: Final = json.JSONDecoder(
    strict=False, object_pairs_hook=_unique
)  # models leave raw newlines in strings


def _parse_damaged(source: str) -> tuple[ToolCall, ...]:
    """Return the calls of damaged JSON, all marked as repaired; none if more than punctuation is damaged."""
    if len(source) > MAX_REPAIRED_CHARS or not _is_slightly_damaged(source):
        return ()
    if fenced := _FENCE.match(source):
        return tuple(_marked(call) for call in parse_calls(fenced[1]))
    if len(objects := _whole_objects(source)) > 1:
        calls = [_calls_from(value, is_repaired=True) for value in objects]
        return tuple(call for found in calls for call in found) if all(calls) else ()
    from json_repair import repair_json  # 0.1 s to import, and rarely needed

    try:
        value = repair_json(source, return_objects=True, skip_json_loads=True)
        repaired = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        return ()
    if _substance(source) != _substance(repaired) or _ends_inside_a_value(source):
        return ()
    return _calls_from(value, is_repaired=True)


def _is_slightly_damaged(source: str) -> bool:
    """Return whether nearly all brackets match; json_repair takes quadratic time where they don't."""
    return all(
        source.count(opening) <= MAX_CALL_BRACKETS and abs(source.count(opening) - source.count(closing)) <= 2
        for opening, closing in ("{}", "[]")
    )


def _whole_objects(source: str) -> list[object]:
    """Return the JSON values that follow each other in a text, if it holds nothing else."""
    values, position = list[object](), 0
    while position < len(source) and len(values) <= MAX_CALLS:
        if source[position] in " \t\r\n,;":
            position += 1
            continue
        try:
            value, position = _DECODER.raw_decode(source, position)
        except (_AmbiguousError, ValueError, RecursionError):
            return []
        values.append(value)
    return values


def _substance(text: str) -> str:
    """Return what a repair must not change: the text without punctuation, with escapes decoded."""
    text = _PYTHON_WORD.sub(lambda match: _PYTHON_WORDS[match[1]], text)
    return _PUNCTUATION.sub("", _ESCAPE.sub(_decode_escape, text))


def _decode_escape(match: re.Match[str]) -> str:
    escape = match[1]
    if escape[0] == "u" and len(escape) == 5:
        return chr(int(escape[1:], 16))
    return {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}.get(escape, escape)


def _ends_inside_a_value(source: str) -> bool:
    """Return whether a string has no end, or the text breaks off after a value that may have gone on."""
    rest = _STRING.sub("", source)
    return '"' in rest or "'" in rest or not rest.rstrip().endswith(("}", "]"))


def _calls_from(value: object, *, is_repaired: bool) -> tuple[ToolCall, ...]:
    """Return the calls that a JSON value stands for; none if a part of it is no call."""
    match value:
        case dict():
            call = _call_from(value, is_repaired=is_repaired)
            return (call,) if call else ()
        case list() if 0 < len(value) <= MAX_CALLS:
            calls = [_call_from(item, is_repaired=True) for item in value if isinstance(item, dict)]
            whole = [call for call in calls if call]
            return tuple(whole) if len(whole) == len(value) else ()
        case _:
            return ()


def _call_from(value: Mapping[str, Any], *, is_repaired: bool) -> ToolCall | None:
    function = value.get("function")
    if isinstance(function, dict) and value.keys() - {"function"} <= _ENVELOPE_KEYS:
        return _call_from(function, is_repaired=True)
    if isinstance(function, str) and "name" not in value:
        value = {"name": function} | {key: item for key, item in value.items() if key != "function"}
        is_repaired = True
    keys = [key for key in _ARGUMENT_KEYS if key in value]
    if len(keys) > 1 or value.keys() - {"name", *keys} - _ENVELOPE_KEYS:
        return None  # two sets of arguments, or arguments beside the name: any choice could be the wrong one
    name = value.get("name")
    arguments = value[keys[0]] if keys else {}
    if isinstance(arguments, str):
        is_repaired = True
        try:
            arguments = _DECODER.decode(arguments)
        except (_AmbiguousError, ValueError, RecursionError):
            return None
    if not (isinstance(name, str) and name.strip() and isinstance(arguments, dict)):
        return None
    if _LONE_SURROGATE.search(name):
        return None
    is_repaired = is_repaired or keys not in ([], ["arguments"]) or name != name.strip()
    if is_repaired and not _PLAIN_NAME.fullmatch(name.strip()):
        return None
    return ToolCall(name.strip(), _storable_json(arguments), is_repaired=is_repaired)


def _parse_xml(source: str, *, repairs: bool) -> tuple[ToolCall, ...]:
    """Return the calls of the XML form; their arguments are text, whatever the schema says."""
    if repairs and (fenced := _FENCE.match(source)):
        return tuple(_marked(call) for call in _parse_xml(fenced[1], repairs=True))
    calls, position = list[ToolCall](), 0
    while (function := _FUNCTION.match(source, position)) and len(calls) < MAX_CALLS:
        end = source.find(_FUNCTION_END, function.end())
        body = source[function.end() : end if end >= 0 else None]
        if (call := _xml_call(function[1].strip(), body, is_closed=end >= 0)) is None:
            return ()
        calls.append(call)
        position = end + len(_FUNCTION_END) if end >= 0 else len(source)
    rest = source[position:].strip()
    if rest and calls and _SURPLUS_ENDS.fullmatch(rest):
        calls = [_marked(call) for call in calls]
    elif rest:
        return ()
    return tuple(calls) if repairs or not any(call.is_repaired for call in calls) else ()


def _xml_call(name: str, body: str, *, is_closed: bool) -> ToolCall | None:
    """Return a call; a missing end is repaired only where the next tag shows that nothing else is missing."""
    parameters = dict[str, str]()
    is_repaired, position = not is_closed, 0
    while parameter := _PARAMETER.match(body, position):
        key, begin = parameter[1].strip(), parameter.end()
        end = body.find(_PARAMETER_END, begin)
        position = end + len(_PARAMETER_END) if end >= 0 else len(body)
        if next_parameter := _NEXT_PARAMETER.search(body, begin, position):
            is_repaired, end = True, next_parameter.start()
            position = end
        elif end < 0:
            if not is_closed:
                return None  # the text breaks off within a value
            is_repaired, end = True, len(body)
        if key in parameters or len(parameters) == MAX_PARAMETERS:
            return None
        value = body[begin:end]
        is_repaired = is_repaired or bool(_TAG_OF_A_CALL.search(value))  # written, or the end is missing
        parameters[key] = _value_of(value)
    if body[position:].strip() or (is_repaired and not _PLAIN_NAME.fullmatch(name)):
        return None
    return ToolCall(name, _storable_json(parameters), is_repaired=is_repaired, values_are_text=True)


def _value_of(text: str) -> str:
    return text.removeprefix("\n").removesuffix("\n")


def _marked(call: ToolCall) -> ToolCall:
    return ToolCall(call.name, call.arguments, is_repaired=True, values_are_text=call.values_are_text)


def _storable_json(arguments: Mapping[str, object]) -> str:
    text = json.dumps(arguments, ensure_ascii=False)
    return json.dumps(arguments) if _LONE_SURROGATE.search(text) else text
