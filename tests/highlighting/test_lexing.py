"""Colours of code that grows."""

from __future__ import annotations

import pytest

from benchmarks.sample_chat import CODE
from qwen3_chat.highlighting.lexing import MAX_SPANS_PER_ROW, CodeLexer, render_block_as_html
from qwen3_chat.highlighting.messages import STYLE_NAMES, IndexedSpan


def grown(language: str, text: str, row_by_row: bool = False) -> list[list[IndexedSpan]]:
    lexer, rows = CodeLexer(language), text.split("\n")
    if not row_by_row:
        return lexer.add_rows(rows, is_end=True)
    return [
        spans
        for number, row in enumerate(rows, 1)
        for spans in lexer.add_rows([row], is_end=number == len(rows))
    ]


def named(text: str, spans: list[list[IndexedSpan]]) -> list[list[tuple[str, str]]]:
    return [
        [(row[start:end], STYLE_NAMES[style]) for start, end, style in row_spans]
        for row, row_spans in zip(text.split("\n"), spans, strict=True)
    ]


def test_parts_have_names_not_colours() -> None:
    text = 'def f():\n    return "x"  # why'
    assert named(text, grown("python", text))[0] == [("def", "keyword"), ("f", "function")]


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("python", CODE),
        ("python", 'x = """a\nb\n"""\ny = f"{x!r}"'),
        ("c", "/* a */\nint main(void) { return 0; }\n"),
        ("rust", 'fn main() {\n    println!("{}", 1);\n}'),
        ("bash", "for i in *; do\n  echo $i # all\ndone"),
        ("javascript", "const a = `x ${1}\ny`;"),
        ("diff", "--- a\n+++ b\n-x\n+y"),
    ],
)
def test_code_that_grows_has_the_colours_of_the_whole(language: str, text: str) -> None:
    assert grown(language, text, row_by_row=True) == grown(language, text)


@pytest.mark.parametrize("language", ["json", "yaml", "console"])
def test_a_language_that_cannot_resume_gets_its_colours_at_the_end(language: str) -> None:
    row = '{"a": [1, true]}' if language == "json" else "a: 1" if language == "yaml" else "$ ls"
    lexer = CodeLexer(language)
    assert lexer.add_rows([row], is_end=False) == []
    spans = lexer.add_rows([row], is_end=True)
    assert len(spans) == 2
    assert all(spans)


@pytest.mark.parametrize("language", ["", "no-such-language", "text", "../../etc/passwd", "Python", "\ufffd"])
def test_any_language_name_is_survived(language: str) -> None:
    assert len(grown(language, "a = 1")) == 1
    assert isinstance(render_block_as_html(language, "a = 1"), str)


def test_a_row_has_so_many_colours_and_no_more() -> None:
    assert len(grown("python", "1 " * 30_000)[0]) == MAX_SPANS_PER_ROW
