"""The choices of an export: file format, and the form of the thinking.

Every renderer imports it, and the settings and the command line list its values without loading one.
"""

from __future__ import annotations

from enum import StrEnum


class ExportFormat(StrEnum):
    """A kind of file; the value is its ending and what `--format` takes."""

    MARKDOWN = "md"
    HTML = "html"
    JSON = "json"
    TEXT = "txt"


class ThinkingStyle(StrEnum):
    """What becomes of the thinking.

    Folded opens on a click in Markdown and HTML; text, which can't fold, keeps its header only. In JSON there
    is no difference between folded and full.
    """

    NONE = "none"
    FOLDED = "folded"
    FULL = "full"
