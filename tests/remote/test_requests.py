from __future__ import annotations

import json

import pytest

from qwen3_chat.chat import ChatMessage, Role, ThinkingMode, ToolCall
from qwen3_chat.engine.remote.remote_model import RemoteModel
from qwen3_chat.engine.remote.request_bodies import chat_body, encode_messages
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ToolSpec
from qwen3_chat.servers import ServerKind
from tests.remote.remote_engines import chat_request

NO_THINK = ThinkingMode.NO_THINK
SWITCHES = {
    ServerKind.VLLM: {"chat_template_kwargs": {"enable_thinking": False}},
    ServerKind.SGLANG: {"chat_template_kwargs": {"enable_thinking": False}},
    ServerKind.LLAMA_SERVER: {"chat_template_kwargs": {"enable_thinking": False}},
    ServerKind.OLLAMA: {"think": False},
    ServerKind.DASHSCOPE: {"enable_thinking": False},
    ServerKind.LLAMA_CPP_PYTHON: {},
    ServerKind.LM_STUDIO: {},
    ServerKind.OPENAI: {},
}


def served(kind: ServerKind, **facts: object) -> RemoteModel:
    return replace(RemoteModel(kind, "qwen3", 4096), **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "switch"), SWITCHES.items())
def test_each_server_is_told_in_its_own_way_not_to_think(kind: ServerKind, switch: dict[str, object]) -> None:
    body = chat_body(chat_request("hi", NO_THINK), served(kind))
    fields = ("chat_template_kwargs", "think", "enable_thinking")
    assert {name: body[name] for name in fields if name in body} == switch
    assert body["messages"][-1]["content"] == "hi /no_think"


def test_a_typed_tag_that_lifts_the_hard_switch_lifts_it_on_the_server() -> None:
    request = replace(chat_request("hi", NO_THINK), hard_switch=False)
    assert chat_body(request, served(ServerKind.OLLAMA))["think"] is True


def test_a_model_that_cannot_think_is_not_told_to() -> None:
    assert "think" not in chat_body(chat_request("hi"), served(ServerKind.OLLAMA, thinks_on_demand=False))


@pytest.mark.parametrize("kind", [kind for kind, switch in SWITCHES.items() if switch])
@pytest.mark.parametrize("model_id", ["Qwen3-4B-Thinking-2507", "qwen3-235b-a22b-instruct-2507"])
def test_a_model_of_one_mode_is_not_told_which(kind: ServerKind, model_id: str) -> None:
    body = chat_body(chat_request("hi", NO_THINK), served(kind, model_id=model_id))
    assert not body.keys() & {"chat_template_kwargs", "think", "enable_thinking"}


def test_ollama_is_told_how_large_a_context_it_needs() -> None:
    assert chat_body(chat_request("hi", max_tokens=7), served(ServerKind.OLLAMA))["options"] == {
        "num_ctx": 4096,
        "num_predict": 7,
        "temperature": 0.6,
        "top_p": 0.95,
        "top_k": 20,
        "min_p": 0.0,
        "presence_penalty": 0.0,
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("kind", "field"),
    [(ServerKind.LLAMA_SERVER, "reasoning_budget_tokens"), (ServerKind.DASHSCOPE, "thinking_budget")],
)
def test_a_budget_is_given_where_it_can_be(kind: ServerKind, field: str) -> None:
    assert chat_body(chat_request("hi", thinking_budget=0), served(kind))[field] == 0
    assert field not in chat_body(chat_request("hi", NO_THINK, thinking_budget=0), served(kind))


def test_an_unknown_server_gets_nothing_but_the_openai_protocol() -> None:
    body = chat_body(chat_request("hi", thinking_budget=5), served(ServerKind.OPENAI))
    assert set(body) == {
        *("model", "messages", "stream", "stream_options", "temperature", "top_p", "presence_penalty", "seed")
    }


CALLS = (ToolCall("weather", '{"city": "杭州"}'), ToolCall("time", "{}"))
TURNS = (
    ChatMessage(Role.SYSTEM, "Be brief."),
    ChatMessage(Role.USER, "hi"),
    ChatMessage(Role.ASSISTANT, "hello", reasoning="old thoughts"),
    ChatMessage(Role.USER, "weather and time?"),
    ChatMessage(Role.ASSISTANT, "", reasoning="new thoughts", tool_calls=CALLS),
    ChatMessage(Role.TOOL, "sunny"),
    ChatMessage(Role.TOOL, "noon"),
)


def test_results_go_to_the_calls_they_answer() -> None:
    messages = encode_messages(TURNS, ServerKind.VLLM)
    assert [call["id"] for call in messages[4]["tool_calls"]] == ["call_4_0", "call_4_1"]
    assert [message["tool_call_id"] for message in messages[5:]] == ["call_4_0", "call_4_1"]
    assert messages[4]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city": "杭州"}'}


@pytest.mark.parametrize("kind", [kind for kind in ServerKind if kind is not ServerKind.OLLAMA])
@pytest.mark.parametrize("written", ['<tool_call>\n{"name": "weather", ', '"Beijing"', "", "[" * 9999])
def test_a_call_that_could_not_be_read_does_not_make_a_server_refuse_the_chat(
    kind: ServerKind, written: str
) -> None:
    turns = (*TURNS[:4], ChatMessage(Role.ASSISTANT, "", tool_calls=(ToolCall("weather", written),)))
    call = encode_messages(turns, kind)[4]["tool_calls"][0]
    assert call["function"] == {"name": "weather", "arguments": "{}"}


def test_ollama_reads_calls_as_objects_and_results_by_name() -> None:
    messages = encode_messages(TURNS, ServerKind.OLLAMA)
    assert messages[4]["tool_calls"][0] == {"function": {"name": "weather", "arguments": {"city": "杭州"}}}
    assert [message["tool_name"] for message in messages[5:]] == ["weather", "time"]


def test_only_the_thinking_of_the_newest_turn_goes_along_and_only_where_it_is_read() -> None:
    for kind, field in ((ServerKind.SGLANG, "reasoning_content"), (ServerKind.OLLAMA, "thinking")):
        assert [message.get(field) for message in encode_messages(TURNS, kind)] == [
            *(None, None, None, None, "new thoughts", None, None)
        ]
    assert not any("reasoning_content" in message for message in encode_messages(TURNS, ServerKind.DASHSCOPE))


def test_vllm_gets_thinking_in_the_field_that_its_tokenizer_counts() -> None:
    replies = encode_messages(TURNS, ServerKind.VLLM)
    assert (replies[4]["reasoning"], replies[4]["reasoning_content"]) == ("new thoughts", "new thoughts")


@pytest.mark.parametrize("schema", ["{", "[]", "[" * 100_000])
def test_a_tool_that_cannot_be_described_is_an_error_with_a_sentence(schema: str) -> None:
    with pytest.raises(EngineError) as caught:
        chat_body(chat_request("hi", tools=(ToolSpec(schema),)), served(ServerKind.VLLM))
    assert caught.value.code == ErrorCode.TOOL_SCHEMA_INVALID


def test_half_a_character_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(EngineError) as caught:
        chat_body(chat_request("\ud83d"), served(ServerKind.VLLM))
    assert caught.value.code == ErrorCode.TEXT_NOT_UNICODE


@pytest.mark.parametrize(
    ("model_id", "name"),
    [
        ("Qwen/Qwen3-8B", "Qwen3-8B"),
        ("/models/Qwen3-8B-Q4_K_M.gguf", "Qwen3-8B"),
        ("C:\\models\\Qwen3-0.6B.Q8_0.gguf", "Qwen3-0.6B"),
        ("qwen3:8b", "qwen3:8b"),
        ("Q8_0", "Q8_0"),
    ],
)
def test_a_model_is_named_without_folders_and_quant(model_id: str, name: str) -> None:
    assert served(ServerKind.OPENAI, model_id=model_id).name == name


@pytest.mark.parametrize("kind", ServerKind)
def test_a_call_is_required_of_servers_that_know_how(kind: ServerKind) -> None:
    tool = ToolSpec('{"type": "function", "function": {"name": "f"}}')
    request = replace(chat_request("hi"), tools=(tool,), must_call=True)
    requires = kind in (
        ServerKind.VLLM,
        ServerKind.SGLANG,
        ServerKind.LLAMA_SERVER,
        ServerKind.LM_STUDIO,
        ServerKind.OPENAI,
    )
    assert SERVER_FEATURES[kind].capabilities.requires_calls == requires
    assert chat_body(request, served(kind)).get("tool_choice") == ("required" if requires else None)
    assert "tool_choice" not in chat_body(replace(request, must_call=False), served(kind))


SCHEMA = {"type": "object", "properties": {"草": {"type": "integer"}}}


@pytest.mark.parametrize("kind", ServerKind)
def test_each_server_is_told_the_schema_of_the_answer_in_its_own_way(kind: ServerKind) -> None:
    request = replace(chat_request("hi"), answer_schema=json.dumps(SCHEMA))
    body = chat_body(request, served(kind))
    match kind:
        case ServerKind.OLLAMA:
            assert body["format"] == SCHEMA
        case ServerKind.LLAMA_CPP_PYTHON:
            assert body["response_format"] == {"type": "json_object", "schema": SCHEMA}
        case _:
            assert body["response_format"]["json_schema"]["schema"] == SCHEMA
    assert not {"format", "response_format"} & chat_body(chat_request("hi"), served(kind)).keys()
