"""Markdown that arrives in pieces looks like the whole."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it.token import Token

from benchmarks.sample_chat import answer
from qwen3_chat.transcript.cells import wrap
from qwen3_chat.transcript.markdown_parser import PARSER
from qwen3_chat.transcript.markdown_section import MarkdownSection

# Not here: what only the layout of the finished message gets right, see `MarkdownSection`.
LINES = [
    *("para text **bold** and `code`", "text  ", "trail\\", "lazy", "***bold it***", "[ref] text", "![i](u)"),
    *(
        "- item",
        "  - nested",
        "    deeper",
        "* star",
        "1. one",
        "2) two",
        "10. ten",
        "   cont",
        "- [ ] t",
        "- [x]",
    ),
    *("```", "```python", "~~~", "````md", "   ```", "  ~~~", "def f(x):", '"""doc', "  x = 1", "\tTabbed"),
    *("```markdown", "Example:", "- ```md", "  ```bash", "> ```md", "> ```js"),
    *("> quote", "> - q item", ">> nested", "1. > q", "- > q", "# H", "## H2 ##", "===", "---", "***", "- -"),
    *("| a | b |", "|---|:-:|", "| 1 | 2 |", "a | b", "", "", "", "  ", "-", "- ", "1.", "+ plus"),
    *("- ```js", "  let x", "  ```", "    indented", "   - three", "  1. n", "-   wide", "-\titem", "<div>"),
    *(
        "$$",
        "\\[",
        "\\]",
        "$x_1$",
        "$$\\frac{a}{b}$$",
        "\\(x * y\\) and \\(z *w*",
        "\\begin{aligned}",
        "a &= b \\\\",
        "\\end{aligned}",
        "$5 and $10 *x*",
        "x $$",
        "<br>",
        "**重点。**下文",
        "https://a.b/c。d",
        "&#x202e;",
        "\x1b[31m",
    ),
]


def drawn(document: MarkdownSection) -> list[Any]:
    rows = [(row.logical_row, row.runs, row.code_row) for row in document.rows]
    return [rows, document.logical_texts, [code.language for code in document.code_blocks]]


def whole(source: str, width: int = 60) -> list[Any]:
    document = MarkdownSection(width, 0)
    document.feed(source)
    return drawn(document)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.sampled_from(LINES), max_size=20),
    newline=st.booleans(),
    sizes=st.lists(st.sampled_from([1, 1, 2, 3, 7, 25]), min_size=1, max_size=8),
)
@example(["- item", "***bold it***"], False, [1])
def test_any_pieces_give_the_rows_of_the_whole(lines: list[str], newline: bool, sizes: list[int]) -> None:
    source = "\n".join(lines) + "\n" * newline
    document, at, step = MarkdownSection(60, 0), 0, 0
    while at < len(source):
        size = sizes[step % len(sizes)]
        document.feed(source[at : at + size])
        at, step = at + size, step + 1
    assert drawn(document) == whole(source)


def test_rows_before_the_settled_one_stay_the_same_objects() -> None:
    document, source = MarkdownSection(60, 0), answer(1)
    for at in range(0, len(source), 7):
        before = [row.runs for row in document.rows]
        document.feed(source[at : at + 7])
        assert [row.runs for row in document.rows[: document.first_changed_row]] == before[
            : document.first_changed_row
        ]


def test_a_long_answer_is_settled_but_for_its_last_block() -> None:
    document, source = MarkdownSection(60, 0), answer(1)
    document.feed(source + "\n\n" + source)
    document.feed("\n\nlast\nwords")
    document.feed(" more")
    assert len(document.rows) - document.first_changed_row == 3  # with the blank row above


SENTENCES = (
    "some **bold** text and `code`",
    "中文**重点。**下文",
    "a [link](u) b",
    "**open [and `never $closed",
)
LONG_BLOCKS: dict[str, Callable[[list[str]], str]] = {
    "paragraph": lambda lines: "\n".join(lines),
    "one line": " ".join,
    "heading": lambda lines: "# " + " ".join(lines),
    "quote": lambda lines: "\n".join(f"> {line}" for line in lines),
    "item": lambda lines: "1. a\n" + "\n".join(f"   {line}" for line in lines),
    "nested list": lambda lines: "- a\n" + "\n".join(f"  - {line}" for line in lines),
    "list": lambda lines: "\n".join(f"{number}. {line}" for number, line in enumerate(lines)),
    "table": lambda lines: (
        "| a | b |\n|---|--:|\n" + "\n".join(f"| {line} | {len(line)} |" for line in lines)
    ),
    "cell": lambda lines: "| a | b |\n|---|--:|\n| " + " ".join(lines),
    "code": lambda lines: "```python\n" + "\n".join(lines),
    "row of code": lambda lines: "```python\n" + " ".join(lines),
    "code in a list": lambda lines: "- a\n  ```python\n" + "\n".join(f"  {line}" for line in lines),
    "code in a document in a list": lambda lines: (
        "- a\n  ```markdown\n  # T\n  ```python\n" + "\n".join(f"  {line}" for line in lines)
    ),
    "code in a document": lambda lines: "```markdown\n# T\n\n```python\n" + "\n".join(lines),
    "code without a fence": lambda lines: "\n".join(f"    {line}" for line in lines),
    "formula": lambda lines: "$$\n" + "\n".join(lines),
    "blank lines": lambda lines: "\n" * sum(map(len, lines)),
    "definitions": lambda lines: "\n".join(f"[{number}]: b" for number, _ in enumerate(lines)),
}
"""Blocks that never end, each made of some lines."""


def long_block(name: str, n_characters: int) -> str:
    source = random.Random(1)
    text = LONG_BLOCKS[name]([source.choice(SENTENCES) for _ in range(n_characters // 20)])
    return text[:n_characters]


@pytest.mark.parametrize("name", LONG_BLOCKS)
def test_a_block_that_never_ends_looks_the_same_however_it_arrives(name: str) -> None:
    source = long_block(name, 6_000) + "\n\nlast words"
    document = MarkdownSection(60, 0)
    for at in range(0, len(source), 97):
        document.feed(source[at : at + 97])
    assert drawn(document) == whole(source)
    assert "last words" in document.logical_texts


@pytest.mark.parametrize("name", LONG_BLOCKS)
def test_a_block_that_never_ends_is_not_parsed_again_for_each_piece(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[int] = []
    parse = PARSER.parse

    def counting_parse(source: str, environment: dict[str, Any] | None = None) -> list[Token]:
        parsed.append(len(source))
        return parse(source, environment)

    monkeypatch.setattr(PARSER, "parse", counting_parse)
    source, document = long_block(name, 8_000), MarkdownSection(60, 0)
    for at in range(0, len(source), 97):
        document.feed(source[at : at + 97])
    assert max(parsed, default=0) < 5_000


def test_text_goes_on_in_the_row_in_which_it_was_cut() -> None:
    words = " ".join(f"word{number}" for number in range(2_000))
    document = MarkdownSection(60, 0)
    document.feed(words)
    assert document.logical_texts == [words]
    assert [row.offset for row in document.rows] == [start for start, _ in wrap(words, 60)]


def test_a_long_list_item_keeps_its_place_and_its_emphasis() -> None:
    line = "   - some **bold** text"
    document = MarkdownSection(60, 0)
    document.feed("1. first\n" + f"{line}\n" * 200 + "2. second")
    rows = ["".join(run[0] for run in row.runs) for row in document.rows]
    assert rows == ["1. first", *["   • some bold text"] * 200, "2. second"]


def test_a_long_table_keeps_the_columns_that_it_had() -> None:
    document = MarkdownSection(60, 0)
    document.feed("| a | b |\n|---|---|\n" + "| some text | 1 |\n" * 600)
    rows = {"".join(run[0] for run in row.runs).rstrip() for row in document.rows}
    assert rows == {"a         │ b", "──────────┼────", "some text │ 1"}
    assert len(document.rows) == 602


def test_code_in_a_list_stays_one_block_however_long_it_is() -> None:
    document = MarkdownSection(60, 0)
    document.feed("- a\n  ```python\n" + "  x = 1\n" * 1_000 + "  ```\n- b\n")
    (code,) = document.code_blocks
    assert code.rows == ["x = 1"] * 1_000
    assert code.is_complete


def test_a_last_row_of_code_that_only_begins_like_the_end_is_shown() -> None:
    document = MarkdownSection(60, 0)
    pieces = ("\n", "``", "`python", "\nht", "tps://a.b\n  x =", " 1\n```python")
    for piece in pieces:
        document.feed(piece)
    assert drawn(document) == whole("".join(pieces))


@pytest.mark.full
def test_thousands_of_hostile_documents_in_pieces_look_like_the_whole() -> None:
    for seed in range(4000):
        source = random.Random(seed)
        text = "\n".join(source.choice(LINES) for _ in range(source.choice([3, 6, 10, 20, 40])))
        document, at = MarkdownSection(60, 0), 0
        while at < len(text):
            size = source.choice([1, 1, 2, 3, 7, 25])
            document.feed(text[at : at + size])
            at += size
        assert drawn(document) == whole(text), (seed, text)
