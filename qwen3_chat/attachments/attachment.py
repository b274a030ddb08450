"""A text beside a message, in a fence under its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FENCES = re.compile(r"^\s*(`{3,})", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text under a name, as the model is to read it."""

    name: str
    text: str

    @property
    def line_count(self) -> int:
        """How many lines it has; the last one counts without its end too."""
        return self.text.count("\n") + (not self.text.endswith("\n"))


def fenced(attachment: Attachment) -> str:
    """Put a text, byte for byte, into a fence that its own fences can't close."""
    longest = max((len(run) for run in _FENCES.findall(attachment.text)), default=2)
    fence = "`" * (longest + 1)
    end = "" if attachment.text.endswith("\n") else "\n"
    return f"{attachment.name}:\n{fence}\n{attachment.text}{end}{fence}"


def joined(text: str, attachments: Sequence[Attachment]) -> str:
    """Put attachments below what was typed, a blank line between them."""
    parts = [text, *(fenced(attachment) for attachment in attachments)]
    return "\n\n".join(part for part in parts if part.strip())
