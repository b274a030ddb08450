from __future__ import annotations

import asyncio

import pytest

from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine.remote import RemoteEngine
from qwen3_chat.events import EngineFailed, Notice, PrefillProgressed, ReasoningDelta
from qwen3_chat.servers import ServerKind
from tests.conftest import REPOSITORY
from tests.remote.imitations import ANSWERED, CALL, TOO_LONG, Imitation
from tests.remote.talking import WEATHER, Heard, ask, hear, talking_to
from tests.remote.wire_server import WireServer, running

WORKS, OURS, NOT_OFFERED = "works", "by our own parsing", "not offered"
BY_TAG = "by tags"
REPLAYED = [kind for kind in ServerKind if kind is not ServerKind.LLAMA_CPP_PYTHON]


def documented() -> dict[str, dict[str, str]]:
    """The table of docs/serving/README.md: feature, then kind of server, then cell."""
    lines = (REPOSITORY / "docs" / "serving" / "README.md").read_text("utf-8").splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    heading = next(index for index, row in enumerate(rows) if row[0] == "feature")
    kinds = rows[heading][1:]
    table = {}
    for feature, *cells in rows[heading + 2 :]:
        if len(cells) != len(kinds):
            break
        table[feature] = dict(zip(kinds, cells, strict=True))
    return table


async def observed(engine: RemoteEngine, wire: WireServer, imitation: Imitation) -> dict[str, str]:
    """Hold the conversations that tell what a server offers."""
    cells = {}
    loading = [event async for event in engine.load()]
    assert not any(isinstance(event, EngineFailed) for event in loading)
    assumed = any(isinstance(event, Notice) for event in loading)
    cells["context size told"] = NOT_OFFERED if assumed else WORKS
    measure = await engine.measure(ask("How many?"))
    assert measure.exact == engine.capabilities.exact_counts
    cells["tokens counted before sending"] = WORKS if measure.exact else NOT_OFFERED

    imitation.raw = ""
    thought = await hear(engine, ask("How many?"))
    assert thought.reasoning == "Let me count: s-t-r-a-w-b-e-r-r-i-e-s."[: len(thought.reasoning)]
    assert thought.answer == ANSWERED
    assert thought.end is not None
    assert thought.end.stop_reason is StopReason.END_OF_TURN
    cells["thinking shown apart"] = OURS if "<thi" in imitation.raw else WORKS
    usage = thought.end.usage
    cells["tokens of the reply told"] = WORKS if usage.prompt_tokens == 30 else NOT_OFFERED
    if usage.prompt_tokens == 30:
        assert usage.reasoning_tokens + usage.answer_tokens == 7
    cells["reused tokens told"] = WORKS if usage.reused_tokens == 10 else NOT_OFFERED
    has_progress = any(isinstance(event, PrefillProgressed) for event in thought.events)
    cells["progress of reading the prompt"] = WORKS if has_progress else NOT_OFFERED

    again = await hear(engine, ask("How many?"))
    assert (again.reasoning, again.answer) == (thought.reasoning, thought.answer)

    short = await hear(engine, ask("How many?", ThinkingMode.NO_THINK))
    assert (short.reasoning, short.answer) == ("", ANSWERED)
    cells["thinking switched in each request"] = WORKS if engine.capabilities.hard_switch else BY_TAG

    limited = await hear(engine, ask("How many?", thinking_budget=2))
    is_limited = len(limited.reasoning) < len(thought.reasoning)
    assert is_limited == engine.capabilities.thinking_budget
    assert ("remote.no_budget" in limited.notices) != is_limited
    cells["thinking budget"] = WORKS if is_limited else NOT_OFFERED

    called = await hear(engine, ask("weather?", tools=(WEATHER,)))
    assert [(call.name, call.arguments) for call in called.calls] == [(CALL["name"], CALL["arguments"])]
    assert called.answer == ""
    assert called.end is not None
    assert called.end.stop_reason is StopReason.TOOL_CALLS
    cells["tool calls"] = OURS if "<tool" in imitation.raw else WORKS

    stopped = await stopped_reply(engine)
    assert stopped.end is not None
    assert stopped.end.stop_reason is StopReason.CANCELLED
    assert stopped.reasoning
    await asyncio.wait_for(wire.left.wait(), 5)
    cells["Esc stops the server too"] = WORKS
    told_to_answer = bool(imitation.controls)
    assert ("remote.thinks_on" in stopped.notices) != told_to_answer
    cells["Ctrl+G: answer now"] = WORKS if told_to_answer else NOT_OFFERED

    cells["F6: go on with a stopped reply"] = WORKS if engine.capabilities.continues_prefix else NOT_OFFERED
    if engine.capabilities.continues_prefix:
        begun = ChatMessage(Role.ASSISTANT, "There are", "hm")
        rest = await hear(engine, ask("How many?", prefix=begun))
        assert (rest.reasoning, rest.answer) == ("hm", ANSWERED)

    endless = await hear(engine, ask("x" * (TOO_LONG + 1)))
    assert endless.failure is not None
    assert endless.failure.key == "remote.too_long"
    cells["a chat that is too long is explained"] = WORKS
    return cells


async def stopped_reply(engine: RemoteEngine) -> Heard:
    """Ask for an answer now, then stop, within the thinking of a reply that has no end."""
    heard = Heard()
    async for event in engine.generate(ask("go on and on")):
        heard.take(event)
        if isinstance(event, ReasoningDelta) and event.tokens == 1:
            await engine.end_thinking()
            await engine.cancel()
    return heard


@pytest.mark.parametrize("kind", REPLAYED)
async def test_each_imitated_server_offers_what_the_table_in_the_documentation_says(kind: ServerKind) -> None:
    imitation = Imitation(kind)
    hidden = kind if kind is ServerKind.DASHSCOPE else None  # told by its domain, which loopback isn't
    async with running(imitation) as wire, talking_to(wire.url, hidden) as engine:
        cells = await observed(engine, wire, imitation)
    assert cells == {feature: row[kind.value] for feature, row in documented().items()}


@pytest.mark.parametrize("kind", REPLAYED)
async def test_a_server_is_recognised_and_its_model_described(kind: ServerKind) -> None:
    imitation = Imitation(kind)
    async with running(imitation) as wire, talking_to(wire.url, None) as engine:
        assert [event async for event in engine.load() if isinstance(event, EngineFailed)] == []
        model = engine.model
        assert model is not None
        host = wire.url.removeprefix("http://")
    label = model.engine.removesuffix(f" · {host}")
    is_hidden = kind in (ServerKind.DASHSCOPE, ServerKind.OPENAI)
    assert label.lower().replace(" ", "-") == ("openai-compatible" if is_hidden else kind.value)
    assert model.path == wire.url
    assert model.name == ("qwen3:8b" if kind is ServerKind.OLLAMA else "Qwen3-8B")
    assert model.quant == {"ollama": "Q4_K_M", "llama-server": "Q4_K_M", "lm-studio": "4bit"}.get(kind, "")
