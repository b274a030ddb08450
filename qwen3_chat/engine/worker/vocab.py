"""The vocabulary of a loaded model: text to token ids, token ids to bytes."""

from __future__ import annotations

import ctypes
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from types import MappingProxyType

from llama_cpp import llama_cpp as L  # noqa: N812 - short, as there is a call in every other line

from qwen3_chat.engine.worker.sampled_text import SampledTexts

_PIECE_BYTES = 32  # enough for most tokens; a longer one gets a buffer of its own
_CACHED_TOKENS = 1 << 18


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
        self._segments = _SegmentCache(_CACHED_TOKENS)
        self.sampled = SampledTexts(self)
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
