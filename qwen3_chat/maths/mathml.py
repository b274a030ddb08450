"""The tree of a formula as MathML, which browsers draw by themselves."""

from __future__ import annotations

from html import escape
from typing import Final

from qwen3_chat.maths.formula_text import formula_source
from qwen3_chat.maths.formula_tree import (
    Accent,
    Arrow,
    Boxed,
    Brace,
    Fenced,
    FormulaPart,
    Fraction,
    Grid,
    Root,
    Scripts,
    Sequence,
    Symbol,
    Words,
)
from qwen3_chat.maths.latex_reader import UnreadableFormula, read_formula
from qwen3_chat.maths.symbols import SymbolKind

_ALIGNMENTS: Final = {"l": "left", "c": "center", "r": "right"}
_MARKS: Final = {
    "\u0302": "^",
    "\u0304": "¯",
    "\u0303": "~",
    "\u20d7": "→",
    "\u20d6": "←",
    "\u0307": "˙",
    "\u0308": "¨",
    "\u20db": "⃛",
    "\u030c": "ˇ",
    "\u0306": "˘",
    "\u0301": "´",
    "\u0300": "`",
    "\u030a": "˚",
    "\u0305": "¯",
}
"""The character above a part for each combining character."""
_UNDERLINE: Final = "\u0332"
_THIN_EM: Final = 0.3


def formula_mathml(text: str, *, is_display: bool) -> str | None:
    """Return a formula with its marks as a `<math>` element with its source; None if it is not understood."""
    try:
        body = _element(read_formula(formula_source(text)))
    except UnreadableFormula:
        return None
    display = ' display="block"' if is_display else ""
    source = f'<annotation encoding="application/x-tex">{escape(formula_source(text).strip())}</annotation>'
    return f"<math{display}><semantics>{_row(body)}{source}</semantics></math>"


def _row(body: str) -> str:
    return f"<mrow>{body}</mrow>"


def _group(part: FormulaPart | None) -> str:
    """Return a part as exactly one element."""
    return _row("" if part is None else _element(part))


def _element(part: FormulaPart) -> str:
    match part:
        case Symbol(text, kind):
            return _symbol(text, kind)
        case Words(text):
            return f"<mtext>{escape(text).replace(' ', '&#160;')}</mtext>"
        case Sequence(parts):
            return "".join(map(_element, parts))
        case Fraction(top, bottom, True):
            return f"<mfrac>{_group(top)}{_group(bottom)}</mfrac>"
        case Fraction(top, bottom):
            fraction = f'<mfrac linethickness="0">{_group(top)}{_group(bottom)}</mfrac>'
            return _row(f"<mo>(</mo>{fraction}<mo>)</mo>")
        case Root(radicand, None):
            return f"<msqrt>{_element(radicand)}</msqrt>"
        case Root(radicand, index):
            return f"<mroot>{_group(radicand)}{_group(index)}</mroot>"
        case Scripts(base, below, above, as_limits):
            return _scripts(_group(base), below, above, as_limits=as_limits)
        case Accent(base, mark):
            return _accent(_group(base), mark)
        case Brace(base, label, is_below):
            mark = "⏟" if is_below else "⏞"
            braced = _scripts(
                _group(base), *_sides(Symbol(mark, SymbolKind.CLOSING), is_below), as_limits=True
            )
            return braced if label is None else _scripts(braced, *_sides(label, is_below), as_limits=True)
        case Arrow(head, above, below):
            return _scripts(f'<mo stretchy="true">{head}</mo>', below, above, as_limits=True)
        case Fenced(opening, body, closing):
            fences = [f'<mo fence="true" stretchy="true">{escape(mark)}</mo>' for mark in (opening, closing)]
            return _row(f"{fences[0]}{_element(body)}{fences[1]}")
        case Grid():
            return _grid(part)
        case Boxed(body):
            return f'<mrow class="boxed">{_element(body)}</mrow>'


def _symbol(text: str, kind: SymbolKind) -> str:
    if kind is SymbolKind.SPACE:
        return f'<mspace width="{len(text) * _THIN_EM:.1f}em"/>'
    if text.replace(".", "").isdigit():
        return f"<mn>{text}</mn>"
    if kind in (SymbolKind.ORDINARY, SymbolKind.FUNCTION) and text != "|":
        return f"<mi>{escape(text)}</mi>"
    stretchy = (
        ' stretchy="false"' if kind in (SymbolKind.OPENING, SymbolKind.CLOSING) and text in "()[]{}" else ""
    )
    return f"<mo{stretchy}>{escape(text)}</mo>"


def _sides(part: FormulaPart, is_below: bool) -> tuple[FormulaPart | None, FormulaPart | None]:
    return (part, None) if is_below else (None, part)


def _scripts(base: str, below: FormulaPart | None, above: FormulaPart | None, *, as_limits: bool) -> str:
    match below is not None, above is not None:
        case True, True:
            name = "munderover" if as_limits else "msubsup"
            return f"<{name}>{base}{_group(below)}{_group(above)}</{name}>"
        case True, False:
            name = "munder" if as_limits else "msub"
            return f"<{name}>{base}{_group(below)}</{name}>"
        case False, True:
            name = "mover" if as_limits else "msup"
            return f"<{name}>{base}{_group(above)}</{name}>"
        case _:
            return base


def _accent(base: str, mark: str) -> str:
    if mark == _UNDERLINE:
        return f"<munder>{base}<mo>_</mo></munder>"
    if (above := _MARKS.get(mark)) is None:
        return f'<mrow class="struck">{base}</mrow>'
    return f'<mover accent="true">{base}<mo>{above}</mo></mover>'


def _grid(grid: Grid) -> str:
    rows = []
    for row in grid.rows:
        cells = []
        for column, cell in enumerate(row):
            alignment = _ALIGNMENTS[grid.alignments[column % len(grid.alignments)]]
            cells.append(f'<mtd style="text-align: {alignment}">{_element(cell)}</mtd>')
        rows.append(f"<mtr>{''.join(cells)}</mtr>")
    display = ' displaystyle="true"' if grid.is_derivation else ""
    return f"<mtable{display}>{''.join(rows)}</mtable>"
