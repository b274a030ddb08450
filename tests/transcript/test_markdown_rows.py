"""Markdown as rows of text."""

from __future__ import annotations

import pytest

from qwen3_chat.transcript.cells import cell_width
from qwen3_chat.transcript.markdown_section import MarkdownSection
from qwen3_chat.transcript.styled_rows import OpenLink, PositionedRun


def document(source: str, width: int = 40) -> MarkdownSection:
    section = MarkdownSection(width, 0, copy_label="copy")
    section.feed(source)
    return section


def lines(source: str, width: int = 40) -> list[str]:
    return ["".join(run[0] for run in row.runs).rstrip() for row in document(source, width).rows]


def runs(source: str) -> list[PositionedRun]:
    return [run for row in document(source).rows for run in row.runs]


def styled(source: str, name: str) -> list[str]:
    return [text for text, names, _, _ in runs(source) if name in names.split()]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("# One\n## Two", ["One", "", "Two"]),
        ("text\n# Head\nmore", ["text", "", "Head", "more"]),
        ("- a\n  - b\n    - c\n- d", ["• a", "  ◦ b", "    ▪ c", "• d"]),
        ("9. a\n10. b\n\n    more", ["9. a", "10. b", "", "    more"]),
        ("1) a\n2) b", ["1) a", "2) b"]),
        ("- [ ] open\n- [x] done\n- [X] Done", ["☐ open", "☑ done", "☑ Done"]),
        ("-\n- b", ["•", "• b"]),
        ("> a\n> b\n\nc", ["▌ a", "▌ b", "", "c"]),
        ("> a\n>\n> - b", ["▌ a", "▌", "▌ • b"]),
        ("- a\n\n  b\n- c", ["• a", "", "  b", "• c"]),
        ("床前明月光，\n疑是地上霜。", ["床前明月光，", "疑是地上霜。"]),
        ("a  \nb\\\nc<br>d", ["a", "b", "c", "d"]),
        ("a\n\n\n\nb", ["a", "", "b"]),
        ("---", ["─" * 40]),
        (
            "A[^1] b[^n].\n\n[^1]: Note.\n[^n]: More of\n    it.",
            ["A[^1] b[^n].", "", "[^1]: Note.", "[^n]: More of", "it."],
        ),
        ("- [ ] 写\n- [x] ✅ done", ["☐ 写", "☑ ✅ done"]),
        ("👨‍👩‍👧 5❌ 🇩🇪🇯🇵 👍🏽 ❤️", ["👨‍👩‍👧 5❌ 🇩🇪🇯🇵 👍🏽 ❤️"]),
        ("<b>bold</b> <script>", ["<b>bold</b> <script>"]),
        ("a &lt; b &amp; c", ["a < b & c"]),
        ("![cat](cat.png)", ["[cat]"]),
        ("", []),
        (" \n\n", []),
    ],
)
def test_blocks_become_rows(source: str, expected: list[str]) -> None:
    assert lines(source) == expected


@pytest.mark.parametrize(
    ("source", "strong"),
    [
        ("**重点。**下文", ["重点。"]),
        ("请看**“引号”**之后", ["“引号”"]),
        ("**（括号）**后", ["（括号）"]),
        ("前**《书》**后", ["《书》"]),
        ("中文**strong**中文", ["strong"]),
        ("他说：**你好！**然后走了", ["你好！"]),
        ("**注意：**a", ["注意："]),
        ("**한국어.**다음", ["한국어."]),
        ("これは**「重要」**です", ["「重要」"]),
        ("**C++**的", ["C++"]),
        ("a**b**c", ["b"]),
        ("**not strong **", []),
        ("2**3**4", ["3"]),
        ("__重点__", ["重点"]),
    ],
)
def test_emphasis_ends_beside_chinese_punctuation(source: str, strong: list[str]) -> None:
    assert styled(source, "strong") == strong


@pytest.mark.parametrize(
    ("source", "style", "expected"),
    [
        ("*a* **b** ***c***", "em", ["a", "c"]),
        ("~~a~~ b", "s", ["a"]),
        ("`**a**`", "code-inline", ["**a**"]),
        ("## a `b`", "heading", ["a ", "b"]),
        ("| a |\n|---|\n| b |", "strong", ["a"]),
    ],
)
def test_styles_are_named(source: str, style: str, expected: list[str]) -> None:
    assert styled(source, style) == expected


@pytest.mark.parametrize(
    ("source", "drawn"),
    [
        ("$a_1 * b_1 * c$", ["a₁ * b₁ * c"]),
        (r"\(a_1 + b_1\)", ["a₁ + b₁"]),
        (r"\[ \frac{a}{b} \]", ["a", "─", "b"]),
        ("$$x_1 * y * z$$", ["x₁ * y * z"]),
        (
            "$$\n\\begin{a}\n- x_1 \\\\\n= y\n\\end{a}\n$$",
            ["$$", "\\begin{a}", "- x_1 \\\\", "= y", "\\end{a}", "$$"],
        ),
        (r"\(a_1 * b_1 * c", [r"\(a_1 * b_1 * c"]),
    ],
)
def test_formulas_are_drawn_or_stay_as_they_are(source: str, drawn: list[str]) -> None:
    assert styled(source, "formula") == drawn


@pytest.mark.parametrize("source", ["$5 and $10", "US$ 5, US$ 6", "a $ b $ c", r"\$5$ \*", "cost: $5"])
def test_money_is_no_formula(source: str) -> None:
    assert styled(source, "formula") == []


@pytest.mark.parametrize(
    ("source", "shown", "url"),
    [
        ("[docs](https://e.org/a)", "docs (https://e.org/a)", "https://e.org/a"),
        ("[https://e.org](https://e.org)", "https://e.org", "https://e.org"),
        ("<https://e.org>", "https://e.org", "https://e.org"),
        ("https://e.org/a。后面", "https://e.org/a。后面", "https://e.org/a"),
        ("(see https://e.org/a)", "(see https://e.org/a)", "https://e.org/a"),
        ("**https://e.org/a**", "https://e.org/a", "https://e.org/a"),
        ("<me@e.org>", "me@e.org", "mailto:me@e.org"),
    ],
)
def test_links_show_where_they_lead(source: str, shown: str, url: str) -> None:
    assert lines(source) == [shown]
    assert {action.url for _, _, action, _ in runs(source) if isinstance(action, OpenLink)} == {url}


@pytest.mark.parametrize(
    "source", ["[a](javascript:alert)", "[a](data:text/html,x)", "[a](file:///etc/passwd)"]
)
def test_addresses_that_run_code_are_no_links(source: str) -> None:
    assert not any(action for _, _, action, _ in runs(source))


def test_code_has_a_head_with_language_and_copy_button() -> None:
    assert lines("```python\nx = 1\n\ny\n```", 30) == [" python                  copy", " x = 1", "", " y"]


def test_code_rows_fold_and_their_text_does_not() -> None:
    section = document("```\n" + "x" * 50 + "\n```", 30)
    assert [row.logical_row for row in section.rows] == [0, 1, 1]
    assert section.logical_texts == ["", "x" * 50]


def test_tabs_in_code_reach_the_next_stop_on_screen_and_stay_tabs_in_the_text() -> None:
    section = document("```\n\ta\nbc\td\n```")
    assert ["".join(run[0] for run in row.runs) for row in section.rows[1:]] == ["     a", " bc  d"]
    assert section.code_blocks[0].rows == section.logical_texts[1:] == ["\ta", "bc\td"]


def test_nested_code_keeps_its_indent() -> None:
    source = "1. a\n   ```sh\n   ls\n   ```\n2. b"
    assert lines(source, 30) == ["1. a", "    sh                   copy", "    ls", "", "2. b"]


@pytest.mark.parametrize("width", [12, 13, 21, 40, 79])
def test_no_row_is_wider_than_the_page(width: int) -> None:
    source = (
        "# 标题 heading\n\ntext 中文混排 with `code` and 👨‍👩‍👧👨‍👩‍👧 e\u0301e\u0301 averyverylongword\n\n"
        "- a 列表 item of some length\n\n```python\ndef 函数(x): return '很长的字符串 and more'\n```\n\n"
        "| 列 | b |\n|:-:|--:|\n| 单元格里的文字 | some words |\n\n> 引用 quoted text\n\n$$\nx_1\n$$\n\n---\n"
    )
    for row in document(source, width).rows:
        assert sum(cell_width(run[0]) for run in row.runs) <= width


def test_depth_without_end_is_survived() -> None:
    assert lines("> " * 90 + "a")
    lines("> " * 5000 + "a")
    lines("- " * 5000 + "a")
    assert lines("*" * 5000 + "a" + "*" * 5000)
    assert lines("\\(" * 5000)
    assert lines("![" * 5000)


@pytest.mark.parametrize(
    "source",
    [
        "\x1b[31mred",
        "a\x9b31m",
        "&#x202e;evil",
        "&#27;[31m",
        "a\u2028b",
        "`\x07`",
        "```\x1b]0;x\x07\n\x1b[2J\n```",
        "\ud800",
    ],
)
def test_nothing_a_terminal_would_obey_is_drawn(source: str) -> None:
    section = document(source)
    drawn = "".join(run[0] for row in section.rows for run in row.runs) + "".join(section.logical_texts)
    assert drawn
    assert all(character.isprintable() or character == "\ufffd" for character in drawn)


def test_an_address_hides_no_control_characters() -> None:
    actions = [
        action for _, _, action, _ in runs("[a](<http://e.org/&#x202e;x>)") if isinstance(action, OpenLink)
    ]
    assert all(action.url.isprintable() for action in actions)


def test_a_blank_row_in_a_quote_in_a_list_keeps_its_bar_in_place() -> None:
    section = MarkdownSection(60, 0)
    section.feed("- item\n\n  > one\n  >\n  > two\n\n1. x\n   > > b\n   > >\n   > > c")
    rows = ["".join(run[0] for run in row.runs).rstrip() for row in section.rows]
    assert rows == [
        *("• item", "", "  ▌ one", "  ▌", "  ▌ two", ""),
        *("1. x", "   ▌ ▌ b", "   ▌ ▌", "   ▌ ▌ c"),
    ]
