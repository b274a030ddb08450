"""Chats that come back: exported, imported and exported again they are the same, apart from their numbers."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode, Timings, ToolCall, Usage
from qwen3_chat.documents.attachments import Attachment, join_attachments
from qwen3_chat.documents.chat_import import read_chat_file
from qwen3_chat.documents.export import render
from qwen3_chat.documents.export_options import ExportFormat, ThinkingStyle
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ChatImportError, StoreError
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.store import ChatStore, StoredMessage
from qwen3_chat.store.records import CallRecord, ChatOptions, MessageMeta, SearchOrder, WholeResult
from tests.documents.conversation import CONVERSATION, chat_of

SEED = 20260
PIECES = [
    "strawberries ",
    "草莓",
    "é",
    "\n",
    "```",
    "<think>",
    "</think>",
    "<tool_call>",
    "\x1b[2J",
    "\u202e",
    "\ud800",
]
PIECES += ["𝟜", "{}", '"', "\\", "\t", "/think", "\x00", "&lt;", "# ", "0", " "]
SEVERAL = 40


class ChatMaker:
    """A maker of random chats with branches, steps, attachments, thinking and whole results."""

    def __init__(self, store: ChatStore, seed: int) -> None:
        self._store = store
        self._random = random.Random(seed)

    def text(self, most: int = 8) -> str:
        return "".join(self._random.choices(PIECES, k=self._random.randrange(most)))

    def _mode(self) -> ThinkingMode | None:
        mode: ThinkingMode | None = self._random.choice([None, *ThinkingMode])
        return mode

    def _meta(self, reason: StopReason) -> MessageMeta:
        if self._random.random() < 0.2:
            return MessageMeta(stop_reason=reason)
        number = self._random.randrange
        return MessageMeta(
            model="Qwen3-0.6B",
            quant="Q8_0",
            mode=self._mode(),
            seed=number(1 << 32),
            stop_reason=reason,
            usage=Usage(*(number(4000) for _ in range(4))),
            timings=self._timings(),
            sampling=SamplingParams(0.6, 0.95, 20),
            engine="llama.cpp",
            left_out=number(5) or None,
            summary="草莓" if number(4) == 0 else None,
        )

    def _timings(self) -> Timings:
        number = self._random.randrange
        load_s, prefill_s, first_token_s, reasoning_s, decode_s, tokens_per_s = (
            number(1000) / 7 for _ in range(6)
        )
        seconds = load_s, prefill_s, first_token_s, reasoning_s, decode_s, tokens_per_s
        return Timings(*seconds, number(9), number(9), number(9), number(9), number(9) / 7)

    async def chat(self) -> int:
        """Store a chat; return its number."""
        chat = await self._store.create_chat(
            system=self.text(), mode_override=self._mode(), options=ChatOptions(tools=("python",))
        )
        ends: list[int | None] = [None]
        for _ in range(self._random.randrange(1, 6)):
            ends += await self._turn(chat.id, self._random.choice(ends[-3:]))
        if self._random.random() < 0.5:
            await self._store.set_title(chat.id, f"{self.text()}title")
        head_id = self._random.choice(ends[1:])
        await self._store.set_head(chat.id, head_id)
        return chat.id

    async def _turn(self, chat_id: int, parent_id: int | None) -> list[int | None]:
        attachments = [Attachment("a.py", f"{self.text()}x\n")] * self._random.randrange(3)
        question = ChatMessage(Role.USER, join_attachments(self.text(), attachments), mode_tag=self._mode())
        ids = [(await self._store.add_message(chat_id, parent_id, question)).id]
        for _ in range(self._random.randrange(3)):
            ids += await self._step(chat_id, ids[-1])
        ids.append(await self._reply(chat_id, ids[-1], ()))
        return [*ids]

    async def _step(self, chat_id: int, parent_id: int) -> list[int]:
        flags = [self._random.random() < 0.2 for _ in range(2)]
        calls = tuple(ToolCall(f"tool{n}", self.text(), *flags) for n in range(self._random.randrange(1, 4)))
        ids = [await self._reply(chat_id, parent_id, calls)]
        for index, call in enumerate(calls[: self._random.randrange(len(calls) + 1)]):
            whole: WholeResult | None = None
            if self._random.random() < 0.3:
                whole = await self._store.save_result(chat_id, self.text() + "long")
            decision = self._random.choice(["allow", "edited", "allowed_by_rule", "deny"])
            record = CallRecord(index, call.name, self.text(), decision, flags[0], flags[1], 0.25, whole)
            result = ChatMessage(Role.TOOL, self.text())
            stored = await self._store.add_message(chat_id, ids[-1], result, MessageMeta(call=record))
            ids.append(stored.id)
        return ids

    async def _reply(self, chat_id: int, parent_id: int, calls: tuple[ToolCall, ...]) -> int:
        reply = ChatMessage(Role.ASSISTANT, self.text(), self.text(), calls)
        stored = await self._store.add_message(chat_id, parent_id, ChatMessage(Role.ASSISTANT, ""))
        meta = self._meta(StopReason.TOOL_CALLS if calls else self._random.choice([*StopReason]))
        ids = tuple(self._random.randrange(151_000) for _ in range(self._random.randrange(4)))
        await self._store.finish_message(stored.id, reply, meta, ids)
        return stored.id


def without_numbers(text: str) -> dict[str, Any]:
    """Return an export whose messages are numbered from 1 on."""
    document: dict[str, Any] = json.loads(text)
    numbers = {entry["id"]: number for number, entry in enumerate(document["messages"], start=1)}
    document["chat"]["id"] = 0
    document["chat"]["head_id"] = numbers[document["chat"]["head_id"]]
    for entry in document["messages"]:
        entry["id"] = numbers[entry["id"]]
        entry["parent_id"] = numbers.get(entry["parent_id"])
        for call in (*entry.get("tool_calls", ()), *filter(None, [entry.get("call")])):
            reply_id, _, index = call["id"].partition(".")
            call["id"] = f"{numbers[int(reply_id)]}.{index}"
    return document


async def exported(store: ChatStore, chat_id: int) -> str:
    whole = await store.whole_chat(chat_id)
    return render(whole.chat, whole.messages, ExportFormat.JSON, ThinkingStyle.FULL)


async def check_round_trips(folder: Path, seeds: range) -> int:
    """Check that the chats of these seeds come back; return how many messages they have."""
    clock = (datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=7 * n) for n in itertools.count())
    store = await ChatStore.open(folder / "chats.db", clock=lambda: next(clock))
    n_messages = 0
    try:
        for seed in seeds:
            chat_id = await ChatMaker(store, seed).chat()
            text = await exported(store, chat_id)
            file = folder / f"{seed}.json"
            file.write_text(text, "utf-8")
            contents = read_chat_file(file, datetime.now(UTC))
            (imported_id,) = await store.import_chats(contents.chats)
            assert imported_id != chat_id
            assert without_numbers(await exported(store, imported_id)) == without_numbers(text), (
                f"seed {seed}"
            )
            chat = await store.chat(imported_id)
            assert chat.options == ChatOptions(), "what may run is not imported"
            n_messages += len(without_numbers(text)["messages"])
        assert store.take_notices() == ()
    finally:
        await store.close()
    return n_messages


async def test_chats_with_branches_and_steps_come_back(tmp_path: Path) -> None:
    assert await check_round_trips(tmp_path, range(SEED, SEED + SEVERAL)) > 5 * SEVERAL


@pytest.mark.full
async def test_500_chats_with_branches_and_steps_come_back(tmp_path: Path) -> None:
    await check_round_trips(tmp_path, range(SEED + SEVERAL, SEED + SEVERAL + 500))


async def test_what_was_imported_is_found_listed_and_gone_on_with(tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text(render(chat_of(), CONVERSATION, ExportFormat.JSON), "utf-8")
    store = await ChatStore.open(tmp_path / "chats.db")
    other = await store.create_chat()
    (chat_id,) = await store.import_chats(read_chat_file(file, datetime.now(UTC)).chats)
    assert [(chat.id, chat.message_count) for chat in await store.chats()] == [(chat_id, 6), (other.id, 0)]
    assert [chat.id for chat in await store.chats(search="strawberries")] == [chat_id]
    (hit,) = await store.find("get_weather", order=SearchOrder.NEWEST)
    assert hit.in_call
    messages = await store.branch(chat_id)
    assert [stored.message for stored in messages] == [stored.message for stored in CONVERSATION]
    added = await store.add_message(chat_id, messages[-1].id, ChatMessage(Role.USER, "go on"))
    assert added.id > messages[-1].id
    await store.close()


async def test_the_file_of_a_whole_result_that_is_not_here_is_said_to_be_missing(tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    file.write_text(render(chat_of(), CONVERSATION, ExportFormat.JSON), "utf-8")
    store = await ChatStore.open(tmp_path / "chats.db")
    (chat_id,) = await store.import_chats(read_chat_file(file, datetime.now(UTC)).chats)
    call = (await store.branch(chat_id))[4].meta.call
    assert call is not None
    assert call.whole == WholeResult(123_456, not_saved="not_imported")
    await store.close()


async def test_all_chats_of_a_file_are_stored_or_none(tmp_path: Path) -> None:
    line = json.dumps({"messages": [{"role": "user", "content": "a"}]})
    file = tmp_path / "chats.jsonl"
    file.write_text(f"{line}\n" * 3, "utf-8")
    chats = read_chat_file(file, datetime.now(UTC)).chats
    store = await ChatStore.open(tmp_path / "chats.db")
    (first, *_), last = chats, chats[-1]
    broken = type(last)(last.chat, (StoredMessage(1, 0, 99, *_rest(last.messages[0])),))
    with pytest.raises((StoreError, KeyError)):
        await store.import_chats([first, broken])
    assert await store.chats() == ()
    assert len(await store.import_chats(chats)) == 3
    await store.close()


def _rest(stored: StoredMessage) -> tuple[ChatMessage, MessageMeta, datetime]:
    return stored.message, stored.meta, stored.created_at


def test_an_export_of_a_deep_chat_is_read(tmp_path: Path) -> None:
    async def run() -> int:
        store = await ChatStore.open(tmp_path / "chats.db")
        file = tmp_path / "deep.jsonl"
        messages = [{"role": role, "content": f"{n}"} for n in range(1500) for role in ("user", "assistant")]
        file.write_text(json.dumps({"messages": messages}), "utf-8")
        (chat_id,) = await store.import_chats(read_chat_file(file, datetime.now(UTC)).chats)
        text = await exported(store, chat_id)
        await store.close()
        file.write_text(text, "utf-8")
        return len(read_chat_file(file, datetime.now(UTC)).chats[0].messages)

    assert asyncio.run(run()) == 3000


def test_a_chat_without_messages_comes_back(tmp_path: Path) -> None:
    file = tmp_path / "empty.json"
    file.write_text(render(chat_of(), (), ExportFormat.JSON), "utf-8")
    (chat,) = read_chat_file(file, datetime.now(UTC)).chats
    assert chat.messages == ()
    file.write_text(json.dumps({"messages": []}), "utf-8")
    with pytest.raises(ChatImportError) as caught:
        read_chat_file(file, datetime.now(UTC))
    assert caught.value.code is ErrorCode.IMPORT_CHAT_EMPTY
