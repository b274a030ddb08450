"""Turns text into the demo model's token ids, as llama.cpp does with the file's vocabulary."""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache, lru_cache
from itertools import pairwise

from demo_model.vocabulary import SPECIAL_TOKENS, build_vocabulary, byte_alphabet


def _character_class(categories: str) -> str:
    """Write the Unicode characters of some general categories ("L" for letters) as ranges for `re`."""
    ranges: list[tuple[int, int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.category(chr(code))[0] in categories:
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1] = (ranges[-1][0], code)
            else:
                ranges.append((code, code))
    return "".join(f"\\U{first:08x}-\\U{last:08x}" for first, last in ranges)


@cache
def _pre_tokenizer() -> re.Pattern[str]:
    """Compile the splitting rule that GGUF files name `tokenizer.ggml.pre = qwen2`."""
    letters, numbers = _character_class("L"), _character_class("N")
    return re.compile(
        rf"'(?i:s|t|re|ve|m|ll|d)"
        rf"|[^\r\n{letters}{numbers}]?[{letters}]+"
        rf"|[{numbers}]"
        rf"| ?[^\s{letters}{numbers}]+[\r\n]*"
        rf"|\s*[\r\n]+"
        rf"|\s+(?!\S)"
        rf"|\s+"
    )


@cache
def _token_ids() -> dict[str, int]:
    return {token: index for index, token in enumerate(build_vocabulary().tokens)}


@cache
def _merge_ranks() -> dict[tuple[str, str], int]:
    return {pair: rank for rank, pair in enumerate(build_vocabulary().merges)}


@lru_cache(maxsize=100_000)
def _encode_piece(piece: str) -> tuple[int, ...]:
    alphabet, ranks = byte_alphabet(), _merge_ranks()
    symbols = [alphabet[byte] for byte in piece.encode()]
    while len(symbols) > 1:
        pairs = list(pairwise(symbols))
        best = min(range(len(pairs)), key=lambda index: ranks.get(pairs[index], sys.maxsize))
        if pairs[best] not in ranks:
            break
        symbols[best : best + 2] = [symbols[best] + symbols[best + 1]]
    return tuple(_token_ids()[symbol] for symbol in symbols)


_SPECIALS = re.compile("(" + "|".join(map(re.escape, SPECIAL_TOKENS)) + ")")


def encode(text: str) -> list[int]:
    """Return the ids of `text`; spellings of special tokens become those tokens."""
    ids: list[int] = []
    for index, part in enumerate(_SPECIALS.split(text)):
        if index % 2:
            ids.append(_token_ids()[part])
        else:
            for piece in _pre_tokenizer().findall(part):
                ids.extend(_encode_piece(piece))
    return ids


def decode(ids: list[int]) -> str:
    """Return the text of `ids`; bytes that are no UTF-8 become replacement characters."""
    byte_of = {symbol: byte for byte, symbol in byte_alphabet().items()}
    vocabulary = build_vocabulary()
    data = bytearray()
    for token_id in ids:
        token = vocabulary.tokens[token_id]
        if token_id >= vocabulary.first_special_id:
            data += token.encode()
        else:
            data += bytes(byte_of[symbol] for symbol in token)
    return data.decode(errors="replace")


def special_id(token: str) -> int:
    """Return the id of one of Qwen's special tokens."""
    return _token_ids()[token]
