"""The tree of a formula as text: in one row, or as a block of rows.

In one row a fraction is `a/b` with the parentheses that it needs, and scripts are superscript and subscript
characters where all of them exist, else `^(…)` and `_(…)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import lru_cache
from itertools import groupby
from typing import Final

from rich.cells import cell_len, split_graphemes

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
from qwen3_chat.maths.symbols import (
    ACCENTS_ON_EACH_LETTER,
    INTEGRALS,
    LIMIT_FUNCTIONS,
    SymbolKind,
    subscript,
    superscript,
)
from qwen3_chat.maths.text_block import TextBlock, above_one_another, aligned, beside, boxed, delimiter

_SHORT_CELLS: Final = 9
"""The cells of a fraction inside another that is drawn in one row."""
_SUM_SIGNS: Final = "+−±∓∪∩∨∧⊕"
_OPEN_KINDS: Final = (SymbolKind.BINARY, SymbolKind.RELATION, SymbolKind.OPENING, SymbolKind.PUNCTUATION)


class _Binding(IntEnum):
    """The precedence of the outermost operator of a text in one row."""

    RELATION = 0
    SUM = 1
    FRACTION = 2
    PRODUCT = 3
    ATOM = 4


def in_one_row(part: FormulaPart) -> str:
    """Return a formula in one row."""
    return _collapse(_row(part)[0]).strip()


def in_rows(part: FormulaPart) -> TextBlock:
    """Return a formula as a block of rows, as few as it needs."""
    return _block(part, 0)


def derivation_rows(part: FormulaPart) -> list[str]:
    """Return a formula in one row for each step of a derivation."""
    if isinstance(part, Grid) and part.is_derivation:
        return [" ".join(filter(None, map(in_one_row, row))) for row in part.rows]
    return [in_one_row(part)]


def as_statements(part: FormulaPart) -> Grid | None:
    """Return statements between which there is a wide space, one below the other; None for a single one."""
    if not isinstance(part, Sequence):
        return None
    cuts = [
        number
        for number, one in _outside_parentheses(part.parts)
        if isinstance(one, Symbol) and one.kind is SymbolKind.SPACE and len(one.text) > 1
    ]
    if not cuts:
        return None
    starts, ends = [0, *[cut + 1 for cut in cuts]], [*cuts, len(part.parts)]
    chunks = [part.parts[start:end] for start, end in zip(starts, ends, strict=True)]
    return Grid(tuple((Sequence(chunk),) for chunk in chunks if chunk), "l", is_derivation=True)


def as_steps(part: FormulaPart) -> Grid | None:
    """Return a chain such as `a = b = c` as a derivation with a row for each relation; None if it is none."""
    if not isinstance(part, Sequence):
        return None
    outside = _outside_parentheses(part.parts)
    cuts = [number for number, one in outside if number and _kind(one) is SymbolKind.RELATION]
    if not cuts:
        return None
    chunks = [part.parts[start:end] for start, end in zip(cuts, [*cuts[1:], None], strict=True)]
    left = (Sequence(part.parts[: cuts[0]]), *[Sequence(()) for _ in cuts[1:]])
    return Grid(tuple(zip(left, map(Sequence, chunks), strict=True)), "rl", is_derivation=True)


def _outside_parentheses(parts: tuple[FormulaPart, ...]) -> list[tuple[int, FormulaPart]]:
    """Return the parts that no parentheses are around, each with its index."""
    outside, depth = [], 0
    for number, part in enumerate(parts):
        kind = _kind(part)
        depth += (kind is SymbolKind.OPENING) - (kind is SymbolKind.CLOSING and depth > 0)
        if not depth:
            outside.append((number, part))
    return outside


# one row


@lru_cache(maxsize=2_048)
def _row(part: FormulaPart) -> tuple[str, _Binding]:
    """Return a part in one row with its precedence."""
    match part:
        case Symbol(text, kind):
            binding = {SymbolKind.BINARY: _Binding.SUM, SymbolKind.RELATION: _Binding.RELATION}
            return text, binding.get(kind, _Binding.ATOM)
        case Words(text):
            return text, _Binding.ATOM if text.strip().isalnum() else _Binding.SUM
        case Sequence(parts):
            return _joined_row(parts)
        case Fraction(top, bottom, True):
            return f"{_held(top, _Binding.PRODUCT)}/{_denominator(bottom)}", _Binding.FRACTION
        case Fraction(top, bottom):
            return f"C({_row(top)[0]}, {_row(bottom)[0]})", _Binding.ATOM
        case Root(radicand, index):
            mark = "" if index is None else superscript(_tight(index))
            if mark is None:
                return (
                    f"{_held(radicand, _Binding.ATOM)}^(1/{_held(index or Words(''), _Binding.ATOM)})",
                    _Binding.ATOM,
                )
            text = _row(radicand)[0]
            is_simple = isinstance(radicand, Symbol | Scripts) and isinstance(
                _without_index(radicand), Symbol
            )
            return f"{mark}√{text if is_simple else f'({text})'}", _Binding.ATOM
        case Scripts():
            return _scripts_row(part)
        case Accent(base, mark):
            return _accented(base, mark), _Binding.ATOM
        case Brace(base, label):
            text = _held(base, _Binding.PRODUCT)
            return (f"{text} [{_row(label)[0]}]" if label is not None else text), _Binding.PRODUCT
        case Arrow(head, above, below):
            labels = ", ".join(_row(label)[0] for label in (above, below) if label is not None)
            return _arrow(head, labels), _Binding.RELATION
        case Fenced(opening, body, closing):
            text = _row(body)[0].strip() if opening else _held(body, _Binding.PRODUCT)
            return f"{opening}{text}{closing}", _Binding.ATOM if opening and closing else _Binding.RELATION
        case Grid():
            return _grid_row(part), _Binding.RELATION
        case Boxed(body):
            return f"⟦{_row(body)[0].strip()}⟧", _Binding.ATOM


def _without_index(part: FormulaPart) -> FormulaPart:
    return part.base if isinstance(part, Scripts) and part.above is None else part


def _held(part: FormulaPart, at_least: _Binding) -> str:
    """Return a part in one row, in parentheses if its precedence is lower."""
    text, binding = _row(part)
    return text.strip() if binding >= at_least else f"({text.strip()})"


def _denominator(part: FormulaPart) -> str:
    """Return a denominator, in parentheses but for a single part and a differential such as `dx`."""
    match part:
        case Sequence((Symbol("d" | "∂"), Symbol() | Scripts(Symbol()))):
            return _row(part)[0]
        case _:
            return _held(part, _Binding.ATOM)


def _tight(part: FormulaPart) -> str:
    """Return a part in one row without the spaces around operators."""
    text = _collapse(_row(part)[0]).strip()
    return text if _has_words(part) else text.replace(" ", "")


def _has_words(part: FormulaPart) -> bool:
    match part:
        case Words():
            return True
        case Sequence(parts):
            return any(map(_has_words, parts))
        case _:
            return False


def _joined_row(parts: tuple[FormulaPart, ...]) -> tuple[str, _Binding]:
    texts: list[str] = []
    binding = _Binding.ATOM if len(parts) < 2 else _Binding.PRODUCT
    depth = 0
    for (before, part, after), space in zip(_with_neighbours(parts), _spaces(parts), strict=True):
        text, own = _row(part)
        kind = _kind(part)
        if isinstance(part, Fraction) and part.has_bar:
            text = _row_of_fraction(part, before, after)
            own = _row(part)[1] if text == _row(part)[0] else _Binding.PRODUCT
        elif kind is SymbolKind.BINARY:
            own = _Binding.SUM if text in _SUM_SIGNS else _Binding.FRACTION
        elif kind in (SymbolKind.FUNCTION, SymbolKind.LARGE):
            own = _Binding.SUM
        elif kind is SymbolKind.OPENING:
            depth += 1
        if not depth and kind not in (SymbolKind.SPACE, SymbolKind.CLOSING):
            binding = min(binding, own)
        if kind is SymbolKind.CLOSING and isinstance(part, (Symbol, Scripts)) and text[0] in ")]}⟩⌋⌉":
            depth = max(0, depth - 1)
        texts.append(space + text)
    return "".join(texts), _Binding.ATOM if _is_parenthesised(parts) else binding


def _is_parenthesised(parts: tuple[FormulaPart, ...]) -> bool:
    """Return True for one pair of parentheses with its content, perhaps after a name, as in `f(x)`."""
    first = 1 if len(parts) > 1 and _kind(parts[0]) is SymbolKind.ORDINARY else 0
    depth = 0
    for number, part in enumerate(parts[first:], first):
        match _kind(part):
            case SymbolKind.OPENING:
                depth += 1
            case SymbolKind.CLOSING if isinstance(part, Symbol) and part.text not in "!′":
                depth -= 1
        if not depth and number + 1 < len(parts):
            return False
    return len(parts) > 1 and not depth and _kind(parts[-1]) is SymbolKind.CLOSING


def _with_neighbours(
    parts: tuple[FormulaPart, ...],
) -> Iterator[tuple[FormulaPart | None, FormulaPart, FormulaPart | None]]:
    for number, part in enumerate(parts):
        before = parts[number - 1] if number else None
        yield before, part, parts[number + 1] if number + 1 < len(parts) else None


def _kind(part: FormulaPart | None) -> SymbolKind | None:
    """Return the kind of a part that is a symbol, perhaps with scripts or an accent."""
    match part:
        case Symbol(_, kind):
            return kind
        case Scripts(base) if not (isinstance(base, Symbol) and base.kind is SymbolKind.OPENING):
            return _kind(base)
        case Accent(base):
            return _kind(base)
        case Sequence((only,)):
            return _kind(only)
        case Arrow():
            return SymbolKind.RELATION
        case _:
            return None


def _is_sign(before: FormulaPart | None) -> bool:
    """Return True if an operator after this part is a sign, as in `−x`."""
    return before is None or _kind(before) in (*_OPEN_KINDS, SymbolKind.LARGE)


def _is_factor(part: FormulaPart | None, parenthesis: SymbolKind) -> bool:
    """Return True if a fraction beside this part is a factor and needs parentheses.

    `parenthesis` is the kind that a factor in parentheses has on this side.
    """
    if part is None or isinstance(part, Words):
        return False
    return _kind(part) in (None, SymbolKind.ORDINARY, SymbolKind.FUNCTION, SymbolKind.LARGE, parenthesis)


def _is_limited(part: FormulaPart) -> bool:
    """Return True for a sum, a limit and the like, which reach over the product after them."""
    base = part.base if isinstance(part, Scripts) else part
    return isinstance(base, Symbol) and (base.kind is SymbolKind.LARGE or base.text in LIMIT_FUNCTIONS)


def _spaces(parts: tuple[FormulaPart, ...]) -> list[str]:
    """Return the space before each part."""
    spaces = [""]
    for number in range(1, len(parts)):
        before, part = parts[number - 1], parts[number]
        is_sign = _kind(before) is SymbolKind.BINARY and _is_sign(parts[number - 2] if number > 1 else None)
        spaces.append("" if is_sign else _space_between(before, part))
    return spaces[: len(parts)]


def _space_between(before: FormulaPart, part: FormulaPart) -> str:
    left, right = _kind(before), _kind(part)
    if SymbolKind.SPACE in (left, right) or SymbolKind.OPENING is left or right is SymbolKind.CLOSING:
        return ""
    if SymbolKind.RELATION in (left, right):
        return "" if left is right else " "
    if left is SymbolKind.PUNCTUATION:
        return " "
    if right is SymbolKind.BINARY:
        return "" if _is_sign(before) else " "
    if left is SymbolKind.BINARY or SymbolKind.LARGE in (left, right):
        return " "
    if left is SymbolKind.FUNCTION:
        return "" if right is SymbolKind.OPENING or isinstance(part, Fenced) else " "
    return " " if right is SymbolKind.FUNCTION else ""


def _scripts_row(part: Scripts) -> tuple[str, _Binding]:
    base, below, above = part.base, part.below, part.above
    text, binding = _row(base)
    if isinstance(base, (Fraction, Brace)) or (isinstance(base, Sequence) and len(base.parts) > 1):
        text, binding = _held(base, _Binding.ATOM), _Binding.ATOM
    return text + _small(below, "_", subscript) + _small(above, "^", superscript), binding


def _small(part: FormulaPart | None, mark: str, in_small: Callable[[str], str | None]) -> str:
    """Return a script in small characters, or after its mark."""
    if part is None:
        return ""
    text = _tight(part)
    if (small := in_small(text)) is not None:
        return small
    is_atom = len(text) == 1 or text.isdigit() or (_has_words(part) and text.isalnum())
    return mark + (text if is_atom else f"({text})")


def _accented(base: FormulaPart, mark: str) -> str:
    text = _row(base)[0]
    spans, _ = split_graphemes(text)
    clusters = [text[start:end] for start, end, _ in spans]
    if len(clusters) == 1 or mark in ACCENTS_ON_EACH_LETTER:
        return "".join(cluster if cluster.isspace() else cluster + mark for cluster in clusters)
    return f"{text}{mark}" if text.isalnum() else f"({text}){mark}"


def _arrow(head: str, label: str) -> str:
    if head in "←⇐":
        return f"{head}─{label}─" if label else head
    return f"─{label}─{head}" if label else head


def _grid_row(grid: Grid) -> str:
    cells = [[_row(cell)[0].strip() for cell in row] for row in grid.rows]
    if grid.is_derivation:
        return "; ".join(" ".join(filter(None, row)) for row in cells)
    if grid.alignments == "l":
        return "; ".join("  ".join(filter(None, row)) for row in cells)
    return "; ".join(", ".join(row) for row in cells)


def _collapse(text: str) -> str:
    """Return a text without double spaces but those that the formula asks for, at most four."""
    text = text.replace("′′′", "‴").replace("′′", "″")
    return "".join(
        character * min(len([*group]), 4) if character == " " else "".join(group)
        for character, group in groupby(text)
    )


# rows


@lru_cache(maxsize=2_048)
def _block(part: FormulaPart, depth: int) -> TextBlock:
    """Return a part as a block; `depth` counts the fractions around it."""
    match part:
        case Sequence(parts) if parts:
            return _joined_block(parts, depth)
        case Fraction(top, bottom, has_bar):
            return _fraction_block(part, top, bottom, has_bar, depth)
        case Root(radicand, index):
            inner = _block(radicand, depth)
            if inner.height == 1:
                return _one_row_block(part)
            mark = "" if index is None else superscript(_tight(index))
            if mark is None:
                return _one_row_block(part)
            return beside([TextBlock((f"{mark}√",)), *_between("(", inner, ")")])
        case Scripts():
            return _scripts_block(part, depth)
        case Brace(base, label, is_below):
            return _brace_block(base, label, is_below, depth)
        case Arrow(head, above, below):
            labels = [TextBlock((_row(label)[0],)) for label in (above, below) if label is not None]
            width = max((label.width for label in labels), default=0) + 2
            line = "─" * width
            shaft = {"←": f"◀{line}", "⇐": f"⇐{line}", "=": "═" * width}.get(head, f"{line}▶")
            stack = [*labels[: above is not None], TextBlock((shaft,)), *labels[above is not None :]]
            return above_one_another(stack, int(above is not None))
        case Fenced(opening, body, closing):
            inner = _block(body, depth)
            return beside(_between(opening, _with_middle_row(body, inner, opening, closing), closing))
        case Grid():
            return _grid_block(part, depth)
        case Boxed(body):
            return boxed(_block(body, depth))
        case _:
            return _one_row_block(part)


def _one_row_block(part: FormulaPart) -> TextBlock:
    return TextBlock((_collapse(_row(part)[0]),))


def _between(opening: str, block: TextBlock, closing: str) -> list[TextBlock]:
    parts = [delimiter(opening, block)] if opening else []
    parts.append(block)
    return [*parts, delimiter(closing, block)] if closing else parts


def _with_middle_row(body: FormulaPart, block: TextBlock, opening: str, closing: str) -> TextBlock:
    """Return the rows of cases with an empty one in the middle of two, where the point of the brace is."""
    if "{" not in opening + closing and "}" not in opening + closing:
        return block
    if not isinstance(body, Grid) or block.height != 2:
        return block
    return TextBlock((block.rows[0], " " * block.width, block.rows[1]), 1)


def _joined_block(parts: tuple[FormulaPart, ...], depth: int) -> TextBlock:
    """Return parts side by side."""
    pieces: list[TextBlock] = []
    for (before, part, after), space in zip(_with_neighbours(parts), _spaces(parts), strict=True):
        block = _block(part, depth)
        if block.height == 1 and isinstance(part, Fraction):
            block = TextBlock((_row_of_fraction(part, before, after),))
        is_beside_tall = block.height > 1 or (pieces and pieces[-1].height > 1)
        if not space and is_beside_tall and _needs_gap(before, part):
            space = " "
        if space:
            pieces.append(TextBlock((space,)))
        pieces.append(block)
    return beside(pieces)


def _row_of_fraction(part: Fraction, before: FormulaPart | None, after: FormulaPart | None) -> str:
    text, binding = _row(part)
    follows = before is not None and not _is_limited(before) and _is_factor(before, SymbolKind.CLOSING)
    is_factor = binding is _Binding.FRACTION and (follows or _is_factor(after, SymbolKind.OPENING))
    return f"({text})" if is_factor else text


def _needs_gap(left: FormulaPart | None, right: FormulaPart | None) -> bool:
    """Return True if two parts side by side would run together in several rows."""
    if left is None or right is None or SymbolKind.SPACE in (_kind(left), _kind(right)):
        return False
    if _kind(left) is SymbolKind.OPENING or _kind(right) in (SymbolKind.CLOSING, SymbolKind.PUNCTUATION):
        return False
    return isinstance(left, (Fraction, Grid)) or isinstance(right, (Fraction, Grid))


def _fraction_block(
    part: Fraction, top: FormulaPart, bottom: FormulaPart, has_bar: bool, depth: int
) -> TextBlock:
    if depth and has_bar:
        text = _row(part)[0]
        is_plain = _block(top, depth).height == _block(bottom, depth).height == 1
        if is_plain and cell_len(text) <= _SHORT_CELLS:
            return _one_row_block(part)
    upper, lower = _block(top, depth + 1), _block(bottom, depth + 1)
    width = max(upper.width, lower.width)
    if not has_bar:
        stack = above_one_another([upper, TextBlock((" " * width,)), lower], 1)
        return beside(_between("(", stack, ")"))
    rule = "─" * (width + (2 if depth == 0 and (upper.height > 1 or lower.height > 1) else 0))
    return above_one_another([upper, TextBlock((rule,)), lower], 1)


def _scripts_block(part: Scripts, depth: int) -> TextBlock:
    base = _block(part.base, depth)
    below, above = part.below, part.above
    if part.as_limits and (below is not None or above is not None):
        return _limits_block(part, base)
    if base.height == 1:
        is_integral = isinstance(part.base, Symbol) and part.base.text in INTEGRALS
        if is_integral and depth == 0 and below is not None and above is not None:
            limits = TextBlock(aligned((_tight(above), "", _tight(below)), "l"), 1)
            return beside([base, limits])
        return _one_row_block(part)
    upper = "" if above is None else _superscript_text(above) if below is None else _tight(above)
    lower = "" if below is None else _tight(below)
    column = aligned([upper, *[""] * (base.height - 2), lower], "l")
    return beside([base, TextBlock(column, base.baseline)])


def _superscript_text(part: FormulaPart) -> str:
    text = _tight(part)
    return text if len(text) > 1 or not (small := superscript(text)) else small


def _limits_block(part: Scripts, base: TextBlock) -> TextBlock:
    if isinstance(part.base, Symbol) and part.base.kind is SymbolKind.FUNCTION and part.above is None:
        stack = [base, _limit(part.below)]
        return above_one_another([block for block in stack if block is not None], 0)
    upper, lower = _limit(part.above), _limit(part.below)
    blocks = [block for block in (upper, base, lower) if block is not None]
    return above_one_another(blocks, int(upper is not None))


def _limit(part: FormulaPart | None) -> TextBlock | None:
    """Return a limit: in one row, but for the rows of a `\\substack`."""
    if part is None:
        return None
    if isinstance(part, Grid):
        return TextBlock(aligned(_tight(Sequence(row)) for row in part.rows), 0)
    return TextBlock((_tight(part),))


def _brace_block(base: FormulaPart, label: FormulaPart | None, is_below: bool, depth: int) -> TextBlock:
    inner = _block(base, depth)
    width = max(3, inner.width)
    left = (width - 1) // 2 - 1
    right = width - left - 3
    brace = (
        "└" + "─" * left + "┬" + "─" * right + "┘" if is_below else "┌" + "─" * left + "┴" + "─" * right + "┐"
    )
    caption = [] if label is None else [_block(label, depth + 1)]
    if is_below:
        return above_one_another([inner, TextBlock((brace,)), *caption], 0)
    return above_one_another([*caption, TextBlock((brace,)), inner], len(caption) + 1)


def _grid_block(grid: Grid, depth: int) -> TextBlock:
    """Return the cells in columns; rows of a derivation that are tall get a gap between them."""
    n_columns = max(map(len, grid.rows))
    blank = TextBlock(("",))
    depth = depth if grid.is_derivation else depth + 1
    cells = [[_block(cell, depth) for cell in row] for row in grid.rows]
    cells = [row + [blank] * (n_columns - len(row)) for row in cells]
    widths = [max(row[column].width for row in cells) for column in range(n_columns)]
    is_tall = [any(block.height > 1 for block in row) for row in cells]
    rows: list[str] = []
    for number, row in enumerate(cells):
        if number in grid.rules and number:
            rows.append(_rule(grid, widths))
        elif number and (is_tall[number] or is_tall[number - 1]):
            rows.append("")
        padded = [
            TextBlock(aligned(block.rows, _alignment(grid, column), widths[column]), block.baseline)
            for column, block in enumerate(row)
        ]
        joined: list[TextBlock] = []
        for column, block in enumerate(padded):
            if column:
                joined.append(TextBlock((" " * _gap(grid, column),)))
            joined.append(block)
        rows += _with_bars(beside(joined), grid, widths).rows
    rows = [*aligned(rows, "l")]
    return TextBlock(tuple(rows), _grid_baseline(grid, cells, rows))


def _grid_baseline(grid: Grid, cells: list[list[TextBlock]], rows: list[str]) -> int:
    if len(cells) == 1:
        return max(block.baseline for block in cells[0])
    return (len(rows) - 1) // 2


def _alignment(grid: Grid, column: int) -> str:
    return grid.alignments[column % len(grid.alignments)]


def _gap(grid: Grid, column: int) -> int:
    """Return the cells between a column and the one before it."""
    if not grid.is_derivation:
        return 3 if column in grid.bars else 2
    return 1 if grid.alignments == "rl" and column % 2 else 3


def _with_bars(block: TextBlock, grid: Grid, widths: list[int]) -> TextBlock:
    """Return a row of cells with the lines between columns."""
    inner = [column for column in sorted(grid.bars) if 0 < column < len(widths)]
    if not inner:
        return block
    offsets = [
        sum(widths[:column]) + sum(_gap(grid, other) for other in range(1, column)) + 1 for column in inner
    ]
    rows = []
    for row in block.rows:
        for offset in offsets:
            row = _replaced(row, offset, "│")
        rows.append(row)
    return TextBlock(tuple(rows), block.baseline)


def _replaced(row: str, column: int, mark: str) -> str:
    """Return a row with another character in a blank cell."""
    cells = 0
    for at, character in enumerate(row):
        if cells == column and character == " ":
            return row[:at] + mark + row[at + 1 :]
        cells += cell_len(character)
    return row


def _rule(grid: Grid, widths: list[int]) -> str:
    total = sum(widths) + sum(_gap(grid, column) for column in range(1, len(widths)))
    return "─" * total
