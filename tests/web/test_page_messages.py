from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qwen3_chat.web.page_messages import (
    DEFAULT_SIZE,
    MAX_PAGE_COLUMNS,
    MAX_PAGE_ROWS,
    Pinged,
    Resized,
    Taken,
    Typed,
    decode_page_message,
    read_size,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=5)
    | st.sampled_from(["stdin", "resize", "ping"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('["stdin","你好"]', Typed("你好")),
        ('["ping","1"]', Pinged("1")),
        ('["take"]', Taken()),
    ],
)
def test_what_the_page_sends_is_read(text: str, message: object) -> None:
    assert decode_page_message(text) == message


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{}",
        "[]",
        "[1]",
        '["quit"]',
        '["stdin"]',
        '["stdin",1]',
        '["stdin",null]',
        '["resize",{"width":"9","height":9}]',
        '["resize",{"width":1e999,"height":9}]',
        '["ping","' + "1" * 65 + '"]',
        "[" * 100_000,
        '["stdin","\ud800"]',
    ],
)
def test_what_no_page_of_ours_sends_is_no_message(text: str) -> None:
    assert decode_page_message(text) is None


@pytest.mark.parametrize(("width", "height"), [(0, 0), (-1, -5), (10**9, 10**9), (2**70, 3)])
def test_a_size_is_within_the_limits(width: int, height: int) -> None:
    message = decode_page_message(f'["resize",{{"width":{width},"height":{height}}}]')
    if isinstance(message, Resized):
        columns, rows = message.size.cells
        assert 1 <= columns <= MAX_PAGE_COLUMNS
        assert 1 <= rows <= MAX_PAGE_ROWS
    else:
        assert max(width, height) >= 2**63


@pytest.mark.parametrize("text", ["", "x", "-1", "1e3", "１２", "9" * 6, "0x10", " 5"])
def test_an_address_without_a_size_means_the_usual_one(text: str) -> None:
    assert read_size(text, "24") == DEFAULT_SIZE


@settings(max_examples=50)
@given(JSON)
def test_no_json_is_more_than_a_message_or_nothing(value: object) -> None:
    decode_page_message(json.dumps(value))


@given(st.text(), st.text())
def test_any_address_has_a_size(width: str, height: str) -> None:
    columns, rows = read_size(width, height)
    assert 1 <= columns <= MAX_PAGE_COLUMNS
    assert 1 <= rows <= MAX_PAGE_ROWS
