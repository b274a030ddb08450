"""The messages between a page and the server: JSON arrays, as the page of textual-serve sends them. Pure."""

from __future__ import annotations

import json
from enum import IntEnum
from typing import Annotated, Final

from msgspec import DecodeError, Meta, Struct
from msgspec import json as msgspec_json

MAX_PAGE_MESSAGE_BYTES: Final = 16 * 1024**2
"""The most that a page sends at once, which is a paste; a page that sends more is closed."""
MAX_PAGE_COLUMNS, MAX_PAGE_ROWS = 1000, 500
DEFAULT_SIZE: Final = (80, 24)


class CloseCode(IntEnum):
    """The reason for which the server closes a connection, as the page reads it."""

    APP_ENDED = 4000
    MOVED = 4001
    CROWDED = 4002
    BAD_MESSAGE = 4003


class Typed(Struct, array_like=True, frozen=True, tag="stdin"):
    """Keys, pastes and movements of the mouse, as a terminal sends them."""

    text: str


class PageSize(Struct, frozen=True):
    """The size of the page in cells."""

    width: int
    height: int

    @property
    def cells(self) -> tuple[int, int]:
        """Columns and rows, within what an app can draw."""
        return clamp_size(self.width, self.height)


class Resized(Struct, array_like=True, frozen=True, tag="resize"):
    """Another size of the page."""

    size: PageSize


class Pinged(Struct, array_like=True, frozen=True, tag="ping"):
    """A question whether the server is there, which is sent back."""

    sent: Annotated[str, Meta(max_length=64)]


class Focused(Struct, array_like=True, frozen=True, tag="focus"):
    """The keyboard belongs to the page."""


class Blurred(Struct, array_like=True, frozen=True, tag="blur"):
    """The keyboard belongs to something else."""


class Taken(Struct, array_like=True, frozen=True, tag="take"):
    """The user wants the chat in this page, which waits, and not in the one that has it."""


PageMessage = Typed | Resized | Pinged | Focused | Blurred | Taken

_DECODER: Final = msgspec_json.Decoder(PageMessage)


def decode_page_message(text: str) -> PageMessage | None:
    """Return the message of a page; None if it is none that a page of ours sends."""
    try:
        return _DECODER.decode(text)
    except (DecodeError, UnicodeEncodeError, RecursionError):
        return None


def encode_page_message(kind: str, value: object) -> str:
    """Return a message to the page."""
    return json.dumps([kind, value])


def clamp_size(width: int, height: int) -> tuple[int, int]:
    """Return columns and rows within the limits."""
    return min(max(width, 1), MAX_PAGE_COLUMNS), min(max(height, 1), MAX_PAGE_ROWS)


def read_size(width: str, height: str) -> tuple[int, int]:
    """Return the size of an address's parameters; of anything that is no number, the usual one."""
    if not all(0 < len(text) < 6 and text.isascii() and text.isdecimal() for text in (width, height)):
        return DEFAULT_SIZE
    return clamp_size(int(width), int(height))
