"""The ids that a reply was sampled as, found again by its text."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import groupby
from threading import Lock
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qwen3_chat.engine.worker.vocab import Vocab


_REMEMBERED_REPLIES = 256


class SampledTexts:
    """The replies that were looked up last: each prompt of a chat holds all of them again."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._texts: OrderedDict[tuple[int, ...], SampledText] = OrderedDict()
        self._lock = Lock()  # counting goes on in another thread while a reply is generated

    def of(self, ids: tuple[int, ...]) -> SampledText:
        """Return what was sampled as these ids."""
        with self._lock:
            text = self._texts.pop(ids, None) or SampledText(ids, self._vocab)
            self._texts[ids] = text
            if len(self._texts) > _REMEMBERED_REPLIES:
                self._texts.popitem(last=False)
            return text


class SampledText:
    """What was sampled for one reply, cut at its special tokens; those themselves are not to be found."""

    def __init__(self, ids: Sequence[int], vocab: Vocab) -> None:
        specials = frozenset(vocab.specials.values())
        self._ids_of: dict[str, list[int]] = {}
        for is_special, group in groupby(ids, specials.__contains__):
            if not is_special:
                self._note(list(group), vocab)

    def ids_of(self, text: str) -> list[int] | None:
        """Return the ids that a text was read from; None where it was not sampled like that."""
        ids = self._ids_of.get(text)
        return None if ids is None else list(ids)

    def _note(self, ids: list[int], vocab: Vocab) -> None:
        """Note a text with and without the newlines before it, which a template may leave out."""
        pieces = [vocab.piece(token) for token in ids]
        first = next((i for i, piece in enumerate(pieces) if piece.strip(b"\n")), len(ids))
        self._ids_of[_read(pieces)] = ids
        if first < len(ids):
            self._ids_of[_read(pieces[first:])] = ids[first:]


def _read(pieces: Sequence[bytes]) -> str:
    """Read bytes as a reply is read: what is no UTF-8, which a model may well sample, shows as U+FFFD."""
    return b"".join(pieces).decode(errors="replace")
