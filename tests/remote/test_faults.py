from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from conformance.replies import Heard, hear
from event_stream import events_of
from qwen3_chat.chat import StopReason
from qwen3_chat.engine.remote import RemoteEngine, ServerAccess, TimeoutPolicy
from qwen3_chat.engine.remote.http_errors import connection_error
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import AnswerDelta, EngineFailed, Notice, ToolCallRequested
from qwen3_chat.record_copies import replace
from qwen3_chat.servers import Endpoint, ServerKind
from tests.remote.remote_engines import QUICK_RETRIES, WEATHER, chat_request, remote_engine_at
from tests.remote.wire_server import (
    DONE,
    Fault,
    Piece,
    Reply,
    Request,
    WireServer,
    chunk,
    event,
    json_reply,
    running,
)

MODELS = json_reply({"object": "list", "data": [{"id": "Qwen3-8B", "owned_by": "someone"}]})
HELLO = [event(chunk(content="Hel")), event(chunk(content="lo."))]
END = [event(chunk(finish="stop")), DONE]
WHOLE = Reply([*HELLO, *END])


@asynccontextmanager
async def server_of(*replies: Reply) -> AsyncIterator[tuple[WireServer, RemoteEngine]]:
    """Serve one model, and each reply once, except the last one, which is repeated."""
    left = list(replies)

    def answer(request: Request) -> Reply:
        if request.method == "GET":
            return MODELS
        return left.pop(0) if len(left) > 1 else left[0]

    async with running(answer) as wire, remote_engine_at(wire.url) as engine:
        yield wire, engine


async def heard_from(*replies: Reply) -> Heard:
    async with server_of(*replies) as (_, engine):
        return await hear(engine, chat_request("hi"))


COMPLETE: dict[str, Sequence[Piece]] = {
    "two events in a packet": [b"".join([*HELLO, *END])],
    "one byte at a time": [bytes([byte]) for byte in b"".join([*HELLO, *END])],
    "half events": [HELLO[0][:11], HELLO[0][11:] + HELLO[1][:30], HELLO[1][30:], *END],
    "no [DONE]": [*HELLO, END[0]],
    "no finish reason": [*HELLO, DONE],
    "cut after the model had ended": [*HELLO, END[0], Fault.CUT],
    "keep-alive comments": [b": ping\n\n", HELLO[0], b": ping\n\n", HELLO[1], *END],
    "chunks without choices": [event({"choices": []}), HELLO[0], event({"id": "x"}), HELLO[1], *END],
    "values of odd types": [event([1]), event(7), event({"choices": [None, 3]}), *HELLO, *END],
    "a reply that is not streamed": [
        json.dumps({"choices": [{"message": {"content": "Hello."}, "finish_reason": "stop"}]}).encode()
    ],
    "content in parts": [event(chunk(content=[{"type": "text", "text": "Hello."}])), *END],
}


@pytest.mark.parametrize("pieces", COMPLETE.values(), ids=COMPLETE)
async def test_a_reply_is_complete_however_it_is_served(pieces: Sequence[Piece]) -> None:
    heard = await heard_from(Reply(pieces))
    assert (heard.answer, heard.notices, heard.failure) == ("Hello.", [], None)
    assert heard.end is not None
    assert heard.end.stop_reason is StopReason.END_OF_TURN


@pytest.mark.parametrize("content_type", ["application/json", "text/html", "text/plain; charset=latin-1"])
async def test_a_wrong_content_type_does_not_matter(content_type: str) -> None:
    assert (await heard_from(replace(WHOLE, content_type=content_type))).answer == "Hello."


BROKEN: dict[str, tuple[Sequence[Piece], str, str]] = {
    "cut within the reply": ([*HELLO, Fault.CUT], "Hello.", ErrorCode.SERVER_DISCONNECTED),
    "ended without a word of it": (HELLO, "Hello.", ErrorCode.SERVER_DISCONNECTED),
    "cut within an event": ([*HELLO, END[0][:20], Fault.CUT], "Hello.", ErrorCode.SERVER_DISCONNECTED),
    "an error within a 200": (
        [*HELLO, event({"error": {"message": "out of memory", "code": 500}})],
        "Hello.",
        ErrorCode.SERVER_REPLY_FAILED,
    ),
    "an error of the old llama-server": (
        [*HELLO, b'error: {"error": "oops"}\n\n'],
        "Hello.",
        ErrorCode.SERVER_REPLY_FAILED,
    ),
    "an error with quotes and lines, as transformers writes it": (
        [*HELLO, b'data: {"error": "CUDA said "no"\\ at 0x1"}\n\n'],
        "Hello.",
        ErrorCode.SERVER_REPLY_FAILED,
    ),
    "an error object alone": ([b'{"object": "error", "message": "no"}'], "", ErrorCode.SERVER_REPLY_FAILED),
    "nothing": ([], "", ErrorCode.SERVER_REPLY_MISSING_UNKNOWN_CONTEXT),
    "cut before anything": ([Fault.CUT], "", ErrorCode.SERVER_DISCONNECTED),
    "a web page": ([b"<!DOCTYPE html><title>Login</title>"], "", ErrorCode.SERVER_SENT_WEB_PAGE),
    "JSON of another kind": ([b'{"status": "ok"}'], "", ErrorCode.SERVER_REPLY_MISSING_UNKNOWN_CONTEXT),
}


@pytest.mark.parametrize(("pieces", "answer", "code"), BROKEN.values(), ids=BROKEN)
async def test_what_arrived_is_kept_and_one_sentence_says_what_happened(
    pieces: Sequence[Piece], answer: str, code: ErrorCode
) -> None:
    heard = await heard_from(Reply(pieces))
    assert heard.answer == answer
    assert heard.failure is not None
    assert heard.failure.code == code
    assert "127.0.0.1" in heard.failure.text


REFUSALS = [
    (401, {"error": {"message": "Invalid token"}}, ErrorCode.SERVER_KEY_REFUSED),
    (403, {"error": "no"}, ErrorCode.SERVER_KEY_REFUSED),
    (404, {"detail": "Not Found"}, ErrorCode.SERVER_PATH_NOT_FOUND),
    (400, {"error": {"message": "maximum context length is 4096"}}, ErrorCode.SERVER_CONTEXT_EXCEEDED),
    (400, {"error": {"message": "top_k must be int"}}, ErrorCode.SERVER_REFUSED),
    (422, {"detail": [{"msg": "field required"}]}, ErrorCode.SERVER_REFUSED),
    (307, {}, ErrorCode.SERVER_MOVED),
    (500, {"error": {"message": "CUDA error"}}, ErrorCode.SERVER_FAILED),
    (503, {"error": {"message": "Loading model"}}, ErrorCode.SERVER_LOADING),
    (503, {}, ErrorCode.SERVER_BUSY),
    (502, {}, ErrorCode.SERVER_BEHIND_PROXY_DOWN),
    (504, {}, ErrorCode.SERVER_BEHIND_PROXY_DOWN),
    (404, {"error": "Repository Not Found for url: https://hub/x."}, ErrorCode.SERVER_REFUSED),
    (404, {"error": {"message": "The model `x` does not exist."}}, ErrorCode.SERVER_REFUSED),
    (405, {"detail": "Method Not Allowed"}, ErrorCode.SERVER_PATH_NOT_FOUND),
    (429, {"error": {"message": "Requests rate limit exceeded"}}, ErrorCode.SERVER_BUSY),
]


@pytest.mark.parametrize(("status", "body", "code"), REFUSALS)
async def test_a_refusal_is_explained(status: int, body: object, code: ErrorCode) -> None:
    heard = await heard_from(json_reply(body, status))
    assert heard.failure is not None
    assert heard.failure.code == code
    assert heard.failure.text


@pytest.mark.parametrize(
    ("status", "phrase"),
    [(400, "Bad Request"), (404, "Not Found"), (500, "Internal Server Error"), (502, "Bad Gateway")],
)
@pytest.mark.parametrize("body", [b"", b"<html><title>Sorry</title>"])
async def test_a_refusal_without_a_reason_has_the_words_of_its_status(
    status: int, phrase: str, body: bytes
) -> None:
    """A status must not be its own reason, as in `failed (502): 502`."""
    heard = await heard_from(Reply([body], status, content_type="text/html"))
    assert heard.failure is not None
    assert heard.failure.values["reason"] == phrase


NGINX_400 = b"<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>"
GO_400 = b"Client sent an HTTP request to an HTTPS server.\n"


@pytest.mark.parametrize("body", [NGINX_400, GO_400], ids=["nginx", "Go"])
async def test_a_port_that_wants_https_says_so(body: bytes) -> None:
    refusal = Reply([body], 400, content_type="text/html")
    async with running(lambda _: refusal) as wire, remote_engine_at(wire.url) as engine:
        (failed,) = [event async for event in events_of(engine.load)]
    assert isinstance(failed, EngineFailed)
    assert failed.code == ErrorCode.SERVER_NEEDS_HTTPS


async def test_a_servers_own_words_are_shortened_and_steer_no_terminal() -> None:
    words = "\x1b[2J\n\nboom " + "x" * 10_000
    heard = await heard_from(json_reply({"error": {"message": words}}, 500))
    assert heard.failure is not None
    reason = str(heard.failure.values["reason"])
    assert reason.startswith("\ufffd[2J boom x")
    assert len(reason) <= 300


WAITED_FOR = {
    429: "remote.waiting",
    502: "remote.waiting_behind_proxy",
    503: "remote.waiting",
    504: "remote.waiting_behind_proxy",
}


@pytest.mark.parametrize(("status", "notice"), WAITED_FOR.items())
async def test_a_busy_server_is_asked_again_after_the_time_it_names(status: int, notice: str) -> None:
    busy = json_reply({"error": {"message": "slow down"}}, status, {"Retry-After": "0"})
    async with server_of(busy, WHOLE) as (wire, engine):
        heard = await hear(engine, chat_request("hi"))
        assert [request.method for request in wire.requests] == ["GET", "POST", "POST"]
    assert (heard.answer, heard.notices) == ("Hello.", [notice])


@pytest.mark.parametrize(("status", "notice"), WAITED_FOR.items())
async def test_a_busy_server_is_asked_for_its_models_again(status: int, notice: str) -> None:
    """What is promised for replies holds for the list of models, too: a proxy starts before its server."""
    left = [json_reply({"error": "not yet"}, status, {"Retry-After": "0"}), MODELS]
    async with running(lambda _: left.pop(0)) as wire, remote_engine_at(wire.url) as engine:
        events = [event async for event in events_of(engine.load)]
        assert engine.model is not None
    assert [event.key for event in events if isinstance(event, Notice)][:1] == [notice]


async def test_a_list_of_models_that_is_broken_off_is_asked_for_again() -> None:
    left = [Reply([Fault.RESET]), MODELS]
    async with running(lambda _: left.pop(0)) as wire, remote_engine_at(wire.url) as engine:
        events = [event async for event in events_of(engine.load)]
        assert engine.model is not None
    assert [event.key for event in events if isinstance(event, Notice)][:1] == ["remote.waiting_broken"]


async def test_a_server_that_wants_too_much_patience_is_not_waited_for() -> None:
    heard = await heard_from(json_reply({"error": {"message": "quota"}}, 429, {"Retry-After": "86400"}))
    assert heard.failure is not None
    assert heard.failure.code == ErrorCode.SERVER_BUSY


async def test_a_connection_that_is_dropped_before_anything_came_is_made_again() -> None:
    heard = await heard_from(Reply([Fault.RESET]), WHOLE)
    assert (heard.answer, heard.failure) == ("Hello.", None)


ROLE = event(chunk(role="assistant", content=""))
UNBEGUN: dict[str, Sequence[Piece]] = {
    "after a role": [ROLE, Fault.CUT],
    "after a role, with a regular end": [ROLE],  # as from a server that marks the end by closing
    "after half a role": [ROLE[:20], Fault.CUT],
    "after a comment": [b": ping\n\n", Fault.CUT],
    "after a comment, with a regular end": [b": keepalive 10/100\n\n"],
    "after the beginning of the prompt": [
        event(chunk(role="assistant") | {"prompt_progress": {"total": 30, "processed": 20}}),
        Fault.CUT,
    ],
}


@pytest.mark.parametrize("pieces", UNBEGUN.values(), ids=UNBEGUN)
async def test_a_reply_that_breaks_off_before_its_first_text_is_asked_for_again(
    pieces: Sequence[Piece],
) -> None:
    async with server_of(Reply(pieces), WHOLE) as (wire, engine):
        heard = await hear(engine, chat_request("hi"))
        assert [request.method for request in wire.requests] == ["GET", "POST", "POST"]
    assert (heard.answer, heard.failure) == ("Hello.", None)
    assert heard.notices == ["remote.waiting_broken"]


@pytest.mark.parametrize("pieces", UNBEGUN.values(), ids=UNBEGUN)
async def test_it_is_asked_for_twice_again_at_most(pieces: Sequence[Piece]) -> None:
    async with server_of(Reply(pieces)) as (wire, engine):
        heard = await hear(engine, chat_request("hi"))
        assert len(wire.requests) == 1 + QUICK_RETRIES.max_attempts
    assert heard.failure is not None
    assert heard.failure.code in (
        ErrorCode.SERVER_DISCONNECTED,
        ErrorCode.SERVER_REPLY_MISSING_UNKNOWN_CONTEXT,
    )


@pytest.mark.parametrize(
    "begun",
    [{"content": "Hel"}, {"reasoning": "hm"}, {"tool_calls": [{"index": 0, "function": {"name": "now"}}]}],
    ids=["text", "thinking", "a call"],
)
async def test_a_reply_that_began_is_not_asked_for_again(begun: dict[str, Any]) -> None:
    async with server_of(Reply([ROLE, event(chunk(**begun)), Fault.CUT]), WHOLE) as (wire, engine):
        heard = await hear(engine, chat_request("hi"))
        assert len(wire.requests) == 2
    assert heard.failure is not None
    assert heard.failure.code == ErrorCode.SERVER_DISCONNECTED


async def test_a_server_that_is_down_is_not_called_busy() -> None:
    async with server_of(WHOLE) as (wire, engine):
        await hear(engine, chat_request("hi"))
        url = wire.url
    async with remote_engine_at(url) as down:
        down._served = engine._served
        heard = await hear(down, chat_request("hi"))
    assert heard.notices == ["remote.waiting_down"]
    assert heard.failure is not None
    assert heard.failure.code == ErrorCode.SERVER_NOT_LISTENING


async def test_once_something_came_nothing_is_asked_twice() -> None:
    async with server_of(Reply([HELLO[0], Fault.CUT]), WHOLE) as (wire, engine):
        heard = await hear(engine, chat_request("hi"))
        assert len(wire.requests) == 2
    assert heard.answer == "Hel"


async def heard_with(timeouts: TimeoutPolicy, reply: Reply) -> Heard:
    async with (
        running(lambda request: MODELS if request.method == "GET" else reply) as wire,
        remote_engine_at(wire.url, timeouts=timeouts) as engine,
    ):
        return await hear(engine, chat_request("hi"))


@pytest.mark.parametrize("fault", [Fault.MUTE, Fault.SILENCE])
async def test_a_first_byte_that_does_not_come_ends_with_a_sentence(fault: Fault) -> None:
    heard = await heard_with(replace(QUICK_RETRIES, first_byte_s=0.05), Reply([fault]))
    assert heard.failure is not None
    assert heard.failure.code == ErrorCode.SERVER_TIMEOUT


async def test_silence_within_a_reply_ends_it_and_keeps_what_came() -> None:
    heard = await heard_with(replace(QUICK_RETRIES, between_pieces_s=0.05), Reply([HELLO[0], Fault.SILENCE]))
    assert heard.answer == "Hel"
    assert heard.failure is not None
    assert heard.failure.code == ErrorCode.SERVER_STALLED


async def test_silence_after_the_model_had_ended_is_not_waited_for() -> None:
    heard = await heard_with(replace(QUICK_RETRIES, usage_s=0.05), Reply([*HELLO, END[0], Fault.SILENCE]))
    assert (heard.answer, heard.failure) == ("Hello.", None)


LONG_GATHERING = replace(QUICK_RETRIES, batch_s=1e6)


async def test_the_first_text_comes_at_once_and_a_stop_ends_the_gathering_of_more() -> None:
    heard = Heard()
    silent = Reply([HELLO[0], Fault.SILENCE])
    async with (
        running(lambda request: MODELS if request.method == "GET" else silent) as wire,
        remote_engine_at(wire.url, timeouts=LONG_GATHERING) as engine,
    ):
        events = events_of(engine.generate, chat_request("hi"))
        async for happened in events:
            heard.take(happened)
            events.cancel()
        await wire.left.wait()
    assert heard.answer == "Hel"
    assert heard.end is not None
    assert heard.end.stop_reason is StopReason.CANCELLED


async def test_no_text_is_gathered_once_the_model_has_ended() -> None:
    gate = asyncio.Event()
    reply = Reply([b"".join([*HELLO, END[0]]), gate, DONE])
    async with (
        running(lambda request: MODELS if request.method == "GET" else reply) as wire,
        remote_engine_at(wire.url, timeouts=LONG_GATHERING) as engine,
    ):
        turn = asyncio.ensure_future(hear(engine, chat_request("hi")))
        assert [(await wire.arrivals.get()).method for _ in range(2)] == ["GET", "POST"]
        gate.set()
        assert (await turn).answer == "Hello."


async def test_a_slow_first_byte_is_waited_for() -> None:
    gate = asyncio.Event()
    async with server_of(Reply([gate, *HELLO, *END])) as (wire, engine):
        turn = asyncio.ensure_future(hear(engine, chat_request("hi")))
        assert [(await wire.arrivals.get()).method for _ in range(2)] == ["GET", "POST"]
        gate.set()
        assert (await turn).answer == "Hello."


async def test_an_event_of_a_megabyte_and_bytes_that_are_no_utf_8_arrive() -> None:
    text = "草" * 350_000
    odd = event(b'{"choices": [{"delta": {"content": "a\xffb"}}]}')
    heard = await heard_from(Reply([event(chunk(content=text)), odd, *END]))
    assert heard.answer == text + "a\ufffdb"


async def test_a_damaged_event_is_told_and_the_rest_is_there() -> None:
    heard = await heard_from(Reply([HELLO[0], b'data: {"choices": [{\n\n', HELLO[1], *END]))
    assert (heard.answer, heard.notices) == ("Hello.", ["remote.damaged"])
    assert heard.end is not None


async def test_a_call_whose_arguments_are_no_json_stays_readable() -> None:
    call = {"index": 0, "function": {"name": "weather", "arguments": "{city"}}
    heard = await heard_from(Reply([event(chunk(tool_calls=[call])), *END]))
    assert heard.answer == "<tool_call>\nweather({city)\n</tool_call>"


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ('"{\\"city\\": \\"Beijing\\"}"', '{"city": "Beijing"}'),
        ("null", "{}"),
    ],
)
async def test_arguments_that_the_model_wrote_as_text_or_not_at_all_are_read(sent: str, read: str) -> None:
    call = {  # as mlx-lm 0.32.2 sends what Qwen3 wrote as "arguments": "{…}" or "arguments": null
        "function": {"name": "weather", "arguments": sent},
        "type": "function",
        "id": "ba9411ff-cbc8-43e4-9fcc-dcd31510bfee",
        "index": 0,
    }
    pieces = [event(chunk(tool_calls=[call])), event(chunk(finish="tool_calls")), DONE]
    heard = await heard_from(Reply(pieces))
    assert [(it.name, it.arguments, it.is_repaired) for it in heard.calls] == [("weather", read, True)]
    assert heard.notices == []


async def test_a_call_that_the_server_reports_and_does_not_send_is_told() -> None:
    pieces = [  # as mlx-lm 0.32.2 sends a call whose JSON it can't read
        event(chunk(reasoning="I use weather.\n")),
        event(chunk(content="\n\n")),
        event(chunk(finish="tool_calls")),
        DONE,
    ]
    heard = await heard_from(Reply(pieces))
    assert (heard.calls, heard.notices) == ([], ["remote.call_lost"])
    assert heard.end is not None
    assert heard.end.stop_reason is StopReason.END_OF_TURN


async def test_the_token_that_ends_a_message_is_no_part_of_open_thinking() -> None:
    call = '<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>'
    pieces = [  # as transformers 5.24.0 sends a call within thinking that the model did not end
        event(chunk(role="assistant")),
        event(chunk(reasoning_content="I use weather.\n")),
        event(chunk(reasoning_content=call)),
        event(chunk(reasoning_content="<|im_end|>")),
        event(chunk(finish="stop")),
        DONE,
    ]
    heard = await heard_from(Reply(pieces))
    assert (heard.reasoning, heard.answer) == (f"I use weather.\n{call}", "")


async def test_a_call_that_arrived_in_any_form_is_not_told_as_lost() -> None:
    text = '<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>'
    broken = {"index": 0, "function": {"name": "weather", "arguments": "{city"}}
    for content in (chunk(content=text), chunk(tool_calls=[broken])):
        pieces = [event(content), event(chunk(finish="tool_calls")), DONE]
        async with server_of(Reply(pieces)) as (_, engine):
            heard = await hear(engine, chat_request("hi", tools=(WEATHER,)))
        assert heard.notices == []


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        (ServerKind.VLLM, "--enable-auto-tool-choice --tool-call-parser hermes"),
        (ServerKind.SGLANG, "--tool-call-parser qwen25"),
        (ServerKind.LLAMA_SERVER, "--jinja"),
        (ServerKind.OPENAI, None),
    ],
)
async def test_calls_that_arrive_as_text_are_read_and_the_missing_option_is_named_once(
    kind: ServerKind, option: str | None
) -> None:
    text = '<tool_call>\n{"name": "weather", "arguments": {"city": "Beijing"}}\n</tool_call>'
    pieces = [event(chunk(content=text)), *END]
    models = json_reply({"data": [{"id": "Qwen3-8B", "max_model_len": 4096}]})
    told, called = list[object](), list[str]()
    async with (
        running(lambda request: models if request.method == "GET" else Reply(pieces)) as wire,
        remote_engine_at(wire.url, kind) as engine,
    ):
        for _ in range(2):
            async for happened in events_of(engine.generate, chat_request("hi", tools=(WEATHER,))):
                match happened:
                    case Notice(key="remote.calls_in_text", values=values):
                        told.append(values["option"])
                    case ToolCallRequested(call=call):
                        called.append(call.name)
    assert called == ["weather", "weather"]
    assert told == ([option] if option else [])


async def test_calls_that_all_have_the_same_number_are_told_apart() -> None:
    calls = [
        {"index": 0, "function": {"name": name, "arguments": '{"a": 1}'}} for name in ("first", "second")
    ]
    heard = await heard_from(Reply([event(chunk(tool_calls=[call])) for call in calls] + END))
    assert [call.name for call in heard.calls] == ["first", "second"]


async def test_tags_that_an_answer_quotes_are_text_once_thinking_came_in_its_field() -> None:
    quoted = "<think>a</think> and <tool_call>"
    pieces = [event(chunk(reasoning_content="hm")), event(chunk(content=quoted)), *END]
    heard = await heard_from(Reply(pieces))
    assert (heard.reasoning, heard.answer) == ("hm", quoted)


async def test_a_reply_whose_template_opened_the_thinking_is_split_at_its_end() -> None:
    models = json_reply({"data": [{"id": "Qwen3-4B-Thinking-2507"}]})
    pieces = [event(chunk(content="hm")), event(chunk(content="\n</think>\n\nYes.")), *END]
    async with (
        running(lambda request: models if request.method == "GET" else Reply(pieces)) as wire,
        remote_engine_at(wire.url) as engine,
    ):
        heard = await hear(engine, chat_request("hi"))
    assert (heard.reasoning, heard.answer) == ("hm", "Yes.")


async def test_stopping_closes_the_connection_and_keeps_what_arrived() -> None:
    heard = Heard()
    async with server_of(Reply([*HELLO, Fault.SILENCE])) as (wire, engine):
        events = events_of(engine.generate, chat_request("hi"))
        async for happened in events:
            heard.take(happened)
            if isinstance(happened, AnswerDelta) and happened.text == "lo.":
                events.cancel()
        await wire.left.wait()
    assert heard.answer == "Hello."
    assert heard.end is not None
    assert heard.end.stop_reason is StopReason.CANCELLED


async def test_leaving_a_reply_early_closes_the_connection() -> None:
    async with server_of(Reply([*HELLO, Fault.SILENCE])) as (wire, engine):
        events = events_of(engine.generate, chat_request("hi"))
        await anext(events)
        await events.aclose()
        await wire.left.wait()


async def test_stopping_while_the_server_is_still_asked_what_it_serves_ends_the_load() -> None:
    async with running(lambda _: Reply([Fault.SILENCE])) as wire, remote_engine_at(wire.url) as engine:
        loading = asyncio.ensure_future(engine.load(lambda event: None))
        await wire.arrivals.get()
        loading.cancel()
        await wire.left.wait()
        assert engine.model is None


async def test_a_second_reply_at_the_same_time_is_refused() -> None:
    async with server_of(Reply([*HELLO, Fault.SILENCE])) as (_, engine):
        events = events_of(engine.generate, chat_request("hi"))
        await anext(events)
        with pytest.raises(EngineError) as caught:
            await engine.generate(chat_request("hi"), lambda event: None)
        assert caught.value.code == ErrorCode.ENGINE_BUSY
        await events.aclose()


LISTS = [
    (json_reply({"data": []}), ErrorCode.SERVER_WITHOUT_MODELS),
    (json_reply({"hello": 1}), ErrorCode.NOT_A_CHAT_SERVER),
    (Reply([b"<html>"], content_type="text/html"), ErrorCode.NOT_A_CHAT_SERVER),
    (json_reply({"error": {"message": "Invalid key"}}, 401), ErrorCode.SERVER_KEY_REFUSED),
    (json_reply({}, 404), ErrorCode.SERVER_PATH_NOT_FOUND),
    (Reply([Fault.RESET]), ErrorCode.SERVER_DISCONNECTED),
]


@pytest.mark.parametrize(("reply", "code"), LISTS)
async def test_a_server_that_serves_nothing_usable_is_told_at_the_start(
    reply: Reply, code: ErrorCode
) -> None:
    async with running(lambda _: reply) as wire, remote_engine_at(wire.url) as engine:
        events = [event async for event in events_of(engine.load)]
    assert [event.code for event in events if isinstance(event, EngineFailed)] == [code]


async def test_an_address_where_nobody_listens_is_told_at_the_start() -> None:
    async with running(lambda _: MODELS) as wire:
        url = wire.url
    async with remote_engine_at(url) as engine:
        (failed,) = [event async for event in events_of(engine.load)]
        assert engine.model is None
    assert isinstance(failed, EngineFailed)
    assert failed.code == ErrorCode.SERVER_NOT_LISTENING


def chained(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


UNREACHABLE = [
    (httpx2.ConnectTimeout(""), ErrorCode.SERVER_TIMEOUT),
    (httpx2.ConnectError("no route"), ErrorCode.SERVER_UNREACHABLE),
    (httpx2.ProxyError("407"), ErrorCode.SERVER_UNREACHABLE),
    (httpx2.RemoteProtocolError("bye"), ErrorCode.SERVER_DISCONNECTED),
    (chained(httpx2.ConnectError("?"), socket.gaierror(-2, "unknown")), ErrorCode.SERVER_HOST_UNKNOWN),
    (
        chained(httpx2.ConnectError("?"), ssl.SSLCertVerificationError(1, "self-signed")),
        ErrorCode.SERVER_CERTIFICATE_UNTRUSTED,
    ),
    (
        chained(httpx2.ConnectError("?"), ssl.SSLError(1, "WRONG_VERSION_NUMBER")),
        ErrorCode.SERVER_WITHOUT_HTTPS,
    ),
    (
        chained(
            httpx2.ConnectError("All connection attempts failed"),
            ExceptionGroup("two addresses", [OSError(101, "no way"), ConnectionRefusedError(111, "no")]),
        ),
        ErrorCode.SERVER_NOT_LISTENING,
    ),
]


@pytest.mark.parametrize(("error", "code"), UNREACHABLE)
def test_why_no_connection_was_made_is_told(error: Exception, code: ErrorCode) -> None:
    found = connection_error(error, Endpoint.parse("https://host"), ServerAccess(), 10)
    assert found.code == code
    assert "host" in str(found)


async def test_the_most_tokens_of_a_prompt_that_litellm_lists_are_the_context() -> None:
    card = {"id": "Qwen3-8B", "owned_by": "openai", "max_input_tokens": 8192}
    listing = json_reply({"object": "list", "data": [card]})
    async with running(lambda _: listing) as wire, remote_engine_at(wire.url) as engine:
        assert [event async for event in events_of(engine.load)] == []
        assert engine.model is not None
        assert engine.model.n_ctx == 8192


async def test_the_context_that_the_user_names_is_the_one_in_use() -> None:
    async with running(lambda _: MODELS) as wire, remote_engine_at(wire.url, n_ctx=5000) as engine:
        assert [event async for event in events_of(engine.load)] == []
        assert engine.model is not None
        assert engine.model.n_ctx == 5000


async def test_the_kind_that_the_user_names_is_the_one_in_use() -> None:
    async with running(lambda _: MODELS) as wire, remote_engine_at(wire.url, ServerKind.SGLANG) as engine:
        assert [event async for event in events_of(engine.load)] != []  # the context is assumed
        assert engine.capabilities.hard_switch


@pytest.mark.parametrize(
    ("completion", "reason"), [(100, StopReason.MAX_TOKENS), (4900, StopReason.CONTEXT_FULL)]
)
async def test_a_reply_that_ends_for_its_length_tells_which_limit_it_met(
    completion: int, reason: StopReason
) -> None:
    usage = {"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": completion}}
    pieces = [*HELLO, event(chunk(finish="length")), event(usage), DONE]
    async with (
        running(lambda request: MODELS if request.method == "GET" else Reply(pieces)) as wire,
        remote_engine_at(wire.url, n_ctx=5000) as engine,
    ):
        heard = await hear(engine, chat_request("hi"))
    assert heard.end is not None
    assert heard.end.stop_reason is reason
