"""The vocabulary of a loaded model: text to token ids, token ids to bytes, and the ids that the text of a
reply was sampled as.
"""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import groupby
from threading import Lock
from types import MappingProxyType

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as there is a call in every other line

_PIECE_BYTES = 32  # enough for most tokens; a longer one gets a buffer of its own
_MAX_CACHED_TOKENS = 1 << 18


class Vocab:
    """The tokens of one model.

    The methods may be called from several threads. The model that `pointer` belongs to must outlive this.
    """

    def __init__(self, pointer: ctypes.c_void_p) -> None:
        self._pointer = pointer
        self.n_tokens: int = L.llama_vocab_n_tokens(pointer)
        marks = L.LLAMA_TOKEN_ATTR_CONTROL | L.LLAMA_TOKEN_ATTR_USER_DEFINED
        ids = [token for token in range(self.n_tokens) if L.llama_vocab_get_attr(pointer, token) & marks]
        spellings = [L.llama_vocab_get_text(pointer, token).decode(errors="replace") for token in ids]
        self.specials: Mapping[str, int] = MappingProxyType(dict(zip(spellings, ids, strict=True)))
        """Every control and user-defined token: spelling to id."""
        self.end_ids = frozenset(token for token in ids if L.llama_vocab_is_eog(pointer, token))
        """The tokens that end a reply."""
        self._pieces: dict[int, bytes] = {}
        self._segments = _SegmentCache(_MAX_CACHED_TOKENS)
        self.sampled_texts = SampledTextCache(self)
        """The texts of sampled replies."""

    def token(self, spelling: str) -> int | None:
        """Look up a special token by its spelling."""
        return self.specials.get(spelling)

    def encode(self, text: str) -> list[int]:
        """Tokenise plain text: nothing is put in front, and control tokens are not read from it.

        llama.cpp reads user-defined tokens (`<think>`) from any text: `render` breaks those that must not be.
        """
        ids = self._segments.get(text)
        if ids is None:
            ids = self._tokenise(text)
            self._segments.put(text, ids)
        return list(ids)

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token, which may be a part of a character; special ones are spelled out."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self._detokenise(token)
        return piece

    def _tokenise(self, text: str) -> tuple[int, ...]:
        data = text.encode(errors="replace")  # a lone surrogate is the one thing that UTF-8 cannot hold
        room = len(data) + 1  # a token stands for a byte at least
        ids = (L.llama_token * room)()
        count: int = L.llama_tokenize(self._pointer, data, len(data), ids, room, False, False)
        if count < 0:
            room = -count
            ids = (L.llama_token * room)()
            count = L.llama_tokenize(self._pointer, data, len(data), ids, room, False, False)
        return tuple(ids[:count])

    def _detokenise(self, token: int) -> bytes:
        buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        count: int = L.llama_token_to_piece(self._pointer, token, buffer, len(buffer), 0, True)
        if count < 0:
            buffer = ctypes.create_string_buffer(-count)
            count = L.llama_token_to_piece(self._pointer, token, buffer, len(buffer), 0, True)
        return buffer.raw[:count]


class _SegmentCache:
    """The texts that were tokenised last, up to so many tokens: each turn of a chat comes again and again."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._tokens = 0
        self._entries: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._lock = Lock()  # counting goes on in another thread while a reply is generated

    def get(self, text: str) -> tuple[int, ...] | None:
        with self._lock:
            ids = self._entries.get(text)
            if ids is not None:
                self._entries.move_to_end(text)
            return ids

    def put(self, text: str, ids: tuple[int, ...]) -> None:
        with self._lock:
            if text not in self._entries:
                self._entries[text] = ids
                self._tokens += len(ids)
            while self._tokens > self._max_tokens:
                _, oldest = self._entries.popitem(last=False)
                self._tokens -= len(oldest)


_MAX_CACHED_REPLIES = 256


class SampledTextCache:
    """The replies that were looked up last: each prompt of a chat holds all of them again."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._texts: OrderedDict[tuple[int, ...], SampledText] = OrderedDict()
        self._lock = Lock()  # counting goes on in another thread while a reply is generated

    def get(self, ids: tuple[int, ...]) -> SampledText:
        """Return what was sampled as these ids."""
        with self._lock:
            text = self._texts.pop(ids, None) or SampledText(ids, self._vocab)
            self._texts[ids] = text
            if len(self._texts) > _MAX_CACHED_REPLIES:
                self._texts.popitem(last=False)
            return text


class SampledText:
    """What was sampled for one reply, cut at its special tokens; those themselves are not to be found."""

    def __init__(self, ids: Sequence[int], vocab: Vocab) -> None:
        specials = frozenset(vocab.specials.values())
        self._ids_of: dict[str, list[int]] = {}
        for is_special, group in groupby(ids, specials.__contains__):
            if not is_special:
                self._add(list(group), vocab)

    def find_ids(self, text: str) -> list[int] | None:
        """Return the ids that a text was read from; None where it was not sampled like that."""
        ids = self._ids_of.get(text)
        return None if ids is None else list(ids)

    def _add(self, ids: list[int], vocab: Vocab) -> None:
        """Note a text with and without the newlines before it, which a template may leave out."""
        pieces = [vocab.piece(token) for token in ids]
        first = next((i for i, piece in enumerate(pieces) if piece.strip(b"\n")), len(ids))
        self._ids_of[_decode_pieces(pieces)] = ids
        if first < len(ids):
            self._ids_of[_decode_pieces(pieces[first:])] = ids[first:]


def _decode_pieces(pieces: Sequence[bytes]) -> str:
    """Read bytes as a reply is read: what is no UTF-8, which a model may well sample, shows as U+FFFD."""
    return b"".join(pieces).decode(errors="replace")
