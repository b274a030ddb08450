"""Inline Markdown tokens as runs of styled text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markdown_it.token import Token

from qwen3_chat.maths.formula_text import inline_formula
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.cells import CJK
from qwen3_chat.transcript.styled_rows import Action, FormulaSource, OpenLink, Run

# It stops at CJK text: in `https://example.com。后面` the full stop is no part of the URL.
_URL = re.compile(rf"https?://[^\s<>\"`|{CJK}]*[^\s<>\"`|{CJK}.,:;!?)\]}}*_~'”’]")
_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)


def inline_runs(tokens: Sequence[Token] | None, base_style: str, *, draws_formulas: bool = True) -> list[Run]:
    """Return tokens as runs; `base_style` are the styles around them.

    Formulas are drawn in one row, or their source is shown.
    """
    runs: list[Run] = []
    stack, action = [base_style], None
    for token in tokens or ():
        kind, style = token.type, " ".join(stack).strip()
        text = terminal_safe(token.content)  # after the entities, such as &#x202e;, are decoded
        if kind == "text":
            runs += _text_runs(_BREAK.sub("\n", text), style, action)
        elif kind in ("softbreak", "hardbreak"):
            # A model does not wrap paragraphs by hand: its line breaks are meant.
            runs.append(("\n", style, None))
        elif kind == "code_inline":
            runs.append((text, f"{style} code-inline".strip(), action))
        elif kind in ("formula", "open_formula"):
            drawn = inline_formula(text) if draws_formulas and kind == "formula" else None
            source = FormulaSource(text) if drawn is not None and action is None else action
            runs.append((text if drawn is None else drawn, f"{style} formula".strip(), source))
        elif kind == "image":
            url = terminal_safe(str(token.attrs.get("src", "")))
            runs.append((f"[{text or url}]", f"{style} link".strip(), OpenLink(url)))
        elif kind == "link_open":
            action = OpenLink(terminal_safe(str(token.attrs.get("href", ""))))
            stack.append("link")
        elif kind == "link_close":
            stack.pop()
            if action is not None:
                runs += _url_runs(runs, action, " ".join(stack).strip())
            action = None
        elif token.nesting > 0:  # em, strong, s
            stack.append(kind.removesuffix("_open"))
        elif token.nesting < 0:
            stack.pop()
        else:
            runs.append((text, style, action))
    return [run for run in runs if run[0]]


def _text_runs(text: str, style: str, action: Action | None) -> Iterator[Run]:
    position = 0
    for match in _URL.finditer(text) if "://" in text and action is None else ():
        yield text[position : match.start()], style, None
        yield match[0], f"{style} link".strip(), OpenLink(match[0])
        position = match.end()
    yield text[position:], style, action


def _url_runs(runs: list[Run], link: OpenLink, style: str) -> list[Run]:
    """Return the URL of a link as runs unless its text contains it: a terminal has no hovering."""
    link_text = "".join(text for text, _, action in runs if action is link)
    url = link.url.removeprefix("mailto:")
    return [] if not url or url in link_text else [(f" ({url})", f"{style} dim".strip(), link)]
