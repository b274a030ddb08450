"""Attachments: texts below a message, each in a fence under its name. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FENCES = re.compile(r"^\s*(`{3,})", re.MULTILINE)
_LAST_FENCE = re.compile(r"\n(`{3,})\Z")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A text under a name, as the model is to read it."""

    name: str
    text: str

    @property
    def line_count(self) -> int:
        """How many lines it has; the last one counts without its end too."""
        return self.text.count("\n") + (not self.text.endswith("\n"))


def fence_attachment(attachment: Attachment) -> str:
    """Put a text, byte for byte, into a fence that its own fences can't close."""
    longest = max((len(run) for run in _FENCES.findall(attachment.text)), default=2)
    fence = "`" * (longest + 1)
    end = "" if attachment.text.endswith("\n") else "\n"
    return f"{attachment.name}:\n{fence}\n{attachment.text}{end}{fence}"


def join_attachments(text: str, attachments: Sequence[Attachment]) -> str:
    """Put attachments below what was typed, a blank line between them.

    A line ends the last one: a mode's tag that is appended must not stand in the line of its fence.
    """
    parts = [text, *(fence_attachment(attachment) for attachment in attachments)]
    return "\n\n".join(part for part in parts if part.strip()) + ("\n" if attachments else "")


def split_attachments(content: str) -> tuple[str, tuple[Attachment, ...]]:
    """Take apart what was joined; joined again it is the same, byte for byte."""
    found: list[Attachment] = []
    rest = content.removesuffix("\n")
    while last := _LAST_FENCE.search(rest):
        fence = last[1]
        # Its own fences are shorter, so the nearest beginning of this one is the right one.
        opening = rest.rfind(f":\n{fence}\n", 0, last.start() + 1)
        begin = rest.rfind("\n", 0, max(opening, 0)) + 1
        name, text = rest[begin:opening], rest[opening + len(fence) + 3 : last.start() + 1]
        if opening < 0 or not name or (begin and not rest.endswith("\n\n", 0, begin)):
            break
        attachment = Attachment(name, text)
        if fence_attachment(attachment) != rest[begin:]:
            break
        found.insert(0, attachment)
        rest = rest[: max(begin - 2, 0)]
    attachments = tuple(found)
    return (rest, attachments) if join_attachments(rest, attachments) == content else (content, ())
