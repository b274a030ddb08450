"""Markdown that cannot reach beyond its own end."""

from __future__ import annotations

import re
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

_ESCAPED: Final = "&lt;"


def fenced(text: str, language: str = "text") -> str:
    """Put a text into a code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def contained(markdown: str) -> str:
    """Escape raw HTML and close an open code block, so that what follows is read as if it stood alone.

    A reply that was stopped in its code would take the rest of the transcript into the block, and one that
    shows `<!--` or `</details>` would hide it or break out of a fold.
    """
    parser = MarkdownIt("commonmark").enable("table")
    # Text that was inside HTML can hold more of it once that is escaped. Each round escapes at least one `<`.
    while markdown != (escaped := _without_html(markdown, parser.parse(markdown))):
        markdown = escaped
    return _with_fence_closed(markdown, parser.parse(markdown))


def _without_html(markdown: str, tokens: list[Token]) -> str:
    lines = markdown.split("\n")
    for token in tokens:
        if token.map is None:
            continue
        start, end = token.map
        block = "\n".join(lines[start:end])
        if token.type == "html_block":
            block = block.replace("<", _ESCAPED)
        elif token.type == "inline" and any(child.type == "html_inline" for child in token.children or ()):
            block = _without_inline_html(block, token.children or [])
        else:
            continue
        lines[start:end] = block.split("\n")
    return "\n".join(lines)


def _without_inline_html(block: str, children: list[Token]) -> str:
    """Escape the tags among a paragraph's pieces, found by going through its source along with them."""
    done, rest = "", block
    for child in children:
        if child.type not in ("html_inline", "code_inline"):
            continue
        before, found, after = rest.partition(child.content)
        if found:
            done += before + (found.replace("<", _ESCAPED) if child.type == "html_inline" else found)
            rest = after
        elif child.type == "html_inline":  # it goes over lines that begin with a quote's or a list's mark
            rest = rest.replace("<", _ESCAPED)
    return done + rest


def _with_fence_closed(markdown: str, tokens: list[Token]) -> str:
    last = next((token for token in reversed(tokens) if token.level == 0), None)
    if last is None or last.type != "fence" or last.map is None:
        return markdown
    start, end = last.map
    lines = markdown.split("\n")[start:end]
    closing = re.compile(rf" {{0,3}}{re.escape(last.markup[0])}{{{len(last.markup)},}}[ \t]*")
    if len(lines) > 1 and closing.fullmatch(lines[-1]):
        return markdown
    return f"{markdown.rstrip(chr(10))}\n{last.markup}"
