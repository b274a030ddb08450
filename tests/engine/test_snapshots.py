from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.in_process import clear_context, open_model, reply_to
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.kv_snapshot_store import KVSnapshotStore
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.engine.worker.llama_model import LlamaModel
from qwen3_chat.events import AnswerDelta, ReasoningDelta
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadSettings, PersistenceOptions
from tests.engine import model_files
from tests.engine.agreement import check_agree
from tests.engine.requests import chat_request, collect_events, end_of, user_message

NO_THINK = ThinkingMode.NO_THINK
CHAT = 7
QUESTIONS = (
    "How many r's in strawberries?",
    "What is 17 + 25?",
    "Count from 3 to 9.",
    "Who are you?",
    "What is the capital of France?",
    "Spell banana backwards.",
)
OpenEngine = Callable[..., LocalEngine]


@pytest.fixture
async def open_engine(demo_gguf: Path, tmp_path: Path) -> AsyncIterator[OpenEngine]:
    """Return a function that opens engines one after the other, all with one data folder."""
    engines: list[LocalEngine] = []

    def open_one(worth_s: float = 0.0) -> LocalEngine:
        persistence = PersistenceOptions(str(tmp_path), 1 << 30, worth_s=worth_s)
        engine = LocalEngine(LoadSettings(str(demo_gguf)), tmp_path / "engine.log", persistence=persistence)
        engines.append(engine)
        return engine

    yield open_one
    for engine in engines:
        await engine.close()


@pytest.fixture
def store(tmp_path: Path) -> KVSnapshotStore:
    return KVSnapshotStore(tmp_path / "snapshots", 1 << 30)


@pytest.fixture
def snapshot_path(tmp_path: Path) -> Path:
    return tmp_path / "snapshots" / f"{CHAT}.kv"


async def answer(engine: LocalEngine, request: ChatRequest) -> tuple[ChatMessage, int]:
    """Send a request; return the reply and the number of evaluated tokens of its prompt."""
    events = await collect_events(events_of(engine.generate, request))
    end = end_of(events)
    reply = ChatMessage(
        Role.ASSISTANT,
        "".join(event.text for event in events if isinstance(event, AnswerDelta)),
        "".join(event.text for event in events if isinstance(event, ReasoningDelta)),
        token_ids=end.token_ids,
    )
    return reply, end.usage.prompt_tokens - end.usage.reused_tokens


async def hold(
    engine: LocalEngine, number: int, turns: int = 1, mode: ThinkingMode = NO_THINK, chat_id: int = CHAT
) -> ChatRequest:
    """Hold a conversation; return the request that would be the next."""
    request = chat_request(user_message(QUESTIONS[number % 6]), mode=mode, max_tokens=400, chat_id=chat_id)
    for step in range(1, turns + 1):
        reply, _ = await answer(engine, request)
        question = user_message(QUESTIONS[(number + step) % 6])
        request = replace(request, messages=(*request.messages, reply, question))
    await engine.wait_idle()
    return request


def modes_in(folder: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


@pytest.fixture(scope="module")
def model(demo_gguf: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaModel]:
    yield from open_model(demo_gguf, tmp_path_factory.mktemp("log") / "engine.log")


async def check_resumes(open_engine: OpenEngine, model: LlamaModel, number: int) -> None:
    mode = list(ThinkingMode)[number % 2]
    first = open_engine()
    upcoming = await hold(first, number, turns=2, mode=mode)
    await first.close()
    second = open_engine()
    resumed, evaluated = await answer(second, upcoming)
    counts = await second.count_tokens(upcoming)
    await second.close()
    template = counts.total - sum(counts.per_message)
    assert evaluated <= counts.per_message[-1] + template + 2
    clear_context(model)
    fresh = reply_to(model, upcoming)
    assert fresh.usage.prompt_tokens == counts.total
    check_agree(model, fresh, replace(fresh, message=resumed))


@pytest.mark.parametrize("number", range(2))
async def test_a_new_process_goes_on_where_the_last_one_was(
    open_engine: OpenEngine, model: LlamaModel, number: int
) -> None:
    await check_resumes(open_engine, model, number)


@pytest.mark.full
@pytest.mark.parametrize("number", range(2, 24))
async def test_many_chats_go_on_as_if_evaluated_anew(
    open_engine: OpenEngine, model: LlamaModel, number: int
) -> None:
    await check_resumes(open_engine, model, number)


async def test_only_its_owner_may_read_a_snapshot(open_engine: OpenEngine, snapshot_path: Path) -> None:
    engine = open_engine()
    await hold(engine, 0)
    await engine.close()
    assert modes_in(snapshot_path.parent) == {snapshot_path.name: 0o600}


async def test_what_is_quickly_evaluated_again_is_not_kept(
    open_engine: OpenEngine, store: KVSnapshotStore
) -> None:
    engine = open_engine(worth_s=3600.0)
    await hold(engine, 0)
    await engine.close()
    assert store.chat_ids() == set()


async def test_a_chat_that_is_left_is_kept_while_the_engine_runs(
    open_engine: OpenEngine, store: KVSnapshotStore
) -> None:
    engine = open_engine()
    await hold(engine, 0)
    engine.leave_chat()
    await engine.wait_idle()
    assert store.chat_ids() == {CHAT}


async def test_of_three_chats_each_goes_on_at_once(open_engine: OpenEngine) -> None:
    engine = open_engine()
    upcoming = []
    for number in range(3):
        upcoming.append(await hold(engine, 2 * number, chat_id=number))
        engine.leave_chat()
    for request in upcoming:
        counts = await engine.count_tokens(request)
        _, evaluated = await answer(engine, request)
        template = counts.total - sum(counts.per_message)
        assert evaluated <= counts.per_message[-1] + template + 2


def flip(data: bytes) -> bytes:
    middle = len(data) // 3
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def shred(data: bytes) -> bytes:
    return os.urandom(len(data))


@pytest.mark.parametrize("damage", [flip, shred])
async def test_a_damaged_snapshot_is_evaluated_anew(
    open_engine: OpenEngine, snapshot_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    first = open_engine()
    upcoming = await hold(first, 1)
    await first.close()
    change(snapshot_path, damage)
    second = open_engine()
    _, evaluated = await answer(second, upcoming)
    assert evaluated == (await second.count_tokens(upcoming)).total


async def test_a_snapshot_of_another_model_is_not_loaded(
    open_engine: OpenEngine, snapshot_path: Path, demo_gguf: Path, tmp_path: Path
) -> None:
    first = open_engine()
    upcoming = await hold(first, 1)
    await first.close()
    copy = model_files.make(tmp_path / "copy.gguf", demo_gguf)
    persistence = PersistenceOptions(str(tmp_path), 1 << 30, worth_s=0)
    other = LocalEngine(LoadSettings(str(copy)), tmp_path / "engine.log", persistence=persistence)
    _, evaluated = await answer(other, upcoming)
    assert evaluated == (await other.count_tokens(upcoming)).total
    await other.close()


async def test_a_snapshot_that_ended_a_process_is_never_tried_again(
    open_engine: OpenEngine, snapshot_path: Path
) -> None:
    first = open_engine()
    upcoming = await hold(first, 1)
    pid = first.pid
    await first.close()
    snapshot_path.with_suffix(".loading").write_text(str(pid))
    second = open_engine()
    _, evaluated = await answer(second, upcoming)
    assert evaluated == (await second.count_tokens(upcoming)).total
    assert modes_in(snapshot_path.parent) == {}


async def test_a_deleted_chat_leaves_no_snapshot(open_engine: OpenEngine, store: KVSnapshotStore) -> None:
    engine = open_engine()
    await hold(engine, 0)
    engine.leave_chat()
    await engine.wait_idle()
    engine.remove_snapshot(CHAT)
    assert store.chat_ids() == set()
    engine.leave_chat()
    await engine.wait_idle()
    await engine.close()
    assert store.chat_ids() == set()


async def test_a_title_asked_for_in_between_does_not_matter(open_engine: OpenEngine) -> None:
    first = open_engine()
    upcoming = await hold(first, 0)
    await answer(first, replace(upcoming, chat_id=None, max_tokens=10))
    await first.wait_idle()
    await answer(first, chat_request(user_message("Something else entirely, at some length"), max_tokens=10))
    await first.close()
    second = open_engine()
    _, evaluated = await answer(second, upcoming)
    counts = await second.count_tokens(upcoming)
    template = counts.total - sum(counts.per_message)
    assert evaluated <= counts.per_message[-1] + template + 2


async def test_a_stopped_reply_goes_on_in_a_new_process(open_engine: OpenEngine) -> None:
    first = open_engine()
    request = chat_request(user_message(QUESTIONS[2]), mode=ThinkingMode.THINK, max_tokens=12, chat_id=CHAT)
    whole, _ = await answer(first, replace(request, max_tokens=200))
    stopped, _ = await answer(first, request)
    await first.close()
    second = open_engine()
    continued = replace(request, prefix=stopped, max_tokens=200)
    reply, evaluated = await answer(second, continued)
    assert reply.content.endswith(whole.content[-5:])
    assert evaluated <= 2
