"""A chat as one HTML file that needs nothing else and runs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from html import escape
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments.formatters import HtmlFormatter

from qwen3_chat.chat import Role
from qwen3_chat.documents.export_options import ThinkingStyle
from qwen3_chat.documents.message_facts import (
    call_heading,
    changed_arguments,
    chat_title,
    facts_line,
    local_date,
    thinking_line,
)
from qwen3_chat.highlighting.highlighter import Highlighter
from qwen3_chat.store.records import Chat, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import role_name, stop_note
from qwen3_chat.texts.terminal_safe import terminal_safe
from qwen3_chat.transcript.fence_rule import use_fence_rule
from qwen3_chat.transcript.formula_rules import add_formula_rules
from qwen3_chat.transcript.markdown_parser import keep_footnotes
from qwen3_chat.transcript.table_rule import use_table_rule

# Nothing in the file may run or be fetched, whatever a model wrote.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_LIGHT_CODE: Final = "default"
_DARK_CODE: Final = "github-dark"


def render_html(
    chat: Chat, messages: Sequence[StoredMessage], thinking: ThinkingStyle, zone: tzinfo | None
) -> str:
    """Return the chat as an HTML page, which follows the reader's choice of light or dark.

    It runs an event loop of its own to have code coloured, so it can't be called from one.
    """
    colours = _CodeColours()
    page = _page(chat, messages, thinking, zone, colours)
    if colours.missing:
        asyncio.run(colours.fetch())
        page = _page(chat, messages, thinking, zone, colours)
    return page


def _page(
    chat: Chat,
    messages: Sequence[StoredMessage],
    thinking: ThinkingStyle,
    zone: tzinfo | None,
    colours: _CodeColours,
) -> str:
    title = escape(chat_title(chat))
    parts = [f"<h1>{title}</h1>\n<p class=facts>{local_date(chat.created_at, zone)}</p>"]
    if chat.system:
        parts.append(_article(Role.SYSTEM, [_content(Role.SYSTEM, chat.system, colours)]))
    parts += [_article(stored.message.role, _message(stored, thinking, colours)) for stored in messages]
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="{t("export.language_tag")}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{stylesheet()}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _article(role: Role, parts: Iterable[str]) -> str:
    heading = f"<h2 class=speaker>{escape(role_name(role))}</h2>"
    return "\n".join([f"<article class={role.value}>", heading, *parts, "</article>"])


def _message(stored: StoredMessage, thinking: ThinkingStyle, colours: _CodeColours) -> Iterator[str]:
    message = stored.message
    if message.reasoning.strip() and thinking is not ThinkingStyle.NONE:
        block = f"<div class=thinking>{_text(message.reasoning)}</div>"
        yield _fold(thinking_line(stored), block, is_open=thinking is ThinkingStyle.FULL)
    if message.role is Role.TOOL:
        yield _fold(facts_line(stored) or role_name(Role.TOOL), _result(stored))
        return
    if message.content.strip():
        yield _content(message.role, message.content, colours)
    for call in message.tool_calls:
        yield _fold(call_heading(call), f"<pre>{_text(call.arguments)}</pre>")
    if note := stop_note(stored.message, stored.stop_reason):
        yield f"<p class=note>{escape(note)}</p>"
    if details := facts_line(stored):
        yield f"<p class=facts>{escape(details)}</p>"


def _result(stored: StoredMessage) -> str:
    result = f"<pre>{_text(stored.message.content)}</pre>"
    if arguments := changed_arguments(stored):
        return f"<p>{escape(t('export.changed_arguments'))}</p>\n<pre>{_text(arguments)}</pre>\n{result}"
    return result


def _fold(summary: str, block: str, *, is_open: bool = False) -> str:
    """Return a block that opens by a click on its summary."""
    opened = " open" if is_open else ""
    return f"<details{opened}><summary>{escape(summary)}</summary>\n{block}</details>"


def _content(role: Role, content: str, colours: _CodeColours) -> str:
    # What a person typed keeps its line breaks, as on screen.
    return _markdown(terminal_safe(content), colours, keep_line_breaks=role is not Role.ASSISTANT)


def _text(text: str) -> str:
    return escape(terminal_safe(text).strip("\n"))


def _markdown(markdown: str, colours: _CodeColours, *, keep_line_breaks: bool) -> str:
    """Return Markdown as HTML; raw HTML in it is shown as text."""
    parser = MarkdownIt(
        "commonmark", {"html": False, "breaks": keep_line_breaks, "highlight": colours.html}
    ).enable(["strikethrough"])
    use_table_rule(parser)
    use_fence_rule(parser)
    keep_footnotes(parser)
    add_formula_rules(parser)
    for name in ("formula", "open_formula", "formula_block"):
        parser.add_render_rule(name, _formula)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("link_open", _link_open)
    return str(parser.render(markdown)).rstrip("\n")


class _CodeColours:
    """The code blocks of a page in colours; `missing` are those that were needed and are not here yet."""

    def __init__(self) -> None:
        self.missing: set[tuple[str, str]] = set()
        self._html: dict[tuple[str, str], str] = {}

    def html(self, code: str, language: str, attributes: str) -> str:
        """Return code in colours; an empty text, for plain escaped code, where it has none."""
        del attributes
        if language and (language, code) not in self._html:
            self.missing.add((language, code))
        return self._html.get((language, code), "")

    async def fetch(self) -> None:
        """Have the missing blocks coloured, within the limits that colours have on screen."""
        async with Highlighter() as highlighter:
            for language, code in sorted(self.missing):
                self._html[language, code] = await highlighter.render_html(language, code)
        self.missing.clear()


def _formula(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, environment: EnvType
) -> str:
    """Return a formula as MathML, or its source if it is not understood."""
    from qwen3_chat.maths.mathml import formula_mathml  # here, as most chats have no formula

    del renderer, options, environment
    token = tokens[index]
    is_block = token.type == "formula_block"
    mathml = None if token.type == "open_formula" else formula_mathml(token.content, is_display=is_block)
    if is_block:
        body = mathml or f"<code>{escape(token.content)}</code>"
        return f"<p class=formula>{body}</p>\n"
    return mathml or escape(token.content)


def _image(
    renderer: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, environment: EnvType
) -> str:
    """Return an image contained in the text; for any other only a link, as a page must not fetch anything."""
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


_STYLE: Final = """\
:root {
  color-scheme: light dark;
  --text: #1f2328; --quiet: #59636e; --page: #ffffff; --card: #f6f8fa; --line: #d1d9e0; --accent: #6341e0;
}
body {
  margin: 0; background: var(--page); color: var(--text);
  font: 16px/1.6 system-ui, "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
main { max-width: 46rem; margin: 0 auto; padding: 2rem 1rem 4rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0; }
article { margin-top: 2rem; }
article > h2.speaker { font-size: 0.9rem; color: var(--accent); margin: 0 0 0.25rem; }
article.user, article.system { background: var(--card); border-radius: 0.75rem; padding: 0.75rem 1rem; }
article h1, article h2, article h3 { font-size: 1.2rem; margin: 1.2em 0 0.6em; }
article > :last-child { margin-bottom: 0; }
pre, code { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, monospace; font-size: 0.875em; }
pre {
  background: var(--card); border-radius: 0.5rem; padding: 0.75rem 1rem; overflow-x: auto; line-height: 1.45;
}
pre code { font-size: 1em; }
details { border-left: 3px solid var(--line); padding-left: 0.75rem; margin: 0.5rem 0; color: var(--quiet); }
summary { cursor: pointer; }
.thinking { white-space: pre-wrap; }
.facts { color: var(--quiet); font-size: 0.8rem; margin: 0.5rem 0 0; }
.note { font-style: italic; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: 0.25rem 0.75rem; }
blockquote { margin: 0; padding-left: 1rem; border-left: 3px solid var(--line); color: var(--quiet); }
a { color: var(--accent); }
img { max-width: 100%; }
.formula { overflow-x: auto; white-space: pre-wrap; }
math .boxed { border: 1px solid; padding: 0.2em 0.4em; }
math .struck { text-decoration: line-through; }"""
_DARK: Final = """\
:root {
  --text: #e6edf3; --quiet: #9198a1; --page: #0d1117; --card: #161b22; --line: #3d444d; --accent: #ab9df2;
}"""


def stylesheet() -> str:
    """Return the style sheet of the page, for light and dark."""
    light, dark = _code_rules(_LIGHT_CODE), _code_rules(_DARK_CODE)
    return f"{_STYLE}\n{light}\n@media (prefers-color-scheme: dark) {{\n{_DARK}\n{dark}\n}}"


def _code_rules(style: str) -> str:
    rules: list[str] = HtmlFormatter(style=style).get_token_style_defs("pre code")  # type: ignore[no-untyped-call]
    return "\n".join(rules)
