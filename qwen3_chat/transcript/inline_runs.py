"""Inline Markdown tokens as runs of styled text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import CJK
from qwen3_chat.transcript.styled_rows import Action, OpenLink, Run

# Stops at CJK text: in `https://example.com。后面` the full stop is no part of the address.
_URL = re.compile(rf"https?://[^\s<>\"`|{CJK}]*[^\s<>\"`|{CJK}.,:;!?)\]}}*_~'”’]")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def inline_runs(tokens: Sequence[Token] | None, base_style: str) -> list[Run]:
    """Lay tokens out as runs; `base_style` are the styles around them."""
    runs: list[Run] = []
    stack, action = [base_style], None
    for token in tokens or ():
        kind, style = token.type, " ".join(stack).strip()
        text = terminal_safe(token.content)  # entities such as &#x202e; are decoded by now
        if kind == "text":
            runs += _text(_BREAK.sub("\n", text), style, action)
        elif kind in ("softbreak", "hardbreak"):
            # A model does not fill paragraphs by hand: where it breaks a line, it means it.
            runs.append(("\n", style, None))
        elif kind == "code_inline":
            runs.append((text, f"{style} code-inline".strip(), action))
        elif kind == "formula":
            runs.append((text, f"{style} formula".strip(), action))
        elif kind == "image":
            url = terminal_safe(str(token.attrs.get("src", "")))
            runs.append((f"[{text or url}]", f"{style} link".strip(), OpenLink(url)))
        elif kind == "link_open":
            action = OpenLink(terminal_safe(str(token.attrs.get("href", ""))))
            stack.append("link")
        elif kind == "link_close":
            stack.pop()
            if action is not None:
                runs += _address(runs, action, " ".join(stack).strip())
            action = None
        elif token.nesting > 0:  # em, strong, s
            stack.append(kind.removesuffix("_open"))
        elif token.nesting < 0:
            stack.pop()
        else:
            runs.append((text, style, action))
    return [run for run in runs if run[0]]


def _text(text: str, names: str, action: Action | None) -> Iterator[Run]:
    at = 0
    for found in _URL.finditer(text) if "://" in text and action is None else ():
        yield text[at : found.start()], names, None
        yield found[0], f"{names} link".strip(), OpenLink(found[0])
        at = found.end()
    yield text[at:], names, action


def _address(runs: list[Run], link: OpenLink, names: str) -> list[Run]:
    """Show where a link leads unless its text says so: one cannot hover in a terminal."""
    shown = "".join(text for text, _, action in runs if action is link)
    target = link.url.removeprefix("mailto:")
    return [] if not target or target in shown else [(f" ({target})", f"{names} dim".strip(), link)]


def skip_characters(runs: list[Run], count: int) -> list[Run]:
    """Runs without their first characters."""
    out: list[Run] = []
    for text, names, action in runs:
        if text[count:]:
            out.append((text[count:], names, action))
        count = max(0, count - len(text))
    return out
