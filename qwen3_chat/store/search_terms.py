"""The terms that full-text search compares, and the spans and excerpts of a text that match them. Pure.

SQLite's own tokenizers take a Chinese sentence for one word, or cut it into threes, which misses words of two
characters such as 天气. So text is cut here: words as they are, scripts without spaces into overlapping
pairs. A run of such a script gives its pairs and then its last character alone: `今天天气` gives `今天 天天
天气 气`. Thus every character begins some term (a single character is found by prefix), the pairs of a longer
word follow each other (a longer word is found as a phrase), and the lone character keeps a phrase from
running into the next word.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from itertools import pairwise
from typing import Final

from msgspec import Struct

from qwen3_chat.chat import ToolCall
from qwen3_chat.texts.terminal_safe import storable, terminal_safe

_UNSPACED: Final = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f"  # Myanmar
    "\u1780-\u17ff"  # Khmer
    "\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c"  # iteration marks, Hangzhou numerals
    "\u3040-\u30ff\u3100-\u312f\u31a0-\u31bf\u31f0-\u31ff"  # kana, bopomofo
    "\u3130-\u318f\uac00-\ud7af"  # Hangul
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"  # Han
    "\uff66-\uff9f"  # half-width kana
    "\U00020000-\U000323af"  # Han, the supplementary planes
)
_PLAIN_WORDS: Final = re.compile(r"(?<!\S)[\x00-\x7f]+(?!\S)")
"""ASCII between white space, with the white space inside it."""
_WORD: Final = re.compile(r"[^\W_]+")
_CHUNKS: Final = re.compile(r'"(?P<quoted>[^"]*)"?|(?P<bare>[^\s"]+)')
_JSON_ESCAPE: Final = re.compile(r'\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})')
_COMBINING: Final = re.compile("[\u0300-\u036f]")
_EXCERPT_CHARACTERS: Final = 120
_CHARACTERS_BEFORE_MATCH: Final = 30


class Term(Struct, frozen=True):
    """A term with the span of the text (in NFC) that it stands for."""

    text: str
    start: int
    end: int


class Excerpt(Struct, frozen=True):
    """A line of text with the spans in it that matched, the `marks`."""

    text: str
    marks: tuple[tuple[int, int], ...]


@cache
def _piece_pattern() -> re.Pattern[str]:
    """Return the pattern of a run without spaces or a word; compiling it takes milliseconds."""
    return re.compile(rf"(?P<run>[{_UNSPACED}]+)|(?P<word>[^\W_{_UNSPACED}]+)")


@cache
def _han_pattern() -> re.Pattern[str]:
    """Return the pattern of characters that are folded already."""
    return re.compile("[\u4e00-\u9fff]+")


def terms(text: str) -> Iterator[Term]:
    """Cut a text into its terms, in order: folded words and pairs of characters."""
    text = to_nfc(text)
    for piece in _piece_pattern().finditer(text):
        folded, start, end = _fold_piece(piece.group()), piece.start(), piece.end()
        if piece.lastgroup == "word":
            # Folding can add a space or a comma, as in `½`; a term is a single word.
            yield from (Term(word, start, end) for word in _WORD.findall(folded))
            continue
        one_to_one = len(folded) == end - start
        for index in range(len(folded)):
            pair = folded[index : index + 2]
            yield (
                Term(pair, start + index, start + index + len(pair)) if one_to_one else Term(pair, start, end)
            )


def index_text(text: str) -> str:
    """Return a text's terms as the search table holds them, separated by spaces."""
    return storable(" ".join(_term_texts(text)))


def _term_texts(text: str) -> list[str]:
    """Cut a text as `terms` does, without the spans: a reply is indexed while the user waits for its end."""
    text, end, found = to_nfc(text), 0, list[str]()
    for plain in _PLAIN_WORDS.finditer(text):  # most of most texts: nothing to fold but case
        found += _folded_terms(text[end : plain.start()])
        found += _WORD.findall(plain[0].lower())
        end = plain.end()
    found += _folded_terms(text[end:])
    return found


def _folded_terms(text: str) -> Iterator[str]:
    if not text:
        return
    for piece in _piece_pattern().finditer(text):
        folded = _fold_piece(piece[0])
        if piece.lastgroup == "word":
            yield from _WORD.findall(folded)
        elif folded:
            yield from map("".join, pairwise(folded))
            yield folded[-1]


def calls_text(calls: Sequence[ToolCall]) -> str:
    """Return names and arguments of calls as text to search, without the escapes of JSON."""
    return "\n".join(f"{call.name} {_without_escapes(call.arguments)}" for call in calls)


def _without_escapes(arguments: str) -> str:
    with suppress(ValueError, RecursionError):  # what never parsed is searched as it is
        arguments = json.dumps(json.loads(arguments), ensure_ascii=False)
    return _JSON_ESCAPE.sub(" ", arguments)


def query_phrases(query: str) -> tuple[tuple[str, ...], ...]:
    """Cut a query into phrases, each a tuple of terms; a match contains all of them.

    Whitespace separates phrases, double quotes keep a phrase together. The last term of a phrase also matches
    the beginning of a longer term, unless it was quoted; a quoted phrase ends with an empty term.
    """
    phrases = []
    for chunk in _CHUNKS.finditer(to_nfc(query)):
        quoted = chunk.group("quoted")
        phrase = [term.text for term in terms(chunk.group() if quoted is None else quoted)]
        if not phrase:
            continue
        ends_with_run = (
            len(phrase) > 1 and _is_unspaced(phrase[-1]) and len(phrase[-2]) == 2 and _is_unspaced(phrase[-2])
        )
        if ends_with_run:
            phrase.pop()  # the lone last character ends a run in the index, not in the query
        elif quoted is not None and not _is_unspaced(phrase[-1]):
            phrase.append("")
        phrases.append(tuple(phrase))
    return tuple(phrases)


def match_expression(query: str) -> str | None:
    """Return the FTS5 expression for a query; None if the query contains no terms."""
    phrases = query_phrases(query)
    if not phrases:
        return None
    return " AND ".join(
        f'"{" ".join(phrase).rstrip()}"' + ("" if phrase[-1] == "" else " *") for phrase in phrases
    )


def to_nfc(text: str) -> str:
    """Normalise a text to NFC, so that an accent typed in two ways is the same."""
    return unicodedata.normalize("NFC", text)


def search_excerpt(text: str, query: str) -> Excerpt | None:
    """Return a line of about 120 characters around the first match of a query; None without a match."""
    text = to_nfc(text)
    spans = match_spans(text, query)
    if not spans:
        return None
    start = max(0, spans[0][0] - _CHARACTERS_BEFORE_MATCH)
    if start:  # begin at the next word, if it begins before the match
        blank = text.find(" ", start, spans[0][0])
        start = start if blank < 0 else blank + 1
    end = min(len(text), start + _EXCERPT_CHARACTERS)
    # A character for a character, so that the spans stay valid.
    piece = "".join(" " if character.isspace() else character for character in text[start:end])
    before, after = ("…" if start else ""), ("…" if end < len(text) else "")
    shift = len(before) - start
    marks = tuple((first + shift, min(last, end) + shift) for first, last in spans if first < end)
    return Excerpt(before + terminal_safe(piece) + after, marks)


def match_spans(text: str, query: str) -> list[tuple[int, int]]:
    """Return the spans of a text (in NFC) that match a query, in order; overlapping spans are merged."""
    text_terms, phrases = tuple(terms(text)), query_phrases(query)
    spans = sorted(
        (text_terms[index].start, text_terms[index + length - 1].end)
        for phrase in phrases
        for length in [len(phrase) - (phrase[-1] == "")]
        for index in range(len(text_terms) - length + 1)
        if _matches_at(text_terms, index, phrase)
    )
    merged: list[tuple[int, int]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _matches_at(text_terms: tuple[Term, ...], index: int, phrase: tuple[str, ...]) -> bool:
    *complete_terms, last = phrase
    if any(text_terms[index + offset].text != term for offset, term in enumerate(complete_terms) if term):
        return False
    return not last or text_terms[index + len(complete_terms)].text.startswith(last)


def _fold_piece(piece: str) -> str:
    """Fold case, width, compatibility forms and the accents of Latin letters."""
    if piece.isascii():
        return piece.lower()
    if _han_pattern().fullmatch(piece):
        return piece
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", piece).casefold())
    return "".join(_without_accents(character) for character in folded)


def _without_accents(character: str) -> str:
    if character.isascii():
        return character
    if _COMBINING.match(character):
        return ""
    base = unicodedata.normalize("NFD", character)[0]
    return base if base.isascii() else character


def _is_unspaced(term: str) -> bool:
    return re.fullmatch(f"[{_UNSPACED}]+", term) is not None
