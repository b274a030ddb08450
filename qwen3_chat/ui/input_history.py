"""The history of the input, walked through like a shell's."""

from __future__ import annotations

from collections.abc import Iterable


class InputHistory:
    """Oldest first; after the last stands what is being written, and edits on the way stay."""

    def __init__(self) -> None:
        self._sent: list[str] = []
        self._position = 0
        self._edits: dict[int, str] = {}

    def reset(self, texts: Iterable[str]) -> None:
        """Begin with what was sent earlier."""
        self._sent = list(texts)
        self._rewind()

    def prepend(self, texts: Iterable[str]) -> None:
        """Let older texts stand before these, but for those that are here; a walk goes on where it is."""
        known = set(self._sent)
        older = [text for text in texts if text not in known]
        self._sent[:0] = older
        self._position += len(older)
        self._edits = {position + len(older): text for position, text in self._edits.items()}

    def add(self, text: str) -> None:
        """Note a text that is sent; the same twice in a row counts once."""
        if text.strip() and self._sent[-1:] != [text]:
            self._sent.append(text)
        self._rewind()

    def walk(self, step: int, written: str) -> str | None:
        """Leave what is written now and return the text a step away; None at the ends."""
        position = self._position + step
        if not 0 <= position <= len(self._sent):
            return None
        self._edits[self._position] = written
        self._position = position
        return self._edits.get(position, [*self._sent, ""][position])

    def _rewind(self) -> None:
        self._position = len(self._sent)
        self._edits.clear()
