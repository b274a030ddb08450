"""The Markdown rule for tables, which loses no cell of a row that has more than the head."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table

_CELL_PART = re.compile(
    r"\\\||(?<!`)(`+)(?!`).+?(?<!`)\1(?!`)|\$(?![\s$])[^$]+?(?<!\s)\$(?!\d)|\\\(.+?\\\)|\|"
)
"""An escaped bar, code, a formula, or the bar after a cell."""
_ESCAPED_BAR = r"\|"


def use_table_rule(parser: MarkdownIt) -> None:
    """Make a parser read tables, with bars in code and formulas where the head has too few cells for them."""
    parser.enable("table")
    parser.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})


def _table(state: StateBlock, first: int, last: int, silent: bool) -> bool:
    n_tokens = len(state.tokens)
    if not table(state, first, last, silent):
        return False
    cells: dict[int, list[int]] = {}
    for index in range(n_tokens, len(state.tokens)):
        token = state.tokens[index]
        if token.type == "inline" and token.map is not None:
            cells.setdefault(token.map[0], []).append(index)
    for line, indices in cells.items():
        row = state.src[state.bMarks[line] + state.tShift[line] : state.eMarks[line]].strip()
        texts = _cells(row, len(indices))
        for index, text in zip(indices, texts, strict=False):
            state.tokens[index].content = text
    return True


def _cells(row: str, n_columns: int) -> list[str]:
    """Return the texts of a row that CommonMark's tables would cut; nothing for a row that fits its head."""
    if len(_split(row, [match.span() for match in re.finditer(r"(?<!\\)\|", row)])) <= n_columns:
        return []
    bars = [match.span() for match in _CELL_PART.finditer(row) if match[0] == "|"]
    texts = _split(row, bars)
    return [*texts[: n_columns - 1], " | ".join(texts[n_columns - 1 :])]


def _split(row: str, bars: list[tuple[int, int]]) -> list[str]:
    """Return the texts between bars, without the empty ones outside of the first and the last bar."""
    starts, ends = [0, *[end for _, end in bars]], [*[start for start, _ in bars], len(row)]
    texts = [
        row[start:end].strip().replace(_ESCAPED_BAR, "|") for start, end in zip(starts, ends, strict=True)
    ]
    if texts and not texts[0]:
        del texts[0]
    if texts and not texts[-1]:
        del texts[-1]
    return texts
