"""The result of a tool as text for the model, with the images for the user beside it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

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

from qwen3_chat.mcp.server_messages import MAX_IMAGES

MAX_TEXT_CHARS: Final = 8 << 20
"""The longest result that is passed on, in characters."""


def result_as_text(result: CallToolResult) -> str:
    """Return the blocks of a result, one after the other, and the structured content as JSON.

    What is no text is named with its type and size. Structured content that a block has already is not
    repeated.
    """
    texts = list(block_texts(result.content))
    if result.structured_content is not None and not _has_value(texts, result.structured_content):
        texts.append(json.dumps(result.structured_content, ensure_ascii=False))
    return "\n".join(texts)[:MAX_TEXT_CHARS]


def result_images(blocks: Sequence[ContentBlock]) -> tuple[bytes, ...]:
    """Return the images of a result as bytes, whatever type the server gives them."""
    found = list[bytes]()
    for block in blocks:
        match block:
            case ImageContent(data=data):
                encoded = data
            case EmbeddedResource(resource=BlobResourceContents(blob=blob, mime_type=str() as mime_type)) if (
                mime_type.startswith("image/")
            ):
                encoded = blob
            case _:
                continue
        if len(found) == MAX_IMAGES:
            break
        try:
            found.append(base64.b64decode(encoded))
        except (binascii.Error, ValueError):
            found.append(b"")  # no image by its bytes, which the user is told
    return tuple(found)


def block_texts(blocks: Sequence[ContentBlock]) -> Iterator[str]:
    """Return each block as text: a text as it is, anything else by its type and size."""
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


def _has_value(texts: Sequence[str], value: Any) -> bool:
    """Return whether the texts say this value already, as servers send it for older clients.

    A value that is no object comes wrapped in one with the single key `result`.
    """
    match value:
        case {"result": wrapped} if len(value) == 1:
            wanted = [value, wrapped]
        case _:
            wanted = [value]
    said = [_json_value(text) for text in texts]
    return any(part in texts or part in said or part in (said, list(texts)) for part in wanted)


def _json_value(text: str) -> Any:
    """Return the value that a text is as JSON; the text itself where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _size_bytes(base64_text: str) -> int:
    return len(base64_text.rstrip("=")) * 3 // 4
