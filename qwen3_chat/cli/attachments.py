"""Files beside a prompt, as text the model can read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from qwen3_chat.errors import UsageError


def with_attachments(prompt: str, piped: str, files: Sequence[Path]) -> str:
    """Join the prompt, each file under its name in a fence, and what was piped in.

    Raises:
        UsageError: a file can't be read, or is no text.
    """
    parts = [prompt, *(fenced(file.name, read_text(file)) for file in files), piped.rstrip("\n")]
    return "\n\n".join(part for part in parts if part.strip())


def read_text(file: Path) -> str:
    """Read a text file.

    Raises:
        UsageError: it can't be read, or is no text.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UsageError("cli.unreadable_file", file=file, reason=error.strerror or error) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError("cli.no_text", file=file) from error
    if "\0" in text:
        raise UsageError("cli.no_text", file=file)
    return text


def fenced(name: str, text: str) -> str:
    """Put a text into a fence that its own fences can't close."""
    longest = max((len(run) for run in re.findall(r"^\s*(`{3,})", text, re.MULTILINE)), default=2)
    fence = "`" * (longest + 1)
    body = text.rstrip("\n")
    return f"{name}:\n{fence}\n{body}\n{fence}"
