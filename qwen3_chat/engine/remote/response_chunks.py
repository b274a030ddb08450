"""One JSON value of a server's answer as a typed chunk, whichever protocol it is written in.

The known forms are the chunks and whole replies of the OpenAI protocol with the additions of vLLM, SGLang,
llama-server and DashScope, and those of Ollama's own protocol. A field of another type counts as absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from qwen3_chat.engine.remote.untrusted_json import json_count, json_list, json_object

MAX_TOKENS = 2**31
"""The limit for a count of tokens; a larger one counts as not reported."""
MAX_SECONDS = 1e8
"""The limit for a time, three years; a longer one counts as not reported."""


@dataclass(frozen=True, slots=True)
class ToolCallPiece:
    """A part of a tool call; pieces with the same index belong together."""

    index: int
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Tokens and seconds as the server counts them; None if it does not report them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    cached_tokens: int | None = None
    prefill_s: float | None = None
    decode_s: float | None = None


@dataclass(frozen=True, slots=True)
class ResponseChunk:
    """The content of one value of the stream; `progress` is (done, total, reused) tokens of the prompt.

    `fingerprint` is what the server calls itself.
    """

    reply_id: str = ""
    reasoning: str = ""
    content: str = ""
    tool_calls: tuple[ToolCallPiece, ...] = ()
    finish_reason: str = ""
    usage: UsageReport | None = None
    progress: tuple[int, int, int] | None = None
    fingerprint: str = ""
    error: str | None = None


def parse_chunk(value: object) -> ResponseChunk:
    """Parse a chunk, a whole reply or an error."""
    fields = json_object(value)
    if (error := find_error_message(fields)) is not None:
        return ResponseChunk(error=error)
    if isinstance(fields.get("message"), dict) and "choices" not in fields:
        return _ollama_chunk(fields)
    if not isinstance(fields.get("choices"), list):
        return ResponseChunk(usage=_usage(fields), progress=_progress(fields.get("prompt_progress")))
    choice = next((json_object(choice) for choice in json_list(fields["choices"])), {})
    delta = json_object(choice.get("delta")) or json_object(choice.get("message"))
    return ResponseChunk(
        reply_id=_text(fields.get("id")),
        reasoning=_text(delta.get("reasoning_content")) or _text(delta.get("reasoning")),
        content=_text(delta.get("content")),
        tool_calls=tuple(_tool_calls(delta)),
        finish_reason=_text(choice.get("finish_reason")),
        usage=_usage(fields),
        progress=_progress(fields.get("prompt_progress")),
        fingerprint=_text(fields.get("system_fingerprint")),
    )


def find_error_message(value: object) -> str | None:
    """Return the message of an error object in any known form, or None if the value is no error."""
    fields = json_object(value)
    error = fields.get("error")
    if isinstance(error, dict):
        return _text(error.get("message")) or _json_text(error)
    if error:
        return _text(error) or _json_text(error)
    message = fields.get("message", fields.get("detail"))
    is_error = fields.get("object") == "error" or "code" in fields or "detail" in fields
    if is_error and message and "choices" not in fields and not isinstance(message, dict):
        return _text(message) or _json_text(message)
    return None


def _ollama_chunk(fields: dict[str, object]) -> ResponseChunk:
    message = json_object(fields["message"])
    is_done = fields.get("done") is True
    usage = UsageReport(
        prompt_tokens=_tokens(fields.get("prompt_eval_count")),
        completion_tokens=_tokens(fields.get("eval_count")),
        prefill_s=_seconds(fields.get("prompt_eval_duration"), per_second=1e9),
        decode_s=_seconds(fields.get("eval_duration"), per_second=1e9),
    )
    return ResponseChunk(
        reasoning=_text(message.get("thinking")),
        content=_text(message.get("content")),
        tool_calls=tuple(_tool_calls(message)),
        finish_reason=(_text(fields.get("done_reason")) or "stop") if is_done else "",
        usage=usage if is_done else None,
    )


def _tool_calls(message: dict[str, object]) -> Iterator[ToolCallPiece]:
    for position, item in enumerate(json_list(message.get("tool_calls"))):
        call = json_object(item)
        function = json_object(call.get("function"))
        index = json_count(call.get("index", function.get("index")))
        name, value = _text(function.get("name")), function.get("arguments")
        arguments = _json_text(value) if isinstance(value, dict) else _text(value)
        if name or arguments:
            yield ToolCallPiece(position if index is None else index, name, arguments)


def _usage(fields: dict[str, object]) -> UsageReport | None:
    usage, timings = json_object(fields.get("usage")), json_object(fields.get("timings"))
    if not usage and not timings:
        return None
    cached = _tokens(json_object(usage.get("prompt_tokens_details")).get("cached_tokens"))
    return UsageReport(
        prompt_tokens=_tokens(usage.get("prompt_tokens")),
        completion_tokens=_tokens(usage.get("completion_tokens", timings.get("predicted_n"))),
        reasoning_tokens=_tokens(json_object(usage.get("completion_tokens_details")).get("reasoning_tokens")),
        cached_tokens=_tokens(timings.get("cache_n")) if cached is None else cached,
        prefill_s=_seconds(timings.get("prompt_ms"), per_second=1e3),
        decode_s=_seconds(timings.get("predicted_ms"), per_second=1e3),
    )


def _progress(value: object) -> tuple[int, int, int] | None:
    fields = json_object(value)
    done, total = _tokens(fields.get("processed")), _tokens(fields.get("total"))
    if done is None or not total:
        return None
    done = min(done, total)
    return done, total, min(_tokens(fields.get("cache")) or 0, done)


def _text(value: object) -> str:
    """Return the text of a value; content may also be a list of parts."""
    if isinstance(value, list):
        return "".join(text for part in value if isinstance(text := json_object(part).get("text"), str))
    return value if isinstance(value, str) else ""


def _json_text(value: object) -> str:
    """Return a value as JSON; nesting that could be read only just may be too deep to write."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "{…}"


def _tokens(value: object) -> int | None:
    return json_count(value, MAX_TOKENS)


def _seconds(value: object, per_second: float) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not isinstance(value, int | float) or not 0 <= value <= MAX_SECONDS * per_second:
        return None
    return value / per_second
