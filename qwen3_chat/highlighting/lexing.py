"""Code coloured by Pygments, row by row, resuming where it stopped; only the helper process runs this."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from functools import cache, lru_cache

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer, RegexLexer
from pygments.lexers import TextLexer, get_all_lexers, get_lexer_by_name
from pygments.token import Error, Token, _TokenType
from pygments.util import ClassNotFound

from qwen3_chat.highlighting.messages import STYLE_NAMES, IndexedSpan

MAX_SPANS_PER_ROW = 2_000
"""The spans that are kept of one row; what follows stays plain."""

_STYLES = {
    Token.Comment: "comment",
    Token.Comment.Preproc: "keyword",
    Token.Generic.Deleted: "deleted",
    Token.Generic.Heading: "function",
    Token.Generic.Inserted: "inserted",
    Token.Generic.Prompt: "comment",
    Token.Generic.Subheading: "function",
    Token.Keyword: "keyword",
    Token.Keyword.Constant: "constant",
    Token.Keyword.Type: "type",
    Token.Literal.Number: "number",
    Token.Literal.String: "string",
    Token.Literal.String.Doc: "comment",
    Token.Literal.String.Escape: "constant",
    Token.Literal.String.Interpol: "constant",
    Token.Name.Attribute: "attribute",
    Token.Name.Builtin: "builtin",
    Token.Name.Builtin.Pseudo: "constant",
    Token.Name.Class: "type",
    Token.Name.Decorator: "attribute",
    Token.Name.Exception: "type",
    Token.Name.Function: "function",
    Token.Name.Tag: "function",
    Token.Name.Variable: "variable",
    Token.Operator.Word: "keyword",
}


class CodeLexer:
    """The lexer of one block, whose rows are added as they arrive."""

    def __init__(self, language: str) -> None:
        self.n_rows = 0
        self.n_returned = 0
        """The rows whose spans have been returned."""
        self.used_s = 0.0
        """The processor time that the block has taken, as its owner counts it."""
        self._lexer = _lexer(language)
        # Only a plain regex lexer can stop and resume; other lexers wait for the whole block.
        self._resumes = type(self._lexer).get_tokens_unprocessed is RegexLexer.get_tokens_unprocessed
        self._spans: list[list[IndexedSpan]] = []
        self._text, self._starts = "", list[int]()
        self._position, self._states = 0, ["root"]

    def add_rows(self, rows: Iterable[str], is_end: bool) -> list[list[IndexedSpan]]:
        """Add rows; return the spans of the next rows whose colours are known, in order."""
        added: list[str] = []
        length = len(self._text)
        for row in rows:
            self._spans.append([])
            self._starts.append(length)
            added.append(f"{row}\n")
            length += len(added[-1])
        self._text += "".join(added)
        self.n_rows = len(self._starts)
        if not (self._resumes or is_end):
            return []
        self._assign_to_rows(
            self._resume(self._lexer) if self._resumes else self._lexer.get_tokens_unprocessed(self._text)
        )
        first, self.n_returned = self.n_returned, self.n_rows
        return [sorted(row) for row in self._spans[first:]]

    def _assign_to_rows(self, tokens: Iterator[tuple[int, _TokenType, str]]) -> None:
        """Distribute tokens to the rows they belong to."""
        for position, kind, value in tokens:
            if (style := _style_index(kind)) < 0:
                continue
            row = bisect_right(self._starts, position) - 1
            for part in value.split("\n"):
                if part.strip() and row < len(self._spans) and len(self._spans[row]) < MAX_SPANS_PER_ROW:
                    start = position - self._starts[row]
                    self._spans[row].append((start, start + len(part), style))
                position, row = position + len(part) + 1, row + 1

    def _resume(self, lexer: Lexer) -> Iterator[tuple[int, _TokenType, str]]:
        """Run `RegexLexer.get_tokens_unprocessed` with a position and a stack that outlive the call."""
        text, stack, rules = self._text, self._states, lexer._tokens  # type: ignore[attr-defined]
        while self._position < len(text):
            for match_at, action, new_states in rules[stack[-1]]:
                if match := match_at(text, self._position):
                    if isinstance(action, _TokenType):
                        yield self._position, action, match[0]
                    elif action is not None:
                        yield from action(lexer, match)
                    self._position = match.end()
                    self._enter(stack, new_states)
                    break
            else:
                if text[self._position] == "\n":
                    stack[:] = ["root"]
                else:
                    yield self._position, Error, text[self._position]
                self._position += 1

    @staticmethod
    def _enter(stack: list[str], new_states: tuple[str, ...] | str | int | None) -> None:
        if new_states is None:
            return
        for state in new_states if isinstance(new_states, tuple) else (new_states,):
            if state == "#pop" or isinstance(state, int):
                del stack[max(1, len(stack) + (state if isinstance(state, int) else -1)) :]
            else:
                stack.append(stack[-1] if state == "#push" else state)


def render_block_as_html(language: str, text: str) -> str:
    """Return code as HTML in colours; an empty text where the language is unknown."""
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return ""
    return str(highlight(text, lexer, HtmlFormatter(nowrap=True)))


@cache
def _aliases() -> frozenset[str]:
    return frozenset(alias for _, names, _, _ in get_all_lexers(plugins=False) for alias in names)


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language) if language.lower() in _aliases() else TextLexer()


@cache
def _style_index(kind: _TokenType) -> int:
    """Return the index of the style of a kind of token; -1 if it has none."""
    while kind not in _STYLES:
        if kind.parent is None:
            return -1
        kind = kind.parent
    return STYLE_NAMES.index(_STYLES[kind])
