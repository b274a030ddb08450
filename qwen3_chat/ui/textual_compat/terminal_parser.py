"""The one gate from the terminal: its bytes become keys, pastes and mouse events, and none of them an error.

Textual's parser is extended where it believes the terminal: it stops at a code that is no character
(textual#6456 is about its decoder), it takes what is inside a paste for keys, and it types what it does not
know.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Generator, Iterable
from time import monotonic
from typing import Final

from textual import constants, events, messages
from textual._ansi_sequences import ANSI_SEQUENCES_KEYS
from textual._parser import ParseEOF, ParseTimeout, Peek1, Read1, TokenCallback
from textual._xterm_parser import (
    BRACKETED_PASTE_END,
    BRACKETED_PASTE_START,
    FOCUSIN,
    FOCUSOUT,
    IS_ITERM,
    XTermParser,
)
from textual.keys import Keys
from textual.message import Message

PASTE_PAUSE_S = 1.0
"""The silence after which a paste is shown as far as it has come."""
MAX_PASTE_CHARACTERS = 32 * 1024**2
"""The rest of a longer paste is dropped; the input refuses such a paste anyway, with a sentence."""
DECODER_PAUSE_S = 0.3
"""The silence after which a character is not expected to be completed."""

_BURST = re.compile(r"[^\x00-\x1f\x7f-\x9f]{64,}")
"""So many characters in one go are a paste without its marks: handled key by key, each would be drawn."""
_BOUNDARY = re.compile(rf"(~)|\x1b|{_BURST.pattern}")

_MAX_SEQUENCE = 64
_MAX_STRING = 4096
_MAX_SCREEN_PIXELS = 100_000

ESC: Final = "\x1b"
_STRING_STARTS: Final = tuple(ESC + character for character in "]P_^X")  # OSC, DCS, APC, PM, SOS
_STRING = re.compile(r"\x1b[\]P_^X][^\x00-\x1f\x7f]*")
_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]", re.ASCII)
_BEGUN_CONTROL_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*|\x1b\[<[\d;-]*", re.ASCII)
_ONE_KEY = re.compile(rf"\x1b?[^\r\n]|\x1bO.|{_CONTROL_SEQUENCE.pattern}", re.ASCII)
_KITTY_KEY = re.compile(r"\x1b\[([\d:]*)(?:;([\d:]*))?(?:;([\d:]*))?([u~ABCDEFHPQRS])", re.ASCII)
_X10_MOUSE = re.compile(r"\x1b\[M.{0,3}", re.DOTALL)
_SGR_MOUSE = re.compile(r"\x1b\[<\d{1,4};-?\d{1,6};-?\d{1,6}[Mm]", re.ASCII)
_ANY_SGR_MOUSE = re.compile(r"\x1b\[<[\d;-]*[@-~]", re.ASCII)
_CURSOR_POSITION = re.compile(r"\x1b\[(\d{1,6});(\d{1,6})R", re.ASCII)
_MODE_REPORT = re.compile(r"\x1b\[\?(\d{1,6});(\d)\$y", re.ASCII)
_SIZE_REPORT = re.compile(
    r"\x1b\[48;(\d{1,6})[\d:]*;(\d{1,6})[\d:]*;(\d{1,6})[\d:]*;(\d{1,6})[\d:]*t", re.ASCII
)
_KEY_RELEASE = "3"

_BEGUN_KEYS: Final = frozenset(
    sequence[:length]
    for sequence in ANSI_SEQUENCES_KEYS
    if sequence.startswith(ESC)
    for length in range(1, len(sequence))
) | {ESC + "O"}
"""The proper beginnings of the known sequences of keys."""


class Paste:
    """The text of a bracketed paste, read up to its end mark; each piece is looked at once."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._length = 0
        self._held = ""  # may be the beginning of the end mark

    def read(self, data: str, start: int) -> int | None:
        """Read more of the paste from `start` on; return where its end mark ends, None if it has not come."""
        if self._held:
            missing = BRACKETED_PASTE_END[len(self._held) :]
            if data.startswith(missing, start):
                self._held = ""
                return start + len(missing)
            if missing.startswith(data[start:]):
                self._held += data[start:]
                return None
            self._add(self._held)
            self._held = ""
        end = data.find(BRACKETED_PASTE_END, start)
        if end >= 0:
            self._add(data[start:end])
            return end + len(BRACKETED_PASTE_END)
        lengths = range(min(len(BRACKETED_PASTE_END) - 1, len(data) - start), 0, -1)
        n_held = next((length for length in lengths if data.endswith(BRACKETED_PASTE_END[:length])), 0)
        self._held = data[len(data) - n_held :]
        self._add(data[start : len(data) - n_held])
        return None

    def take(self) -> str:
        """Return the text read since the last time, and forget it."""
        text = "".join(self._pieces)
        self._pieces.clear()
        self._length = 0
        return text

    def _add(self, text: str) -> None:
        # NUL characters are left out as Textual does (textual#1661).
        kept = text.replace("\0", "")[: MAX_PASTE_CHARACTERS - self._length]
        self._length += len(kept)
        self._pieces.append(kept)


class TerminalParser(XTermParser):
    """Textual's parser for the bytes of any terminal.

    Args:
        screen_cells: returns the columns and rows of the terminal, as the system knows them.
        clock: seconds, never set back.
    """

    def __init__(
        self, screen_cells: Callable[[], tuple[int, int]], clock: Callable[[], float] = monotonic
    ) -> None:
        self._screen_cells = screen_cells
        self._clock = clock
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self._last_read_s = clock()
        self._paste: Paste | None = None
        super().__init__()

    def feed_bytes(self, data: bytes) -> Iterable[Message]:
        """Return the events of what the terminal sent."""
        text = self._decoder.decode(data)
        if text:
            yield from self.feed(text)
        self._last_read_s = self._clock()

    def feed(self, data: str) -> Iterable[Message]:
        """Return the events of what the terminal sent, decoded; of nothing, those at its end."""
        if not data:
            yield from super().feed(data)
            return
        if self._paste is not None and self._is_silent(PASTE_PAUSE_S) and _is_one_key(data):
            # The end mark does not come any more, but somebody is at the keyboard.
            yield from self._take_paste()
            self._paste = None
        start = 0
        while start < len(data):
            if self._paste is None:
                if self._awaiting.timeout is None and (burst := _BURST.match(data, start)):
                    yield events.Paste(burst[0])  # nobody types that fast
                    start = burst.end()
                    continue
                boundary = _BOUNDARY.search(data, start + 1)
                end = boundary.end(1) if boundary and boundary[1] else boundary.start() if boundary else None
                if self._awaiting.timeout is not None:
                    end = start + 1  # inside a sequence, which may end anywhere
                yield from super().feed(data[start:end])
                start = len(data) if end is None else end
            elif (after := self._paste.read(data, start)) is None:
                return
            else:
                yield from self._take_paste()
                self._paste = None
                start = after

    def tick(self) -> Iterable[Message]:
        """Return the events of what is complete because nothing more has come."""
        if self._is_silent(DECODER_PAUSE_S) and (text := self._decoder.decode(b"", final=True)):
            self._decoder.reset()
            yield from self.feed(text)
        if self._paste is not None and self._is_silent(PASTE_PAUSE_S):
            yield from self._take_paste()
        yield from super().tick()

    def _is_silent(self, duration_s: float) -> bool:
        return self._clock() - self._last_read_s >= duration_s

    def _take_paste(self) -> Iterable[events.Paste]:
        if self._paste is not None and (text := self._paste.take()):
            yield events.Paste(text)

    # sequences

    def parse(self, token_callback: TokenCallback[Message]) -> Generator[Read1 | Peek1, str, None]:
        """Read characters and pass on the events; the part of Textual's parser that is replaced."""
        while not self.is_eof:
            try:
                character = yield Read1()
            except ParseEOF:
                return
            if character != ESC:
                self._send_keys(character, token_callback)
                continue
            sequence = ESC
            while True:
                try:
                    character = yield Read1(constants.ESCAPE_DELAY)
                except ParseTimeout:
                    self._give_up(sequence, token_callback)
                    break
                except ParseEOF:
                    self._give_up(sequence, token_callback)
                    return
                if _is_broken_string(sequence, character):
                    self._give_up(sequence[:-1], token_callback)
                    sequence = ESC
                if character == ESC and not sequence.startswith(_STRING_STARTS):
                    self._give_up(sequence, token_callback)
                    sequence = ESC
                    continue
                begun = sequence + character
                if self._is_complete(begun, token_callback):
                    break
                if self._may_go_on(begun):
                    sequence = begun if len(begun) <= _limit(begun) or character == ESC else sequence
                    continue
                self._give_up(sequence, token_callback)
                self._send_keys(character, token_callback)
                break

    def _is_complete(self, sequence: str, send: TokenCallback[Message]) -> bool:
        """Send the event of a complete sequence; return False if it is not complete, or is none."""
        if sequence.startswith(_STRING_STARTS):
            return len(sequence) > 2 and sequence.endswith(
                ("\a", ESC + "\\")
            )  # answers that nobody asked for
        if not sequence.startswith(ESC + "["):
            return self._is_alt_key(sequence, send) or self._send_keys(sequence, send)
        if _X10_MOUSE.fullmatch(sequence):
            return len(sequence) == 6
        if sequence == BRACKETED_PASTE_START:
            self._paste = Paste()
            return True
        if sequence == BRACKETED_PASTE_END:
            return True  # of no paste
        event: Message | None = None
        if sequence == FOCUSIN:
            event = events.AppFocus()
        elif sequence == FOCUSOUT:
            event = events.AppBlur()
        elif match := _SIZE_REPORT.fullmatch(sequence):
            self._read_size(*map(int, match.groups()))
        elif match := _CURSOR_POSITION.fullmatch(sequence):
            row, column = map(int, match.groups())
            event = events.CursorPosition(column - 1, row - 1)
        elif _SGR_MOUSE.fullmatch(sequence):
            event = self.parse_mouse_code(sequence)
        elif match := _MODE_REPORT.fullmatch(sequence):
            event = _mode_event(match[1], int(match[2]))
        elif self._send_keys(sequence, send):
            return True
        if event is not None:
            send(event)
        is_mouse = _ANY_SGR_MOUSE.fullmatch(sequence) is not None
        is_known_form = is_mouse or _CONTROL_SEQUENCE.fullmatch(sequence) is not None
        return is_known_form and sequence not in _BEGUN_KEYS

    @staticmethod
    def _may_go_on(sequence: str) -> bool:
        return (
            sequence in _BEGUN_KEYS
            or _X10_MOUSE.fullmatch(sequence) is not None
            or _BEGUN_CONTROL_SEQUENCE.fullmatch(sequence) is not None
            or _STRING.fullmatch(sequence.removesuffix(ESC)) is not None
        )

    def _give_up(self, sequence: str, send: TokenCallback[Message]) -> None:
        """Send the keys of a sequence that does not go on: Escape, or Alt with what stands behind it.

        What is left of a longer sequence of control is no text, so that is dropped.
        """
        if sequence == ESC:
            send(events.Key("escape", ESC))
        elif len(sequence) == 2 or not sequence.startswith(ESC + "["):
            self._send_alt_key(sequence[1], send)
            for character in sequence[2:] if len(sequence) < _MAX_STRING else "":
                self._send_keys(character, send)

    def _is_alt_key(self, sequence: str, send: TokenCallback[Message]) -> bool:
        if len(sequence) != 2 or sequence in ANSI_SEQUENCES_KEYS or sequence in _BEGUN_KEYS:
            return False
        self._send_alt_key(sequence[1], send)
        return True

    def _send_alt_key(self, character: str, send: TokenCallback[Message]) -> None:
        for key in self._sequence_to_key_events(character, alt=True):
            send(key)

    def _send_keys(self, sequence: str, send: TokenCallback[Message]) -> bool:
        """Send the keys of a sequence; return False if it is not known."""
        keys = list(self._sequence_to_key_events(sequence))
        for key in keys:
            if key.key != Keys.Ignore:
                send(key)
        return bool(keys)

    def _parse_extended_key(  # type: ignore[override]
        self, sequence: str
    ) -> list[events.Key] | None:
        """Return the keys of a report in kitty's protocol; a code that is no character is ignored.

        Textual takes each number for a character. It does not know the other layouts' codes after a colon,
        nor the kind of the event, which it does not ask for.
        """
        match = _KITTY_KEY.fullmatch(sequence)
        if match is None:
            return None
        code, _, _ = match[1].partition(":")
        modifiers, _, kind = (match[2] or "").partition(":")
        text = match[3] or ""
        if kind == _KEY_RELEASE or not all(map(_is_character, (code, modifiers, *text.split(":")))):
            return [events.Key(Keys.Ignore, sequence)]
        return super()._parse_extended_key(f"\x1b[{code};{modifiers};{text}{match[4]}")

    def _read_size(self, rows: int, columns: int, height: int, width: int) -> None:
        """Note how many pixels the screen has; how many cells, the system knows for certain."""
        columns, rows = self._screen_cells()
        if 0 < columns <= width <= _MAX_SCREEN_PIXELS and 0 < rows <= height <= _MAX_SCREEN_PIXELS:
            report = events.Resize.from_dimensions((columns, rows), (width, height))
            self.terminal_size, self.terminal_pixel_size = report.size, report.pixel_size
            self.mouse_pixels = True


def _is_broken_string(sequence: str, character: str) -> bool:
    """Return True if the ESC at the end of a string was not the beginning of its end, ESC and a backslash."""
    return sequence.startswith(_STRING_STARTS) and sequence.endswith(ESC) and character != "\\"


def _limit(sequence: str) -> int:
    return _MAX_STRING if sequence.startswith(_STRING_STARTS) else _MAX_SEQUENCE


def _is_one_key(data: str) -> bool:
    """Return True for what the press of a key sends, but for Enter, which may be a line of a slow paste."""
    return data != BRACKETED_PASTE_END and _ONE_KEY.fullmatch(data) is not None


def _is_character(code: str) -> bool:
    """Return True for the code of a character as decimal digits, and for none."""
    return not code or (len(code) <= 7 and int(code) <= 0x10FFFF and not 0xD800 <= int(code) <= 0xDFFF)


def _mode_event(mode: str, setting: int) -> Message | None:
    """Return the event of a report about a mode that the driver asked for."""
    if mode == "2026" and setting > 0:
        return messages.TerminalSupportsSynchronizedOutput()
    if mode == "2048" and constants.SMOOTH_SCROLL and not IS_ITERM:
        return messages.InBandWindowResize.from_setting_parameter(setting)
    return None
