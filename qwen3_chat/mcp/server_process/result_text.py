"""The result of a tool as text for the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from mcp.types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

MAX_TEXT_CHARS: Final = 8 << 20
"""The longest result that is passed on, in characters."""


def result_as_text(result: CallToolResult) -> str:
    """Return the blocks of a result, one after the other; without any, the structured content as JSON.

    What is no text is named with its type and size.
    """
    text = "\n".join(_block_texts(result.content))
    if not text and result.structured_content is not None:
        text = json.dumps(result.structured_content, ensure_ascii=False)
    return text[:MAX_TEXT_CHARS]


def _block_texts(blocks: list[ContentBlock]) -> Iterator[str]:
    for block in blocks:
        match block:
            case TextContent(text=text):
                yield text
            case ImageContent() | AudioContent():
                yield f"[{block.type}: {block.mime_type}, {_size_bytes(block.data):,} bytes]"
            case EmbeddedResource(resource=TextResourceContents(uri=uri, text=text)):
                yield f"[{uri}]\n{text}"
            case EmbeddedResource(resource=BlobResourceContents() as blob):
                yield f"[{blob.uri}: {blob.mime_type or 'binary'}, {_size_bytes(blob.blob):,} bytes]"
            case ResourceLink():
                yield f"[{block.name}: {block.uri}]"


def _size_bytes(base64: str) -> int:
    return len(base64.rstrip("=")) * 3 // 4
