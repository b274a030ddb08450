"""Markdown kept within its own end, for any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from qwen3_chat.documents.markdown_export import contain_markdown, fence_block

UNCHANGED = [
    "",
    "plain *text* with `code` and a < b, 1 <2",
    "```python\nx < y\n```",
    "~~~~\n```\n~~~~",
    "- a\n  - b\n\n      code",
    "`<b>` in code",
    "    <div> in an indented block",
    "| a | b |\n|---|---|\n| 1 | `<td>` |",
    "<https://example.com>",
    "天气**很好。**下文",
]


@pytest.mark.parametrize("markdown", UNCHANGED)
def test_what_is_closed_stays_as_it_was_written(markdown: str) -> None:
    assert contain_markdown(markdown) == markdown


CHANGED = [
    ("```py\nx", "```py\nx\n```"),
    ("```py\nx\n", "```py\nx\n```"),
    ("```", "```\n```"),
    ("~~~~\n~~~", "~~~~\n~~~\n~~~~"),
    ("<b>bold</b>", "&lt;b>bold&lt;/b>"),
    ("a <br> `<br>` <br>", "a &lt;br> `<br>` &lt;br>"),
    ("<!-- open\n\n```", "&lt;!-- open\n\n```\n```"),
]


@pytest.mark.parametrize(("markdown", "expected"), CHANGED)
def test_what_is_open_is_closed_and_raw_html_escaped(markdown: str, expected: str) -> None:
    assert contain_markdown(markdown) == expected


DEFINED = [
    ("See [a].\n\n[a]: https://a.example", "See [a](<https://a.example>)."),
    ("See [this][a] and [a][].\n\n[A]: /x 'T\"'", 'See [this](</x> "T\\"") and [a](</x> "T\\"").'),
    ("![alt][a] `[a]` \\[a]\n\n[a]: <x y>", "![alt](<x%20y>) `[a]` \\[a]"),
    ("[a]: unused", ""),
    ("[*[x]*][a]\n\n[a]: y", "[*[x]*][a]\n\n\\[a]: y"),
    ("A note[^1].\n\n[^1]: The note itself", "A note\\[^1].\n\n\\[^1]: The note itself"),
]


@pytest.mark.parametrize(("markdown", "expected"), DEFINED)
def test_links_carry_their_address_themselves(markdown: str, expected: str) -> None:
    assert contain_markdown(markdown).strip() == expected


HEADED = [
    ("## You", "### You"),
    ("# Title\n\ntext\n\n### Part ###", "### Title\n\ntext\n\n##### Part ###"),
    ("You\n---", "### You"),
    ("Two\nlines #\n===\n\n> ## quoted", "### Two lines # ###\n\n> ## quoted"),
    ("### as it is\n\n```\n## code\n```", "### as it is\n\n```\n## code\n```"),
]


@pytest.mark.parametrize(("markdown", "expected"), HEADED)
def test_no_heading_of_a_message_looks_like_a_turn(markdown: str, expected: str) -> None:
    assert contain_markdown(markdown) == expected


MARKS = [
    "[a]: x",
    "[a]",
    "[^a]",
    "===",
    "```",
    "````",
    "~~~",
    "`",
    "> ",
    "- ",
    "1. ",
    "# ",
    "---",
    "|",
    "[a](",
    ")",
    "\\",
    "&lt;",
]
TAGS = ["<", "<b>", "</b>", "<br/>", "<details>", "<!--", "-->", "<?", "<pre>", "<script>", "</script>"]
GAPS = ["\n", "\n", "\n\n", " ", "    ", "\t", "text", "天气"]
documents = st.lists(st.sampled_from(MARKS + TAGS + GAPS), max_size=25).map("".join)


@given(documents)
def test_no_text_reaches_beyond_itself(text: str) -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(contain_markdown(text) + "\n\n## End\n")
    heading, inline, _ = tokens[-3:]
    assert (heading.type, heading.tag, heading.level, inline.content) == ("heading_open", "h2", 0, "End")
    assert all(
        int(token.tag[1:]) > 2 for token in tokens[:-3] if token.type == "heading_open" and not token.level
    )
    environment: dict[str, object] = {}
    MarkdownIt("commonmark").parse(contain_markdown(text) + "\n\n[a]", environment)
    assert not environment.get("references")
    for token in tokens:
        kinds = [token.type, *(child.type for child in token.children or ())]
        assert not any(kind.startswith("html_") for kind in kinds)


@given(documents)
def test_containing_twice_changes_nothing_more(text: str) -> None:
    assert contain_markdown(contain_markdown(text)) == contain_markdown(text)


@given(st.text(st.sampled_from("`~\n <a"), max_size=30))
def test_a_fence_holds_any_text(text: str) -> None:
    tokens = MarkdownIt("commonmark").parse(fence_block(text) + "\n\nEnd\n")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]
    assert tokens[0].content.rstrip("\n") == text.rstrip("\n")
