"""Imitations of servers that can't run here: their lists of models, their replies, their refusals.

The shapes follow the documentation that docs/serving names, and for llama-server its own responses. Each
imitation thinks unless its own switch, or the latest tag in the messages, says otherwise.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

from qwen3_chat.servers import ServerKind
from tests.remote.wire_server import DONE, Piece, Reply, Request, chunk, event, json_reply

THINKING = ["\nLet me", " count: s-t-r", "-a-w-b-e-r-r-i-e-s.", "\n"]
ANSWER = ["\n\nThere", " are", " **3**", " r's", ".", " 草莓", " 🍓"]
ANSWERED = "There are **3** r's. 草莓 🍓"
CALL = {"name": "calculator", "arguments": '{"expression": "17 × 23"}'}
RESULT = "\n\nIt is 391."
MODEL = "Qwen/Qwen3-8B"
TOO_LONG = 20_000
NO_LIMIT = TOO_LONG
START_ID = 151644

_OWNERS = {
    ServerKind.VLLM: "vllm",
    ServerKind.SGLANG: "sglang",
    ServerKind.LLAMA_SERVER: "llamacpp",
    ServerKind.LLAMA_CPP_PYTHON: "me",
    ServerKind.OLLAMA: "library",
    ServerKind.LM_STUDIO: "organization_owner",
    ServerKind.TRANSFORMERS: "local",
    ServerKind.DASHSCOPE: "system",
    ServerKind.OPENAI: "someone",
}
_TELLS_USAGE = set(ServerKind) - {ServerKind.OPENAI, ServerKind.LLAMA_CPP_PYTHON}
_TELLS_REUSED = {
    ServerKind.VLLM,
    ServerKind.SGLANG,
    ServerKind.LLAMA_SERVER,
    ServerKind.MLX_LM,
    ServerKind.DASHSCOPE,
}
_PARSES = _TELLS_REUSED | {ServerKind.TRANSFORMERS}
_SENDS_WHOLE_CALLS = {ServerKind.MLX_LM, ServerKind.TRANSFORMERS}
_HEADERS = {
    ServerKind.LLAMA_SERVER: {"Server": "llama.cpp"},
    ServerKind.MLX_LM: {"Server": "BaseHTTP/0.6 Python/3.12.3"},
    ServerKind.TRANSFORMERS: {"Server": "uvicorn"},
}
MLX_FINGERPRINT = "0.32.2-0.32.4-Linux-6.8.0-x86_64-with-glibc2.36-Intel(R) Xeon(R)"
_TRANSFORMERS_FIELDS = {
    *("model", "messages", "stream", "stream_options", "seed", "temperature", "top_p", "presence_penalty"),
    *("max_tokens", "tools", "tool_choice", "response_format", "chat_template_kwargs"),
}
"""The fields that transformers takes, out of those that this app knows; it refuses a request with others."""
_EARLY_END = {ServerKind.MLX_LM: 5, ServerKind.TRANSFORMERS: 5}
"""Tokens after which a reply ends whose request has no limit; the real ones take 512 and 1024."""
_BREAKS_OFF = {ServerKind.LLAMA_CPP_PYTHON, ServerKind.MLX_LM, ServerKind.TRANSFORMERS}
"""Servers that don't refuse what is too long: they fail over it, or run out of memory."""
_REFUSALS = {
    ServerKind.VLLM: {"message": "This model's maximum context length is 40960 tokens.", "code": 400},
    ServerKind.SGLANG: {"message": "The input (50000 tokens) is longer than the model's context length."},
    ServerKind.LLAMA_SERVER: {
        "message": "request (50000 tokens) exceeds the available context size (4096 tokens)",
        "type": "exceed_context_size_error",
        "code": 400,
    },
    ServerKind.OLLAMA: "input length exceeds the context length",
    ServerKind.LM_STUDIO: "Trying to keep the first 50000 tokens when context the overflows.",
    ServerKind.DASHSCOPE: {"message": "Range of input length should be [1, 98304]: too long"},
    ServerKind.OPENAI: {"message": "maximum context length exceeded"},
}


class Imitation:
    """An imitated server with one model; the endless reply waits for the event `waits`."""

    def __init__(self, kind: ServerKind) -> None:
        self.kind = kind
        self.waits = asyncio.Event()

    def __call__(self, request: Request) -> Reply:
        """Return the reply to a request."""
        match request.path:
            case "/v1/models":
                return self._models()
            case "/v1/chat/completions" if self.kind is not ServerKind.OLLAMA:
                return self._chat(request.json)
            case "/api/chat" if self.kind is ServerKind.OLLAMA:
                return self._chat(request.json)
            case _:
                return self._own(request)

    def _models(self) -> Reply:
        card: dict[str, object] = {"id": MODEL, "object": "model", "created": 0}
        if self.kind in _OWNERS:
            card["owned_by"] = _OWNERS[self.kind]
        match self.kind:
            case ServerKind.VLLM | ServerKind.SGLANG:
                card["max_model_len"] = 40960
            case ServerKind.LLAMA_SERVER:
                card |= {"id": "/models/Qwen3-8B-Q4_K_M.gguf"}
                card["meta"] = {"n_ctx_train": 40960, "n_params": 8_190_735_360, "size": 5_000_000_000}
            case ServerKind.OLLAMA:
                card["id"] = "qwen3:8b"
            case ServerKind.TRANSFORMERS:
                card["status"] = {"value": "loaded"}
        return json_reply({"object": "list", "data": [card]}, headers=_HEADERS.get(self.kind, {}))

    def _own(self, request: Request) -> Reply:
        match self.kind, request.path:
            case ServerKind.VLLM, "/version":
                return json_reply({"version": "0.11.2"})
            case ServerKind.VLLM, "/tokenize":
                return json_reply({"tokens": self._ids(request.json), "count": 1, "max_model_len": 40960})
            case ServerKind.SGLANG, "/get_server_info":
                return json_reply({"version": "0.5.4", "context_length": 40960, "reasoning_parser": "qwen3"})
            case ServerKind.LLAMA_SERVER, "/props":
                settings = {"n_ctx": 4096, "params": {}}
                return json_reply({"default_generation_settings": settings, "build_info": "b6790-1"})
            case ServerKind.LLAMA_SERVER, "/apply-template":
                messages = request.json["messages"]
                assert isinstance(messages, list)
                n_starts = len(messages) + bool(request.json.get("add_generation_prompt", True))
                return json_reply({"prompt": "<|im_start|>" * n_starts})
            case ServerKind.LLAMA_SERVER, "/tokenize":
                return json_reply({"tokens": self._ids(request.json)})
            case ServerKind.LLAMA_SERVER, "/v1/chat/completions/control":
                self.waits.set()
                return json_reply({"success": True})
            case ServerKind.OLLAMA, "/api/version":
                return json_reply({"version": "0.12.6"})
            case ServerKind.OLLAMA, "/api/show":
                info = {"general.architecture": "qwen3", "general.parameter_count": 8_190_735_360}
                return json_reply(
                    {
                        "details": {"quantization_level": "Q4_K_M"},
                        "model_info": {**info, "qwen3.context_length": 40960},
                        "capabilities": ["completion", "tools", "thinking"],
                    }
                )
            case ServerKind.LM_STUDIO, "/api/v0/models":
                card = {"id": MODEL, "arch": "qwen3", "quantization": "4bit", "state": "loaded"}
                return json_reply(
                    {"data": [card | {"loaded_context_length": 8192, "max_context_length": 40960}]}
                )
        return json_reply({"error": {"message": "Not Found", "code": 404}}, 404)

    def _ids(self, question: dict[str, object]) -> list[int]:
        """Return token ids: each message begins with the start token and has three more."""
        messages = question.get("messages")
        if isinstance(messages, list):
            return [START_ID, 1, 2, 3] * (len(messages) + 1)
        text = question.get("content", question.get("prompt"))
        assert isinstance(text, str)
        n_starts = text.count("<|im_start|>")
        return [START_ID] if n_starts == 1 else [START_ID, 1, 2, 3] * n_starts

    def _chat(self, body: dict[str, object]) -> Reply:
        messages = body["messages"]
        assert isinstance(messages, list)
        newest = str([message for message in messages if message["role"] == "user"][-1]["content"])
        is_cut = self.kind is ServerKind.OLLAMA and body.get("truncate") is not False  # without a word
        if self.kind is ServerKind.TRANSFORMERS and (unknown := body.keys() - _TRANSFORMERS_FIELDS):
            return json_reply({"detail": f"Unexpected fields in the request: {unknown}"}, 422)
        if len(newest) > TOO_LONG and self.kind in _BREAKS_OFF:
            return Reply([])  # it breaks off before its first chunk
        if len(newest) > TOO_LONG and not is_cut:
            refusal = {"error": _REFUSALS[self.kind]}
            return json_reply(refusal, 400)
        values = list(self._reply(body, newest))
        is_ollama = self.kind is ServerKind.OLLAMA
        texts = [json.dumps(value, ensure_ascii=False) for value in values]
        pieces: list[Piece] = [f"{text}\n".encode() if is_ollama else event(text.encode()) for text in texts]
        if self.kind is ServerKind.MLX_LM:
            pieces = [b": keepalive 20/30\n\n", b": keepalive 30/30\n\n", *pieces]
        if "on and on" in newest and self._limit(body) >= NO_LIMIT:
            self.waits = asyncio.Event()
            return Reply([*self._endless(pieces, thinks=self._thinks(body))])
        return Reply(pieces if is_ollama or self.kind is ServerKind.TRANSFORMERS else [*pieces, DONE])

    def _endless(self, pieces: list[Piece], *, thinks: bool) -> list[Piece]:
        """Return a reply that lasts until the client leaves, or makes it answer if the server can."""
        match self.kind:
            case ServerKind.LLAMA_SERVER:
                n_opening = 2  # the role, and how far the prompt is read
                n_thinking = len(THINKING) if thinks else 0
                return [*pieces[: n_opening + 2], self.waits, *pieces[n_opening + n_thinking :]]
            case ServerKind.LLAMA_CPP_PYTHON:  # the thinking ends, the answer doesn't
                return [*pieces[:-1], self.waits]
            case ServerKind.OLLAMA:
                return [*pieces[:3], self.waits]
            case _:
                return [*pieces[:4], self.waits]

    def _thinks(self, body: dict[str, object]) -> bool:
        template = body.get("chat_template_kwargs")
        if isinstance(template, dict):
            return bool(template["enable_thinking"])
        for switch in ("think", "enable_thinking"):
            if switch in body:
                return bool(body[switch])
        return _latest_tag(body) != "/no_think"

    def _reply(self, body: dict[str, object], newest: str) -> Iterator[dict[str, object]]:
        thinks = self._thinks(body)
        budgets = ("reasoning_budget_tokens", "thinking_budget", "thinking_token_budget")
        budget = next((body[field] for field in budgets if field in body), None)
        thinking = (THINKING if not isinstance(budget, int) else THINKING[:budget]) if thinks else []
        calls = "17 * 23" in newest and "tools" in body and not _ends_with_result(body)
        answer = [] if calls else [RESULT] if _ends_with_result(body) else ANSWER
        parts = [*((True, text) for text in thinking), *((False, text) for text in answer)]
        parts = _rest(parts, body) if "continue_final_message" in body else parts
        limit = self._limit(body)
        is_cut = limit < len(parts)
        parts = parts[:limit]
        n_thinking = sum(is_thinking for is_thinking, _ in parts)
        finish = "length" if is_cut else "tool_calls" if calls and self.kind in _PARSES else "stop"
        if self.kind is ServerKind.OLLAMA:
            yield from self._ollama_reply(parts, calls, finish)
            return
        if self.kind is ServerKind.MLX_LM:
            marked = {"system_fingerprint": MLX_FINGERPRINT}
            yield from (
                value | marked for value in self._openai_reply(parts, n_thinking, calls, finish, body)
            )
            return
        yield chunk(role="assistant", content="" if self.kind is not ServerKind.DASHSCOPE else None)
        if self.kind is ServerKind.LLAMA_SERVER:
            progress = {"total": 30, "cache": 10, "processed": 30, "time_ms": 5}
            yield chunk(role="assistant", content=None) | {"prompt_progress": progress}
        yield from self._openai_reply(parts, n_thinking, calls, finish, body)

    def _openai_reply(
        self,
        parts: list[tuple[bool, str]],
        n_thinking: int,
        calls: bool,
        finish: str,
        body: dict[str, object],
    ) -> Iterator[dict[str, object]]:
        thinks = self._thinks(body)
        if self.kind in _PARSES:
            is_short = self.kind in (ServerKind.VLLM, ServerKind.MLX_LM)
            field = "reasoning" if is_short else "reasoning_content"
            yield from (chunk(**{field if is_thinking else "content": text}) for is_thinking, text in parts)
        else:
            opens = ["<thi", "nk>"] if thinks else ["<think>\n\n</think>"]
            closes = ["</think>"] if thinks and n_thinking < len(parts) + calls else []
            said = [text for _, text in parts]
            yield from (
                chunk(content=text) for text in [*opens, *said[:n_thinking], *closes, *said[n_thinking:]]
            )
        if calls:
            yield from self._calls()
        usage = self._usage(len(parts), n_thinking, body)
        if self.kind is ServerKind.TRANSFORMERS:
            yield chunk(finish=finish) | usage
            return
        yield chunk(finish=finish)
        if self.kind in _TELLS_USAGE:
            yield {"id": "chatcmpl-1", "choices": [], **usage}

    def _calls(self) -> Iterator[dict[str, object]]:
        if self.kind not in _PARSES:
            source = (
                f'\n<tool_call>\n{{"name": "calculator", "arguments": {CALL["arguments"]}}}\n</tool_call>'
            )
            yield from (chunk(content=source[at : at + 9]) for at in range(0, len(source), 9))
            return
        if self.kind in _SENDS_WHOLE_CALLS:
            yield chunk(tool_calls=[{"index": 0, "id": "c", "type": "function", "function": CALL}])
            return
        function = {"name": CALL["name"], "arguments": ""}
        yield chunk(tool_calls=[{"index": 0, "id": "c", "type": "function", "function": function}])
        for part in (CALL["arguments"][:7], CALL["arguments"][7:]):
            yield chunk(tool_calls=[{"index": 0, "function": {"arguments": part}}])

    def _usage(self, n_parts: int, n_thinking: int, body: dict[str, object]) -> dict[str, object]:
        usage: dict[str, object] = {"prompt_tokens": self._n_prompt(body), "completion_tokens": n_parts}
        if self.kind in _TELLS_REUSED:
            usage["prompt_tokens_details"] = {"cached_tokens": 3}
        if self.kind is ServerKind.DASHSCOPE:
            usage["completion_tokens_details"] = {"reasoning_tokens": n_thinking}
        timings = {"cache_n": 3, "prompt_n": 20, "prompt_ms": 8.0, "predicted_n": 7, "predicted_ms": 70.0}
        return {"usage": usage, **({"timings": timings} if self.kind is ServerKind.LLAMA_SERVER else {})}

    def _limit(self, body: dict[str, object]) -> int:
        options = body.get("options")
        limit = options.get("num_predict") if isinstance(options, dict) else body.get("max_tokens")
        return limit if isinstance(limit, int) else _EARLY_END.get(self.kind, NO_LIMIT)

    def _n_prompt(self, body: dict[str, object]) -> int:
        messages = body["messages"]
        assert isinstance(messages, list)
        return 4 * (len(messages) + 1)

    def _ollama_reply(
        self, parts: list[tuple[bool, str]], calls: bool, finish: str
    ) -> Iterator[dict[str, object]]:
        for is_thinking, text in parts:
            said = {"content": "", "thinking": text} if is_thinking else {"content": text}
            yield {"message": {"role": "assistant", **said}, "done": False}
        if calls:
            call = {
                "function": {"index": 0, "name": CALL["name"], "arguments": json.loads(CALL["arguments"])}
            }
            yield {"message": {"role": "assistant", "content": "", "tool_calls": [call]}, "done": False}
        yield {
            "message": {"role": "assistant", "content": ""},
            "done": True,
            "done_reason": finish,
            "prompt_eval_count": 8,
            "eval_count": len(parts),
            "prompt_eval_duration": 8_000_000,
            "eval_duration": 70_000_000,
        }


def _latest_tag(body: dict[str, object]) -> str:
    messages = body["messages"]
    assert isinstance(messages, list)
    said = " ".join(str(message["content"]) for message in messages if message["role"] != "assistant")
    return next((word for word in reversed(said.split()) if word in ("/think", "/no_think")), "")


def _ends_with_result(body: dict[str, object]) -> bool:
    messages = body["messages"]
    assert isinstance(messages, list)
    return bool(messages[-1]["role"] == "tool")


def _rest(parts: list[tuple[bool, str]], body: dict[str, object]) -> list[tuple[bool, str]]:
    """Return the parts without those that the last message of a continuation contains already."""
    messages = body["messages"]
    assert isinstance(messages, list)
    begun = messages[-1]
    for part, field in ((True, "reasoning_content"), (False, "content")):
        had = begun[field].strip()
        while had and parts and parts[0][0] is part:
            had = had.removeprefix(parts.pop(0)[1].strip()).strip()
    return parts
