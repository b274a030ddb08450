"""The Markdown rule for fences, which also reads fences in fences as models write them.

CommonMark ends a fence of three at the first line of three, so that a README inside a fence ends with its
first example and leaves prose in code boxes. Here, a line that names a language within a fence opens another
one, and the next bare line closes that one first.
"""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token

_OPENING = re.compile(r" {0,3}(?P<marks>`{3,}(?=[^`]*\Z)|~{3,})[ \t]*(?P<info>.*)", re.DOTALL)
_LANGUAGE = re.compile(r"[A-Za-z][\w+#.-]{0,24}(?:[ \t]*[{:,].*|[ \t]+\S*[={].*)?")
"""The info of a fence as one writes it: a language, perhaps attributes; prose after the marks is none."""
_DOCUMENTS = frozenset({"md", "mdx", "markdown"})
"""The languages that have fences themselves, so that a bare line of marks may open one as well."""
_LEADS_IN = re.compile(r"(?:\A|[:：][*_]*)[ \t]*\Z")
"""The end of a line after which an example may begin: a blank one, or one with a colon."""


class FenceNesting:
    """The fences that are open inside a fence, from its first line on."""

    def __init__(self, opening: str) -> None:
        match = _OPENING.fullmatch(opening)
        assert match is not None, "a fence opens with its marks"
        self._marker = match["marks"][0]
        self._lengths = [len(match["marks"])]
        self._is_document = match["info"].partition(" ")[0].strip().lower() in _DOCUMENTS
        self._before = opening

    @property
    def inner_openings(self) -> tuple[str, ...]:
        """Lines that open the inner fences again."""
        return tuple(f"{self._marker * length}x" for length in self._lengths[1:])

    def is_undecided(self, line: str) -> bool:
        """Return True if only the line after this one tells whether it closes the fence."""
        return (
            len(self._lengths) == 1
            and self._is_document
            and self._bare_length(line) >= self._lengths[0]
            and _LEADS_IN.search(self._before) is not None
        )

    def closes(self, line: str, after: str) -> bool:
        """Take the next line, and return True if it closes the fence; `after` is the one that follows it."""
        if line.lstrip(" \t").startswith(self._marker * 3):
            if (length := self._bare_length(line)) >= self._lengths[-1]:
                if (
                    self.is_undecided(line)
                    and after.strip()
                    and not after.lstrip().startswith(self._marker * 3)
                ):
                    self._lengths.append(length)
                elif len(self._lengths) == 1:
                    return True
                else:
                    self._lengths.pop()
            elif (length := self._opening_length(line)) >= self._lengths[0]:
                self._lengths.append(length)
        self._before = line
        return False

    def _bare_length(self, line: str) -> int:
        """Return the number of marks of a line that has nothing else; 0 for any other."""
        marks = line.strip(" \t")
        is_bare = marks == self._marker * len(marks) and _indent(line) < 4
        return len(marks) if is_bare and len(marks) >= 3 else 0

    def _opening_length(self, line: str) -> int:
        """Return the number of marks of a line that opens a fence of a language; 0 for any other."""
        match = _OPENING.fullmatch(line.rstrip())
        if match is None or match["marks"][0] != self._marker or not _LANGUAGE.fullmatch(match["info"]):
            return 0
        return len(match["marks"])


def inner_fences(fence: Token) -> tuple[str, ...]:
    """Return lines that open the fences again that are open inside an open fence."""
    nesting = FenceNesting(f"{fence.markup}{fence.info}")
    for line in fence.content.split("\n"):
        nesting.closes(line, "")
    return nesting.inner_openings


def use_fence_rule(parser: MarkdownIt) -> None:
    """Make a parser read fences in fences."""
    parser.block.ruler.at("fence", _fence, {"alt": ["paragraph", "reference", "blockquote", "list"]})


def _fence(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    if state.is_code_block(first):
        return False
    opening = _line(state, first).lstrip(" ")
    match = _OPENING.fullmatch(opening)
    if match is None:
        return False
    if silent:
        return True
    nesting, indent = FenceNesting(opening), state.sCount[first]
    end, is_closed = first + 1, False
    while end < last and not is_closed:
        if not state.isEmpty(end) and state.sCount[end] < state.blkIndent:
            break  # it is no part of the list item that holds the fence
        is_closed = nesting.closes(_line(state, end), _line(state, end + 1) if end + 1 < last else "")
        end += 1
    state.line = end
    token = state.push("fence", "code", 0)
    token.info, token.markup = match["info"], match["marks"]
    token.content = state.getLines(first + 1, end - is_closed, indent, True)
    token.map = [first, end]
    return True


def _line(state: StateBlock, line: int) -> str:
    """Return a line with the columns by which it is indented in the list item or quote that holds it."""
    text = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]]
    return " " * (state.sCount[line] - state.blkIndent) + text


def _indent(line: str) -> int:
    return len(line.expandtabs(4)) - len(line.expandtabs(4).lstrip())
