"""Answers of a schema by llama-server: every one is JSON that fits, whatever its model rambles about."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.chat import ThinkingMode
from qwen3_chat.cli.answer_schema import AnswerSchema, ask_until_it_fits
from qwen3_chat.events import EngineFailed
from qwen3_chat.session import ChatSession, SessionEvent, TurnOptions
from qwen3_chat.store import ChatStore
from tests.engine.test_answer_schema import QUESTIONS, SCHEMAS
from tests.remote.conftest import llama_server
from tests.remote.remote_engines import remote_engine_at

MAX_TOKENS = 400


@asynccontextmanager
async def session_at(url: str, folder: Path) -> AsyncIterator[ChatSession]:
    store = await ChatStore.open(folder / "chats.db")
    async with remote_engine_at(url) as engine:
        yield ChatSession(engine, store, draw_seed=lambda: 1, clock=lambda: 0.0)
    await store.close()


async def ask(
    session: ChatSession, schema: AnswerSchema, question: str, mode: ThinkingMode, seed: int
) -> int:
    """Ask as `ask --schema` does, check the answer; return how often the question was asked."""
    failures = list[EngineFailed]()
    replies = list[SessionEvent]()

    def on_event(event: SessionEvent) -> None:
        replies.append(event)
        if isinstance(event, EngineFailed):
            failures.append(event)

    session.start_new()
    session.set_options(TurnOptions(answer_schema=schema.text, max_tokens=MAX_TOKENS, seed=seed))
    await session.set_mode_override(mode)
    await session.send(schema.ask_for_json(question), on_event)
    await ask_until_it_fits(session, schema, on_event)
    assert not failures, failures
    reply = session.messages[-1].message
    schema.check(reply.content)  # all of it is JSON: no thinking stands before it
    return sum(type(event).__name__ == "ReplyStored" for event in replies)


async def ask_all(
    url: str, folder: Path, cases: Iterable[tuple[int, tuple[str, dict[str, Any], str]]]
) -> list[int]:
    """Ask all questions, in both modes by turns; return how often each was asked."""
    path = folder / "schema.json"
    counts = []
    async with session_at(url, folder) as session:
        for number, (name, value, question) in cases:
            path.write_text(json.dumps(value), "utf-8")
            mode = [*ThinkingMode][number % 2]
            try:
                counts.append(await ask(session, AnswerSchema(path), question, mode, number))
            except Exception as error:
                raise AssertionError(f"{number} {name}, {mode}: {question}") from error
    return counts


def all_cases() -> list[tuple[int, tuple[str, dict[str, Any], str]]]:
    """Return each schema with each question, numbered."""
    pairs = ((name, schema, question) for (name, schema), question in product(SCHEMAS.items(), QUESTIONS))
    return list(enumerate(pairs))


@pytest.mark.full
async def test_every_schema_is_answered_by_llama_server(demo_gguf: Path, tmp_path: Path) -> None:
    with llama_server(demo_gguf) as url:
        counts = await ask_all(url, tmp_path, all_cases()[:: len(QUESTIONS) + 1])
    assert len(counts) >= len(SCHEMAS) - 2
