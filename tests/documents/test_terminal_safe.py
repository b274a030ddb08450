"""Text that cannot steer a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.texts.terminal_safe import terminal_safe

R = "\N{REPLACEMENT CHARACTER}"
TABLE = [
    ("", ""),
    ("Hello, 世界 🍓\n\ttab", "Hello, 世界 🍓\n\ttab"),
    ("\x1b[31mred\x1b[0m", f"{R}[31mred{R}[0m"),
    ("\x1b]52;c;aGk=\x07", f"{R}]52;c;aGk={R}"),
    ("\x9b31m", f"{R}31m"),
    ("a\r\nb\rc", "a\nbc"),
    ("\x00\x08\x0b\x0c\x7f", R * 5),
    ("\u202eexe.png\u202c", f"{R}exe.png{R}"),
    ("\u2066a\u2069", f"{R}a{R}"),
    ("a\u2028b\u2029c\x85d", f"a{R}b{R}c{R}d"),
    ("\ud800 \udfff", f"{R} {R}"),
    ("👨‍👩‍👧 e\u0301 \u200e\u200f\ufeff", "👨‍👩‍👧 e\u0301 \u200e\u200f\ufeff"),
]


@pytest.mark.parametrize(("text", "expected"), TABLE)
def test_controls_are_replaced_and_everything_else_stays(text: str, expected: str) -> None:
    assert terminal_safe(text) == expected


@given(st.text(st.characters(codec=None)))
def test_no_text_keeps_a_control(text: str) -> None:
    made = terminal_safe(text)
    assert len(made) == len(text.replace("\r", ""))
    made.encode()
    assert all(unicodedata.category(character) != "Cc" or character in "\n\t" for character in made)
    assert terminal_safe(made) == made
