"""LaTeX read into the tree of a formula; pylatexenc finds commands, arguments and environments."""

from __future__ import annotations

import re
from collections.abc import Sequence as Items
from typing import Any, Final

from pylatexenc.latexwalker import LatexWalker
from pylatexenc.macrospec import (
    EnvironmentSpec,
    LatexContextDb,
    MacroSpec,
    MacroStandardArgsParser,
    SpecialsSpec,
)

from qwen3_chat.maths.formula_text import MAX_FORMULA_CHARACTERS
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
    ACCENTS,
    ALPHABETS,
    CHARACTERS,
    COMMANDS,
    INTEGRALS,
    LIMIT_FUNCTIONS,
    SymbolKind,
    in_alphabet,
)
from qwen3_chat.record_copies import replace

MAX_FORMULA_DEPTH: Final = 24
"""The groups, environments, scripts and arguments inside one another."""
MAX_FORMULA_PARTS: Final = 2_000
MAX_GRID_CELLS: Final = 400

_FRACTIONS: Final = ("frac", "dfrac", "tfrac", "cfrac")
_BINOMIALS: Final = ("binom", "dbinom", "tbinom")
_TEXTS: Final = (
    "text",
    "textrm",
    "textbf",
    "textit",
    "textsf",
    "texttt",
    "textnormal",
    "mbox",
    "hbox",
    "emph",
)
_BOXES: Final = ("boxed", "fbox", "framebox")
_ARROWS: Final = {
    "xrightarrow": "→",
    "xleftarrow": "←",
    "xleftrightarrow": "↔",
    "xRightarrow": "⇒",
    "xLeftarrow": "⇐",
    "xLeftrightarrow": "⇔",
    "xlongequal": "=",
    "xmapsto": "↦",
}
_BRACES: Final = ("underbrace", "overbrace")
_STACKS: Final = ("overset", "underset", "stackrel")
_SIZES: Final = tuple(size + side for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m"))
_WITHOUT_EFFECT: Final = frozenset(
    [
        *_SIZES,
        *("displaystyle", "textstyle", "scriptstyle", "scriptscriptstyle", "nonumber", "notag", "mathstrut"),
        *("strut", "allowbreak", "nobreak", "null", "relax", "middle", "protect", "bf", "rm", "it", "hfill"),
        *("large", "Large", "small", "normalsize", "break", "centering"),
    ]
)
_FENCED_GRIDS: Final = {
    "pmatrix": ("(", ")"),
    "bmatrix": ("[", "]"),
    "Bmatrix": ("{", "}"),
    "vmatrix": ("|", "|"),
    "Vmatrix": ("‖", "‖"),
    "cases": ("{", ""),
    "dcases": ("{", ""),
    "rcases": ("", "}"),
    "matrix": ("", ""),
    "smallmatrix": ("", ""),
    "array": ("", ""),
}
_DERIVATIONS: Final = {
    **dict.fromkeys(("align", "aligned", "alignat", "alignedat", "split", "eqnarray"), "rl"),
    **dict.fromkeys(("gather", "gathered", "multline"), "c"),
    **dict.fromkeys(("equation", "math", "displaymath"), "l"),
}
ENVIRONMENTS: Final = (*_FENCED_GRIDS, *_DERIVATIONS)
_ROW_GAP: Final = re.compile(r"\\\\\*?\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|mm|cm|in|mu|px)\s*\]")


class UnreadableFormula(Exception):
    """LaTeX that is not understood; its source is shown."""


def _context() -> LatexContextDb:
    arguments = {
        "{": (
            *_TEXTS,
            *_BOXES,
            *_BRACES,
            *ACCENTS,
            *ALPHABETS,
            *("pmod", "pod", "tag", "tag*", "label", "operatorname", "substack", "color", "hspace", "vspace"),
            *("phantom", "hphantom", "vphantom", "mathchoice", "left", "right", "boldmath", "hspace*", "mod"),
        ),
        "{{": (*_FRACTIONS, *_BINOMIALS, *_STACKS, "textcolor", "colorbox"),
        "[{": ("sqrt", *_ARROWS),
    }
    macros = [MacroSpec(name, spec) for spec, names in arguments.items() for name in names]
    macros += [MacroSpec("operatorname", "*{"), MacroSpec("tag", "*{"), MacroSpec("hspace", "*{")]
    for name in ("left", "right", "not", "mod"):
        macros.append(MacroSpec(name, "" if name == "mod" else "{"))
    environments = [
        EnvironmentSpec(name + star, {"array": "[{", "alignat": "{", "alignedat": "{"}.get(name, ""))
        for name in ENVIRONMENTS
        for star in ("", "*")
    ]
    specials = [SpecialsSpec(mark, args_parser=MacroStandardArgsParser("{")) for mark in "^_"]
    specials += [SpecialsSpec("&"), SpecialsSpec("~")]
    context = LatexContextDb()
    context.add_context_category("formulas", macros=macros, environments=environments, specials=specials)
    context.set_unknown_macro_spec(MacroSpec(""))
    context.set_unknown_environment_spec(EnvironmentSpec(""))
    return context


_CONTEXT: Final = _context()


def read_formula(latex: str) -> FormulaPart:
    """Return the tree of a formula without its delimiters.

    Raise `UnreadableFormula` for what is not understood and for what is too long or too deep.
    """
    if len(latex) > MAX_FORMULA_CHARACTERS or _depth(latex) > MAX_FORMULA_DEPTH:
        raise UnreadableFormula("it is too long or too deep")
    try:
        source = _ROW_GAP.sub(r"\\\\", latex.strip())
        walker = LatexWalker(source, latex_context=_CONTEXT, tolerant_parsing=False)
        nodes, _, _ = walker.get_latex_nodes(0)
        part = _Reader().rows_or_sequence(nodes)
    except UnreadableFormula:
        raise
    except Exception as error:  # the parser has faults of its own, and the text is anybody's
        raise UnreadableFormula(type(error).__name__) from None
    if part == Sequence(()):
        raise UnreadableFormula("it is empty")
    return part


def _depth(latex: str) -> int:
    """Return an upper limit of how deep groups and environments lie in one another."""
    depth = deepest = 0
    for match in re.finditer(r"\\[a-zA-Z]+|\\.|[{}]", latex, re.DOTALL):
        if match[0] in ("{", r"\begin", r"\left"):
            depth += 1
            deepest = max(deepest, depth)
        elif match[0] in ("}", r"\end", r"\right"):
            depth -= 1
    return deepest


class _Reader:
    """The reader of one formula, which counts its parts."""

    def __init__(self) -> None:
        self._n_parts = 0
        self._depth = 0

    def rows_or_sequence(self, nodes: Items[Any]) -> FormulaPart:
        """Return nodes as one row, or as aligned rows where `\\\\` and `&` divide them."""
        if any(_is_row_end(node) or _is_cell_end(node) for node in nodes):
            rows, _ = self._cells(nodes)
            return Grid(rows, "rl" if any(map(_is_cell_end, nodes)) else "l", is_derivation=True)
        return self.sequence(nodes)

    def sequence(self, nodes: Items[Any]) -> FormulaPart:
        """Return nodes as one part."""
        self._depth += 1
        if self._depth > MAX_FORMULA_DEPTH:
            raise UnreadableFormula("it is too deep")
        parts: list[FormulaPart] = []
        items = [item for node in nodes for item in _single_items(node)]
        self._read_until(items, 0, parts, closing=False)
        self._depth -= 1
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _read_until(self, items: list[Any], index: int, parts: list[FormulaPart], *, closing: bool) -> int:
        """Read items into `parts`, up to the `\\right` of a `\\left`; return the index after the last."""
        while index < len(items):
            item = items[index]
            index += 1
            self._n_parts += 1
            if self._n_parts > MAX_FORMULA_PARTS:
                raise UnreadableFormula("it has too many parts")
            name = _macro_name(item)
            if name == "left":
                inner: list[FormulaPart] = []
                self._depth += 1
                if self._depth > MAX_FORMULA_DEPTH:
                    raise UnreadableFormula("it is too deep")
                index = self._read_until(items, index, inner, closing=True)
                self._depth -= 1
                parts.append(Fenced(_delimiter(item), Sequence(tuple(inner)), _delimiter(items[index - 1])))
            elif name == "right":
                if not closing:
                    raise UnreadableFormula(r"a \right has no \left")
                return index
            elif name in ("limits", "nolimits"):
                base = parts.pop() if parts else Symbol("")
                parts.append(Scripts(base, None, None, as_limits=name == "limits"))
            elif _kind(item) == "Specials" and item.specials_chars in "^_":
                base = parts.pop() if parts else Symbol("")
                script = self._argument(item, 0)
                parts.append(_with_script(base, script, is_above=item.specials_chars == "^"))
            else:
                self._add(item, parts)
        if closing:
            raise UnreadableFormula(r"a \left has no \right")
        return index

    def _add(self, node: Any, parts: list[FormulaPart]) -> None:
        match _kind(node):
            case "str":
                if node == "′" and parts:
                    parts.append(_with_script(parts.pop(), Symbol("′"), is_above=True))
                elif (
                    node.isdigit() and parts and isinstance(last := parts[-1], Symbol) and last.text.isdigit()
                ):
                    parts[-1] = Symbol(last.text + node)  # a number is one part, with its exponent
                else:
                    parts.append(Symbol(*CHARACTERS.get(node, (node,))))
            case "Group":
                if node.delimiters[0] != "{":
                    raise UnreadableFormula("a group has no braces")
                parts.append(self.sequence(node.nodelist))
            case "Macro":
                if (part := self._command(node)) is not None:
                    parts.append(part)
            case "Environment":
                parts.append(self._environment(node))
            case "Specials" if node.specials_chars == "~":
                parts.append(Symbol(" ", SymbolKind.SPACE))
            case "Math":
                parts.append(self.sequence(node.nodelist))
            case "Comment":
                raise UnreadableFormula("a comment hides the rest")
            case kind:
                raise UnreadableFormula(f"{kind} is not expected here")

    def _argument(self, node: Any, number: int) -> FormulaPart:
        if (argument := _argument_node(node, number)) is None:
            raise UnreadableFormula("an argument is missing")
        if _kind(argument) == "Group":
            return self.sequence(argument.nodelist)
        return self.sequence([argument])

    def _optional(self, node: Any, number: int) -> FormulaPart | None:
        return None if _argument_node(node, number) is None else self._argument(node, number)

    def _command(self, node: Any) -> FormulaPart | None:
        name = str(node.macroname)
        if (symbol := COMMANDS.get(name)) is not None:
            return Symbol(*symbol)
        if name in _WITHOUT_EFFECT or name == "label":
            return None
        match name:
            case _ if name in _FRACTIONS or name in _BINOMIALS:
                return Fraction(self._argument(node, 0), self._argument(node, 1), name in _FRACTIONS)
            case _ if name in _TEXTS:
                return self._words(node)
            case _ if name in _BOXES:
                return Boxed(self._argument(node, 0))
            case _ if name in _BRACES:
                return Brace(self._argument(node, 0), None, name == "underbrace")
            case _ if name in _ARROWS:
                return Arrow(_ARROWS[name], self._argument(node, 1), self._optional(node, 0))
            case _ if name in ACCENTS:
                return Accent(self._argument(node, 0), ACCENTS[name])
            case _ if name in ALPHABETS:
                return _in_alphabet(self._argument(node, 0), ALPHABETS[name])
            case "sqrt":
                return Root(self._argument(node, 1), self._optional(node, 0))
            case "overset" | "stackrel":
                stack = Scripts(self._argument(node, 1), None, self._argument(node, 0), as_limits=True)
                return Sequence((stack,))
            case "underset":
                stack = Scripts(self._argument(node, 1), self._argument(node, 0), None, as_limits=True)
                return stack if _takes_limits(stack.base) else Sequence((stack,))
            case "operatorname":
                return Symbol(_plain_text(_argument_node(node, 1)), SymbolKind.FUNCTION)
            case "pmod":
                body = Sequence((Words("mod "), self._argument(node, 0)))
                return Sequence((Symbol(" ", SymbolKind.SPACE), Fenced("(", body, ")")))
            case "mod":
                return Symbol("mod", SymbolKind.BINARY)
            case "tag":
                return Sequence(
                    (Symbol("   ", SymbolKind.SPACE), Words(f"({_plain_text(_argument_node(node, 1))})"))
                )
            case "substack":
                argument = _argument_node(node, 0)
                rows, _ = self._cells(argument.nodelist if _kind(argument) == "Group" else [argument])
                return Grid(rows, "c")
            case "textcolor" | "colorbox":
                return self._argument(node, 1)
            case "color" | "vspace" | "vphantom":
                return None
            case "hspace":
                return Symbol(" ", SymbolKind.SPACE)
            case "phantom" | "hphantom":
                return Symbol("  ", SymbolKind.SPACE)
            case _:
                raise UnreadableFormula(f"{name} is not known")

    def _words(self, node: Any) -> FormulaPart:
        """Return text, in which formulas may stand between dollars."""
        argument = _argument_node(node, 0)
        nodes = argument.nodelist if _kind(argument) == "Group" else [argument]
        parts: list[FormulaPart] = []
        for child in nodes:
            if _kind(child) == "Math":
                parts.append(self.sequence(child.nodelist))
            elif _kind(child) == "Macro" and child.macroname in _TEXTS:
                parts.append(self._words(child))
            else:
                parts.append(Words(_plain_text(child)))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _environment(self, node: Any) -> FormulaPart:
        name = str(node.environmentname).removesuffix("*")
        rows, rules = self._cells(node.nodelist)
        if name in _DERIVATIONS:
            return Grid(rows, _DERIVATIONS[name], is_derivation=True)
        if name not in _FENCED_GRIDS:
            raise UnreadableFormula(f"{name} is not known")
        opening, closing = _FENCED_GRIDS[name]
        alignments, bars = "c", frozenset[int]()
        if name == "array":
            columns = re.sub(r"[^lcr|]", "", _plain_text(_argument_node(node, 1)))
            alignments = columns.replace("|", "") or "c"
            bars = frozenset(
                len(columns[:at].replace("|", "")) for at, mark in enumerate(columns) if mark == "|"
            )
        elif name.endswith("cases"):
            alignments = "l"
        grid = Grid(rows, alignments, bars=bars, rules=rules)
        return Fenced(opening, grid, closing) if opening or closing else grid

    def _cells(self, nodes: Items[Any]) -> tuple[tuple[tuple[FormulaPart, ...], ...], frozenset[int]]:
        """Return the rows of cells, and the rows above which a line stands."""
        rows: list[list[list[Any]]] = [[[]]]
        rules = set()
        for node in nodes:
            if _is_row_end(node):
                rows.append([[]])
            elif _is_cell_end(node):
                rows[-1].append([])
            elif _macro_name(node) in ("hline", "hdashline"):
                rules.add(len(rows) - 1)
            else:
                rows[-1][-1].append(node)
        if len(rows) > 1 and len(rows[-1]) == 1 and not any(map(_is_visible, rows[-1][0])):
            rows.pop()
        if len(rows) * max(map(len, rows)) > MAX_GRID_CELLS:
            raise UnreadableFormula("it has too many cells")
        return tuple(tuple(self.sequence(cell) for cell in row) for row in rows), frozenset(rules)


def _kind(node: Any) -> str:
    return type(node).__name__.removeprefix("Latex").removesuffix("Node")


def _macro_name(node: Any) -> str:
    return str(node.macroname) if _kind(node) == "Macro" else ""


def _is_row_end(node: Any) -> bool:
    return _macro_name(node) in ("\\", "newline", "cr")


def _is_cell_end(node: Any) -> bool:
    return _kind(node) == "Specials" and node.specials_chars == "&"


def _is_visible(node: Any) -> bool:
    return _kind(node) != "Chars" or bool(node.chars.strip())


def _single_items(node: Any) -> list[Any]:
    """Return the characters of a text one by one, without spaces; any other node as it is."""
    if _kind(node) != "Chars":
        return [node]
    return ["′" if character == "'" else character for character in node.chars if not character.isspace()]


def _argument_node(node: Any, number: int) -> Any:
    arguments = node.nodeargd.argnlist if node.nodeargd is not None else ()
    return arguments[number] if number < len(arguments) else None


def _delimiter(node: Any) -> str:
    """Return the delimiter of a `\\left` or `\\right`."""
    argument = _argument_node(node, 0)
    if _kind(argument) == "Macro":
        text, _ = COMMANDS.get(argument.macroname, ("?", SymbolKind.ORDINARY))
    else:
        text = getattr(argument, "chars", "?")
    if text == ".":
        return ""
    if text not in "()[]{}|‖⟨⟩⌊⌋⌈⌉/<>↑↓⌜⌝" or len(text) != 1:
        raise UnreadableFormula("a delimiter is not known")
    return {"<": "⟨", ">": "⟩"}.get(text, text)


def _plain_text(node: Any) -> str:
    """Return the text of an argument without commands but those of characters."""
    match _kind(node):
        case "Chars":
            return str(node.chars)
        case "Group":
            return "".join(map(_plain_text, node.nodelist))
        case "Specials":
            return {"~": " "}.get(node.specials_chars, str(node.specials_chars) + _script_text(node))
        case "Macro" if node.macroname in COMMANDS:
            return COMMANDS[node.macroname][0]
        case "Macro" if node.macroname in (*_TEXTS, *ALPHABETS):
            return _plain_text(_argument_node(node, 0))
        case kind:
            raise UnreadableFormula(f"{kind} is not expected in a text")


def _script_text(node: Any) -> str:
    return _plain_text(argument) if (argument := _argument_node(node, 0)) is not None else ""


def _with_script(base: FormulaPart, script: FormulaPart, *, is_above: bool) -> FormulaPart:
    """Return a part with one more script."""
    if isinstance(base, Brace) and base.label is None:
        return replace(base, label=script)
    if not isinstance(base, Scripts):
        base = Scripts(base, None, None, _takes_limits(base))
    present = base.above if is_above else base.below
    if present is not None:
        if not (is_above and _is_primes(present)):
            raise UnreadableFormula("two scripts are in one place")
        script = Sequence((present, script))
    return replace(base, above=script) if is_above else replace(base, below=script)


def _is_primes(part: FormulaPart) -> bool:
    parts = part.parts if isinstance(part, Sequence) else (part,)
    return all(isinstance(one, Symbol) and one.text == "′" for one in parts)


def _takes_limits(part: FormulaPart) -> bool:
    if not isinstance(part, Symbol):
        return False
    is_operator = part.kind is SymbolKind.LARGE and part.text not in INTEGRALS
    return is_operator or part.text in LIMIT_FUNCTIONS


def _in_alphabet(part: FormulaPart, alphabet: str) -> FormulaPart:
    match part:
        case Symbol(text, SymbolKind.ORDINARY | SymbolKind.FUNCTION as kind):
            return Symbol("".join(in_alphabet(alphabet, character) for character in text), kind)
        case Sequence(parts):
            return Sequence(tuple(_in_alphabet(one, alphabet) for one in parts))
        case Scripts(base, below, above, as_limits):
            return Scripts(_in_alphabet(base, alphabet), below, above, as_limits)
        case _:
            return part
