"""Tables that fit."""

from __future__ import annotations

import pytest

from qwen3_chat.transcript.cells import cell_width
from qwen3_chat.transcript.markdown_section import MarkdownSection


def table(source: str, width: int) -> list[str]:
    section = MarkdownSection(width, 0)
    section.feed(source)
    return ["".join(run[0] for run in row.runs).rstrip() for row in section.rows]


def test_columns_are_aligned_as_asked() -> None:
    assert table("| left | mid | right |\n|:--|:-:|--:|\n| a | b | c |\n| 字 | 中文 | 1 |", 40) == [
        "left │ mid  │ right",
        "─────┼──────┼──────",
        "a    │  b   │     c",
        "字   │ 中文 │     1",
    ]


def test_the_widest_columns_give_way_and_wrapped_rows_are_divided() -> None:
    assert table("| id | text |\n|--|--|\n| 1 | some words that wrap |\n| 2 | 好 |", 20) == [
        "id  │ text",
        "────┼───────────────",
        "1   │ some words",
        "    │ that wrap",
        "────┼───────────────",
        "2   │ 好",
    ]


def test_line_breaks_in_cells_are_kept() -> None:
    assert table("| a |\n|--|\n| x<br>y |", 20) == ["a", "───", "x", "y"]


def test_a_table_of_too_many_columns_becomes_a_list() -> None:
    source = "| a | b | c | d |\n|--|--|--|--|\n| 1 | 2 | 3 | 4 |\n| 5 | 6 | 7 | 8 |"
    assert table(source, 20) == ["a: 1", "b: 2", "c: 3", "d: 4", "", "a: 5", "b: 6", "c: 7", "d: 8"]


@pytest.mark.parametrize("width", range(8, 60, 3))
def test_tables_never_leave_the_page(width: int) -> None:
    head = "| 名称 | quantisation | tokens |\n|:--|:-:|--:|\n"
    source = head + "| 很长的中文名称 | Q4_K_M_some_long_word | 12345678901234 |"
    assert all(cell_width(line) <= width for line in table(source, width))


def test_a_table_is_copied_as_cells_divided_by_tabs() -> None:
    section = MarkdownSection(40, 0)
    section.feed("| a | b |\n|--|--|\n| **1** | 2 |")
    assert section.logical_texts == ["a\tb", "1\t2"]


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        ("| 1 | 2 | 3 | 4 |", ["1", "2 | 3 | 4"]),
        ("| `a|b` | 2 |", ["a|b", "2"]),
        ("| $|x|$ | 2 |", ["|x|", "2"]),
        (r"| \(P(A|B)\) | ``c|`d`` | 3 |", ["P(A|B)", "c|`d | 3"]),
        (r"| a\|b | 2 | 3 |", ["a|b", "2 | 3"]),
        ("| ` | ` |", ["`", "`"]),
        ("1 | 2 | 3", ["1", "2 | 3"]),
        ("| 1 |", ["1", ""]),
    ],
)
def test_a_row_with_more_cells_than_the_head_loses_nothing(row: str, cells: list[str]) -> None:
    section = MarkdownSection(60, 0)
    section.feed(f"| a | b |\n|---|---|\n{row}")
    assert section.logical_texts[-1].split("\t") == cells
