"""A chat as Markdown, each message contained so that it cannot reach beyond its own end."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from datetime import tzinfo
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from qwen3_chat.chat import Role
from qwen3_chat.documents.export_options import ThinkingStyle
from qwen3_chat.documents.markdown_references import demote_headings, resolve_references
from qwen3_chat.documents.message_facts import (
    call_heading,
    changed_arguments,
    chat_title,
    facts_line,
    local_date,
    thinking_line,
)
from qwen3_chat.store.records import Chat, StoredMessage
from qwen3_chat.texts import t
from qwen3_chat.texts.formatting import role_name, stop_note
from qwen3_chat.texts.terminal_safe import terminal_safe

_parser: Final = MarkdownIt("commonmark").enable("table")
_ESCAPED_BRACKET: Final = "&lt;"


def render_markdown(
    chat: Chat, messages: Sequence[StoredMessage], thinking: ThinkingStyle, zone: tzinfo | None
) -> str:
    """Return the chat as Markdown: a heading for each message, its text as written, the facts of it."""
    blocks = [
        f"# {escape_inline(chat_title(chat))}",
        _small(local_date(chat.created_at, zone)),
    ]
    if chat.system:
        blocks += [f"## {role_name(Role.SYSTEM)}", contain_markdown(terminal_safe(chat.system))]
    for stored in messages:
        blocks += _message(stored, thinking)
    return "\n\n".join(blocks) + "\n"


def escape_inline(text: str) -> str:
    """Escape the characters that are Markdown syntax inside a line."""
    return re.sub(r"([\\`*_\[\]<>#&~|!])", r"\\\1", text)


def _message(stored: StoredMessage, thinking: ThinkingStyle) -> Iterator[str]:
    message = stored.message
    yield f"## {role_name(message.role)}"
    if message.reasoning.strip() and thinking is not ThinkingStyle.NONE:
        header = thinking_line(stored)
        block = fence_block(terminal_safe(message.reasoning))
        if thinking is ThinkingStyle.FOLDED:
            yield _fold(header, block)
        else:
            yield f"**{escape_inline(header)}**\n\n{block}"
    content = terminal_safe(message.content).strip("\n")
    if message.role is Role.TOOL:
        yield _fold(facts_line(stored) or role_name(Role.TOOL), "\n\n".join(_result(stored, content)))
        return
    if content.strip():
        yield contain_markdown(content)
    for call in message.tool_calls:
        yield _fold(call_heading(call), fence_block(terminal_safe(call.arguments), "json"))
    if note := stop_note(stored.message, stored.stop_reason):
        yield f"*{note}*"
    if details := facts_line(stored):
        yield _small(details)


def _result(stored: StoredMessage, content: str) -> Iterator[str]:
    if arguments := changed_arguments(stored):
        yield f"{t('export.changed_arguments')}\n\n{fence_block(terminal_safe(arguments), 'json')}"
    yield fence_block(content)


def _fold(summary: str, block: str) -> str:
    """Return a block that opens by a click on its summary."""
    return f"<details>\n<summary>{html.escape(summary)}</summary>\n\n{block}\n\n</details>"


def _small(text: str) -> str:
    return f"<sub>{escape_inline(text)}</sub>"


def fence_block(text: str, language: str = "text") -> str:
    """Enclose a text in a code block whose fence is longer than any run of backticks in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip(chr(10))}\n{fence}"


def contain_markdown(markdown: str) -> str:
    """Return Markdown that is read as if it stood alone, and after which the rest is read so, too.

    A reply that was stopped in its code would take the rest of the transcript into the block, one that shows
    `<!--` or `</details>` would hide it or break out of a fold, one with link definitions would make links in
    other messages, and one with the heading `## You` would look like the beginning of a turn.
    """
    # Text that was inside HTML can hold more of it once that is escaped, and definitions, too. Each round
    # escapes or removes at least one of them.
    while markdown != (contained := _contain_once(markdown)):
        markdown = contained
    return _close_fence(markdown, _parser.parse(markdown))


def _contain_once(markdown: str) -> str:
    markdown = resolve_references(markdown)
    return demote_headings(_escape_html(markdown, _parser.parse(markdown)))


def _escape_html(markdown: str, tokens: list[Token]) -> str:
    lines = markdown.split("\n")
    for token in tokens:
        if token.map is None:
            continue
        start, end = token.map
        block = "\n".join(lines[start:end])
        if token.type == "html_block":
            block = block.replace("<", _ESCAPED_BRACKET)
        elif token.type == "inline" and any(child.type == "html_inline" for child in token.children or ()):
            block = _escape_inline_html(block, token.children or [])
        else:
            continue
        lines[start:end] = block.split("\n")
    return "\n".join(lines)


def _escape_inline_html(block: str, children: list[Token]) -> str:
    """Escape the tags of a paragraph, found in its source by following its tokens in order."""
    done, remaining = "", block
    for child in children:
        if child.type not in ("html_inline", "code_inline"):
            continue
        before, source, after = remaining.partition(child.content)
        if source:
            done += before + (
                source.replace("<", _ESCAPED_BRACKET) if child.type == "html_inline" else source
            )
            remaining = after
        elif child.type == "html_inline":  # it spans lines that begin with the mark of a quote or a list
            remaining = remaining.replace("<", _ESCAPED_BRACKET)
    return done + remaining


def _close_fence(markdown: str, tokens: list[Token]) -> str:
    last = next((token for token in reversed(tokens) if token.level == 0), None)
    if last is None or last.type != "fence" or last.map is None:
        return markdown
    start, end = last.map
    lines = markdown.split("\n")[start:end]
    closing = re.compile(rf" {{0,3}}{re.escape(last.markup[0])}{{{len(last.markup)},}}[ \t]*")
    if len(lines) > 1 and closing.fullmatch(lines[-1]):
        return markdown
    return f"{markdown.rstrip(chr(10))}\n{last.markup}"
