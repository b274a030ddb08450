"""Attachments: texts below a message, each in a fence under its name. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FENCES = re.compile(r"^\s*(`{3,})", re.MULTILINE)
_LAST_FENCE = re.compile(r"\n(`{3,})\Z")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text under a name, as the model reads it."""

    name: str
    text: str

    @property
    def line_count(self) -> int:
        """The number of lines; the last line counts even without a line end."""
        return self.text.count("\n") + (not self.text.endswith("\n"))


def fence_attachment(attachment: Attachment) -> str:
    """Enclose a text, byte for byte, in a fence that its own fences can't close."""
    longest = max((len(run) for run in _FENCES.findall(attachment.text)), default=2)
    fence = "`" * (longest + 1)
    end = "" if attachment.text.endswith("\n") else "\n"
    return f"{attachment.name}:\n{fence}\n{attachment.text}{end}{fence}"


def join_attachments(text: str, attachments: Sequence[Attachment]) -> str:
    """Join a typed text and the attachments below it, a blank line between them.

    The result ends with a line end: a mode's tag that is appended must not share the line of a fence.
    """
    parts = [text, *(fence_attachment(attachment) for attachment in attachments)]
    return "\n\n".join(part for part in parts if part.strip()) + ("\n" if attachments else "")


def split_attachments(content: str) -> tuple[str, tuple[Attachment, ...]]:
    """Split a joined text into the typed text and the attachments; joined again, they are the same bytes."""
    attachments: list[Attachment] = []
    remaining = content.removesuffix("\n")
    while last := _LAST_FENCE.search(remaining):
        fence = last[1]
        # The fences inside are shorter, so the nearest opening of this length is the right one.
        opening = remaining.rfind(f":\n{fence}\n", 0, last.start() + 1)
        begin = remaining.rfind("\n", 0, max(opening, 0)) + 1
        name, text = remaining[begin:opening], remaining[opening + len(fence) + 3 : last.start() + 1]
        if opening < 0 or not name or (begin and not remaining.endswith("\n\n", 0, begin)):
            break
        attachment = Attachment(name, text)
        if fence_attachment(attachment) != remaining[begin:]:
            break
        attachments.insert(0, attachment)
        remaining = remaining[: max(begin - 2, 0)]
    is_exact = join_attachments(remaining, attachments) == content
    return (remaining, tuple(attachments)) if is_exact else (content, ())
