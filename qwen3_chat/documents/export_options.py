"""The choices of an export: file format, and the form of the thinking.

Every renderer imports it, and the settings and the command line list its values without loading one.
"""

from __future__ import annotations

from enum import StrEnum


class ExportFormat(StrEnum):
    """A file format; the value is the ending of its files and the value of `--format`."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"
    TEXT = "txt"
    JSON_LINES = "jsonl"


class ThinkingStyle(StrEnum):
    """The form in which an export has the thinking.

    Folded thinking opens on a click in Markdown and HTML; plain text, which can't fold, has only its header.
    In JSON there is no difference between folded and full.
    """

    NONE = "none"
    FOLDED = "folded"
    FULL = "full"
