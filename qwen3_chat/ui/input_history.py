"""The history of the input, walked through like a shell's history."""

from __future__ import annotations

from collections.abc import Iterable


class InputHistory:
    """The texts sent so far, oldest first, then the one being written; edits made while walking are kept."""

    def __init__(self) -> None:
        self._sent: list[str] = []
        self._position = 0
        self._edits: dict[int, str] = {}

    def reset(self, texts: Iterable[str]) -> None:
        """Replace the history with texts sent earlier."""
        self._sent = list(texts)
        self._rewind()

    def prepend(self, texts: Iterable[str]) -> None:
        """Insert older texts before these, without duplicates; the position of a walk is unchanged."""
        known = set(self._sent)
        older = [text for text in texts if text not in known]
        self._sent[:0] = older
        self._position += len(older)
        self._edits = {position + len(older): text for position, text in self._edits.items()}

    def add(self, text: str) -> None:
        """Add a text that is sent; a repetition of the last one is not added."""
        if text.strip() and self._sent[-1:] != [text]:
            self._sent.append(text)
        self._rewind()

    def walk(self, step: int, written: str) -> str | None:
        """Store the text written now and return the one a step away; None at the ends."""
        position = self._position + step
        if not 0 <= position <= len(self._sent):
            return None
        self._edits[self._position] = written
        self._position = position
        return self._edits.get(position, [*self._sent, ""][position])

    def _rewind(self) -> None:
        self._position = len(self._sent)
        self._edits.clear()
