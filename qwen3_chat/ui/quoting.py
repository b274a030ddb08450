"""Quotes what someone said, in Markdown."""

from __future__ import annotations


def quoted(text: str, before: str = "") -> str:
    """Return the lines of a text behind `> `, on lines of their own after what is `before`, room below."""
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    lines = text.strip("\n").split("\n")
    return gap + "\n".join(f"> {line}".rstrip() for line in lines) + "\n\n"
