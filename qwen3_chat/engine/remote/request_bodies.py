"""The JSON bodies of requests to a server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.remote.remote_model import RemoteModel
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES, ThinkingSwitch
from qwen3_chat.errors import EngineError
from qwen3_chat.request import ChatRequest, ToolSpec
from qwen3_chat.servers import ServerKind

BUDGET_MESSAGE = (
    "\n\nConsidering the limited time by the user, I have to give the solution based on the thinking "
    "directly now.\n"
)
"""How Qwen has the thinking end early."""

RequestBody = dict[str, Any]


def chat_body(request: ChatRequest, served: RemoteModel) -> RequestBody:
    """Write the request for a streamed reply.

    Raises:
        EngineError: a tool's schema is no JSON object, or a text holds half a character.
    """
    body = (
        _ollama_body(request, served) if served.kind is ServerKind.OLLAMA else _openai_body(request, served)
    )
    _require_unicode(body)
    return body


def template_body(request: ChatRequest, served: RemoteModel) -> RequestBody:
    """Write what decides on the prompt alone, for servers of the OpenAI protocol that count tokens.

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
    """Write the conversation; thinking goes along only in the tool calls of the newest turn.

    Qwen3's template drops all other thinking itself, so there is no use in sending it.
    """
    newest = max((i for i, message in enumerate(messages) if message.role is Role.USER), default=-1)
    written = []
    waiting: list[tuple[str, str]] = []  # ids and names of the calls whose results are yet to come
    for index, message in enumerate(messages):
        wire: RequestBody = {"role": message.role.value, "content": message.sent_content}
        if message.role is Role.TOOL:
            call_id, name = waiting.pop(0) if waiting else (f"call_{index}", "")
            wire |= {"tool_name": name} if kind is ServerKind.OLLAMA else {"tool_call_id": call_id}
        elif message.tool_calls:
            wire["tool_calls"] = list(_encode_tool_calls(message, index, kind))
            waiting = [(f"call_{index}_{n}", call.name) for n, call in enumerate(message.tool_calls)]
        if message.reasoning and index > newest and SERVER_FEATURES[kind].accepts_reasoning:
            field = "thinking" if kind is ServerKind.OLLAMA else "reasoning_content"
            wire[field] = message.reasoning
        written.append(wire)
    return written


def _encode_tool_calls(message: ChatMessage, index: int, kind: ServerKind) -> Iterator[RequestBody]:
    for n, call in enumerate(message.tool_calls):
        if kind is ServerKind.OLLAMA:
            yield {"function": {"name": call.name, "arguments": _parse_object(call.arguments)}}
        else:
            function = {"name": call.name, "arguments": call.arguments}
            yield {"id": f"call_{index}_{n}", "type": "function", "function": function}


def _openai_body(request: ChatRequest, served: RemoteModel) -> RequestBody:
    traits = SERVER_FEATURES[served.kind]
    sampling = request.sampling
    body: RequestBody = {
        "model": served.model_id,
        "messages": encode_messages(request.messages, served.kind),
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "presence_penalty": sampling.presence_penalty,
        "seed": request.seed % 2**31,
    }
    if "top_k" in traits.sampling_fields and sampling.top_k:
        body["top_k"] = sampling.top_k
    if "min_p" in traits.sampling_fields:
        body["min_p"] = sampling.min_p
    if request.max_tokens is not None:
        body["max_tokens"] = request.max_tokens
    if request.tools:
        body["tools"] = [_parse_schema(tool) for tool in request.tools]
    if served.switches_thinking:
        match traits.switch:
            case ThinkingSwitch.TEMPLATE:
                body["chat_template_kwargs"] = {"enable_thinking": _thinks(request)}
            case ThinkingSwitch.ENABLE_THINKING:
                body["enable_thinking"] = _thinks(request)
            case ThinkingSwitch.THINK | ThinkingSwitch.TAG:
                pass
    if traits.budget_field and request.thinking_budget is not None and _thinks(request):
        body[traits.budget_field] = request.thinking_budget
    body |= _continuation(request, served)
    if served.kind is ServerKind.LLAMA_SERVER:
        body |= {
            "return_progress": True,
            "reasoning_control": True,
            "reasoning_budget_message": BUDGET_MESSAGE,
        }
    return body


def _continuation(request: ChatRequest, served: RemoteModel) -> RequestBody:
    """Write how a reply that was stopped goes on: as the last message, in the part where it stopped."""
    prefix = request.prefix
    if (
        prefix is None
        or not SERVER_FEATURES[served.kind].continues_replies
        or not (prefix.content or prefix.reasoning)
    ):
        return {}
    begun = {"role": "assistant", "content": prefix.content, "reasoning_content": prefix.reasoning}
    return {
        "messages": [*encode_messages(request.messages, served.kind), begun],
        "add_generation_prompt": False,
        "continue_final_message": "content" if prefix.content else "reasoning_content",
    }


def _ollama_body(request: ChatRequest, served: RemoteModel) -> RequestBody:
    sampling = request.sampling
    options: RequestBody = {
        "num_ctx": served.n_ctx,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "seed": request.seed % 2**31,
    }
    if request.max_tokens is not None:
        options["num_predict"] = request.max_tokens
    body: RequestBody = {
        "model": served.model_id,
        "messages": encode_messages(request.messages, served.kind),
        "stream": True,
        "truncate": False,  # a chat that is too long is refused, not cut without a word
        "shift": False,  # and so is a reply that fills the context
        "options": options,
    }
    if request.tools:
        body["tools"] = [_parse_schema(tool) for tool in request.tools]
    if served.switches_thinking:
        body["think"] = _thinks(request)
    return body


def _thinks(request: ChatRequest) -> bool:
    return request.mode is ThinkingMode.THINK or not request.hard_switch


def _parse_schema(tool: ToolSpec) -> RequestBody:
    try:
        schema = json.loads(tool.schema)
    except (ValueError, RecursionError) as error:
        raise EngineError("prompt.tool_schema_broken", reason=error) from error
    if not isinstance(schema, dict):
        raise EngineError("prompt.tool_schema_broken", reason=type(schema).__name__)
    return schema


def _parse_object(text: str) -> RequestBody:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _require_unicode(body: RequestBody) -> None:
    try:
        json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise EngineError("engine.text_not_unicode") from error
