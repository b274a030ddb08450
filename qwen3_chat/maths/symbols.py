"""The commands that stand for characters, and letters in other alphabets, as superscripts and subscripts."""

from __future__ import annotations

import unicodedata
from enum import StrEnum
from typing import Final


class SymbolKind(StrEnum):
    """The class of a symbol, which decides about the spaces around it."""

    ORDINARY = "ordinary"
    BINARY = "binary"
    RELATION = "relation"
    OPENING = "opening"
    CLOSING = "closing"
    PUNCTUATION = "punctuation"
    FUNCTION = "function"
    """A name such as sin or lim."""
    LARGE = "large"
    """An operator that has limits, such as a sum."""
    SPACE = "space"


_ORDINARY: Final = """
alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ iota ι kappa κ lambda
λ mu μ nu ν xi ξ omicron ο pi π varpi ϖ rho ρ varrho ϱ sigma σ varsigma ς tau τ upsilon υ phi ϕ varphi φ chi
χ psi ψ omega ω Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Upsilon Υ Phi Φ Psi Ψ Omega Ω infty ∞
partial ∂ nabla ∇ hbar ℏ ell ℓ Re ℜ Im ℑ aleph ℵ beth ℶ wp ℘ emptyset ∅ varnothing ∅ forall ∀ exists ∃
nexists ∄ neg ¬ lnot ¬ top ⊤ bot ⊥ angle ∠ measuredangle ∡ triangle △ square □ Box □ blacksquare ■ diamond ⋄
star ⋆ prime ′ degree ° circ ∘ dagger † ddagger ‡ S § P ¶ copyright © pounds £ yen ¥ euro € checkmark ✓
clubsuit ♣ heartsuit ♥ spadesuit ♠ diamondsuit ♦ flat ♭ natural ♮ sharp ♯ imath ı jmath ȷ Bbbk 𝕜 complement
∁ therefore ∴ because ∵ ldots … dots … dotsc … dotso … cdots ⋯ dotsb ⋯ dotsm ⋯ dotsi ⋯ vdots ⋮ ddots ⋱
iddots ⋰ surd √ backslash \\ lbrack [ rbrack ] blacktriangle ▲ bigstar ★ mho ℧ eth ð
"""
_BINARY: Final = """
pm ± mp ∓ times × div ÷ cdot · ast ∗ bullet • oplus ⊕ ominus ⊖ otimes ⊗ oslash ⊘ odot ⊙ cap ∩ cup ∪ sqcap ⊓
sqcup ⊔ vee ∨ lor ∨ wedge ∧ land ∧ setminus ∖ smallsetminus ∖ wr ≀ amalg ⨿ uplus ⊎ ltimes ⋉ rtimes ⋊ veebar
⊻ barwedge ⊼ boxplus ⊞ boxtimes ⊠ bigtriangleup △ triangleleft ◁ triangleright ▷
"""
_RELATIONS: Final = """
eq = ne ≠ neq ≠ lt < gt > le ≤ leq ≤ leqslant ≤ ge ≥ geq ≥ geqslant ≥ ll ≪ gg ≫ equiv ≡ sim ∼ simeq ≃ approx
≈ approxeq ≊ cong ≅ propto ∝ varpropto ∝ asymp ≍ doteq ≐ triangleq ≜ coloneqq ≔ in ∈ ni ∋ notin ∉ subset ⊂
supset ⊃ subseteq ⊆ supseteq ⊇ subsetneq ⊊ supsetneq ⊋ nsubseteq ⊈ nsupseteq ⊉ sqsubseteq ⊑ sqsupseteq ⊒
prec ≺ succ ≻ preceq ≼ succeq ≽ mid ∣ nmid ∤ parallel ∥ nparallel ∦ perp ⊥ vdash ⊢ dashv ⊣ models ⊨ vDash ⊨
nleq ≰ ngeq ≱ nless ≮ ngtr ≯ lesssim ≲ gtrsim ≳ ncong ≇ bowtie ⋈ smile ⌣ frown ⌢ to → rightarrow → gets ←
leftarrow ← leftrightarrow ↔ Rightarrow ⇒ Leftarrow ⇐ Leftrightarrow ⇔ implies ⟹ impliedby ⟸ iff ⟺
longrightarrow ⟶ longleftarrow ⟵ longleftrightarrow ⟷ Longrightarrow ⟹ Longleftarrow ⟸ Longleftrightarrow ⟺
mapsto ↦ longmapsto ⟼ uparrow ↑ downarrow ↓ updownarrow ↕ Uparrow ⇑ Downarrow ⇓ Updownarrow ⇕ nearrow ↗
searrow ↘ swarrow ↙ nwarrow ↖ hookrightarrow ↪ hookleftarrow ↩ rightharpoonup ⇀ rightharpoondown ⇁
leftharpoonup ↼ leftharpoondown ↽ rightleftharpoons ⇌ leftrightharpoons ⇋ rightsquigarrow ⇝ leadsto ⇝
twoheadrightarrow ↠ rightrightarrows ⇉ nrightarrow ↛ nRightarrow ⇏ nleftrightarrow ↮ lhd ⊲ rhd ⊳ colon :
"""
_DELIMITERS: Final = """
lparen ( rparen ) langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lbrace { rbrace } { { } } lvert |
rvert | lVert ‖ rVert ‖ ulcorner ⌜ urcorner ⌝ lgroup ( rgroup )
"""
_LARGE: Final = """
sum ∑ prod ∏ coprod ∐ int ∫ iint ∬ iiint ∭ oint ∮ oiint ∯ bigcup ⋃ bigcap ⋂ bigoplus ⨁ bigotimes ⨂ bigvee ⋁
bigwedge ⋀ bigsqcup ⨆ biguplus ⨄ bigodot ⨀
"""
INTEGRALS: Final = "∫∬∭∮∯"
_FUNCTIONS: Final = """
sin cos tan cot sec csc sinh cosh tanh coth arcsin arccos arctan arccot sech csch log ln lg exp deg dim ker
hom arg lim limsup liminf max min sup inf det gcd lcm Pr argmax argmin tr rank diag sgn
"""
LIMIT_FUNCTIONS: Final = frozenset(
    ("lim", "lim sup", "lim inf", "max", "min", "sup", "inf", "det", "gcd", "Pr", "argmax", "argmin")
)
_SPACES: Final = {
    **dict.fromkeys((",", ":", ";", " ", ">", "\n", "\t", "enspace", "thinspace", "medspace"), 1),
    **dict.fromkeys(("thickspace", "space", "nobreakspace"), 1),
    **dict.fromkeys(("!", "/", "negthinspace"), 0),
    "quad": 2,
    "qquad": 4,
}
"""The commands for spaces, with their cells."""


def _pairs(text: str, kind: SymbolKind) -> dict[str, tuple[str, SymbolKind]]:
    words = text.split()
    return {name: (symbol, kind) for name, symbol in zip(words[::2], words[1::2], strict=True)}


def _delimiters() -> dict[str, tuple[str, SymbolKind]]:
    found = _pairs(_DELIMITERS, SymbolKind.OPENING)
    closing = ("r", "}", "ur")
    return {
        name: (symbol, SymbolKind.CLOSING if name.startswith(closing) else kind)
        for name, (symbol, kind) in found.items()
    }


COMMANDS: Final[dict[str, tuple[str, SymbolKind]]] = {
    **_pairs(_ORDINARY, SymbolKind.ORDINARY),
    **_pairs(_BINARY, SymbolKind.BINARY),
    **_pairs(_RELATIONS, SymbolKind.RELATION),
    **_delimiters(),
    **_pairs(_LARGE, SymbolKind.LARGE),
    **{name: (name, SymbolKind.FUNCTION) for name in _FUNCTIONS.split()},
    "limsup": ("lim sup", SymbolKind.FUNCTION),
    "liminf": ("lim inf", SymbolKind.FUNCTION),
    "bmod": ("mod", SymbolKind.BINARY),
    **{name: (" " * cells, SymbolKind.SPACE) for name, cells in _SPACES.items()},
    **{mark: (mark, SymbolKind.ORDINARY) for mark in "%$#&_"},
    "|": ("‖", SymbolKind.ORDINARY),
    "Vert": ("‖", SymbolKind.ORDINARY),
    "vert": ("|", SymbolKind.ORDINARY),
}
"""The commands that stand for a character or a name, without their backslash."""

CHARACTERS: Final[dict[str, tuple[str, SymbolKind]]] = {
    **{mark: (mark, SymbolKind.BINARY) for mark in "+±×÷·∩∪"},
    "-": ("−", SymbolKind.BINARY),
    "−": ("−", SymbolKind.BINARY),
    "*": ("*", SymbolKind.BINARY),
    **{mark: (mark, SymbolKind.RELATION) for mark in "=<>≤≥≠≈→⇒∈:"},
    **{mark: (mark, SymbolKind.OPENING) for mark in "(["},
    **{mark: (mark, SymbolKind.CLOSING) for mark in ")]!"},
    **{mark: (mark, SymbolKind.PUNCTUATION) for mark in ",;"},
    "'": ("′", SymbolKind.CLOSING),
    "~": (" ", SymbolKind.SPACE),
}
"""The characters that are no ordinary symbols."""

ACCENTS: Final = {
    "hat": "\u0302",
    "widehat": "\u0302",
    "bar": "\u0304",
    "tilde": "\u0303",
    "widetilde": "\u0303",
    "vec": "\u20d7",
    "overrightarrow": "\u20d7",
    "overleftarrow": "\u20d6",
    "dot": "\u0307",
    "ddot": "\u0308",
    "dddot": "\u20db",
    "check": "\u030c",
    "breve": "\u0306",
    "acute": "\u0301",
    "grave": "\u0300",
    "mathring": "\u030a",
    "overline": "\u0305",
    "underline": "\u0332",
    "underbar": "\u0332",
    "cancel": "\u0338",
    "bcancel": "\u0338",
    "xcancel": "\u0338",
    "sout": "\u0336",
    "not": "\u0338",
}
"""The combining character of each accent."""
ACCENTS_ON_EACH_LETTER: Final = frozenset("\u0305\u0332\u0338\u0336")

ALPHABETS: Final = {
    "mathbb": "DOUBLE-STRUCK",
    "mathcal": "SCRIPT",
    "mathscr": "SCRIPT",
    "mathfrak": "FRAKTUR",
    "mathbf": "BOLD",
    "boldsymbol": "BOLD",
    "bm": "BOLD",
    "textbf": "",
    **dict.fromkeys(("mathrm", "mathit", "mathsf", "mathtt", "mathnormal", "mathop", "mathbin"), ""),
    **dict.fromkeys(("mathrel", "mathord", "mathopen", "mathclose", "mathpunct", "mathinner"), ""),
}
"""The name of the alphabet of each command for letters; empty for the usual letters."""

_SUPERSCRIPTS: Final = dict(
    zip(
        "0123456789+−=()abcdefghijklmnoprstuvwxyzABDEGHIJKLMNOPRTUVWαβγδθϵιϕφχ⊤′″‴*°†∘",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᴬᴮᴰᴱᴳᴴᴵᴶᴷᴸᴹᴺᴼᴾᴿᵀᵁⱽᵂᵅᵝᵞᵟᶿᵋᶥᶲᵠᵡᵀ′″‴*°†°",
        strict=True,
    )
)
_SUBSCRIPTS: Final = dict(
    zip("0123456789+−=(),aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎,ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True)
)


def superscript(text: str) -> str | None:
    """Return a text in superscript characters; None if some have none."""
    return _mapped(text, _SUPERSCRIPTS)


def subscript(text: str) -> str | None:
    """Return a text in subscript characters; None if some have none."""
    return _mapped(text, _SUBSCRIPTS)


def _mapped(text: str, table: dict[str, str]) -> str | None:
    small = [table.get(character, "") for character in text]
    return "".join(small) if text and all(small) else None


def in_alphabet(alphabet: str, character: str) -> str:
    """Return a letter or digit in another alphabet, such as DOUBLE-STRUCK; any other stays as it is."""
    kind = {"Lu": "CAPITAL", "Ll": "SMALL", "Nd": "DIGIT"}.get(unicodedata.category(character))
    if not alphabet or kind is None:
        return character
    name = unicodedata.name(character, "").removeprefix("GREEK ").removeprefix("LATIN ").rsplit(" ", 1)[-1]
    for prefix in (f"MATHEMATICAL {alphabet}", alphabet, f"BLACK-LETTER {kind}"):
        form = f"{prefix} {name}" if prefix.startswith("BLACK") else f"{prefix} {kind} {name}"
        if prefix.startswith("BLACK") and alphabet != "FRAKTUR":
            continue
        try:
            return unicodedata.lookup(form)
        except KeyError:
            continue
    return character
