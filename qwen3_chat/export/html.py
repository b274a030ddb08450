"""A chat as one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo
from html import escape
from typing import Final

from qwen3_chat.chat import Role
from qwen3_chat.export import facts
from qwen3_chat.export.html_content import markdown_as_html
from qwen3_chat.export.html_style import stylesheet
from qwen3_chat.export.kinds import ThinkingStyle
from qwen3_chat.plain import plain
from qwen3_chat.store.records import Chat, StoredMessage
from qwen3_chat.texts import Language, language, t
from qwen3_chat.wording import speaker, stop_note

_LANGUAGE_TAGS: Final = {Language.EN: "en", Language.ZH: "zh-CN"}
# Nothing in the file may run or be fetched, whatever a model wrote.
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def render(
    chat: Chat, messages: Sequence[StoredMessage], thinking: ThinkingStyle, zone: tzinfo | None
) -> str:
    """Return the page, which follows the reader's choice of light or dark."""
    title = escape(facts.title(chat))
    parts = [f"<h1>{title}</h1>\n<p class=facts>{facts.date(chat.created_at, zone)}</p>"]
    if chat.system:
        parts.append(_article(Role.SYSTEM, [_content(Role.SYSTEM, chat.system)]))
    parts += [_article(stored.message.role, _message(stored, thinking)) for stored in messages]
    body = "\n".join(parts)
    return f"""<!DOCTYPE html>
<html lang="{_LANGUAGE_TAGS[language()]}">
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
    heading = f"<h2 class=speaker>{escape(speaker(role))}</h2>"
    return "\n".join([f"<article class={role.value}>", heading, *parts, "</article>"])


def _message(stored: StoredMessage, thinking: ThinkingStyle) -> Iterator[str]:
    message = stored.message
    if message.reasoning.strip() and thinking is not ThinkingStyle.NONE:
        is_open = " open" if thinking is ThinkingStyle.FULL else ""
        summary = f"<summary>{escape(facts.thought(stored))}</summary>"
        yield f"<details{is_open}>{summary}\n<div class=thinking>{_text(message.reasoning)}</div></details>"
    if message.content.strip():
        yield _content(message.role, message.content)
    for call in message.tool_calls:
        yield f"<p>{escape(t('export.call', name=plain(call.name)))}</p>\n<pre>{_text(call.arguments)}</pre>"
    if note := stop_note(stored.stop_reason):
        yield f"<p class=note>{escape(note)}</p>"
    if details := facts.details(stored):
        yield f"<p class=facts>{escape(details)}</p>"


def _content(role: Role, content: str) -> str:
    if role is Role.TOOL:
        return f"<pre>{_text(content)}</pre>"
    # What a person typed keeps its line breaks, as on screen.
    return markdown_as_html(plain(content), keep_line_breaks=role is not Role.ASSISTANT)


def _text(text: str) -> str:
    return escape(plain(text).strip("\n"))
