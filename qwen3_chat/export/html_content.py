"""Markdown of a message as HTML that holds no scripts, no raw HTML, and nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

_HIGHLIGHTED_MAX_CHARACTERS: Final = 100_000  # some lexers are slow, and nobody reads more in a page


def markdown_as_html(markdown: str, *, keep_line_breaks: bool = False) -> str:
    """Render Markdown; raw HTML in it is shown as it is written."""
    parser = MarkdownIt(
        "commonmark", {"html": False, "breaks": keep_line_breaks, "highlight": _highlighted}
    ).enable(["table", "strikethrough"])
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link_open)
    return str(parser.render(markdown)).rstrip("\n")


def _highlighted(code: str, language: str, attributes: str) -> str:
    """Colour code; empty where the language is not known, then the code is only escaped."""
    del attributes
    if not language or len(code) > _HIGHLIGHTED_MAX_CHARACTERS:
        return ""
    try:
        lexer = get_lexer_by_name(language, stripnl=False)
    except ClassNotFound:
        return ""
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True)))


def _image(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, environment: EnvType
) -> str:
    """Show an image that the text carries; link to any other, as a transcript must not call anyone."""
    token = tokens[index]
    source = str(token.attrGet("src") or "")
    alternative = renderer.renderInlineAsText(token.children, options, environment)
    if source.startswith("data:"):
        return f'<img src="{escape(source)}" alt="{escape(alternative)}">'
    return f'<a href="{escape(source)}" rel="noopener noreferrer">{escape(alternative or source)}</a>'


def _link_open(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, environment: EnvType
) -> str:
    tokens[index].attrSet("rel", "noopener noreferrer")
    return renderer.renderToken(tokens, index, options, environment)
