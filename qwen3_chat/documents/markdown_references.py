"""Link definitions and headings of a message, rewritten so that they mean nothing outside of it. Pure.

In Markdown, `[a]: address` holds for the whole document: in a transcript, one message's definition would make
links of another's brackets. A heading of a message would stand beside those that begin a turn.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.common.utils import normalizeReference
from markdown_it.token import Token

TOP_LEVEL: Final = 3
"""The highest level of a heading inside of a message; 1 and 2 are the chat's and the turn's."""
MAX_LEVEL: Final = 6
_CODE_SPAN: Final = re.compile(r"(?<![`\\])(`+)(?!`)(?:.*?[^`])?\1(?!`)", re.DOTALL)
_LABEL: Final = r"\[((?:[^\[\]\\]|\\.)+)\]"
_REFERENCE: Final = re.compile(rf"(?<!\\){_LABEL}(?:\[((?:[^\[\]\\]|\\.)*)\])?(?![(\[:])")
_FOOTNOTE: Final = re.compile(r"(?<!\\)\[\^")


_reader: Final = MarkdownIt("commonmark").enable("table")
_parser: Final = MarkdownIt("commonmark", {"inline_definitions": True}).enable("table")
"""The parser that also tells where links are defined."""


def resolve_references(markdown: str) -> str:
    """Return Markdown whose links all carry their address, without definitions and footnotes.

    It reads the same; where that can't be done, the definitions are escaped, so that they are seen as text.
    """
    environment: dict[str, Any] = {}
    tokens = _parser.parse(markdown, environment)
    if references := environment.get("references"):
        inlined = _without_definitions(_in_text(markdown, tokens, _inliner(references)), tokens)
        markdown = inlined if _reads_the_same(markdown, inlined) else _escape_definitions(markdown)
    if _FOOTNOTE.search(markdown):
        escaped = _in_text(markdown, _parser.parse(markdown), lambda text: _FOOTNOTE.sub(r"\\[^", text))
        if _reads_the_same(markdown, escaped):
            return escaped
    return markdown


def demote_headings(markdown: str) -> str:
    """Return Markdown whose highest heading is of the level that is left to a message."""
    headings = [
        token for token in _parser.parse(markdown) if token.type == "heading_open" and not token.level
    ]
    shift = TOP_LEVEL - min((int(token.tag[1:]) for token in headings), default=TOP_LEVEL)
    if shift <= 0:
        return markdown
    lines = markdown.split("\n")
    for token in reversed(headings):
        assert token.map is not None
        start, end = token.map
        mark = "#" * min(MAX_LEVEL, int(token.tag[1:]) + shift)
        if token.markup.startswith("#"):
            lines[start] = re.sub(r"^( {0,3})#+", rf"\g<1>{mark}", lines[start])
        else:  # a line below the text makes it a heading
            text = " ".join(line.strip() for line in lines[start : end - 1])
            lines[start:end] = [f"{mark} {text} {mark}" if text.endswith("#") else f"{mark} {text}"]
    return "\n".join(lines)


def _inliner(references: dict[str, dict[str, Any]]) -> Callable[[str], str]:
    def inline(match: re.Match[str]) -> str:
        found = references.get(normalizeReference(match[2] or match[1]))
        if found is None:
            return match[0]
        title = str(found.get("title") or "").replace("\\", "\\\\").replace('"', '\\"')
        return f"[{match[1]}](<{found['href']}>" + (f' "{title}")' if title else ")")

    return lambda text: _REFERENCE.sub(inline, text)


def _in_text(markdown: str, tokens: list[Token], change: Callable[[str], str]) -> str:
    """Change the text of paragraphs, headings and tables, but not the code in it."""
    lines = markdown.split("\n")
    for token in reversed(tokens):
        if token.type == "inline" and token.map is not None:
            start, end = token.map
            block = "\n".join(lines[start:end])
            done, last = "", 0
            for code in _CODE_SPAN.finditer(block):
                done += change(block[last : code.start()]) + code.group()
                last = code.end()
            lines[start:end] = (done + change(block[last:])).split("\n")
    return "\n".join(lines)


def _without_definitions(markdown: str, tokens: list[Token]) -> str:
    lines = markdown.split("\n")
    for token in tokens:
        if token.type == "definition" and token.map is not None:
            for number in range(*token.map):
                lines[number] = ""
    return "\n".join(lines)


def _escape_definitions(markdown: str) -> str:
    """Escape each definition; each round escapes at least one bracket, and text may become a new one."""
    while True:
        definitions = [
            token for token in _parser.parse(markdown) if token.type == "definition" and token.map is not None
        ]
        lines = markdown.split("\n")
        for token in definitions:
            assert token.map is not None
            lines[token.map[0]] = re.sub(r"(?<!\\)\[", r"\\[", lines[token.map[0]])
        if markdown == (escaped := "\n".join(lines)):
            return markdown
        markdown = escaped


def _reads_the_same(markdown: str, other: str) -> bool:
    pages = [" ".join(_reader.render(text).split()) for text in (markdown, other)]
    return pages[0] == pages[1]
