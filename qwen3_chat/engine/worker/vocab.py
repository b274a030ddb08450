"""The vocabulary of a loaded model: text to token ids, and token ids to bytes.

It also remembers the ids that the text of a reply was sampled as: tokenised again, a text need not give them.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import groupby
from threading import Lock
from types import MappingProxyType

from qwen3_chat.engine.worker.native_library import NativeVocab

_MAX_CACHED_TOKENS = 1 << 18
_MAX_CACHED_REPLIES = 256


class Vocab:
    """The tokens of one model.

    The methods may be called from several threads. The model must outlive this.
    """

    def __init__(self, native: NativeVocab) -> None:
        self.native = native
        """The vocabulary in the library."""
        self.n_tokens = native.n_tokens
        ids = native.special_ids()
        spellings = [native.spelling(token) for token in ids]
        self.specials: Mapping[str, int] = MappingProxyType(dict(zip(spellings, ids, strict=True)))
        """The control and user-defined tokens: spelling to id."""
        self.end_ids = frozenset(token for token in ids if native.ends_reply(token))
        """The tokens that end a reply."""
        self.named_tokens: Mapping[str, str] = MappingProxyType(
            {
                name: native.spelling(token)
                for name, token in zip(("bos_token", "eos_token"), native.begin_and_end(), strict=True)
                if token >= 0
            }
        )
        """The spellings of the tokens that chat templates ask for by name."""
        self._pieces: dict[int, bytes] = {}
        self._segments = _SegmentCache(_MAX_CACHED_TOKENS)
        self.sampled_texts = SampledTextCache(self)
        """The texts of sampled replies."""

    def token(self, spelling: str) -> int | None:
        """Return the id of a special token, None where there is none of that spelling."""
        return self.specials.get(spelling)

    def encode(self, text: str) -> list[int]:
        """Tokenise plain text; no token is added in front, and control tokens are not read from the text.

        llama.cpp reads user-defined tokens (`<think>`) from any text: `ChatTemplate.pieces` cuts those apart.
        """
        ids = self._segments.get(text)
        if ids is None:
            data = text.encode(errors="replace")  # only a lone surrogate can't be encoded
            ids = self.native.tokenise(data)
            self._segments.put(text, ids)
        return list(ids)

    def piece(self, token: int) -> bytes:
        """Return the bytes of a token, which may be a part of a character; special ones are spelled out."""
        piece = self._pieces.get(token)
        if piece is None:
            piece = self._pieces[token] = self.native.piece(token)
        return piece


class _SegmentCache:
    """The texts that were tokenised last, up to a number of tokens: each prompt of a chat has them again."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._n_tokens = 0
        self._entries: OrderedDict[str, tuple[int, ...]] = OrderedDict()
        self._lock = Lock()  # another thread counts tokens while a reply is generated

    def get(self, text: str) -> tuple[int, ...] | None:
        """Return the ids of a text, None where they are not cached."""
        with self._lock:
            ids = self._entries.get(text)
            if ids is not None:
                self._entries.move_to_end(text)
            return ids

    def put(self, text: str, ids: tuple[int, ...]) -> None:
        """Cache the ids of a text; drop those that were used longest ago."""
        with self._lock:
            if text not in self._entries:
                self._entries[text] = ids
                self._n_tokens += len(ids)
            while self._n_tokens > self._max_tokens:
                _, oldest = self._entries.popitem(last=False)
                self._n_tokens -= len(oldest)


class SampledTextCache:
    """The sampled replies that were looked up last: each prompt of a chat has all of them again."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._texts: OrderedDict[tuple[int, ...], SampledText] = OrderedDict()
        self._lock = Lock()  # another thread counts tokens while a reply is generated

    def get(self, ids: tuple[int, ...]) -> SampledText:
        """Return the text that was sampled as these ids."""
        with self._lock:
            text = self._texts.pop(ids, None) or SampledText(ids, self._vocab)
            self._texts[ids] = text
            if len(self._texts) > _MAX_CACHED_REPLIES:
                self._texts.popitem(last=False)
            return text


class SampledText:
    """The text of one sampled reply, cut at its special tokens, which are no part of it."""

    def __init__(self, ids: Sequence[int], vocab: Vocab) -> None:
        specials = frozenset(vocab.specials.values())
        self._ids_of: dict[str, list[int]] = {}
        for is_special, group in groupby(ids, specials.__contains__):
            if not is_special:
                self._add(list(group), vocab)

    def find_ids(self, text: str) -> list[int] | None:
        """Return the ids that a text was sampled as, None where it is no piece of this reply."""
        ids = self._ids_of.get(text)
        return None if ids is None else list(ids)

    def _add(self, ids: list[int], vocab: Vocab) -> None:
        """Add a text with and without the newlines before it, which a template may drop."""
        pieces = [vocab.piece(token) for token in ids]
        first = next((i for i, piece in enumerate(pieces) if piece.strip(b"\n")), len(ids))
        self._ids_of[_decode_pieces(pieces)] = ids
        if first < len(ids):
            self._ids_of[_decode_pieces(pieces[first:])] = ids[first:]


def _decode_pieces(pieces: Sequence[bytes]) -> str:
    """Decode bytes as those of a reply: a model may well sample invalid UTF-8, which becomes U+FFFD."""
    return b"".join(pieces).decode(errors="replace")
