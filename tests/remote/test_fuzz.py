from __future__ import annotations

import json
import random

import pytest

from conformance.replies import Heard
from event_stream import events_of
from qwen3_chat.chat import ThinkingMode
from tests.remote.remote_engines import chat_request, remote_engine_at
from tests.remote.wire_server import DONE, Fault, Piece, Reply, Request, chunk, event, json_reply, running

MODELS = json_reply({"data": [{"id": "Qwen3-8B", "owned_by": "vllm", "max_model_len": 4096}]})
WORDS = [
    "a",
    "草莓",
    "🍓",
    "\n",
    " ",
    "<",
    "think",
    "</",
    "</think>",
    "<tool_call>",
    "{",
    '"',
    "\\",
    "é",
    "data: x\n\n",
]
JUNK = [
    b"data: {\n\n",
    b"data: []\n\n",
    b'data: {"choices": 1}\n\n',
    b'data: {"choices": [{"delta": 1}]}\n\n',
    b'data: {"usage": {"prompt_tokens": -1, "completion_tokens": "x"}}\n\n',
    b"data: \xff\xfe\n\n",
    b": ping\n\n",
    b"\n\n",
    b"\r\n",
    b"event: message\nid: 1\n\n",
    b"data: " + b"[" * 5000 + b"\n\n",
    b'data: {"choices": [{"delta": {"tool_calls": [{"index": 3, "function": 5}, null]}}]}\n\n',
]
N_CASES, N_CASES_FULL = 300, 5_000
TEXT_BEGINS = "¶"  # so that no text begins with what may be a tag


class Case:
    """A random stream, with the text that it certainly contains."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.reasoning = ""
        self.answer = ""
        self.has_junk = False
        data = self._events()
        if self._random.random() < 0.2:
            data = self._spoiled(data)
        self.pieces: list[Piece] = [*self._cut(data)]
        if self._random.random() < 0.3:
            self.pieces.append(Fault.CUT)

    def _events(self) -> bytes:
        events = []
        for field in ("reasoning_content", "content"):
            text = TEXT_BEGINS + "".join(self._random.choices(WORDS, k=self._random.randrange(12)))
            text += TEXT_BEGINS
            if field == "content":
                self.answer = text
            else:
                self.reasoning = text
            while text:
                size = self._random.randrange(1, len(text) + 1)
                part, text = text[:size], text[size:]
                is_ascii = self._random.random() < 0.5
                data = json.dumps(chunk(**{field: part}), ensure_ascii=is_ascii).encode()
                events.append(event(data))
        if self._random.random() < 0.7:
            events += [event(chunk(finish=self._random.choice(["stop", "length", "tool_calls"])))]
        if self._random.random() < 0.7:
            events.append(DONE)
        return b"".join(events)

    def _spoiled(self, data: bytes) -> bytes:
        """Insert junk between two events, or anywhere if the text is marked as incomplete."""
        junk = self._random.choice(JUNK)
        ends = [at + 2 for at in range(len(data)) if data[at : at + 2] == b"\n\n"]
        if self._random.random() < 0.5:
            at = self._random.choice(ends)
        else:
            at, self.has_junk = self._random.randrange(len(data)), True
        return data[:at] + junk + data[at:]

    def _cut(self, data: bytes) -> list[bytes]:
        pieces = []
        while data:
            size = self._random.choice([1, 7, 40, 200, len(data)])
            pieces.append(data[:size])
            data = data[size:]
        return pieces


async def check(n_cases: int) -> None:
    case = Case(0)

    def answer(request: Request) -> Reply:
        return Reply(case.pieces) if request.path == "/v1/chat/completions" else MODELS

    async with running(answer) as wire, remote_engine_at(wire.url) as engine:
        for seed in range(n_cases):
            case = Case(seed)
            heard = Heard()
            async for happened in events_of(engine.generate, chat_request("hi", ThinkingMode.THINK)):
                heard.take(happened)
            assert (heard.failure is None) != (heard.end is None), seed
            assert len(set(heard.notices)) == len(heard.notices), seed
            if heard.failure is not None:
                assert "\n" not in heard.failure.text, seed
            if not case.has_junk:
                assert (heard.reasoning, heard.answer) == (case.reasoning, case.answer), seed


async def test_no_stream_made_by_chance_breaks_a_turn_or_loses_text() -> None:
    await check(N_CASES)


@pytest.mark.full
async def test_thousands_of_streams_made_by_chance_break_no_turn() -> None:
    await check(N_CASES_FULL)
