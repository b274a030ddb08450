from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any, overload

import pytest

from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.engine.remote import TimeoutPolicy, stream_decoding
from qwen3_chat.engine.remote.body_unpacking import UNPACKED_PIECE_BYTES, BodyUnpacker, UnpackingError
from qwen3_chat.engine.remote.http_transport import MAX_CHARACTERS_PER_S, CharacterThrottle
from qwen3_chat.engine.remote.reply_reader import MAX_REPLY_CHARACTERS, MAX_TOOL_CALLS, ReplyReader
from qwen3_chat.engine.remote.server_probe import MAX_NAME_CHARACTERS, list_served_models
from qwen3_chat.engine.remote.stream_decoding import BodyDecoder, ReplyTooLargeError
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.events import AnswerDelta, ReasoningDelta, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import MAX_USER_N_CTX
from tests.remote.remote_engines import QUICK_RETRIES, chat_request, hear, remote_engine_at
from tests.remote.wire_server import DONE, Piece, Reply, Request, chunk, event, json_reply, running

Delta = AnswerDelta | ReasoningDelta
PIECE_BYTES = 50_000
MODELS = json_reply({"data": [{"id": "Qwen3-8B", "owned_by": "someone"}]})
END = [event(chunk(finish="stop")), DONE]


class Endless(Sequence[Piece]):
    """Pieces that come before one that never stops coming."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    @overload
    def __getitem__(self, index: int) -> Piece: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Piece]: ...
    def __getitem__(self, index: int | slice) -> Piece | Sequence[Piece]:
        return self._pieces[index] if isinstance(index, slice) else self._pieces[min(index, len(self) - 1)]

    def __len__(self) -> int:
        return len(self._pieces)

    def __contains__(self, piece: object) -> bool:
        return False


class Parsed:
    """The characters that the JSON parser has read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.n_characters = 0
        parse = json.loads

        def counted(text: str, **options: object) -> object:
            self.n_characters += len(text)
            return parse(text, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(json, "loads", counted)


def decode(data: bytes) -> list[object]:
    decoder = BodyDecoder()
    values = [v for at in range(0, len(data), PIECE_BYTES) for v in decoder.feed(data[at : at + PIECE_BYTES])]
    return values + decoder.flush()


LINES = {
    "a reply printed over many lines": json.dumps({"choices": [{"index": n} for n in range(5000)]}, indent=2),
    "an array printed over many lines": json.dumps([[n] for n in range(5000)], indent=2),
    "opening brackets, a line each": "[\n" * 20_000,
    "a text that never ends, a line each": '{"a": "' + "x\n" * 20_000,
}


@pytest.mark.parametrize("text", LINES.values(), ids=LINES)
def test_json_over_many_lines_is_parsed_once_and_not_for_each_line(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed = Parsed(monkeypatch)
    decode(text.encode())
    assert 0 < parsed.n_characters <= 2 * len(text)


def is_refused(feed: Callable[[Any], object], values: Iterable[object]) -> bool:
    """Feed values until one is refused; return whether one was."""
    try:
        for value in values:
            feed(value)
    except ReplyTooLargeError:
        return True
    return False


ENDLESS = {
    "an event without an end": (b"data: ", b"x" * PIECE_BYTES),
    "lines of data without an event's end": (b"data: x\n" * 6000,),
    "a line of another field": (b"data: {}\n\nevent: ", b"x" * PIECE_BYTES),
    "JSON without an end": (b"[", b"1,\n" * 10_000),
    "a JSON string without an end": (b'{"a":"', b"\\n" * 20_000),
    "text behind JSON": (b'{"a": 1}', b"x" * PIECE_BYTES),
    "one byte after another": (b"data: ", b"x"),
}


@pytest.mark.parametrize("pieces", ENDLESS.values(), ids=ENDLESS)
def test_a_line_an_event_and_a_json_text_have_a_limit(
    pieces: tuple[bytes, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream_decoding, "MAX_VALUE_CHARACTERS", 100_000)
    decoder = BodyDecoder()
    for piece in pieces[:-1]:
        decoder.feed(piece)
    assert is_refused(decoder.feed, [pieces[-1]] * (800_000 // len(pieces[-1])))


@pytest.mark.parametrize("piece", [b": \n" * 1000, b"data: 1\n\n" * 1000, b"\n" * 1000])
def test_a_body_has_a_limit_whatever_it_says(piece: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_decoding, "MAX_REPLY_BYTES", 100_000)
    assert is_refused(BodyDecoder().feed, [piece] * (100_000 // len(piece) + 1))


def test_a_body_has_a_limit_for_its_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_decoding, "MAX_REPLY_VALUES", 1000)
    assert is_refused(BodyDecoder().feed, [event(1)] * 1001)


@pytest.mark.parametrize("items", ["[],", "{},", "1,"])
def test_a_value_of_millions_of_items_is_not_parsed(items: str) -> None:
    decoder = BodyDecoder()
    assert decoder.feed(b"data: [" + items.encode() * 1_000_000 + b"1]\n\n") == []
    assert decoder.n_damaged == 1


def test_a_small_packed_piece_is_unpacked_in_small_pieces() -> None:
    packed = gzip.compress(b" " * 50_000_000)
    unpacker = BodyUnpacker("gzip")
    sizes = [len(piece) for piece in unpacker.feed(packed)]
    assert (max(sizes), sum(sizes)) == (UNPACKED_PIECE_BYTES, 50_000_000)


@pytest.mark.parametrize(("encoding", "data"), [("br", b""), ("zstd", b""), ("gzip", b"no gzip at all")])
def test_a_body_that_cant_be_unpacked_is_told(encoding: str, data: bytes) -> None:
    with pytest.raises(UnpackingError):
        list(BodyUnpacker(encoding).feed(data))


def reader() -> ReplyReader:
    return ReplyReader(ThinkingMode.THINK, lambda: 1.0, has_tools=True, opened_by_prompt=False)


@pytest.mark.parametrize("delta", [{"content": "x" * 1000}, {"reasoning_content": "x" * 1000}])
def test_a_reply_has_a_limit_and_what_came_before_it_is_kept(delta: dict[str, object]) -> None:
    reply, texts = reader(), list[str]()

    def feed(value: object) -> None:
        texts.extend(event.text for event in reply.feed(value) if isinstance(event, Delta))

    assert is_refused(feed, [chunk(None, **delta)] * MAX_REPLY_CHARACTERS)
    characters = sum(map(len, texts))
    assert MAX_REPLY_CHARACTERS - 1000 <= characters <= MAX_REPLY_CHARACTERS


def test_a_reply_has_a_limit_for_its_tool_calls() -> None:
    call = {"index": 0, "function": {"name": "f", "arguments": "{}"}}
    reply = reader()
    assert is_refused(reply.feed, [chunk(tool_calls=[call])] * (MAX_TOOL_CALLS + 1))
    assert len(reply.flush()) == MAX_TOOL_CALLS


@pytest.mark.parametrize("milliseconds", [1e-300, 0, -1, 1e300, "x", True, None, 10**400])
def test_a_speed_is_a_number_whatever_times_the_server_reports(milliseconds: object) -> None:
    reply = reader()
    reply.feed(chunk(content="a"))
    report = {"predicted_n": 2**40, "predicted_ms": milliseconds, "prompt_ms": milliseconds}
    reply.feed({"choices": [], "timings": report, "usage": {"prompt_tokens": 10**400}})
    timings = reply.finish_event(1, 10, 4096).timings
    assert 0 <= timings.tokens_per_s < 1e12
    assert 0 <= timings.prefill_s < 1e9


def nested(depth: int, inner: object = 1) -> object:
    for _ in range(depth):
        inner = [{"text": inner}]
    return inner


@pytest.mark.parametrize("name", ["content", "reasoning_content", "tool_calls"])
def test_nesting_that_can_just_be_parsed_breaks_nothing(name: str) -> None:
    reply = reader()
    assert reply.feed(chunk(None, **{name: nested(400)})) == []
    reply.feed({"error": {"x": nested(400)}})
    assert reply.error is not None


async def heard_from(
    reply: Reply, timeouts: TimeoutPolicy = QUICK_RETRIES
) -> tuple[str, str | None, StopReason | None]:
    """Return the answer, the code of the failure, and the reason for the end."""

    def answer(request: Request) -> Reply:
        return MODELS if request.method == "GET" else reply

    async with running(answer) as wire, remote_engine_at(wire.url, timeouts=timeouts) as engine:
        heard = await hear(engine, chat_request("hi"))
    return (
        heard.answer,
        heard.failure.code if heard.failure else None,
        heard.end.stop_reason if heard.end else None,
    )


async def test_a_line_that_never_ends_is_left_with_one_sentence() -> None:
    reply = Reply(Endless(event(chunk(content="Hello.")), b"data: ", b"x" * PIECE_BYTES))
    assert await heard_from(reply) == ("Hello.", ErrorCode.SERVER_SENT_TOO_MUCH, None)


async def test_a_packed_reply_is_read_and_a_packed_flood_left() -> None:
    events = b"".join([event(chunk(content="Hello.")), *END])
    reply = Reply([gzip.compress(events)], headers={"Content-Encoding": "gzip"})
    assert await heard_from(reply) == ("Hello.", None, StopReason.END_OF_TURN)
    flood = Reply([gzip.compress(b"data: " + b"x" * 20_000_000)], headers={"Content-Encoding": "gzip"})
    assert (await heard_from(flood))[1] == ErrorCode.SERVER_SENT_TOO_MUCH
    brotli = Reply([events], headers={"Content-Encoding": "br"})
    assert (await heard_from(brotli))[1] == ErrorCode.SERVER_BODY_UNREADABLE


async def test_figures_without_an_end_do_not_keep_a_reply_open() -> None:
    usage = event({"choices": [], "usage": {"prompt_tokens": 1}})
    reply = Reply(Endless(event(chunk(content="Hello.")), END[0], usage), pause_s=0.001)
    timeouts = replace(QUICK_RETRIES, usage_s=0.05)
    assert await heard_from(reply, timeouts) == ("Hello.", None, StopReason.END_OF_TURN)


async def test_signs_of_life_without_a_reply_are_not_waited_for_without_end() -> None:
    for sign in (b": ping\n\n", event({"choices": []}), b" "):
        reply = Reply(Endless(sign), pause_s=0.001)
        assert await heard_from(reply, replace(QUICK_RETRIES, first_byte_s=0.05)) == (
            "",
            ErrorCode.SERVER_TIMEOUT,
            None,
        )


async def test_a_page_without_an_end_is_left_when_it_is_recognised() -> None:
    assert (await heard_from(Reply(Endless(b"<!doctype html>", b"<p>"))))[1] == ErrorCode.SERVER_SENT_WEB_PAGE


async def listed(value: object) -> list[str]:
    async with running(lambda request: json_reply(value)) as wire, remote_engine_at(wire.url) as engine:
        return (await list_served_models(engine._transport, None))[1]


async def test_a_list_of_models_is_read_within_limits() -> None:
    names = await listed({"data": [{"id": f"m{n}"} for n in range(50_000)]})
    assert len(names) < 50_000
    assert await listed({"data": [{"id": "x" * (MAX_NAME_CHARACTERS + 1)}]}) == [""]


async def test_an_endless_list_of_models_is_left_with_one_sentence() -> None:
    endless = Reply(Endless(b'{"data": [', b'{"id": "x"},' * 5000), content_type="application/json")
    async with running(lambda request: endless) as wire, remote_engine_at(wire.url) as engine:
        heard = await hear(engine, chat_request("hi"))
    assert heard.failure is not None
    assert heard.failure.code == ErrorCode.SERVER_SENT_TOO_MUCH


@pytest.mark.parametrize("n_ctx", [MAX_USER_N_CTX, 10**400, -5, 4096.5, "4096", True, None, [4096]])
async def test_a_context_that_cant_be_is_taken_as_unknown(n_ctx: object) -> None:
    models = json_reply({"data": [{"id": "Qwen3-8B", "owned_by": "vllm", "max_model_len": n_ctx}]})
    reply = Reply([event(chunk(content="Hello.")), *END])

    def answer(request: Request) -> Reply:
        return reply if request.path.endswith("completions") else models

    async with running(answer) as wire, remote_engine_at(wire.url) as engine:
        heard = await hear(engine, chat_request("hi"))
        assert engine.model is not None
        assert engine.model.n_ctx == 32_768
    assert isinstance(heard.end, TurnFinished)


async def test_text_that_comes_faster_than_any_model_has_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    waits_s: list[float] = []

    async def note(delay_s: float) -> None:
        waits_s.append(delay_s)

    throttle = CharacterThrottle()
    monkeypatch.setattr("asyncio.sleep", note)
    await throttle.keep(1_000)
    assert waits_s == []
    await throttle.keep(MAX_CHARACTERS_PER_S * 10)
    assert 9 < sum(waits_s) < 11
