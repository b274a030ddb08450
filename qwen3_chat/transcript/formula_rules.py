"""The Markdown rules for formulas, which also tell a formula from prices and shell variables."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.rules_inline import StateInline

from qwen3_chat.transcript.cells import CJK

_BETWEEN_DOLLARS = re.compile(r"\$(?![\s$])((?:[^$\n\\]|\\.){1,500}?)(?<![\s\\])\$(?![\d$A-Z_])", re.DOTALL)
_FORMULA = re.compile(r"\$\$.{1,2000}?\$\$|\\\(.{1,2000}?\\\)|\\\[.{1,2000}?\\\]", re.DOTALL)
_OPEN_FORMULA = re.compile(
    r"\\[(\[](?![^\n]*\]\().*|\$\$(?!\s|\$|\Z).*|\$(?![\s$])(?=[^$]*(?:\\[a-zA-Z]|\w\^))[^$]*\Z", re.DOTALL
)
"""A formula that nothing has closed yet: it may arrive still, and its source is shown meanwhile."""
_CLOSERS = {"$$": "$$", r"\[": r"\]"}
_ENVIRONMENT = re.compile(
    r"\\begin\{((?:align(?:ed|at)?|gather(?:ed)?|equation|split|cases|multline|array|[pbBvV]?matrix)\*?)\}"
)
_UNFINISHED = re.compile(r"(?<![\^_])[-+/*=:,;~&(]\Z")  # as in `$5-$10`, `$HOME/$USER`, `$PATH:$HOME`
_PROSE = re.compile(r"(?<![A-Za-z])[a-z]{2,}\s+[A-Za-z]{2,}|\A\d[\d.,]*\s*(?:[a-z]{2,}|[A-Z][a-z]+)(?![a-z])")
_MATHS = re.compile(r"[\\^=<>≤≥≠≈∈×÷√∑∫]")
_CJK = re.compile(f"[{CJK}]")


def add_formula_rules(parser: MarkdownIt) -> None:
    """Make a parser read formulas.

    Its tokens are `formula` and `open_formula` inside a text, `formula_block` for those that stand alone.
    """
    parser.inline.ruler.before("escape", "formula", _formula)
    parser.block.ruler.before(
        "fence", "formula_block", _formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]}
    )


def formula_opener(content: str) -> str:
    """Return the mark with which a block begins that may be a formula; empty if there is none."""
    if content[:2] in _CLOSERS:
        return content[:2]
    match = _ENVIRONMENT.match(content)
    return match[0] if match else ""


def is_closed_formula(content: str) -> bool:
    """Return True if a block that begins as a formula has its end."""
    opener = formula_opener(content)
    return content.endswith(_closer(opener)) and len(content) > len(opener)


def _closer(opener: str) -> str:
    return _CLOSERS.get(opener) or opener.replace(r"\begin", r"\end")


def _formula(state: StateInline, silent: bool) -> bool:
    """Keep emphasis and escapes out of `$x_1$`, `$$…$$`, `\\(…\\)` and `\\[…\\]`."""
    if state.src[state.pos] not in "$\\":
        return False
    kind = "formula"
    match = _FORMULA.match(state.src, state.pos, state.posMax)
    if match is None:
        match = _between_dollars(state)
    if match is None and (state.src[state.pos] == "\\" or state.src.rfind("$") <= state.pos + 1):
        kind, match = "open_formula", _OPEN_FORMULA.match(state.src, state.pos, state.posMax)
    if match is None:
        return False
    if not silent:
        state.push(kind, "", 0).content = match[0]
    state.pos = match.end()
    return True


def _between_dollars(state: StateInline) -> re.Match[str] | None:
    match = _BETWEEN_DOLLARS.match(state.src, state.pos, state.posMax)
    before = state.src[state.pos - 1] if state.pos else " "
    if match is None or (before.isascii() and before.isalpha()):
        return None
    return match if _may_be_formula(match[1], state.src[match.end() : match.end() + 1]) else None


def _may_be_formula(content: str, after: str) -> bool:
    """Return True unless the text between two dollars reads like prices, prose or shell variables."""
    if len(content) > 1 and _UNFINISHED.search(content):
        return False
    if (content[0] in "{(" and after == content[0]) or ("`" in content and "\\" not in content):
        return False
    if _MATHS.search(content):
        return "\\" in content or not re.search(r"(?<![A-Za-z])[a-z]{3,}\s+[a-z]{2,}", content)
    return not _PROSE.search(content) and not _CJK.search(content)


def _formula_block(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    """Parse the lines from `$$`, `\\[` or `\\begin{…}` to its end, at most to a blank line, as a formula."""
    if state.is_code_block(first):
        return False
    row = _line(state, first)
    if not (opener := formula_opener(row)):
        return False
    closer = _closer(opener)
    rest = row[len(opener) :]
    if closer in rest and (not row.endswith(closer) or closer in rest[: -len(closer)]):
        return False
    if silent:
        return True
    end = first + 1
    if closer not in rest:
        while end < last and not state.isEmpty(end) and state.sCount[end] >= state.blkIndent:
            end += 1
            if _line(state, end - 1).endswith(closer):
                break
    token = state.push("formula_block", "", 0)
    token.content = "\n".join(_line(state, line) for line in range(first, end))
    token.map = [first, end]
    state.line = end
    return True


def _line(state: StateBlock, line: int) -> str:
    return state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].rstrip()
