"""Colours of code that grows."""

from __future__ import annotations

import pytest

from benchmarks.sample_chat import CODE
from qwen3_chat.transcript.code_highlighting import HighlightedCode


def grown(language: str, text: str, closed: bool = True, look_each_row: bool = False) -> HighlightedCode:
    code = HighlightedCode(language)
    for number, row in enumerate(text.split("\n")):
        code.rows.append(row)
        if look_each_row:
            code.row_spans(number)
    code.is_complete = closed
    return code


def named(code: HighlightedCode) -> list[list[tuple[str, str]]]:
    rows = [code.row_spans(number) for number in range(len(code.rows))]
    return [
        [(text[start:end], name) for start, end, name in spans or ()]
        for text, spans in zip(code.rows, rows, strict=True)
    ]


def test_parts_have_names_not_colours() -> None:
    assert named(grown("python", 'def f():\n    return "x"  # why'))[0] == [
        ("def", "keyword"),
        ("f", "function"),
    ]


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
    assert named(grown(language, text, look_each_row=True)) == named(grown(language, text))


@pytest.mark.parametrize("language", ["json", "yaml", "console"])
def test_a_language_that_cannot_resume_gets_its_colours_at_the_end(language: str) -> None:
    text = '{"a": [1, true]}' if language == "json" else "a: 1" if language == "yaml" else "$ ls\n"
    code = grown(language, text, closed=False)
    assert code.row_spans(0) is None
    code.is_complete = True
    assert code.row_spans(0)


@pytest.mark.parametrize("language", ["", "no-such-language", "text", "../../etc/passwd", "Python", "\ufffd"])
def test_any_language_name_is_survived(language: str) -> None:
    assert grown(language, "a = 1").row_spans(0) is not None


def test_an_unfinished_row_has_no_colours_yet() -> None:
    code = grown("python", "x = 1", closed=False)
    assert code.row_spans(1) is None
