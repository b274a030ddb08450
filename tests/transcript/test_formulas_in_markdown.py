"""Formulas inside Markdown: found, left alone, copied, and steady while they arrive."""

from __future__ import annotations

import pytest

from qwen3_chat.transcript import MessageEntry
from qwen3_chat.transcript.markdown_section import MarkdownSection
from qwen3_chat.transcript.message_view import ANSWER, MessageView
from qwen3_chat.transcript.text_positions import TextPosition, selected_text
from qwen3_chat.transcript.transcript_layout import TranscriptLayout
from tests.maths.test_formulas import stored


def rows(source: str, width: int = 60) -> list[str]:
    section = MarkdownSection(width, 0)
    section.feed(source)
    return ["".join(run[0] for run in row.runs).rstrip() for row in section.rows]


def formula_texts(source: str) -> list[str]:
    section = MarkdownSection(60, 0)
    section.feed(source)
    return [run[0] for row in section.rows for run in row.runs if "formula" in run[1].split()]


NO_FORMULAS = [
    *(
        "It costs $5.",
        "$5 and $10",
        "between $5 and $10 a month",
        "$5-$10",
        "$5–$10",
        "$5/$10",
        "$1,000 or $2,500.50",
    ),
    *(
        "US$5 and US$6",
        "A$5, C$6",
        "from $1.5M to $3M",
        "$20 (was $30)",
        "a $ b $ c",
        r"\$5 and \$6$",
        "cost: $5",
    ),
    *(
        "$5 per user, $10 per team and $20 for all",
        "I paid 5$ and you paid 6$",
        "pay $5 or 5$",
        "$10/month or 20$",
    ),
    *(
        "set $HOME first",
        "$HOME/bin:$PATH",
        "$PATH:$HOME",
        "$HOME/$USER",
        "${HOME}/x:${PATH}",
        "${A}${B}",
        "$FOO$BAR",
    ),
    *(
        "run $(date) and $(pwd)",
        "$(a)$(b)",
        "$1 and $2 are arguments",
        "use $@ or $#",
        "$?",
        "$x",
        "x$",
        "kill $$",
        "$_",
    ),
    *(
        "`$x$` is code",
        "``a $x$ b``",
        "```sh\necho $a $b$\n```",
        "    echo $x$",
        "价格是$5，另一个$6",
        "花了$5，剩$",
    ),
    *("$x = five apples and y$", "jQuery's $ and $.ajax", "$ 5 $", "a$b", "$\n$", "**$5** and **$6**"),
]


@pytest.mark.parametrize("source", NO_FORMULAS)
def test_dollars_that_are_no_formula_stay(source: str) -> None:
    assert formula_texts(source) == []
    shown = "".join("".join(row.split()) for row in rows(source))
    assert shown.count("$") == source.replace(r"\$", "$").count("$")


def test_there_are_forty_texts_with_dollars() -> None:
    assert len(set(NO_FORMULAS)) >= 40


def test_formulas_stand_in_headings_lists_quotes_tables_and_emphasis() -> None:
    source = (
        "## For $x^2$\n\n- a $\\frac{1}{2}$ **b $\\alpha$**\n\n> $x_1$\n\n"
        "| f | g |\n|---|---|\n| $\\sin x$ | **b** |\n\n设$x>0$且$y$"
    )
    assert rows(source) == [
        *("For x²", "", "• a 1/2 b α", "", "▌ x₁", ""),
        *("f     │ g", "──────┼────", "sin x │ b", "", "设x > 0且y"),
    ]


def test_a_formula_that_stands_alone_has_several_rows() -> None:
    drawn = ["  a", "  ─ = c", "  b"]
    for source in (r"\[ \frac{a}{b} = c \]", "$$\n\\frac{a}{b} = c\n$$", r"$$\frac{a}{b} = c$$"):
        assert rows(source) == drawn
    assert rows("- x\n\n  $$\\frac{a}{b}$$\n- y") == ["• x", "", "    a", "    ─", "    b", "• y"]


def test_an_environment_needs_no_dollars() -> None:
    assert rows("\\begin{align*}\na &= b \\\\\n&= c\n\\end{align*}") == ["  a = b", "    = c"]


def test_a_formula_too_wide_for_several_rows_is_wrapped_in_one() -> None:
    source = r"\[ \frac{a+b}{c} = \frac{d+e}{f} = \frac{g+h}{i} \]"
    assert rows(source, 14) == ["  (a + b)/c", "  = (d + e)/f", "  = (g + h)/i"]


def test_what_is_not_understood_is_its_unbroken_source() -> None:
    assert rows(r"a $\ce{H2O}$ b") == [r"a $\ce{H2O}$ b"]
    assert rows("$$\n\\ce{H2O}\n$$") == ["$$", r"\ce{H2O}", "$$"]


def test_the_source_is_shown_where_formulas_are_not_drawn() -> None:
    section = MarkdownSection(60, 0, draws_formulas=False)
    section.feed("$x^2$\n\n$$\\frac{a}{b}$$")
    assert section.logical_texts == ["$x^2$", "", r"$$\frac{a}{b}$$"]


@pytest.mark.parametrize("latex", [*stored()][::10])
def test_an_unfinished_formula_is_its_source_until_it_closes(latex: str) -> None:
    for opener, closer in ((r"\(", r"\)"), (r"\[", r"\]"), ("$$", "$$")):
        source = f"令 {opener}{latex}{closer} *则*"
        section, end = MarkdownSection(400, 0), source.index("*") - 1
        for at, character in enumerate(source):
            section.feed(character)
            if len(opener) + 2 < at < end - len(closer):
                assert section.logical_texts == [source[: at + 1].rstrip(" ")]
        (shown,) = section.logical_texts
        assert shown.endswith(" 则")


@pytest.mark.parametrize("latex", [pytest.param(latex, marks=pytest.mark.full) for latex in stored()])
def test_any_cut_of_a_formula_gives_the_rows_of_the_whole(latex: str) -> None:
    for source in (f"so $${latex}$$ *x* $5", f"a\n\n\\[\n{latex}\n\\]\n\n${latex}$ b"):
        streamed = MarkdownSection(60, 0)
        for end in range(1, len(source) + 1):
            streamed.feed(source[end - 1])
            whole = MarkdownSection(60, 0)
            whole.feed(source[:end])
            assert [row.runs for row in streamed.rows] == [row.runs for row in whole.rows]


def test_copying_gives_the_source() -> None:
    source = "one $x^2$ two $y_1$\n\n$$\\frac{a}{b}$$\n\nend"
    layout = TranscriptLayout()
    layout.set_views([MessageView(MessageEntry("assistant", source))])
    layout.resize(60)

    def copied(first: tuple[int, int], last: tuple[int, int]) -> str:
        start, end = (TextPosition(ANSWER + row, offset) for row, offset in (first, last))
        return selected_text(layout, start, end)

    assert copied((0, 0), (0, 100)) == "one $x^2$ two $y_1$"
    assert copied((0, 5), (0, 9)) == "$x^2$ tw"
    assert copied((0, 0), (0, 3)) == "one"
    assert copied((2, 2), (2, 3)) == r"$$\frac{a}{b}$$"
    assert copied((0, 7), (4, 3)) == "two $y_1$\n\n$$\\frac{a}{b}$$\n\nend"
