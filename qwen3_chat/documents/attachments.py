"""Attachments: texts below a message, each in a fence under its name. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

_ADDRESS = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_FENCES = re.compile(r"^[^\S\n]*+(`{3,})", re.MULTILINE)


class Attachment(Struct, frozen=True):
    """A text under a name, as the model reads it."""

    name: str
    text: str

    @property
    def line_count(self) -> int:
        """The number of lines; the last line counts even without a line end."""
        return self.text.count("\n") + (not self.text.endswith("\n"))


def is_web_address(name: str) -> bool:
    """Return True if what is to be attached is a page of the web instead of a file."""
    return _ADDRESS.match(name) is not None


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
    end = len(content.removesuffix("\n"))  # of what is not taken apart yet: cutting it off would copy it
    while fence := _fence_before(content, end):
        fence_at = end - len(fence)
        # The fences inside are shorter, so the nearest opening of this length is the right one.
        opening = content.rfind(f":\n{fence}\n", 0, fence_at)
        begin = content.rfind("\n", 0, max(opening, 0)) + 1
        name, text = content[begin:opening], content[opening + len(fence) + 3 : fence_at]
        if opening < 0 or not name or (begin and not content.endswith("\n\n", 0, begin)):
            break
        attachment = Attachment(name, text)
        if fence_attachment(attachment) != content[begin:end]:
            break
        attachments.append(attachment)
        end = max(begin - 2, 0)
    attachments.reverse()
    remaining = content[:end] if attachments else content.removesuffix("\n")
    is_exact = join_attachments(remaining, attachments) == content
    return (remaining, tuple(attachments)) if is_exact else (content, ())


def _fence_before(content: str, end: int) -> str:
    """Return the fence of three or more that makes up the line before `end`; empty if there is none."""
    begin = content.rfind("\n", 0, end) + 1
    line = content[begin:end]
    return line if begin and len(line) >= 3 and line.count("`") == len(line) else ""
