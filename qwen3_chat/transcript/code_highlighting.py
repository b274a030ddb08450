"""The highlighting of one code block, on demand, resuming where it stopped."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import cache, lru_cache

from pygments.lexer import Lexer, RegexLexer
from pygments.lexers import TextLexer, get_all_lexers, get_lexer_by_name
from pygments.token import Error, Token, _TokenType

LOOKAHEAD_ROWS = 100
MAX_HIGHLIGHTED_CHARS = 400_000

_STYLE_NAMES = {
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

StyledSpan = tuple[int, int, str]
"""A styled part of a row: start, end, style name."""


class HighlightedCode:
    """A code block whose rows are added as they arrive; `is_complete` is True when it has all of them."""

    def __init__(self, info: str) -> None:
        self.language = next(iter(info.split()), "")
        self.rows: list[str] = []
        self.is_complete = False
        self._spans: list[list[StyledSpan]] = []
        self._text, self._starts = "", list[int]()
        self._position, self._states = 0, ["root"]

    def row_spans(self, row: int) -> list[StyledSpan] | None:
        """Return the styled parts of a row; None as long as they can't be known."""
        if row >= len(self._spans):
            self._highlight_to(row)
        return self._spans[row] if row < len(self._spans) else None

    def _highlight_to(self, row: int) -> None:
        lexer = _lexer(self.language)
        # Only a plain regex lexer can stop and resume; other lexers wait for the whole block.
        resumes = type(lexer).get_tokens_unprocessed is RegexLexer.get_tokens_unprocessed
        if not (resumes or self.is_complete):
            return
        end = min(len(self.rows), row + LOOKAHEAD_ROWS) if resumes else len(self.rows)
        for text in self.rows[len(self._spans) : end]:
            self._spans.append([])
            self._starts.append(len(self._text))
            self._text += f"{text}\n"
        if len(self._text) > MAX_HIGHLIGHTED_CHARS:
            return
        try:
            self._assign_to_rows(self._resume(lexer) if resumes else lexer.get_tokens_unprocessed(self._text))
        except Exception:
            # A lexer is foreign code over untrusted text: a bug in it costs colours, never the chat.
            self._position = len(self._text)

    def _assign_to_rows(self, tokens: Iterator[tuple[int, _TokenType, str]]) -> None:
        """Distribute tokens to the rows they belong to."""
        for position, kind, value in tokens:
            if not (name := _style_name(kind)):
                continue
            row = bisect_right(self._starts, position) - 1
            for part in value.split("\n"):
                if part.strip() and row < len(self._spans):
                    start = position - self._starts[row]
                    self._spans[row].append((start, start + len(part), name))
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


@cache
def _aliases() -> frozenset[str]:
    return frozenset(alias for _, names, _, _ in get_all_lexers(plugins=False) for alias in names)


@lru_cache(maxsize=64)
def _lexer(language: str) -> Lexer:
    return get_lexer_by_name(language) if language.lower() in _aliases() else TextLexer()


@cache
def _style_name(kind: _TokenType) -> str:
    while kind not in _STYLE_NAMES:
        if kind.parent is None:
            return ""
        kind = kind.parent
    return _STYLE_NAMES[kind]
