"""The parts of a formula as a tree: what is drawn, not how LaTeX writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from qwen3_chat.maths.symbols import SymbolKind


@dataclass(frozen=True, slots=True)
class Symbol:
    """A character, a name such as sin, or a space."""

    text: str
    kind: SymbolKind = SymbolKind.ORDINARY


@dataclass(frozen=True, slots=True)
class Words:
    """Text inside a formula."""

    text: str


@dataclass(frozen=True, slots=True)
class Sequence:
    """Parts side by side."""

    parts: tuple[FormulaPart, ...]


@dataclass(frozen=True, slots=True)
class Fraction:
    """One part above another; without a bar it is a binomial."""

    top: FormulaPart
    bottom: FormulaPart
    has_bar: bool = True


@dataclass(frozen=True, slots=True)
class Root:
    """A root, whose index is None for a square root."""

    radicand: FormulaPart
    index: FormulaPart | None


@dataclass(frozen=True, slots=True)
class Scripts:
    """A part with a subscript and a superscript; as limits they stand below and above it."""

    base: FormulaPart
    below: FormulaPart | None
    above: FormulaPart | None
    as_limits: bool = False


@dataclass(frozen=True, slots=True)
class Accent:
    """A part under a combining character."""

    base: FormulaPart
    mark: str


@dataclass(frozen=True, slots=True)
class Brace:
    """A part with a brace below or above it, and a label beyond the brace."""

    base: FormulaPart
    label: FormulaPart | None
    is_below: bool


@dataclass(frozen=True, slots=True)
class Arrow:
    """An arrow as long as its labels."""

    head: str
    above: FormulaPart | None
    below: FormulaPart | None


@dataclass(frozen=True, slots=True)
class Fenced:
    """A part between delimiters as tall as it is; an empty one is not drawn."""

    opening: str
    body: FormulaPart
    closing: str


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells.

    `alignments` has a letter of `lcr` for each column, repeated where there are more columns; `bars` are the
    columns before which a line stands, `rules` the rows above which one stands. The columns of an aligned
    derivation belong together in pairs.
    """

    rows: tuple[tuple[FormulaPart, ...], ...]
    alignments: str = "c"
    is_derivation: bool = False
    bars: frozenset[int] = frozenset()
    rules: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Boxed:
    """A part in a box."""

    body: FormulaPart


FormulaPart: TypeAlias = (
    Symbol | Words | Sequence | Fraction | Root | Scripts | Accent | Brace | Arrow | Fenced | Grid | Boxed
)
