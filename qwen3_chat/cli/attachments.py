"""Files beside a prompt on the command line, as text the model can read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qwen3_chat.attachments import joined, read_attachment


def with_attachments(prompt: str, piped: str, files: Sequence[Path]) -> str:
    """Join the prompt, each file under its name in a fence, and what was piped in.

    Raises:
        UsageError: a file can't be read, or is no text.
    """
    asked = joined(prompt, [read_attachment(file) for file in files])
    return (
        "\n\n".join(part for part in (asked.rstrip("\n"), piped.rstrip("\n")) if part.strip())
        if piped
        else asked
    )
