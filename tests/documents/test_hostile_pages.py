from __future__ import annotations

from html.parser import HTMLParser

import pytest

from qwen3_chat.documents.file_text import convert_html_to_markdown
from qwen3_chat.documents.html_cleanup import MAX_TAG_LEVELS, MAX_TAGS, clean_html

VOID = ("br", "hr")


class WellFormed(HTMLParser):
    """A parser that fails on an end tag out of place, and measures the nesting."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.depth = self.n_tags = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.n_tags += 1
        if tag not in VOID:
            self.open.append(tag)
            self.depth = max(self.depth, len(self.open))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


PAGES = {
    "paragraphs without ends": ("<p>word" * 600, 600),
    "items without ends": ("<ul>" + "<li>word" * 600, 600),
    "items without a list": ("<li>word" * 600, 600),
    "numbered items without ends": ("<ol>" + "<li>word" * 600, 600),
    "cells without ends": ("<table>" + "<tr><td>word<td>word" * 300, 600),
    "definitions without ends": ("<dl>" + "<dt>word<dd>word" * 300, 600),
    "comments without ends": ("word" + "<!--" * 50_000, 1),
    "comments in comments": ("word<!-- -->" * 600 + "<!--", 600),
    "tags in tags": ("<div>word" * 20_000, 20_000),
    "bold in bold": ("<b>word" * 20_000, 20_000),
    "quotes in quotes": ("<blockquote>word" * 2000, 2000),
    "lists in lists": ("<ul><li>word" * 2000, 2000),
    "tables in tables": ("<table><tr><td>word" * 2000, 2000),
    "links in links": ("<a href=x>word" * 2000, 2000),
    "an attribute of a megabyte": (f"<p class='{'x' * 1_000_000}'>word", 1),
    "an address of a megabyte": (f"<a href='{'x' * 1_000_000}'>word</a>", 1),
    "a tag with 100,000 attributes": (f"<p {'a=b ' * 100_000}>word", 1),
    "an attribute without an end": ("word<a href='" * 1, 1),
    "tags without ends": ("word<p <p <p <p " * 1, 1),
    "ends without beginnings": ("</p></div></li></table>word" * 600, 600),
    "a column that is 10**9 wide": ("<table><tr><td colspan=1000000000>word", 1),
    "a list that begins at 10**5000": (f"<ol start={'9' * 5000}><li>word", 1),
    "characters of 5,000 digits": (f"&#{'9' * 5000};word&#x{'f' * 5000};", 1),
    "pictures without ends": ("word<svg>" * 600, 600),
    "scripts": ("<script>if (a</b/) '<p>'</script>word" * 600, 600),
    "opening brackets": ("word < < " * 600, 600),
}


@pytest.mark.parametrize(("page", "n_words"), PAGES.values(), ids=PAGES)
def test_no_page_breaks_the_reader_and_no_word_is_lost(page: str, n_words: int) -> None:
    assert convert_html_to_markdown(page).count("word") == n_words


@pytest.mark.parametrize(("page", "n_words"), PAGES.values(), ids=PAGES)
def test_what_the_converter_gets_is_well_formed_and_shallow(page: str, n_words: int) -> None:
    parser = WellFormed()
    parser.feed(clean_html(page))
    parser.close()
    assert parser.open == []
    assert parser.depth <= MAX_TAG_LEVELS
    assert parser.n_tags <= MAX_TAGS


def test_a_page_of_too_many_tags_keeps_its_words() -> None:
    page = "<p>word</p>" * (MAX_TAGS + 1000)
    parser = WellFormed()
    cleaned = clean_html(page)
    parser.feed(cleaned)
    assert parser.n_tags == MAX_TAGS
    assert cleaned.count("word") == MAX_TAGS + 1000


def test_ends_that_html_leaves_out_end_where_a_browser_ends_them() -> None:
    page = (
        "<title>no</title><h1>A</h1><p>one<p>two <b>x</b> <a href='http://x/?a=1&amp;b'>l</a>"
        "<ul><li>a<li>b<ul><li>c</ul></ul><ol start=3><li>x<li>y<p>z</ol>"
        "<table><tr><th>a<th>b<tr><td>1<td>2</table><blockquote>q<p>r</blockquote>a<br>b &lt;i&gt; 1 < 2 & c"
    )
    assert convert_html_to_markdown(page) == (
        "# A\n\none\n\ntwo **x** [l](http://x/?a=1&b)\n\n* a\n* b\n  + c\n\n3. x\n4. y\n\n   z\n\n"
        "| a | b |\n| --- | --- |\n| 1 | 2 |\n\n> q\n>\n> r\n\na  \nb <i> 1 < 2 & c\n"
    )
