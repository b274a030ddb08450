"""Text broken into rows."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen3_chat.transcript import cells
from qwen3_chat.transcript.cells import cell_width, end_column, grapheme_clusters, hard_wrap, wrap

FAMILY, FLAG, THUMB, ACCENT = "👨‍👩‍👧", "🇨🇳", "👍🏽", "e\u0301"


def broken(text: str, width: int) -> list[str]:
    return [text[start:end].rstrip() for start, end in wrap(text, width)]


@pytest.mark.parametrize(
    ("text", "width", "rows"),
    [
        ("", 10, [""]),
        ("one two three", 8, ["one two", "three"]),
        ("中文没有空格也要换行", 8, ["中文没有", "空格也要", "换行"]),
        ("标点不在行首，对吧", 12, ["标点不在行", "首，对吧"]),
        ("前面（括号）后面", 6, ["前面", "（括", "号）后", "面"]),
        ("mixed 中英文 text", 9, ["mixed 中", "英文 text"]),
        ("supercalifragilistic", 8, ["supercal", "ifragili", "stic"]),
        ("a supercalifragilistic b", 8, ["a", "supercal", "ifragili", "stic b"]),
        ("    indented text here", 14, ["    indented", "text here"]),
    ],
)
def test_rows_break_at_spaces_and_between_chinese_characters(text: str, width: int, rows: list[str]) -> None:
    assert broken(text, width) == rows


@pytest.mark.parametrize("cluster", [FAMILY, FLAG, THUMB, ACCENT, "❤\ufe0f", "か\u3099"])
def test_what_a_reader_sees_as_one_character_is_not_cut(cluster: str) -> None:
    text = cluster * 9
    for start, end in (*hard_wrap(text, 0, len(text), 5), *wrap(text, 5)):
        assert start % len(cluster) == end % len(cluster) == 0


def test_tabs_count_to_their_stops() -> None:
    assert [end_column(text) for text in ("\t", "a\t", "abcd\t", "a\tb\t")] == [4, 4, 8, 8]


STRAY_JOINER = re.compile(r"(?<![^\s])\u200d+")
"""A joiner with nothing to join to; rich measures what follows it in more than one way."""
TEXTS = st.text(
    st.sampled_from([*"ab 中，（）“”.-\té", "\u0301", "\u200d", "\ufe0f", "👍", "🏽", "🇨", "👨"]), max_size=60
).map(lambda text: STRAY_JOINER.sub("", text))


@settings(max_examples=150, deadline=None)
@given(text=TEXTS, width=st.integers(8, 30))
def test_rows_cover_the_text_and_fit(text: str, width: int) -> None:
    for spans in (wrap(text, width), hard_wrap(text, 0, len(text), width)):
        assert "".join(text[start:end] for start, end in spans) == text
        assert all(end_column(text[start:end].rstrip()) <= width for start, end in spans)


def test_an_accent_with_nothing_to_stand_on_is_not_lost() -> None:
    text = "\u0301（a👍👍👍"
    assert "".join(text[start:end] for start, end in wrap(text, 8)) == text


@settings(max_examples=100, deadline=None)
@given(text=TEXTS)
def test_clusters_cover_the_text(text: str) -> None:
    found = list(grapheme_clusters(text, 0, len(text)))
    assert "".join(text[start:end] for start, end, _ in found) == text
    if "\t" not in text:
        text = text.lstrip("\u200d")  # joins nothing there, and rich does not count what follows
        assert sum(size for _, _, size in grapheme_clusters(text, 0, len(text))) == cell_width(text)


@given(text=st.text("ab -", max_size=60), width=st.integers(1, 25))
def test_letters_with_and_without_accents_wrap_alike(text: str, width: int) -> None:
    assert wrap(text, width) == wrap(text.replace("a", "ä"), width)


@given(st.text(alphabet=[*"ab—’“”‘…·é \t\u00a0\u2028e\u0301\u200d\u10ff\u1200\u2e7f中（、\u1100"]))
def test_a_text_without_cjk_breaks_as_by_the_pattern_for_all_texts(text: str) -> None:
    expected = [match.span() for match in cells._word_pattern().finditer(text)]
    assert [match.span() for match in cells._unbroken_parts(text)] == expected
