"""The code blocks of a message, byte for byte.

Its three importers in the interface load it at start-up, and its natural neighbours (the parser, the
highlighting) load markdown-it and pygments.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """The code between two fences, or indented; `language` is what its fence names, in lower case."""

    language: str
    text: str


def find_code_blocks(markdown: str) -> tuple[CodeBlock, ...]:
    """Find the code blocks of a text in its order, those in lists and quotes too; empty ones are left out."""
    from qwen3_chat.transcript.markdown_parser import PARSER  # here: the app starts without it

    return tuple(
        CodeBlock("".join(token.info.split()[:1]).lower(), token.content.removesuffix("\n"))
        for token in PARSER.parse(markdown)
        if token.type in ("fence", "code_block") and token.content.strip()
    )
