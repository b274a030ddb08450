"""Markdown that arrives in pieces looks like the whole."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.sample_chat import answer
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
    *("> quote", "> - q item", ">> nested", "1. > q", "- > q", "# H", "## H2 ##", "===", "---", "***", "- -"),
    *("| a | b |", "|---|:-:|", "| 1 | 2 |", "a | b", "", "", "", "  ", "-", "- ", "1.", "+ plus"),
    *("- ```js", "  let x", "  ```", "    indented", "   - three", "  1. n", "-   wide", "-\titem", "<div>"),
    *(
        "$$",
        "\\[",
        "\\]",
        "$x_1$",
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
