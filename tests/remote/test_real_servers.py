from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import httpx2
import pytest

from conformance.replies import Heard, hear
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import PrefillProgressed, ReasoningDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadSettings
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.session import ChatSession
from qwen3_chat.store import ChatStore
from tests.e2e.conftest import Program
from tests.engine.model_files import LONG_N_CTX
from tests.remote.conftest import llama_server
from tests.remote.remote_engines import chat_request, remote_engine_at

QUESTION = "How many r's in strawberries?"
SURE = SamplingParams(temperature=0.01, top_p=0.9, top_k=5)
EARLY_TOKENS = 3


def sure(text: str = QUESTION, mode: ThinkingMode = ThinkingMode.THINK, **options: object) -> ChatRequest:
    return replace(chat_request(text, mode, **options), sampling=SURE)


async def test_a_chat_goes_from_this_machine_to_a_server_and_back(
    llama_cpp_python: str, demo_gguf: Path, tmp_path: Path
) -> None:
    local = LocalEngine(LoadSettings(str(demo_gguf)), tmp_path / "engine.log")
    store = await ChatStore.open(tmp_path / "chats.db")
    async with remote_engine_at(llama_cpp_python) as remote:
        engines: tuple[Engine, ...] = (local, remote, local)
        chat_id = None
        for engine in engines:
            session = ChatSession(engine, store, draw_seed=lambda: 1, clock=monotonic)
            if chat_id is not None:
                await session.resume(chat_id)
            async for _ in events_of(session.send, QUESTION):
                pass
            assert session.chat is not None
            chat_id = session.chat.id
        assert chat_id is not None
        branch = await store.branch(chat_id)
    replies = [stored for stored in branch if stored.message.role is Role.ASSISTANT]
    assert all(reply.message.content and reply.message.reasoning for reply in replies)
    here = f"llama-cpp-python · {llama_cpp_python.removeprefix('http://')}"
    assert [reply.meta.engine for reply in replies] == ["llama.cpp", here, "llama.cpp"]
    await local.close()
    await store.close()


def test_ask_takes_its_answer_from_a_server(llama_cpp_python: str, program: Program) -> None:
    done = program.run("ask", "--endpoint", llama_cpp_python, "--model", "demo", "--json", QUESTION)
    assert done.returncode == 0, done.stderr
    reply = json.loads(done.stdout)
    assert reply["answer"]
    assert reply["reasoning"]
    assert (reply["stop_reason"], reply["model"]) == ("end_of_turn", "demo Q8_0")
    exported = json.loads(program.run("export", "last", "--format", "json").stdout)
    assert "llama-cpp-python · 127.0.0.1" in json.dumps(exported, ensure_ascii=False)


@pytest.fixture(scope="module")
def served_demo(demo_gguf: Path) -> Iterator[str]:
    with llama_server(demo_gguf) as url:
        yield url


@pytest.mark.full
async def test_llama_server_counts_exactly_and_tells_its_progress_and_what_it_reused(
    served_demo: str,
) -> None:
    async with remote_engine_at(served_demo) as engine:
        request = sure("Spell the word strawberries, please.")
        measure = await engine.count_tokens(request)
        first, second = await hear(engine, request), await hear(engine, request)
        assert first.end is not None
        assert second.end is not None
    assert measure.exact
    assert measure.total == first.end.usage.prompt_tokens
    assert any(isinstance(event, PrefillProgressed) for event in first.events)
    assert second.end.usage.reused_tokens > 0


@pytest.mark.full
@pytest.mark.parametrize("is_early", [True, False])
async def test_llama_server_goes_on_with_a_reply_that_was_stopped(served_demo: str, is_early: bool) -> None:
    async with remote_engine_at(served_demo) as engine:
        whole = await hear(engine, sure())
        assert whole.end is not None
        usage = whole.end.usage
        before_the_last = usage.reasoning_tokens + usage.answer_tokens - 2
        stopped = await hear(engine, sure(max_tokens=EARLY_TOKENS if is_early else before_the_last))
        assert is_early == (stopped.answer == "")
        assert (stopped.reasoning, stopped.answer) != (whole.reasoning, whole.answer)
        prefix = ChatMessage(Role.ASSISTANT, stopped.answer, stopped.reasoning)
        rest = await hear(engine, sure(prefix=prefix))
        measure = await engine.count_tokens(sure(prefix=prefix))
    assert (rest.reasoning, rest.answer) == (whole.reasoning, whole.answer)
    assert rest.end is not None
    assert measure.exact
    assert measure.total == rest.end.usage.prompt_tokens


@pytest.mark.full
async def test_llama_server_is_idle_once_a_reply_is_stopped(musing_gguf: Path) -> None:
    with llama_server(musing_gguf, LONG_N_CTX) as url:
        async with remote_engine_at(url) as engine, httpx2.AsyncClient(trust_env=False) as client:
            stopped = Heard()
            events = events_of(engine.generate, sure())
            async for event in events:
                stopped.take(event)
                if isinstance(event, ReasoningDelta) and event.tokens == 20:
                    events.cancel()
            assert stopped.end is not None
            assert stopped.end.stop_reason is StopReason.CANCELLED
            while any(slot["is_processing"] for slot in (await client.get(f"{url}/slots")).json()):
                pass


@pytest.mark.full
async def test_llama_server_ends_the_thinking_on_demand_and_by_its_budget(musing_gguf: Path) -> None:
    with llama_server(musing_gguf, LONG_N_CTX) as url:
        async with remote_engine_at(url) as engine:
            limited = await hear(engine, sure(thinking_budget=10, max_tokens=300))
            assert "Considering the limited time" in limited.reasoning
            assert limited.answer
            told = Heard()
            events = events_of(engine.generate, sure())
            async for event in events:
                told.take(event)
                if isinstance(event, ReasoningDelta) and event.tokens == 5:
                    await engine.end_thinking()
                if told.answer:
                    events.cancel()
            assert told.notices == []
            assert told.answer
