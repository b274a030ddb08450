"""The decoding of a streamed body into JSON values, however its bytes are cut or labelled."""

from __future__ import annotations

import codecs
import re
from contextlib import suppress
from enum import StrEnum
from typing import Final

from qwen3_chat.engine.remote.untrusted_json import JsonError, parse_json

DONE_MARKER: Final = "[DONE]"
"""The end of a stream of events in the OpenAI protocol; the decoder returns it unchanged."""

MAX_EXCERPT_CHARACTERS = 300
MAX_VALUE_CHARACTERS = 4 * 1024**2
"""The limit for one line, event or JSON text: a whole reply of 250,000 tokens, not streamed, escaped."""
MAX_REPLY_BYTES = 128 * 1024**2
"""The limit for the body of a reply, unpacked: some 400 bytes for each of 300,000 tokens."""
MAX_REPLY_VALUES = 1_000_000
"""The limit for the values in a body: one for each token of the longest context."""
MAX_LINES_WITHOUT_BLANK = 1000
"""The limit for events that a server sends without the empty line between them."""
_SSE_START = re.compile(r"(?:data|event|id|retry|error)?:|(?:data|event|id|retry|error)\s*$")
_KEEPALIVE = re.compile(r": ?keepalive (\d{1,9})/(\d{1,9})", re.ASCII)
_PROGRESS = '{"prompt_progress": {"processed": %s, "total": %s}}'
"""The progress of reading the prompt, in the form in which llama-server tells it."""
_UNQUOTED_ERROR = re.compile(r'\{"error": "(?P<message>[^\0]+)"\}')
"""An error as transformers puts it between quotes, whatever it holds."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_PLAIN_JSON = re.compile(r'[^"{}\[\]]*+')
_BETWEEN_VALUES = re.compile(r'[^"{}\[\]\n]*+')
_INSIDE_STRING = re.compile(r'(?:[^"\\]++|\\.)*', re.DOTALL)
_PIECES_TO_JOIN = 1024


class ReplyTooLargeError(Exception):
    """A reply over a limit: of characters, bytes, values or tool calls."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


class _TextBuffer:
    """A text in pieces of at most `MAX_VALUE_CHARACTERS` together, however small the pieces are."""

    def __init__(self) -> None:
        self._joined: list[str] = []
        self._pieces: list[str] = []
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._pieces or self._joined)

    def add(self, piece: str) -> None:
        """Add a piece.

        Raises:
            ReplyTooLargeError: the text becomes too long.
        """
        self._size += len(piece)
        if self._size > MAX_VALUE_CHARACTERS:
            raise ReplyTooLargeError(MAX_VALUE_CHARACTERS)
        self._pieces.append(piece)
        if len(self._pieces) == _PIECES_TO_JOIN:  # a string of one character takes fifty times its size
            self._joined.append("".join(self._pieces))
            self._pieces = []

    def take(self) -> str:
        """Return the text and begin another one."""
        text = "".join([*self._joined, *self._pieces])
        self._joined, self._pieces, self._size = [], [], 0
        return text


class SseDecoder:
    """An incremental decoder of server-sent events into the data of each complete event.

    A field `error`, which old llama-servers send, counts as data. So does a comment in which mlx-lm tells how
    far it has read the prompt: `: keepalive 2048/36014`.
    """

    def __init__(self) -> None:
        self._line = _TextBuffer()  # the incomplete line
        self._data = _TextBuffer()  # each line with its end
        self._ends_in_cr = False

    def feed(self, text: str) -> list[str]:
        """Return the data of the events that more text completes.

        Raises:
            ReplyTooLargeError: a line or an event is too long.
        """
        if self._ends_in_cr and text.startswith("\n"):
            text = text[1:]  # the second half of a line end whose first half has ended the line
        if not text:
            return []
        self._ends_in_cr = text.endswith("\r")
        *lines, incomplete = _LINE_END.split(text)
        events = []
        for line in lines:
            self._line.add(line)
            if whole := self._line.take():
                if progress := _KEEPALIVE.fullmatch(whole):
                    events.append(_PROGRESS % progress.groups())
                self._take(whole)
            elif self._data:
                events.append(self._event())
        if incomplete:
            self._line.add(incomplete)
        return events

    def flush(self) -> list[str]:
        """Return the data of the last event, which the end of the stream may have cut off."""
        self._take(self._line.take())
        return [self._event()] if self._data else []

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        if name in ("data", "error"):
            self._data.add(value.removeprefix(" ") + "\n")

    def _event(self) -> str:
        return self._data.take().removesuffix("\n")


class JsonSplitter:
    """An incremental splitter of a text into the JSON values that follow one another, in one pass.

    Brackets outside strings tell where a value ends, so no text is parsed twice, whatever its lines are. Text
    between values ends with its line.
    """

    def __init__(self) -> None:
        self._value = _TextBuffer()
        self._depth = 0
        self._in_string = False
        self._is_escaped = False

    def feed(self, text: str) -> list[str]:
        """Return the texts of the values that more text completes.

        Raises:
            ReplyTooLargeError: a value is too long.
        """
        values: list[str] = []
        begin = at = 0
        while at < len(text):
            if self._in_string:
                at = self._skip_string(text, at)
                continue
            at = (_PLAIN_JSON if self._depth else _BETWEEN_VALUES).match(text, at).end()  # type: ignore[union-attr]
            if at == len(text):
                break
            match text[at]:
                case '"':
                    self._in_string = True
                case "{" | "[":
                    self._depth += 1
                case "}" | "]":
                    self._depth = max(0, self._depth - 1)
            at += 1
            if not self._depth and not self._in_string:
                self._value.add(text[begin:at])
                values.append(self._value.take())
                begin = at
        self._value.add(text[begin:])
        return [value for value in values if not value.isspace()]

    def flush(self) -> list[str]:
        """Return the last value, which the end of the stream may have cut off."""
        last = self._value.take()
        return [] if not last or last.isspace() else [last]

    def _skip_string(self, text: str, at: int) -> int:
        """Return where the string ends, behind its quote, or the end of the text."""
        if self._is_escaped:
            self._is_escaped = False
            at += 1
        at = _INSIDE_STRING.match(text, at).end()  # type: ignore[union-attr]
        if at < len(text):
            self._in_string = text[at] != '"'
            self._is_escaped = self._in_string  # what stopped it is a backslash at the end of this text
            at += 1
        return at


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
        self._json = JsonSplitter()
        self._n_bytes = 0
        self._n_values = 0

    @property
    def is_event_stream(self) -> bool:
        """True once the body is recognised as events, if only by a comment that keeps the connection open."""
        return self._format is _BodyFormat.EVENTS

    @property
    def is_unrecognised(self) -> bool:
        """True once enough of a body of another format is there to say so."""
        return len(self.unrecognised_start) == MAX_EXCERPT_CHARACTERS

    def feed(self, data: bytes) -> list[object]:
        """Return the values that more bytes complete; `DONE_MARKER` may be one of them.

        Raises:
            ReplyTooLargeError: a value or the whole body is too large.
        """
        self._n_bytes += len(data)
        if self._n_bytes > MAX_REPLY_BYTES:
            raise ReplyTooLargeError(MAX_REPLY_BYTES)
        return self._counted(self._feed(self._utf8.decode(data)))

    def flush(self) -> list[object]:
        """Return the remaining values, at the end of the stream."""
        values = self._feed(self._utf8.decode(b"", final=True))
        if self._format is _BodyFormat.UNKNOWN and self._held.strip():
            self._format = _BodyFormat.EVENTS if _SSE_START.match(self._held.lstrip()) else _BodyFormat.OTHER
            held, self._held = self._held, ""
            values += self._feed(held)
        for data in (*self._events.flush(), *self._json.flush()):
            values += self._parsed(data)
        return values

    def _counted(self, values: list[object]) -> list[object]:
        self._n_values += len(values)
        if self._n_values > MAX_REPLY_VALUES:
            raise ReplyTooLargeError(MAX_REPLY_VALUES)
        return values

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
                return [value for data in self._json.feed(text) for value in self._parsed(data)]
            case _BodyFormat.OTHER:
                self.unrecognised_start = (self.unrecognised_start + text)[:MAX_EXCERPT_CHARACTERS]
                return []

    def _parsed(self, data: str) -> list[object]:
        if data.strip() == DONE_MARKER:
            return [DONE_MARKER]
        with suppress(JsonError):
            return [parse_json(data)]
        if error := _UNQUOTED_ERROR.fullmatch(data.strip()):
            return [{"error": error["message"]}]
        if 0 < data.count("\n") < MAX_LINES_WITHOUT_BLANK:  # events without the empty line between them
            return [value for line in data.split("\n") for value in self._parsed(line)]
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
