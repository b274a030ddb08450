from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.engine.remote.reply_reader import SurrogateJoiner
from qwen3_chat.engine.remote.stream_decoding import DONE_MARKER, BodyDecoder, SseDecoder

EVENTS = {
    "one event": ("data: a\n\n", ["a"]),
    "two events in a packet": ("data: a\n\ndata: b\n\n", ["a", "b"]),
    "carriage returns and line feeds": ("data: a\r\n\r\ndata: b\r\n\r\n", ["a", "b"]),
    "carriage returns alone": ("data: a\r\rdata: b\r\r", ["a", "b"]),
    "no space after the colon": ("data:a\n\n", ["a"]),
    "only one space is dropped": ("data:  a\n\n", [" a"]),
    "data in several lines": ("data: a\ndata: b\n\n", ["a\nb"]),
    "comments that keep the connection alive": (": ping\n\ndata: a\n\n: ping\n\n", ["a"]),
    "fields that do not matter": ("event: x\nid: 7\nretry: 5\ndata: a\n\n", ["a"]),
    "an error of an old llama-server": ('error: {"code":500}\n\n', ['{"code":500}']),
    "no end": ("data: a\n\ndata: b", ["a", "b"]),
    "an end within a line end": ("data: a\n", ["a"]),
    "other line separators are text": ("data: a\u2028b\x85c\x0bd\n\n", ["a\u2028b\x85c\x0bd"]),
}


@pytest.mark.parametrize(("text", "expected"), EVENTS.values(), ids=EVENTS)
def test_events_come_out_the_same_however_they_are_cut(text: str, expected: list[str]) -> None:
    for size in range(1, len(text) + 1):
        reader = SseDecoder()
        found = [data for at in range(0, len(text), size) for data in reader.feed(text[at : at + size])]
        assert found + reader.flush() == expected


A, B = {"a": "草莓"}, {"b": 1}
LINE_A, LINE_B = json.dumps(A, ensure_ascii=False), json.dumps(B)
BODIES = {
    "events": (f"data: {LINE_A}\n\ndata: {LINE_B}\n\ndata: [DONE]\n\n", [A, B, DONE_MARKER]),
    "events that begin with a comment": (f": hello\n\ndata: {LINE_A}\n\n", [A]),
    "events after a byte order mark": (f"\ufeff\ndata: {LINE_A}\n\n", [A]),
    "events without empty lines between them": (f"data: {LINE_A}\ndata: {LINE_B}\n\n", [A, B]),
    "lines of JSON": (f"{LINE_A}\n{LINE_B}\n", [A, B]),
    "lines of JSON without an end": (f"{LINE_A}\n{LINE_B}", [A, B]),
    "one text of JSON over many lines": (json.dumps(A, indent=2, ensure_ascii=False), [A]),
    "a last event that is cut": (f'data: {LINE_A}\n\ndata: {{"b', [A]),
    "nothing": ("", []),
    "blank lines": ("\r\n \n", []),
}


@pytest.mark.parametrize(("text", "expected"), BODIES.values(), ids=BODIES)
def test_a_body_is_told_by_how_it_begins_however_it_is_cut(text: str, expected: list[object]) -> None:
    data = text.encode()
    for size in range(1, len(data) + 1):
        decoder = BodyDecoder()
        values = [value for at in range(0, len(data), size) for value in decoder.feed(data[at : at + size])]
        assert values + decoder.flush() == expected


@pytest.mark.parametrize("page", ["<!doctype html><p>Welcome", "Bad gateway", "x"])
def test_a_body_that_is_no_reply_is_kept_for_the_sentence(page: str) -> None:
    decoder = BodyDecoder()
    assert decoder.feed(page.encode()) + decoder.flush() == []
    assert decoder.unrecognised_start == page


def test_a_broken_event_is_counted_and_the_others_stay() -> None:
    decoder = BodyDecoder()
    values = decoder.feed(b'data: {"a"\n\ndata: {"b": 1}\n\ndata: ' + b"[" * 100_000 + b"\n\n")
    assert values + decoder.flush() == [{"b": 1}]
    assert decoder.n_damaged == 2


def test_bytes_that_are_no_utf_8_cost_only_themselves() -> None:
    decoder = BodyDecoder()
    assert decoder.feed(b'data: {"a": "x\xff\xe8\x8dy"}\n\n') == [{"a": "x\ufffd\ufffdy"}]


@given(st.binary(max_size=200), st.integers(1, 50))
def test_no_bytes_are_too_odd(data: bytes, size: int) -> None:
    decoder = BodyDecoder()
    for at in range(0, len(data), size):
        decoder.feed(data[at : at + size])
    decoder.flush()


@given(st.text(st.characters(codec="utf-16-le") | st.sampled_from("🍓草")), st.integers(1, 3))
def test_characters_in_halves_are_joined(text: str, size: int) -> None:
    halves = "".join(chr(unit) for unit in memoryview(text.encode("utf-16-le")).cast("H"))
    characters = SurrogateJoiner()
    pieces = [characters.feed(halves[at : at + size]) for at in range(0, len(halves), size)]
    assert "".join(pieces) + characters.flush() == text


def test_half_a_character_alone_becomes_a_replacement_character() -> None:
    characters = SurrogateJoiner()
    assert characters.feed("a\ude00b\ud83d") + characters.flush() == "a\ufffdb\ufffd"
