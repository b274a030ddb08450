"""One JSON value of a server's answer as a typed chunk, whichever protocol it is written in.

Known are the chunks and whole replies of the OpenAI protocol with the additions of vLLM, SGLang, llama-
server and DashScope, and those of Ollama's own protocol. A field that is missing or of another type counts
as absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """A part of a tool call; pieces with the same index belong together."""

    index: int
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Tokens and seconds as the server counts them; None is not told."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    prefill_s: float | None = None
    decode_s: float | None = None


@dataclass(frozen=True, slots=True)
class ResponseChunk:
    """What one value of the stream says; `progress` is (done, total, reused) tokens of the prompt."""

    reply_id: str = ""
    reasoning: str = ""
    content: str = ""
    tool_calls: tuple[ToolCallPiece, ...] = ()
    finish_reason: str = ""
    usage: UsageReport | None = None
    progress: tuple[int, int, int] | None = None
    error: str | None = None


def parse_chunk(value: object) -> ResponseChunk:
    """Read a chunk, a whole reply or an error."""
    fields = _dict(value)
    if (error := find_error_message(fields)) is not None:
        return ResponseChunk(error=error)
    if isinstance(fields.get("message"), dict) and "choices" not in fields:
        return _ollama_chunk(fields)
    if not isinstance(fields.get("choices"), list):
        return ResponseChunk(usage=_usage(fields))
    choice = next((_dict(choice) for choice in _list(fields["choices"])), {})
    said = _dict(choice.get("delta")) or _dict(choice.get("message"))
    return ResponseChunk(
        reply_id=_text(fields.get("id")),
        reasoning=_text(said.get("reasoning_content")) or _text(said.get("reasoning")),
        content=_text(said.get("content")),
        tool_calls=tuple(_tool_calls(said)),
        finish_reason=_text(choice.get("finish_reason")),
        usage=_usage(fields),
        progress=_progress(fields.get("prompt_progress")),
    )


def find_error_message(value: object) -> str | None:
    """Return the message of an error object, in any of the known forms; None where it is no error."""
    fields = _dict(value)
    error = fields.get("error")
    if isinstance(error, dict):
        return _text(error.get("message")) or json.dumps(error, ensure_ascii=False)
    if error:
        return _text(error) or json.dumps(error, ensure_ascii=False)
    message = fields.get("message", fields.get("detail"))
    is_error = fields.get("object") == "error" or "code" in fields or "detail" in fields
    if is_error and message and "choices" not in fields and not isinstance(message, dict):
        return _text(message) or json.dumps(message, ensure_ascii=False)
    return None


def _ollama_chunk(fields: dict[str, object]) -> ResponseChunk:
    said = _dict(fields["message"])
    is_done = fields.get("done") is True
    usage = UsageReport(
        prompt_tokens=_count(fields.get("prompt_eval_count")),
        completion_tokens=_count(fields.get("eval_count")),
        prefill_s=_seconds(fields.get("prompt_eval_duration"), per_second=1e9),
        decode_s=_seconds(fields.get("eval_duration"), per_second=1e9),
    )
    return ResponseChunk(
        reasoning=_text(said.get("thinking")),
        content=_text(said.get("content")),
        tool_calls=tuple(_tool_calls(said)),
        finish_reason=(_text(fields.get("done_reason")) or "stop") if is_done else "",
        usage=usage if is_done else None,
    )


def _tool_calls(message: dict[str, object]) -> Iterator[ToolCallPiece]:
    for position, item in enumerate(_list(message.get("tool_calls"))):
        call = _dict(item)
        function = _dict(call.get("function"))
        index = _count(call.get("index", function.get("index")))
        name, given = _text(function.get("name")), function.get("arguments")
        arguments = json.dumps(given, ensure_ascii=False) if isinstance(given, dict) else _text(given)
        if name or arguments:
            yield ToolCallPiece(position if index is None else index, name, arguments)


def _usage(fields: dict[str, object]) -> UsageReport | None:
    usage, timings = _dict(fields.get("usage")), _dict(fields.get("timings"))
    if not usage and not timings:
        return None
    cached = _count(_dict(usage.get("prompt_tokens_details")).get("cached_tokens"))
    return UsageReport(
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens", timings.get("predicted_n"))),
        reasoning_tokens=_count(_dict(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        cached_tokens=_count(timings.get("cache_n")) if cached is None else cached,
        prefill_s=_seconds(timings.get("prompt_ms"), per_second=1e3),
        decode_s=_seconds(timings.get("predicted_ms"), per_second=1e3),
    )


def _progress(value: object) -> tuple[int, int, int] | None:
    fields = _dict(value)
    done, total = _count(fields.get("processed")), _count(fields.get("total"))
    if done is None or not total:
        return None
    return min(done, total), total, min(_count(fields.get("cache")) or 0, done)


def _dict(value: object) -> dict[str, object]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    """Return a text; content may also come as a list of parts."""
    if isinstance(value, list):
        return "".join(_text(_dict(part).get("text")) for part in value)
    return value if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if is_count and isinstance(value, int) else None


def _seconds(value: object, per_second: float) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 2**63:
        return None
    return value / per_second
