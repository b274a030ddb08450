"""A stream of text in phrases that can be read out: whole lines, whole sentences."""

from __future__ import annotations

import re

_END = re.compile(r"\n|[.!?…][\"')\]”’]*\s|[。！？][”’」』）]*")


class Phrases:
    """Holds back what is no complete phrase yet; the phrases joined are the text."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> str:
        """Take a piece; return what is complete now."""
        self._held += text
        end = max((found.end() for found in _END.finditer(self._held)), default=0)
        complete, self._held = self._held[:end], self._held[end:]
        return complete

    def flush(self) -> str:
        """Return the rest."""
        rest, self._held = self._held, ""
        return rest
