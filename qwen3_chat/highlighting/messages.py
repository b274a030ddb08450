"""The messages between the interface and the process that colours code, one JSON object per line."""

from __future__ import annotations

import msgspec

STYLE_NAMES = (
    *("attribute", "builtin", "comment", "constant", "deleted", "function", "inserted", "keyword"),
    *("number", "string", "type", "variable"),
)
"""The styles of code; a message names one by its index."""

IndexedSpan = tuple[int, int, int]
"""A styled part of a row: start, end, index of the style."""


class ColourRows(msgspec.Struct, tag=True, frozen=True):
    """The request to colour more rows of a block; `is_end` means that they are its last."""

    block_id: int
    language: str
    first_row: int
    rows: list[str]
    is_end: bool


class RenderHtml(msgspec.Struct, tag=True, frozen=True):
    """The request to render a whole block as HTML."""

    language: str
    text: str


class HighlighterReady(msgspec.Struct, tag=True, frozen=True):
    """The message that the process can take requests."""


class RowsColoured(msgspec.Struct, tag=True, frozen=True):
    """Colours of rows; several messages may answer one request, of which the last has `is_last`.

    There are fewer rows than requested as long as the lexer needs the block's end first.
    """

    first_row: int
    spans: list[list[IndexedSpan]]
    is_last: bool


class HtmlRendered(msgspec.Struct, tag=True, frozen=True):
    """A block as HTML; an empty text where its language is unknown."""

    html: str


class BlockForgotten(msgspec.Struct, tag=True, frozen=True):
    """The message that the rows before `first_row` are not known here, so all are needed again."""


class ColoursFailed(msgspec.Struct, tag=True, frozen=True):
    """The message that the lexer failed: the block has no more colours."""


Request = ColourRows | RenderHtml
Reply = HighlighterReady | RowsColoured | HtmlRendered | BlockForgotten | ColoursFailed
