"""The code blocks of a message, byte for byte.

A module of its own because the interface imports it at start-up, and its natural neighbours (the parser, the
highlighting) load markdown-it and pygments.
"""

from __future__ import annotations

from msgspec import Struct


class CodeBlock(Struct, frozen=True):
    """A block of fenced or indented code; `language` is the word after the fence, in lower case."""

    language: str
    text: str


def find_code_blocks(markdown: str) -> tuple[CodeBlock, ...]:
    """Return the code blocks of a text in order, those in lists and quotes too; skip empty blocks."""
    from qwen3_chat.transcript.markdown_parser import PARSER  # here, as the app starts without Markdown

    return tuple(
        CodeBlock("".join(token.info.split()[:1]).lower(), token.content.removesuffix("\n"))
        for token in PARSER.parse(markdown)
        if token.type in ("fence", "code_block") and token.content.strip()
    )
