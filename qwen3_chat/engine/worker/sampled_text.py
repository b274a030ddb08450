"""The ids that a reply was sampled as, found again by its text."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from qwen3_chat.engine.worker.vocab import Vocab


class SampledText:
    """What was sampled for one reply, cut at its special tokens; those themselves are not to be found."""

    def __init__(self, ids: Sequence[int], vocab: Vocab) -> None:
        specials = frozenset(vocab.specials.values())
        self._ids_of: dict[bytes, list[int]] = {}
        for is_special, group in groupby(ids, specials.__contains__):
            if not is_special:
                self._note(list(group), vocab)

    def ids_of(self, text: str) -> list[int] | None:
        """Return the ids whose bytes make up a text; None where it was not sampled like that."""
        ids = self._ids_of.get(text.encode(errors="replace"))
        return None if ids is None else list(ids)

    def _note(self, ids: list[int], vocab: Vocab) -> None:
        """Note a text with and without the newlines before it, which a template may leave out."""
        pieces = [vocab.piece(token) for token in ids]
        first = next((i for i, piece in enumerate(pieces) if piece.strip(b"\n")), len(ids))
        self._ids_of[b"".join(pieces)] = ids
        if first < len(ids):
            self._ids_of[b"".join(pieces[first:])] = ids[first:]
