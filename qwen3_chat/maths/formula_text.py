"""Formulas as they are shown: in one row inside a text, in several where they stand alone.

Only `formula_source` is needed where no formula is; the reader and its library are loaded with the first one.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

if TYPE_CHECKING:
    from qwen3_chat.maths.formula_tree import FormulaPart

DELIMITERS: Final = (("$$", "$$"), (r"\[", r"\]"), (r"\(", r"\)"), ("$", "$"))
"""The marks before and after a formula."""
_BEFORE_RELATION: Final = re.compile(" (?=[=≤≥<>≈≠≡∈→⇒⇔⟹⟺] )")
MAX_FORMULA_CHARACTERS: Final = 2_000
MAX_FORMULA_ROWS: Final = 60
MAX_CACHED: Final = 512
"""The formulas that are kept as text: an answer that grows shows the same ones again and again."""


def formula_source(text: str) -> str:
    """Return a formula without the marks around it."""
    for opener, closer in DELIMITERS:
        if text.startswith(opener) and text.endswith(closer) and len(text) >= len(opener) + len(closer):
            return text[len(opener) : -len(closer)]
    return text


def inline_formula(text: str) -> str | None:
    """Return a formula with its marks in one row; None if it is not understood."""
    return _one_row(text) if len(text) <= MAX_FORMULA_CHARACTERS else None


@lru_cache(maxsize=MAX_CACHED)
def _one_row(text: str) -> str | None:
    from qwen3_chat.maths.formula_layout import in_one_row

    part = _read(text)
    return None if part is None else in_one_row(part) or None


def display_formula(text: str, width: int) -> tuple[str, ...] | None:
    """Return a formula with its marks as rows; None if it is not understood.

    Where they don't fit into a width in cells, statements between wide spaces come below one another, else
    the steps of a chain; if that doesn't fit either, each comes in one row, to be wrapped.
    """
    return _rows(text, width) if len(text) <= MAX_FORMULA_CHARACTERS else None


@lru_cache(maxsize=MAX_CACHED)
def _rows(text: str, width: int) -> tuple[str, ...] | None:
    from qwen3_chat.maths.formula_layout import as_statements, as_steps, derivation_rows, in_rows

    if (part := _read(text)) is None:
        return None
    statements, chain = as_statements(part), as_steps(part)
    for form in (part, statements, chain):
        if form is None:
            continue
        block = in_rows(form)
        if block.width <= width and block.height <= MAX_FORMULA_ROWS:
            return tuple(row.rstrip() for row in block.rows)
    steps = derivation_rows(statements or chain or part)
    return tuple(piece for step in steps for piece in _pieces(step, width) if piece) or None


def _pieces(row: str, width: int) -> list[str]:
    """Return a row that is too wide in pieces that begin with its relations."""
    return [row] if cell_len(row) <= width else _BEFORE_RELATION.split(row)


def _read(text: str) -> FormulaPart | None:
    from qwen3_chat.maths.latex_reader import UnreadableFormula, read_formula

    try:
        return read_formula(formula_source(text))
    except UnreadableFormula:
        return None
