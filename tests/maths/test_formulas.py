"""Formulas as Qwen3 writes them, each with the reviewed rows that it is drawn in."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from qwen3_chat.maths.formula_text import display_formula, formula_source, inline_formula
from qwen3_chat.maths.mathml import formula_mathml

FORMULAS = Path(__file__).with_name("formulas.txt")
"""Each formula after `== `, then its text in one row, then its rows where they are others."""


def stored() -> dict[str, list[str]]:
    entries = re.split(r"(?m)^== ", FORMULAS.read_text(encoding="utf-8"))[1:]
    sources = [entry.rstrip("\n").split("\n") for entry in entries]
    return {lines[0]: lines[1:] for lines in sources}


@pytest.mark.parametrize(("latex", "rows"), stored().items())
def test_a_formula_is_drawn_as_it_was_reviewed(latex: str, rows: list[str]) -> None:
    if not rows:
        assert inline_formula(f"${latex}$") is None
        assert display_formula(f"$${latex}$$", 80) is None
        return
    one_row, *several = rows
    assert inline_formula(rf"\({latex}\)") == one_row
    assert display_formula(rf"\[{latex}\]", 80) == tuple(several or [one_row])


def test_all_but_a_few_of_the_formulas_lose_every_command_and_brace() -> None:
    formulas = stored()
    drawn = [
        latex
        for latex, rows in formulas.items()
        if rows and not re.search(r"\\|[{}]" if not re.search(r"\\\{|cases", latex) else r"\\", "".join(rows))
    ]
    assert len(formulas) >= 120
    assert len(formulas) - len(drawn) <= 6


def test_what_does_not_fit_comes_in_one_row_for_each_step() -> None:
    derivation = r"\begin{aligned} a &= \frac{b}{c} \\ &= d \end{aligned}"
    assert display_formula(f"$${derivation}$$", 4) == ("a", "= b/c", "= d")
    assert display_formula(r"\[\frac{a + b}{c}\]", 4) == ("(a + b)/c",)
    assert display_formula(r"\[x = a + b + c = d\]", 12) == ("x", "= a + b + c", "= d")


def test_statements_that_do_not_fit_stand_below_one_another() -> None:
    assert display_formula(r"\[x = \frac{a}{b}, \quad y = c\]", 9) == (
        "    a",
        "x = ─,",
        "    b",
        "",
        "y = c",
    )


def test_a_chain_that_does_not_fit_has_its_steps_below_one_another() -> None:
    assert display_formula(r"\[x = \frac{a}{b} = c + d\]", 10) == ("    a", "x = ─", "    b", "", "  = c + d")


@pytest.mark.parametrize(
    ("text", "source"),
    [("$x$", "x"), ("$$x$$", "x"), (r"\(x\)", "x"), (r"\[x\]", "x"), (r"\begin{a}", r"\begin{a}")],
)
def test_the_marks_around_a_formula_are_no_part_of_it(text: str, source: str) -> None:
    assert formula_source(text) == source


@pytest.mark.parametrize(
    "latex",
    [
        *("{" * 100_000, "}" * 100_000, "x" * 100_000, r"\frac" * 400, "x^" * 900, r"\sqrt" * 400),
        *(r"\left(" * 300, r"\begin{a}" * 200, "{" * 1_000 + "}" * 1_000, "x_{" * 60 + "}" * 60),
        *(r"\begin{matrix}" + "&" * 900 + r"\\" * 400 + r"\end{matrix}", r"\frac{a}", r"\left x", "x^1^2"),
        *(
            "a % b",
            r"\unknown{x}",
            r"\right)",
            r"\begin{aligned}",
            r"\sqrt[3",
            "",
            r"\def\a{\a}\a",
            "$",
            "\\",
        ),
    ],
)
def test_what_is_not_understood_is_left_as_its_source(latex: str) -> None:
    assert inline_formula(f"${latex}$") is None
    assert display_formula(f"$${latex}$$", 40) is None
    assert formula_mathml(f"${latex}$", is_display=False) is None


@pytest.mark.parametrize("latex", [latex for latex, rows in stored().items() if rows])
def test_a_formula_is_well_formed_mathml_with_its_source(latex: str) -> None:
    text = formula_mathml(f"$${latex}$$", is_display=True)
    assert text is not None
    (semantics,) = ElementTree.fromstring(text)
    _, annotation = semantics
    assert annotation.text == latex


def test_a_fraction_in_mathml() -> None:
    assert formula_mathml(r"$\frac{a}{2}$", is_display=False) == (
        "<math><semantics><mrow><mfrac><mrow><mi>a</mi></mrow><mrow><mn>2</mn></mrow></mfrac></mrow>"
        r'<annotation encoding="application/x-tex">\frac{a}{2}</annotation></semantics></math>'
    )
