"""A code block with the colours that are known so far."""

from __future__ import annotations

from collections.abc import Sequence

StyledSpan = tuple[int, int, str]
"""A styled part of a row: start, end, style name."""


class HighlightedCode:
    """A code block whose rows are added as they arrive; `is_complete` is True when it has all of them."""

    def __init__(self, language: str) -> None:
        self.language = language
        self.rows: list[str] = []
        self.is_complete = False
        self.spans: list[Sequence[StyledSpan]] = []
        """The styled parts of the first rows, as far as they are known."""
        self.is_plain = False
        """True once the rows without colours will stay so."""
        self._digest = b""

    def row_spans(self, row: int) -> Sequence[StyledSpan] | None:
        """Return the styled parts of a row; None as long as they are not known."""
        if row < len(self.spans):
            return self.spans[row]
        return () if self.is_plain and row < len(self.rows) else None

    def begin_again(self) -> None:
        """Take the same rows once more, or more rows; the colours stay."""
        self.rows, self.is_complete, self._digest = [], False, b""

    def may_become(self, language: str, rows: Sequence[str]) -> bool:
        """Return True if these rows are those of this block, or begin with them."""
        return language == self.language and rows[: len(self.rows)] == self.rows

    def digest(self) -> bytes:
        """Return a digest of a complete block, which is the same for every block with this content."""
        assert self.is_complete, "the rows of another block may still change"
        if not self._digest:
            import hashlib

            content = "\n".join((self.language, *self.rows)).encode("utf-8", "replace")
            self._digest = hashlib.blake2b(content, digest_size=16).digest()
        return self._digest
