"""Cut text into the terms that full-text search compares.

SQLite's own tokenizers take a Chinese sentence for one word, or cut it into threes, which misses words of two
characters such as 天气. So text is cut here: words as they are, scripts without spaces into overlapping
pairs. A run of such a script gives its pairs and then its last character alone: `今天天气` gives `今天 天天
天气 气`. Thus every character begins some term (one character is found by prefix), the pairs of a longer word
follow each other (a longer word is found as a phrase), and the lone character keeps a phrase from running
into the next word.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

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
_PIECES: Final = re.compile(rf"(?P<run>[{_UNSPACED}]+)|(?P<word>[^\W_{_UNSPACED}]+)")
_CHUNKS: Final = re.compile(r'"(?P<quoted>[^"]*)"?|(?P<bare>[^\s"]+)')
_COMBINING: Final = re.compile("[\u0300-\u036f]")


@dataclass(frozen=True, slots=True)
class Term:
    """A term with the span of the text (in NFC) that it stands for."""

    text: str
    start: int
    end: int


def terms(text: str) -> Iterator[Term]:
    """Cut a text, in its order, into folded words and pairs of characters."""
    text = composed(text)
    for piece in _PIECES.finditer(text):
        folded, start, end = _folded(piece.group()), piece.start(), piece.end()
        if piece.lastgroup == "word":
            # Folding can bring in a space or a comma, as that of `½` does; a term is one word.
            yield from (Term(word, start, end) for word in re.findall(r"[^\W_]+", folded))
            continue
        one_to_one = len(folded) == end - start
        for index in range(len(folded)):
            pair = folded[index : index + 2]
            yield (
                Term(pair, start + index, start + index + len(pair)) if one_to_one else Term(pair, start, end)
            )


def index_text(text: str) -> str:
    """Return a text's terms as the search table holds them: with a space between."""
    return " ".join(term.text for term in terms(text))


def phrases(query: str) -> tuple[tuple[str, ...], ...]:
    """Cut what someone searches for into phrases, all of which must be there.

    Whitespace parts phrases, double quotes keep one together. A phrase's last term may be the beginning of a
    longer one, unless it was quoted; then it ends with an empty term.
    """
    found = []
    for chunk in _CHUNKS.finditer(composed(query)):
        quoted = chunk.group("quoted")
        phrase = [term.text for term in terms(chunk.group() if quoted is None else quoted)]
        if not phrase:
            continue
        last_run = (
            len(phrase) > 1 and _is_unspaced(phrase[-1]) and len(phrase[-2]) == 2 and _is_unspaced(phrase[-2])
        )
        if last_run:
            phrase.pop()  # the lone last character is the index's end of a run, not the query's
        elif quoted is not None and not _is_unspaced(phrase[-1]):
            phrase.append("")
        found.append(tuple(phrase))
    return tuple(found)


def match_expression(query: str) -> str | None:
    """Return the FTS5 expression for what someone searches for; None where there is nothing to look for."""
    found = phrases(query)
    if not found:
        return None
    return " AND ".join(
        f'"{" ".join(phrase).rstrip()}"' + ("" if phrase[-1] == "" else " *") for phrase in found
    )


def composed(text: str) -> str:
    """Bring a text into NFC, so that accents typed in two ways are one."""
    return unicodedata.normalize("NFC", text)


def _folded(piece: str) -> str:
    """Fold case, width, compatibility forms and the accents of Latin letters."""
    if piece.isascii():
        return piece.lower()
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
