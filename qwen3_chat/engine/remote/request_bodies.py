"""The JSON bodies of requests to a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from qwen3_chat.chat import EARLY_STOPPING_TEXT, ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.remote.remote_model import RemoteModel
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES, ThinkingSwitch
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.request import ChatRequest, ToolSpec
from qwen3_chat.sampling import sampling_body
from qwen3_chat.servers import ServerKind

RequestBody = dict[str, Any]
"""A JSON object of a request."""


def chat_body(request: ChatRequest, served: RemoteModel) -> RequestBody:
    """Return the body of a request for a streamed reply.

    Raises:
        EngineError: a tool's schema is no JSON object, or a text contains half a character.
    """
    body = (
        _ollama_body(request, served) if served.kind is ServerKind.OLLAMA else _openai_body(request, served)
    )
    _require_unicode(body)
    return body


def template_body(request: ChatRequest, served: RemoteModel) -> RequestBody:
    """Return the parts that determine the prompt, for servers of the OpenAI protocol that count tokens.

    Raises:
        EngineError: as `chat_body` does.
    """
    body: RequestBody = {"messages": encode_messages(request.messages, served.kind)} | _continuation(
        request, served
    )
    if request.tools:
        body["tools"] = [_parse_schema(tool) for tool in request.tools]
    if SERVER_FEATURES[served.kind].switch is ThinkingSwitch.TEMPLATE:
        body["chat_template_kwargs"] = {"enable_thinking": _thinks(request)}
    _require_unicode(body)
    return body


def encode_messages(messages: Sequence[ChatMessage], kind: ServerKind) -> list[RequestBody]:
    """Encode the conversation; thinking is sent only with the tool calls of the newest turn.

    Qwen3's template drops all other thinking itself, so sending it would be useless.
    """
    newest = max((i for i, message in enumerate(messages) if message.role is Role.USER), default=-1)
    encoded = []
    pending: list[tuple[str, str]] = []  # ids and names of the calls whose results follow
    for index, message in enumerate(messages):
        wire: RequestBody = {"role": message.role.value, "content": message.sent_content}
        if message.role is Role.TOOL:
            call_id, name = pending.pop(0) if pending else (f"call_{index}", "")
            wire |= {"tool_name": name} if kind is ServerKind.OLLAMA else {"tool_call_id": call_id}
        elif message.tool_calls:
            wire["tool_calls"] = list(_encode_tool_calls(message, index, kind))
            pending = [(f"call_{index}_{n}", call.name) for n, call in enumerate(message.tool_calls)]
        if message.reasoning and index > newest and SERVER_FEATURES[kind].accepts_reasoning:
            field = "thinking" if kind is ServerKind.OLLAMA else "reasoning_content"
            wire[field] = message.reasoning
            if kind is ServerKind.VLLM:  # 0.32 counts only this one, though it answers with both
                wire["reasoning"] = message.reasoning
        encoded.append(wire)
    return encoded


def _encode_tool_calls(message: ChatMessage, index: int, kind: ServerKind) -> Iterator[RequestBody]:
    for n, call in enumerate(message.tool_calls):
        if kind is ServerKind.OLLAMA:
            yield {"function": {"name": call.name, "arguments": _parse_object(call.arguments)}}
        else:
            function = {"name": call.name, "arguments": _object_text(call.arguments)}
            yield {"id": f"call_{index}_{n}", "type": "function", "function": function}


def _openai_body(request: ChatRequest, served: RemoteModel) -> RequestBody:
    features = SERVER_FEATURES[served.kind]
    body: RequestBody = {
        "model": served.model_id,
        "messages": encode_messages(request.messages, served.kind),
        "stream": True,
        "stream_options": {"include_usage": True},
        "seed": request.seed % 2**31,
        **sampling_body(request.sampling, features.sampling_fields),
    }
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.tools:
        body["tools"] = [_parse_schema(tool) for tool in request.tools]
        if request.must_call and features.requires_calls:
            body["tool_choice"] = "required"
    if served.switches_thinking:
        match features.switch:
            case ThinkingSwitch.TEMPLATE:
                body["chat_template_kwargs"] = {"enable_thinking": _thinks(request)}
            case ThinkingSwitch.ENABLE_THINKING:
                body["enable_thinking"] = _thinks(request)
            case ThinkingSwitch.THINK | ThinkingSwitch.TAG:
                pass
    if served.budget_field and request.thinking_budget is not None and _thinks(request):
        body[served.budget_field] = request.thinking_budget
    if request.answer_schema:
        body["response_format"] = _response_format(_grammar_schema(request), served.kind)
    body |= _continuation(request, served)
    if served.kind is ServerKind.LLAMA_SERVER:
        body |= {
            "return_progress": True,
            "reasoning_control": True,
            "reasoning_budget_message": EARLY_STOPPING_TEXT,
        }
    return body


def _grammar_schema(request: ChatRequest) -> object:
    """Return the schema of the answer without the booleans that llama.cpp takes for mistakes."""
    return _without_booleans(json.loads(request.answer_schema))


def _without_booleans(schema: object) -> object:
    """Return a schema in which `true` is `{}`, and no item may follow those of a tuple by their number."""
    match schema:
        case bool():
            return {} if schema else {"not": {}}
        case dict():
            is_tuple = schema.get("items") is False and bool(schema.get("prefixItems"))
            return {
                key: _without_booleans_below(key, value)
                for key, value in schema.items()
                if not (is_tuple and key == "items")
            }
        case _:
            return schema


def _without_booleans_below(key: str, value: object) -> object:
    match value:
        case dict() if key in ("properties", "$defs", "definitions"):
            return {name: _without_booleans(part) for name, part in value.items() if part is not False}
        case list() if key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            return [_without_booleans(part) for part in value if part is not False]
        case bool() | dict() if key == "items":
            return _without_booleans(value)
        case dict() if key == "additionalProperties":
            return _without_booleans(value)
        case _:
            return value


def _response_format(schema: object, kind: ServerKind) -> RequestBody:
    """Return the field that has the answer be JSON of a schema, in the dialect of a server."""
    if kind is ServerKind.LLAMA_CPP_PYTHON:
        return {"type": "json_object", "schema": schema}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, "strict": True}}


def _continuation(request: ChatRequest, served: RemoteModel) -> RequestBody:
    """Return the fields that continue a stopped reply, sent as the last message, where it stopped."""
    prefix = request.prefix
    if (
        prefix is None
        or not SERVER_FEATURES[served.kind].continues_replies
        or not (prefix.content or prefix.reasoning)
    ):
        return {}
    partial_reply = {"role": "assistant", "content": prefix.content, "reasoning_content": prefix.reasoning}
    return {
        "messages": [*encode_messages(request.messages, served.kind), partial_reply],
        "add_generation_prompt": False,
        "continue_final_message": "content" if prefix.content else "reasoning_content",
    }


def _ollama_body(request: ChatRequest, served: RemoteModel) -> RequestBody:
    options: RequestBody = {
        "num_ctx": served.n_ctx,
        "seed": request.seed % 2**31,
        **sampling_body(request.sampling),
    }
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    body: RequestBody = {
        "model": served.model_id,
        "messages": encode_messages(request.messages, served.kind),
        "stream": True,
        "truncate": False,  # refuse a chat that is too long, instead of cutting it silently
        "shift": False,  # also refuse a reply that fills the context
        "options": options,
    }
    if request.tools:
        body["tools"] = [_parse_schema(tool) for tool in request.tools]
    if request.answer_schema:
        body["format"] = _grammar_schema(request)
    if served.switches_thinking:
        body["think"] = _thinks(request)
    return body


def _thinks(request: ChatRequest) -> bool:
    return request.mode is ThinkingMode.THINK or not request.hard_switch


def _parse_schema(tool: ToolSpec) -> RequestBody:
    try:
        schema = json.loads(tool.schema)
    except (ValueError, RecursionError) as error:
        raise EngineError(ErrorCode.TOOL_SCHEMA_INVALID, reason=error) from error
    if not isinstance(schema, dict):
        raise EngineError(ErrorCode.TOOL_SCHEMA_INVALID, reason=type(schema).__name__)
    return schema


def _parse_object(text: str) -> RequestBody:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _object_text(text: str) -> str:
    """Return arguments as they were written; `{}` for a call that could not be read.

    mlx-lm and transformers parse them and refuse the whole chat over text that is no JSON.
    """
    return text if _parse_object(text) else "{}"


def _require_unicode(body: RequestBody) -> None:
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise EngineError(ErrorCode.TEXT_NOT_UNICODE) from error
