"""The decoding of a streamed body into JSON values, however its bytes are cut or labelled."""

from __future__ import annotations

import codecs
import json
import re
from enum import StrEnum
from typing import Final

DONE_MARKER: Final = "[DONE]"
"""The end of a stream of events in the OpenAI protocol; the decoder returns it unchanged."""

MAX_EXCERPT_CHARACTERS = 300
_SSE_START = re.compile(r"(?:data|event|id|retry|error)?:|(?:data|event|id|retry|error)\s*$")
_LINE_END = re.compile(r"\r\n|\n|\r")


class SseDecoder:
    """An incremental decoder of server-sent events into the data of each complete event.

    A field `error`, which old llama-servers send, counts as data.
    """

    def __init__(self) -> None:
        self._line: list[str] = []  # the incomplete line, in pieces
        self._data: list[str] = []
        self._ends_in_cr = False

    def feed(self, text: str) -> list[str]:
        """Return the data of the events that more text completes."""
        if self._ends_in_cr and text.startswith("\n"):
            text = text[1:]  # the second half of a line end whose first half has ended the line
        if not text:
            return []
        self._ends_in_cr = text.endswith("\r")
        *lines, incomplete = _LINE_END.split(text)
        events = []
        for line in lines:
            whole = "".join([*self._line, line])
            self._line = []
            if whole:
                self._take(whole)
            elif self._data:
                events.append(self._event())
        if incomplete:
            self._line.append(incomplete)
        return events

    def flush(self) -> list[str]:
        """Return the data of the last event, which the end of the stream may have cut off."""
        self._take("".join(self._line))
        self._line = []
        return [self._event()] if self._data else []

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name in ("data", "error"):
            self._data.append(value.removeprefix(" "))

    def _event(self) -> str:
        data, self._data = "\n".join(self._data), []
        return data


class _BodyFormat(StrEnum):
    UNKNOWN = "unknown"
    EVENTS = "events"
    JSON = "json"
    OTHER = "other"


class BodyDecoder:
    """An incremental decoder of a body: events, JSON lines or one JSON text, recognised by its beginning.

    The content type is ignored, because proxies and servers get it wrong. `n_damaged` counts the values that
    are invalid JSON; `unrecognised_start` is the beginning of a body of another format.
    """

    def __init__(self) -> None:
        self.n_damaged = 0
        self.unrecognised_start = ""
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._format = _BodyFormat.UNKNOWN
        self._held = ""
        self._events = SseDecoder()
        self._whole: list[str] = []

    def feed(self, data: bytes) -> list[object]:
        """Return the values that more bytes complete; `DONE_MARKER` may be one of them."""
        return self._feed(self._utf8.decode(data))

    def flush(self) -> list[object]:
        """Return the remaining values, at the end of the stream."""
        values = self._feed(self._utf8.decode(b"", final=True))
        if self._format is _BodyFormat.UNKNOWN and self._held.strip():
            self._format = _BodyFormat.EVENTS if _SSE_START.match(self._held.lstrip()) else _BodyFormat.OTHER
            held, self._held = self._held, ""
            values += self._feed(held)
        for data in self._events.flush():
            values += self._parsed(data)
        text = "".join(self._whole)
        self._whole = []
        return values + (self._parsed(text) if text.strip() else [])

    def _feed(self, text: str) -> list[object]:
        if self._format is _BodyFormat.UNKNOWN:
            text = (self._held + text).lstrip("\ufeff \t\r\n")
            self._format, self._held = _detect_format(text), ""
        match self._format:
            case _BodyFormat.UNKNOWN:
                self._held = text
                return []
            case _BodyFormat.EVENTS:
                return [value for data in self._events.feed(text) for value in self._parsed(data)]
            case _BodyFormat.JSON:
                return self._feed_json(text)
            case _BodyFormat.OTHER:
                self.unrecognised_start = (self.unrecognised_start + text)[:MAX_EXCERPT_CHARACTERS]
                return []

    def _feed_json(self, text: str) -> list[object]:
        """Return the values of JSON lines; an incomplete value may span many lines."""
        self._whole.append(text)
        if "\n" not in text:
            return []
        *lines, incomplete = "".join(self._whole).split("\n")
        values: list[object] = []
        pending = ""
        for line in lines:
            pending += line
            try:
                values.append(json.loads(pending))
                pending = ""
            except (ValueError, RecursionError):
                pending += "\n"
        self._whole = [pending.lstrip() + incomplete]
        return values

    def _parsed(self, data: str) -> list[object]:
        if data.strip() == DONE_MARKER:
            return [DONE_MARKER]
        try:
            return [json.loads(data)]
        except (ValueError, RecursionError):
            pass
        lines = data.split("\n")
        if len(lines) > 1:  # events without the empty line between them
            return [value for line in lines for value in self._parsed(line)]
        self.n_damaged += bool(data.strip())
        return []


def _detect_format(beginning: str) -> _BodyFormat:
    if beginning.startswith(("{", "[")):
        return _BodyFormat.JSON
    if _SSE_START.match(beginning) and ":" in beginning:
        return _BodyFormat.EVENTS
    if len(beginning) < len("event:") and not beginning.startswith("<"):
        return _BodyFormat.UNKNOWN
    return _BodyFormat.OTHER
