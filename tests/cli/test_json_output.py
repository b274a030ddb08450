"""JSON lines that no terminal obeys."""

from __future__ import annotations

import json
import unicodedata

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.cli.json_output import json_line

ANY_TEXT = st.text(st.characters(codec=None))


@given(st.recursive(ANY_TEXT, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner)))
def test_any_text_is_encoded_without_characters_that_steer_and_means_the_same(value: object) -> None:
    line = json_line(value)
    assert json.loads(line) == value
    line.encode()
    kinds = {unicodedata.category(character) for character in line}
    assert not kinds & {"Cc", "Cs", "Zl", "Zp"}
    assert not set(line) & set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def test_other_scripts_stay_readable() -> None:
    assert json_line({"a": "天气 é 🍓"}) == '{"a":"天气 é 🍓"}'


class Named(msgspec.Struct, frozen=True):
    name: str


def test_a_name_that_is_no_utf_8_is_escaped() -> None:
    assert json_line(Named("\udcff天")) == '{"name":"\\udcff\\u5929"}'
