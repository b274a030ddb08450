"""The token counts of a request: exact where the server tokenises, else an estimate."""

from __future__ import annotations

import json
from collections.abc import Sequence

from qwen3_chat.chat import ChatMessage
from qwen3_chat.engine.remote.http_transport import HttpTransport
from qwen3_chat.engine.remote.remote_model import RemoteModel
from qwen3_chat.engine.remote.request_bodies import RequestBody, template_body
from qwen3_chat.errors import EngineError
from qwen3_chat.request import ChatRequest, TokenCounts
from qwen3_chat.servers import ServerKind

TOKENS_AROUND_MESSAGE = 5
TOKENS_AROUND_TOOLS = 130
ASCII_CHARACTERS_PER_TOKEN = 3.6
OTHER_CHARACTERS_PER_TOKEN = 1.4
"""Low values for Qwen3's vocabulary, because an estimate should rather be too high.

English has about 4.4 characters a token, code 3, Chinese 1.5.
"""


async def count_tokens(request: ChatRequest, served: RemoteModel, transport: HttpTransport) -> TokenCounts:
    """Return the token counts of a request, estimated if the server can't count or fails to.

    Raises:
        EngineError: the request itself can't be encoded.
    """
    if served.message_start_id is not None:
        ids = await _prompt_ids(template_body(request, served), served, transport)
        if ids is not None:
            return _counts_by_message(ids, served.message_start_id, request)
    return estimate_tokens(request)


def estimate_tokens(request: ChatRequest) -> TokenCounts:
    """Estimate the token counts of a request from its characters."""
    counts = _estimates(request.messages)
    tools = sum(_estimate_text_tokens(tool.schema) for tool in request.tools)
    return TokenCounts(counts, sum(counts) + (tools + TOKENS_AROUND_TOOLS if tools else 0), exact=False)


async def _prompt_ids(
    body: RequestBody, served: RemoteModel, transport: HttpTransport
) -> list[object] | None:
    root = transport.endpoint.root
    try:
        if served.kind is ServerKind.LLAMA_SERVER:
            prompt = (await transport.request_json("POST", f"{root}/apply-template", body)).fields.get(
                "prompt"
            )
            if not isinstance(prompt, str):
                return None
            body = {"content": prompt, "parse_special": True}
        else:
            body = {"model": served.model_id, "add_generation_prompt": True, **body}
        ids = (await transport.request_json("POST", f"{root}/tokenize", body)).fields.get("tokens")
    except EngineError:
        return None  # if the server is down, the reply will report it better
    return ids if isinstance(ids, list) else None


def _counts_by_message(ids: Sequence[object], start_id: int, request: ChatRequest) -> TokenCounts:
    """Divide the prompt among the messages, each of which begins with the same token.

    The last part is the beginning of the reply. If the template joins messages, as it does with the results
    of tools, the counts of messages are estimates, but the total is exact.
    """
    starts = [index for index, token in enumerate(ids) if token == start_id]
    counts = [end - start for start, end in zip(starts, [*starts[1:], len(ids)], strict=True)]
    messages = request.messages
    if len(counts) == len(messages) + 1:
        return TokenCounts(tuple(counts[:-1]), len(ids), exact=True)
    estimates = _estimates(messages)
    scale = len(ids) / max(1, sum(estimates))
    return TokenCounts(tuple(round(estimate * scale) for estimate in estimates), len(ids), exact=True)


def _estimates(messages: Sequence[ChatMessage]) -> tuple[int, ...]:
    return tuple(
        TOKENS_AROUND_MESSAGE
        + _estimate_text_tokens(message.sent_content)
        + sum(_estimate_text_tokens(json.dumps([call.name, call.arguments])) for call in message.tool_calls)
        for message in messages
    )


def _estimate_text_tokens(text: str) -> int:
    n_ascii = sum(map(str.isascii, text)) if not text.isascii() else len(text)
    return round(n_ascii / ASCII_CHARACTERS_PER_TOKEN + (len(text) - n_ascii) / OTHER_CHARACTERS_PER_TOKEN)
