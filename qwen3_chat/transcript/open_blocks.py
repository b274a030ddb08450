"""The blocks that are open where a text is cut, as lines that open them again for the rest of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it.token import Token

from qwen3_chat.transcript.fence_rule import inner_fences
from qwen3_chat.transcript.formula_rules import formula_opener, is_closed_formula
from qwen3_chat.transcript.markdown_parser import PARSER

PLACEHOLDER = "x"
"""The text that stands for the text before the cut."""

_CONTAINERS = ("blockquote_open", "list_item_open")
_LEAVES = ("paragraph_open", "heading_open", "table_open", "fence", "formula_block", "code_block")
_SPACE_AND_BARS = re.compile(r"[ \t>]*")
_MARKER = re.compile(r"(?:[-+*]|\d{1,9}[.)])(?:[ \t]+|$)")
_BREAK = re.compile(r"[ \t。！？；，、：]")
_MAY_OPEN = re.compile(r"[*~`\[$\\]|(?<!\w)_")  # nothing has closed it yet, but what follows might
_MAY_GO_ON = ("text", "open_formula")
_MAX_BREAKS_TRIED = 50


@dataclass(frozen=True, slots=True)
class OpenBlocks:
    """Markdown that opens the open blocks again, to be parsed before the rest of the text.

    Each container is opened by a line of its own with the heading `x`. An open paragraph is an `x` after
    which it goes on, in the same row if it was cut within a line.
    """

    text: str = ""
    leaf: str = ""
    """The type of the token of the leaf that is open; empty if none is."""
    cuts_line: bool = False
    inner_fences: int = 0
    """The fences that are open inside the fence that is open; each has a line of its own."""

    @property
    def n_lines(self) -> int:
        """The number of lines that begin here."""
        return self.text.count("\n") + (not self.text.endswith("\n") and bool(self.text))

    @property
    def skipped_characters(self) -> int:
        """The characters of a paragraph that are not its own: the placeholder and perhaps a line's end."""
        return len(PLACEHOLDER) + (not self.cuts_line)

    @property
    def goes_on_in_row(self) -> bool:
        """True if the text goes on in the row in which it was cut."""
        return self.cuts_line and self.leaf in ("paragraph_open", "heading_open")

    def contains(self, token: Token) -> bool:
        """Return True if a block begins in these lines."""
        return token.map is not None and token.map[0] < self.n_lines


def find_open_blocks(head: str, tokens: Sequence[Token]) -> OpenBlocks:
    """Return the blocks that are open at the end of a text with these tokens."""
    cuts_line = not head.endswith("\n")
    n_lines = head.count("\n") + cuts_line
    lines = head.split("\n")
    reaching = [
        token for token in tokens if token.nesting >= 0 and token.map is not None and token.map[1] >= n_lines
    ]
    containers = [token for token in reaching if token.type in _CONTAINERS]
    leaf = next((token for token in reaching if token.type in _LEAVES and _is_open(token, cuts_line)), None)
    starts = [_source_line(token) for token in containers]
    opened = [_opening(lines[line], starts.count(line)) for line in sorted(set(starts))]
    text = "".join(f"{opening}# {PLACEHOLDER}\n" for opening in opened)
    inside = re.sub(r"[^\s>]", " ", opened[-1]) if opened else ""
    kind = "" if leaf is None else leaf.type
    fences = inner_fences(leaf) if leaf is not None and leaf.type == "fence" else ()
    if kind == "table_open" and cuts_line:  # a row as long as that goes on as a paragraph
        kind = "paragraph_open"
    match kind:
        case "paragraph_open":
            text += inside + PLACEHOLDER + "\n" * (not cuts_line)
        case "heading_open":
            text += f"{inside}{'#' * int(leaf.tag[1:]) if leaf else ''} {PLACEHOLDER}"
        case "formula_block":
            text += inside + (formula_opener(leaf.content) if leaf else "") + "\n" + inside * cuts_line
        case "table_open" | "fence" if leaf is not None:
            first = _source_line(leaf)
            line = lines[first]
            if first in starts:
                line = inside + line[len(opened[-1]) :]
            rest = f"{lines[first + 1]}\n" if kind == "table_open" else ""
            rest += "".join(f"{inside}{opening}\n" for opening in fences)
            text += f"{line}\n{rest}" + inside * cuts_line
        case _:
            kind = ""
            text += inside * cuts_line
    blocks = OpenBlocks(text, kind, cuts_line, len(fences))
    return blocks if _opens_the_same(blocks, containers) else OpenBlocks()


def is_independent(blocks: OpenBlocks, tokens: Sequence[Token]) -> bool:
    """Return True if what follows does not change how the text before is drawn, but for a heading's rule."""
    match blocks.leaf:
        case "table_open" | "formula_block":
            return False
        case "paragraph_open" | "heading_open":
            inline = next(token for token in reversed(tokens) if token.type == "inline")
            last_line = inline.content.rpartition("\n")[2]
            texts = (child.content for child in inline.children or () if child.type in _MAY_GO_ON)
            return "|" not in last_line and not any(map(_MAY_OPEN.search, texts))
        case _:
            return True


def last_break(text: str, start: int) -> int:
    """Return the end of the last part, from `start` on, in which no emphasis, code or link is open.

    If there is none nearby, it is the end of the last word.
    """
    breaks = [match.start() + (match[0] not in " \t") for match in _BREAK.finditer(text, start + 1)]
    for position in breaks[: -_MAX_BREAKS_TRIED - 1 : -1]:
        part = text[start:position]
        if not any(part.count(mark) % 2 for mark in ("**", "`", "~~", "$")) and part.count("[") == part.count(
            "]"
        ):
            return position
    return breaks[-1] if breaks else len(text)


def _is_open(token: Token, cuts_line: bool) -> bool:
    """Return True if a leaf at the end of the text may go on."""
    first, end = token.map or (0, 0)
    match token.type:
        case "heading_open":
            return cuts_line and token.markup.startswith("#")
        case "fence":
            content_lines = token.content.count("\n") + (
                not token.content.endswith("\n") and bool(token.content)
            )
            return end - first - 1 <= content_lines
        case "formula_block":
            return not is_closed_formula(token.content)
        case _:
            return True


def _opening(line: str, n_containers: int) -> str:
    """Return the beginning of a line that opens so many containers, without their content."""
    end = _end_of_bars(line, 0)
    for _ in range(n_containers):
        if match := _MARKER.match(line, end):
            end = _end_of_bars(line, match.end())
    opening = line[:end]
    return opening if opening.endswith((" ", "\t")) else f"{opening} "


def _end_of_bars(line: str, start: int) -> int:
    match = _SPACE_AND_BARS.match(line, start)
    return match.end() if match else start


def _source_line(token: Token) -> int:
    assert token.map is not None, f"{token.type} is a block and knows its lines"
    return token.map[0]


def _opens_the_same(blocks: OpenBlocks, containers: Sequence[Token]) -> bool:
    """Return True if the lines open these containers."""
    reopened = [token.type for token in PARSER.parse(blocks.text) if token.type in _CONTAINERS]
    return reopened == [token.type for token in containers]
