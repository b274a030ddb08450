from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.transcript.code_extraction import CodeBlock, find_code_blocks
from qwen3_chat.ui.code_files import file_extension, opens_in_browser, save_code
from qwen3_chat.ui.controllers.message_controller import quoted


@pytest.mark.parametrize(
    ("markdown", "blocks"),
    [
        ("", []),
        ("no code, `inline` only", []),
        ("```\na\n```", [("", "a")]),
        ("```py\na\n\n  b\n```", [("py", "a\n\n  b")]),
        ("```Python title=x\na\n```", [("python", "a")]),
        ("~~~js\n```\n~~~", [("js", "```")]),
        ("````md\n```py\nx\n```\n````", [("md", "```py\nx\n```")]),
        ("- item\n\n  ```sh\n  ls\n    -l\n  ```", [("sh", "ls\n  -l")]),
        ("> ```c\n> int x;\n> ```", [("c", "int x;")]),
        ("text\n\n    indented\n", [("", "indented")]),
        ("```py\nnever closed", [("py", "never closed")]),
        ("```py\n\n```", []),
        ("```py\ta\n\ttab\n```", [("py", "\ttab")]),
        ("**重点。**\n```py\n# 注释，全角　空格\n```\n后文", [("py", "# 注释，全角　空格")]),
        ("```a\n1\n```\n```b\n2\n```", [("a", "1"), ("b", "2")]),
    ],
)
def test_code_blocks_are_found_byte_for_byte(markdown: str, blocks: list[tuple[str, str]]) -> None:
    assert [(block.language, block.text) for block in find_code_blocks(markdown)] == blocks


@pytest.mark.parametrize(
    ("language", "text", "ending", "opens"),
    [
        ("python", "x = 1", "py", False),
        ("rust", "fn main() {}", "rs", False),
        ("", "plain", "txt", False),
        ("brainfuck", "+", "txt", False),
        ("html", "<p>x</p>", "html", True),
        ("", "<!DOCTYPE html><html></html>", "html", True),
        ("svg", "<svg></svg>", "svg", True),
        ("xml", '<?xml version="1.0"?>\n<svg></svg>', "svg", True),
        ("xml", "<note/>", "xml", False),
        ("html", "<html><svg></svg></html>", "html", True),
        ("../../etc", "x", "txt", False),
    ],
)
def test_a_file_is_named_by_the_language(language: str, text: str, ending: str, opens: bool) -> None:
    block = CodeBlock(language, text)
    assert (file_extension(block), opens_in_browser(block)) == (ending, opens)


def test_saving_never_writes_over_a_file(tmp_path: Path) -> None:
    block = CodeBlock("py", "x = 1")
    paths = [save_code(block, tmp_path / "new") for _ in range(3)]
    assert [path.name for path in paths] == ["new", "new (2)", "new (3)"]
    assert {path.read_bytes() for path in paths} == {b"x = 1\n"}


@pytest.mark.parametrize(
    ("text", "before", "expected"),
    [
        ("a", "", "> a\n\n"),
        ("a\n\nb", "", "> a\n>\n> b\n\n"),
        ("\na\n", "", "> a\n\n"),
        ("a", "draft", "\n\n> a\n\n"),
        ("a", "draft\n", "\n> a\n\n"),
        ("a", "draft\n\n", "> a\n\n"),
        ("> a", "", "> > a\n\n"),
    ],
)
def test_a_quote_stands_on_lines_of_its_own(text: str, before: str, expected: str) -> None:
    assert quoted(text, before) == expected
