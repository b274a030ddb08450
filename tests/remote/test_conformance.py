from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from conformance import interruptions, turns
from conformance.bench import Bench, Unfit
from conformance.column import column, hold_conversations
from conformance.conversations import CONVERSATIONS, Conversation
from conformance.features import MISSING_FEATURES, Cell, Column, Feature, read_documented_cells
from event_stream import events_of
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineFailed
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, TokenCounts
from qwen3_chat.servers import ServerKind
from tests.conftest import REPOSITORY
from tests.remote.imitations import CALL, RESULT, TOO_LONG, Imitation
from tests.remote.remote_engines import remote_engine_at
from tests.remote.wire_server import Reply, Request, json_reply, running

README = REPOSITORY / "docs" / "serving" / "README.md"
REPLAYED = [kind for kind in ServerKind if kind is not ServerKind.LLAMA_CPP_PYTHON]
LOCAL = "this machine"


async def run_conversations(bench: Bench) -> Column:
    """Hold every conversation successfully and return the column of the engine."""
    assert [(name, wrong) async for name, wrong in hold_conversations(bench) if wrong] == []
    return column(bench)


def test_there_are_thirty_conversations() -> None:
    assert len({conversation.__name__ for conversation in CONVERSATIONS}) == len(CONVERSATIONS) == 30


def test_the_table_has_a_column_for_each_engine_and_a_row_for_each_feature() -> None:
    table = read_documented_cells(README)
    assert sorted(table) == sorted([LOCAL, *ServerKind])
    assert all(sorted(cells) == sorted(Feature) for cells in table.values())


@pytest.mark.parametrize("engine", [LOCAL, ServerKind.LLAMA_SERVER])
def test_nothing_is_missing_on_this_machine_and_on_llama_server(engine: str) -> None:
    assert Cell.NOT_OFFERED not in read_documented_cells(README)[engine].values()


@pytest.mark.parametrize("kind", list(ServerKind))
def test_what_a_server_does_not_offer_has_a_sentence_that_is_shown(kind: ServerKind) -> None:
    missing = {
        feature for feature, cell in read_documented_cells(README)[kind].items() if cell is Cell.NOT_OFFERED
    }
    assert {MISSING_FEATURES[feature] for feature in missing} == set(SERVER_FEATURES[kind].missing_features)
    assert all(feature.sentence.endswith(".") for feature in SERVER_FEATURES[kind].missing_features)


@pytest.mark.parametrize("kind", REPLAYED)
async def test_thirty_conversations_with_an_imitated_server_find_its_column(kind: ServerKind) -> None:
    hidden = kind if kind is ServerKind.DASHSCOPE else None  # told by its domain, which loopback isn't
    async with running(Imitation(kind)) as wire, remote_engine_at(wire.url, hidden) as engine:

        async def stopped() -> None:
            await wire.left.wait()
            wire.left.clear()

        cells = await run_conversations(Bench.from_engine(engine, stopped))
        assert engine.missing_features == SERVER_FEATURES[kind].missing_features
    assert cells == read_documented_cells(README)[kind]


@pytest.mark.parametrize("kind", REPLAYED)
async def test_a_server_is_recognised_and_its_model_described(kind: ServerKind) -> None:
    imitation = Imitation(kind)
    async with running(imitation) as wire, remote_engine_at(wire.url, None) as engine:
        assert [event async for event in events_of(engine.load) if isinstance(event, EngineFailed)] == []
        model = engine.model
        assert model is not None
        host = wire.url.removeprefix("http://")
    label = model.engine.removesuffix(f" · {host}")
    is_hidden = kind in (ServerKind.DASHSCOPE, ServerKind.OPENAI)
    assert label.lower().replace(" ", "-") == ("openai-compatible" if is_hidden else kind.value)
    assert model.path == wire.url
    assert model.name == ("qwen3:8b" if kind is ServerKind.OLLAMA else "Qwen3-8B")
    assert model.quant == {"ollama": "Q4_K_M", "llama-server": "Q4_K_M", "lm-studio": "4bit"}.get(kind, "")


def _broken_by_length(request: Request, reply: Reply) -> Reply:
    return json_reply({"error": "CUDA error"}, 500) if len(request.body) > TOO_LONG else reply


def _without(text: str, instead: str = "") -> Callable[[Request, Reply], Reply]:
    """Return a fault that replaces a text in every reply."""

    def change(_: Request, reply: Reply) -> Reply:
        old, new = (json.dumps(it, ensure_ascii=False)[1:-1].encode() for it in (text, instead))
        pieces = [it.replace(old, new) if isinstance(it, bytes) else it for it in reply.pieces]
        return replace(reply, pieces=pieces)

    return change


@pytest.mark.parametrize(
    ("conversation", "fault"),
    [
        (turns.a_chat_that_is_too_long_is_refused, _broken_by_length),
        (interruptions.a_tool_is_called, _without("17 × 23", "17 + 23")),
        (interruptions.a_tool_is_called_without_thinking, _without(CALL["arguments"][:7], "")),
        (interruptions.the_result_of_a_tool_is_read, _without("tool_calls", "other")),
        (interruptions.the_result_of_a_tool_is_read, _without(RESULT, "Well.")),
        (interruptions.two_results_are_read, _without(RESULT, "Well.")),
    ],
)
async def test_a_server_with_a_fault_fails_the_conversation(
    conversation: Conversation, fault: Callable[[Request, Reply], Reply]
) -> None:
    imitation = Imitation(ServerKind.VLLM)
    async with (
        running(lambda request: fault(request, imitation(request))) as wire,
        remote_engine_at(wire.url) as engine,
    ):
        bench = Bench.from_engine(engine)
        await bench.load()
        with pytest.raises(Unfit):
            await conversation(bench)


async def test_an_error_fails_its_conversation_and_none_of_those_that_follow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def refuse(request: ChatRequest) -> TokenCounts:
        raise EngineError(ErrorCode.SERVER_NOT_LISTENING, host="box")

    async with running(Imitation(ServerKind.VLLM)) as wire, remote_engine_at(wire.url) as engine:
        monkeypatch.setattr(engine, "count_tokens", refuse)
        found = [(name, wrong) async for name, wrong in hold_conversations(Bench.from_engine(engine))]
    assert len(found) == len(CONVERSATIONS)
    why = "Nothing answers at box; is the server running?"
    assert [(name, wrong) for name, wrong in found if wrong] == [
        ("tokens are counted before they are sent", why),
        ("a long chat is read", why),
    ]


async def test_a_stop_that_nobody_watches_proves_nothing() -> None:
    async with running(Imitation(ServerKind.VLLM)) as wire, remote_engine_at(wire.url) as engine:
        bench = Bench.from_engine(engine)
        await bench.load()
        await interruptions.it_is_stopped_in_its_thinking(bench)
    assert Feature.STOP not in column(bench)
