"""Text whose characters may come in halves."""

from __future__ import annotations


class WholeCharacters:
    """Joins the two halves of a character that JSON spelled as `\\ud83d` and `\\ude00`, in pieces or not.

    A half without its other one becomes U+FFFD: nothing could print or store it.
    """

    def __init__(self) -> None:
        self._half = ""

    def feed(self, text: str) -> str:
        """Take text, return what is whole."""
        if not self._half and text.isascii():
            return text
        text = self._half + text
        self._half = text[-1] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return _joined(text[: len(text) - len(self._half)])

    def flush(self) -> str:
        """Return what was held back."""
        half, self._half = self._half, ""
        return _joined(half)


def _joined(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
