"""The cutting of texts into terms, and of queries into phrases."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.store.search_terms import (
    index_text,
    match_expression,
    query_phrases,
    search_excerpt,
    terms,
    to_nfc,
)

CUT = [
    ("", ""),
    ("Hello, World!", "hello world"),
    ("snake_case camelCase kebab-case", "snake case camelcase kebab case"),
    ("天", "天"),
    ("天气", "天气 气"),
    ("今天天气", "今天 天天 天气 气"),
    ("今天。天气", "今天 天 天气 气"),
    ("用Python写代码", "用 python 写代 代码 码"),
    ("Qwen3模型", "qwen3 模型 型"),
    ("２０２６年", "2026 年"),
    ("Straße ﬁn", "strasse fin"),
    ("naïve cafe\u0301", "naive cafe"),
    ("½", "1 2"),
    ("がぎ", "がぎ ぎ"),
    ("ﾊﾞｽ", "バス ス"),
    ("Ελληνικά", "ελληνικά"),
    ("🍓 🍓", ""),
    ("𠮷野家", "𠮷野 野家 家"),
    ("a\x00b\x1b[0m", "a b 0m"),
]


@pytest.mark.parametrize(("text", "expected"), CUT)
def test_text_is_cut_into_words_and_pairs(text: str, expected: str) -> None:
    assert index_text(text) == expected


QUERIES = [
    ("", None),
    ("…", None),
    ("straw", '"straw" *'),
    ("how many", '"how" * AND "many" *'),
    ('"how many"', '"how many"'),
    ('"how many', '"how many"'),
    ("天", '"天" *'),
    ("天气", '"天气" *'),
    ("今天天气", '"今天 天天 天气" *'),
    ("用Python", '"用 python" *'),
    ("写Python天气", '"写 python 天气" *'),
    ("我用Python", '"我用 用 python" *'),
    ('a"b c"d', '"a" * AND "b c" AND "d" *'),
    ("NEAR(a b)", '"near a" * AND "b" *'),
]


@pytest.mark.parametrize(("query", "expected"), QUERIES)
def test_a_query_becomes_phrases_that_must_all_be_there(query: str, expected: str | None) -> None:
    assert match_expression(query) == expected


mixed = st.text(st.sampled_from("ab ü今天气。,\n_1é") | st.characters(codec="utf-8"), max_size=40)


@given(mixed)
def test_a_term_holds_nothing_that_sqlite_would_split_or_read_as_syntax(text: str) -> None:
    for term in terms(text):
        assert re.fullmatch(r"[0-9a-z\u0080-\U0010ffff]+", term.text)


@given(mixed | st.text(st.characters(max_codepoint=0x7F)))
def test_the_index_holds_the_terms_in_order(text: str) -> None:
    assert index_text(text).split() == [term.text for term in terms(text)]


@given(mixed)
def test_spans_are_in_order_and_inside_the_text(text: str) -> None:
    length = len(to_nfc(text))
    last_start = 0
    for term in terms(text):
        assert last_start <= term.start < term.end <= length
        last_start = term.start


def is_found(text: str, query: str) -> bool:
    """Search as SQLite does: all phrases, the last term by its beginning."""
    found = [term.text for term in terms(text)]
    for phrase in query_phrases(query):
        places = range(len(found) - len(phrase) + 2)
        if not any(
            found[place : place + len(phrase) - 1] == list(phrase[:-1])
            and (phrase[-1] == "" or "".join(found[place + len(phrase) - 1 :][:1]).startswith(phrase[-1]))
            for place in places
        ):
            return False
    return True


@given(st.text(st.sampled_from("今天气好"), min_size=1, max_size=12), st.data())
def test_every_piece_of_a_chinese_sentence_finds_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    assert is_found(text, text[start:end])
    shown = search_excerpt(text, text[start:end])
    assert shown is not None
    assert any(shown.text[first:last].startswith(text[start:end]) for first, last in shown.marks)


@given(st.text(st.sampled_from("今天气好"), max_size=8), st.text(st.sampled_from("今天气好"), min_size=1))
def test_a_chinese_sentence_is_found_by_its_pieces_only(text: str, query: str) -> None:
    assert is_found(text, query) == (query in text)


@given(st.lists(st.sampled_from(["今天", "天气", "ab", "cd", "好"]), min_size=1, max_size=6), st.data())
def test_any_run_of_words_and_characters_finds_its_text(parts: list[str], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(parts) - 1))
    end = data.draw(st.integers(start + 1, len(parts)))
    separator = data.draw(st.sampled_from([" ", "，", "。"]))
    assert is_found(separator.join(parts), separator.join(parts[start:end]))


@given(mixed, mixed)
def test_sqlite_reads_every_query_and_finds_the_same(text: str, query: str) -> None:
    expression = match_expression(query)
    if expression is None:
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE found USING fts5 (text, tokenize = 'ascii')")
        connection.execute("INSERT INTO found VALUES (?)", (index_text(text),))
        matches = connection.execute("SELECT * FROM found WHERE found MATCH ?", (expression,)).fetchall()
    assert bool(matches) == is_found(text, query)


EXCERPTS = [
    ("short text", "text", "short text", ["text"]),
    ("nothing here", "zebra", None, []),
    ("one\ntwo\tthree", "two", "one two three", ["two"]),
    ("\x1b[31mred", "red", "\N{REPLACEMENT CHARACTER}[31mred", []),
    ("\x1b[31m red", "red", "\N{REPLACEMENT CHARACTER}[31m red", ["red"]),
    ("word " * 30 + "needle" + " word" * 30, "need", None, ["needle"]),
    ("天" * 100 + "草莓" + "天" * 200, "草莓", "…" + "天" * 30 + "草莓" + "天" * 88 + "…", ["草莓"]),
    ("a b a b a", "a", "a b a b a", ["a", "a", "a"]),
    ("ababab 今天天气", "今天天气", "ababab 今天天气", ["今天天气"]),
]


@pytest.mark.parametrize(("text", "query", "expected", "marked"), EXCERPTS)
def test_an_excerpt_shows_the_match_in_one_line(
    text: str, query: str, expected: str | None, marked: list[str]
) -> None:
    shown = search_excerpt(text, query)
    if shown is None:
        assert not marked
        return
    assert [shown.text[start:end] for start, end in shown.marks] == marked
    assert len(shown.text) <= 122
    if expected is not None:
        assert shown.text == expected


@given(mixed, mixed)
def test_marks_are_inside_the_excerpt(text: str, query: str) -> None:
    shown = search_excerpt(text, query)
    if shown is not None:
        assert all(0 <= start < end <= len(shown.text) for start, end in shown.marks)
        assert shown.marks


@given(st.text(st.sampled_from([*"abÉ天草_- \n\u0301é½Ａİ\u2028\x1c1が"]), max_size=30))
def test_the_terms_of_the_index_are_those_of_a_search(text: str) -> None:
    assert index_text(text).split() == [term.text for term in terms(text)]
