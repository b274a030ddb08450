"""Prompts and resources of a server: listed within limits, their texts as the user reads them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeVar

from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import (
    GetPromptResult,
    ListPromptsResult,
    ListResourcesResult,
    Prompt,
    ReadResourceResult,
    Resource,
    TextResourceContents,
)
from pydantic import ValidationError

from qwen3_chat.mcp.forms import MAX_ABOUT_CHARS, MAX_FIELDS, MAX_LABEL_CHARS
from qwen3_chat.mcp.server_messages import PromptArgument, ServerPrompt, ServerResource
from qwen3_chat.mcp.server_process.result_text import MAX_TEXT_CHARS, block_texts
from qwen3_chat.texts.terminal_safe import label_of_name

MAX_PROMPTS: Final = 200
MAX_RESOURCES: Final = 1_000
MAX_TEXT_NAME_CHARS: Final = 200
MAX_URI_CHARS: Final = 2_000
MAX_PAGES: Final = 100

PageT = TypeVar("PageT", ListPromptsResult, ListResourcesResult)


async def list_prompts(client: Client, server: str) -> tuple[ServerPrompt, ...]:
    """Return the prompts of a server; none where it can't list them."""
    if client.server_capabilities.prompts is None:
        return ()
    pages = await _pages(lambda cursor: client.list_prompts(cursor=cursor), lambda page: len(page.prompts))
    prompts = [prompt for page in pages for prompt in page.prompts]
    return tuple(_prompt(server, p) for p in prompts if 0 < len(p.name) <= MAX_TEXT_NAME_CHARS)[:MAX_PROMPTS]


async def list_resources(client: Client, server: str) -> tuple[ServerResource, ...]:
    """Return the resources of a server; none where it can't list them."""
    if client.server_capabilities.resources is None:
        return ()
    pages = await _pages(lambda c: client.list_resources(cursor=c), lambda page: len(page.resources))
    resources = [resource for page in pages for resource in page.resources]
    shown = (_resource(server, r) for r in resources if 0 < len(r.uri) <= MAX_URI_CHARS)
    return tuple(shown)[:MAX_RESOURCES]


def prompt_text(result: GetPromptResult) -> str:
    """Return the messages of a prompt as one text."""
    texts = block_texts([message.content for message in result.messages])
    return "\n\n".join(texts)[:MAX_TEXT_CHARS]


def resource_text(result: ReadResourceResult) -> str | None:
    """Return the text of a resource; None for one without any text."""
    texts = [part.text for part in result.contents if isinstance(part, TextResourceContents)]
    return "\n".join(texts)[:MAX_TEXT_CHARS] if texts else None


async def _pages(
    fetch: Callable[[str | None], Awaitable[PageT]], count: Callable[[PageT], int]
) -> Sequence[PageT]:
    pages, cursor, total = list[PageT](), None, 0
    with suppress(MCPError, ValidationError):
        while len(pages) < MAX_PAGES and total < MAX_RESOURCES:
            page = await fetch(cursor)
            pages.append(page)
            total += count(page)
            cursor = page.next_cursor
            if not cursor:
                break
    return pages


def _prompt(server: str, prompt: Prompt) -> ServerPrompt:
    arguments = tuple(
        PromptArgument(
            argument.name,
            _shown(argument.title or argument.name, MAX_LABEL_CHARS),
            _shown(argument.description, MAX_ABOUT_CHARS),
            bool(argument.required),
        )
        for argument in (prompt.arguments or [])[:MAX_FIELDS]
        if len(argument.name) <= MAX_TEXT_NAME_CHARS
    )
    about = _shown(prompt.description or prompt.title, MAX_ABOUT_CHARS)
    return ServerPrompt(server, prompt.name, about, arguments)


def _resource(server: str, resource: Resource) -> ServerResource:
    name = _shown(resource.title or resource.name, MAX_LABEL_CHARS)
    return ServerResource(server, resource.uri, name, _shown(resource.description, MAX_ABOUT_CHARS))


def _shown(text: str | None, max_chars: int) -> str:
    return label_of_name(" ".join((text or "").split()))[:max_chars]
