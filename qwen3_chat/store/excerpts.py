"""The piece of a text that shows why it was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from qwen3_chat.plain import plain
from qwen3_chat.store.search_terms import Term, composed, phrases, terms

_LENGTH: Final = 120
_BEFORE: Final = 30


@dataclass(frozen=True, slots=True)
class Excerpt:
    """One line of text; `marks` are the spans in it that matched."""

    text: str
    marks: tuple[tuple[int, int], ...]


def excerpt(text: str, query: str) -> Excerpt | None:
    """Cut a line of about 120 characters around the first match of a query; None where nothing matches."""
    text = composed(text)
    spans = matches(text, query)
    if not spans:
        return None
    start = max(0, spans[0][0] - _BEFORE)
    if start:  # begin at a word where one begins soon
        blank = text.find(" ", start, spans[0][0])
        start = start if blank < 0 else blank + 1
    end = min(len(text), start + _LENGTH)
    # One character for one, so that the spans stay true.
    piece = "".join(" " if character.isspace() else character for character in text[start:end])
    before, after = ("…" if start else ""), ("…" if end < len(text) else "")
    shift = len(before) - start
    marks = tuple((first + shift, min(last, end) + shift) for first, last in spans if first < end)
    return Excerpt(before + plain(piece) + after, marks)


def matches(text: str, query: str) -> list[tuple[int, int]]:
    """Return the spans of a text (in NFC) that match a query, in its order, overlapping ones as one."""
    found, wanted = tuple(terms(text)), phrases(query)
    spans = sorted(
        (found[index].start, found[index + length - 1].end)
        for phrase in wanted
        for length in [len(phrase) - (phrase[-1] == "")]
        for index in range(len(found) - length + 1)
        if _is_here(found, index, phrase)
    )
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _is_here(found: tuple[Term, ...], index: int, phrase: tuple[str, ...]) -> bool:
    *whole, last = phrase
    if any(found[index + offset].text != term for offset, term in enumerate(whole) if term):
        return False
    return not last or found[index + len(whole)].text.startswith(last)
