"""The ways of real servers that no documentation tells: how they are recognised, what they refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from conformance.replies import Heard, hear
from event_stream import events_of
from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.events import EngineFailed, PrefillProgressed
from qwen3_chat.servers import ServerKind
from tests.remote.imitations import ANSWERED, MLX_FINGERPRINT, MODEL, Imitation
from tests.remote.remote_engines import chat_request, remote_engine_at
from tests.remote.wire_server import DONE, Piece, Reply, Request, chunk, event, json_reply, running


def listing(**card: object) -> Reply:
    return json_reply({"object": "list", "data": [{"id": MODEL, "object": "model", **card}]})


BARE = listing(created=0)
HELLO = [event(chunk(content="Hello.")), event(chunk(finish="stop")), DONE]
Answer = Callable[[dict[str, object]], Reply]


async def label_at(models: Reply) -> str:
    async with running(lambda _: models) as wire, remote_engine_at(wire.url) as engine:
        assert [e for e in [e async for e in events_of(engine.load)] if isinstance(e, EngineFailed)] == []
        assert engine.model is not None
        return engine.model.engine.partition(" · ")[0]


LISTINGS = {
    "transformers, a local model": (listing(owned_by="local", status={"value": "loaded"}), "transformers"),
    "transformers, a model of a hub": (
        listing(owned_by="Qwen", status={"value": "unloaded"}),
        "transformers",
    ),
    "a router of llama-servers": (listing(owned_by="llamacpp", status={"value": "loaded"}), "llama-server"),
    "a status of another kind": (listing(owned_by="us", status={"value": "ready"}), "OpenAI-compatible"),
    "a status that is text": (listing(owned_by="local", status="loaded"), "OpenAI-compatible"),
}


@pytest.mark.parametrize(("models", "label"), LISTINGS.values(), ids=LISTINGS)
async def test_transformers_is_known_by_the_state_of_its_models(models: Reply, label: str) -> None:
    assert await label_at(models) == label


@pytest.mark.parametrize(
    ("server", "card", "label"),
    [
        ("BaseHTTP/0.6 Python/3.12.3", {}, "mlx-lm"),
        ("BaseHTTP/0.6 Python/3.14.0", {"created": 1}, "mlx-lm"),
        ("BaseHTTP/0.6 Python/3.12.3", {"owned_by": "me"}, "llama-cpp-python"),
        ("BaseHTTP/0.6 Python/3.12.3", {"owned_by": "someone"}, "OpenAI-compatible"),
        ("nginx/1.22.1", {}, "OpenAI-compatible"),
    ],
)
async def test_mlx_lm_is_known_by_a_list_without_owners(
    server: str, card: dict[str, object], label: str
) -> None:
    models = json_reply({"data": [{"id": MODEL, **card}]}, headers={"Server": server})
    assert await label_at(models) == label


def chat_server(models: Reply, answer: Answer) -> Callable[[Request], Reply]:
    return lambda request: models if request.method == "GET" else answer(request.json)


async def test_mlx_lm_behind_a_proxy_is_known_by_its_first_reply() -> None:
    bodies: list[dict[str, Any]] = []

    def answer(body: dict[str, object]) -> Reply:
        bodies.append(body)
        return Reply([event(chunk(content="Hi") | {"system_fingerprint": MLX_FINGERPRINT}), *HELLO])

    async with running(chat_server(BARE, answer)) as wire, remote_engine_at(wire.url) as engine:
        for _ in range(2):
            await hear(engine, chat_request("hi", ThinkingMode.NO_THINK))
        assert engine.model is not None
        assert engine.model.device.startswith("mlx-lm 0.32.2")
    assert [body.get("chat_template_kwargs") for body in bodies] == [None, {"enable_thinking": False}]
    assert "max_tokens" in bodies[1]


@pytest.mark.parametrize("fingerprint", ["fp_44709d6fcb", "b6790-1", "0.32.2", "", MODEL])
async def test_the_fingerprint_of_another_server_changes_nothing(fingerprint: str) -> None:
    reply = Reply([event(chunk(content="Hi") | {"system_fingerprint": fingerprint}), *HELLO])
    async with running(chat_server(BARE, lambda _: reply)) as wire, remote_engine_at(wire.url) as engine:
        await hear(engine, chat_request("hi"))
        assert engine.model is not None
        assert engine.model.engine.startswith("OpenAI-compatible")


async def test_the_kind_that_the_user_names_outweighs_a_fingerprint() -> None:
    reply = Reply([event(chunk(content="Hi") | {"system_fingerprint": MLX_FINGERPRINT}), *HELLO])
    async with (
        running(chat_server(BARE, lambda _: reply)) as wire,
        remote_engine_at(wire.url, ServerKind.OPENAI) as engine,
    ):
        await hear(engine, chat_request("hi"))
        assert not engine.capabilities.hard_switch


@pytest.mark.parametrize("kind", [ServerKind.MLX_LM, ServerKind.TRANSFORMERS])
async def test_a_server_that_ends_replies_early_is_told_all_the_room_there_is(kind: ServerKind) -> None:
    async with running(Imitation(kind)) as wire, remote_engine_at(wire.url, n_ctx=4000) as engine:
        heard = await hear(engine, chat_request("How many r's in strawberry?"))
        limits = [request.json.get("max_tokens") for request in wire.requests if request.method == "POST"]
    assert heard.answer == ANSWERED
    assert [3900 < limit < 4000 for limit in limits if isinstance(limit, int)] == [True]


async def test_reaching_that_limit_means_that_the_context_is_full() -> None:
    usage = {"usage": {"prompt_tokens": 10, "completion_tokens": 3900}}
    reply = Reply([HELLO[0], event(chunk(finish="length") | usage)])
    models = listing(owned_by="local", status={"value": "loaded"})
    async with running(chat_server(models, lambda _: reply)) as wire, remote_engine_at(wire.url) as engine:
        free = await hear(engine, chat_request("hi"))
        limited = await hear(engine, chat_request("hi", max_tokens=3900))
    assert free.end is not None
    assert free.end.stop_reason is StopReason.CONTEXT_FULL
    assert limited.end is not None
    assert limited.end.stop_reason is StopReason.MAX_TOKENS


def test_the_sampling_that_each_of_them_understands_is_sent() -> None:
    async def sent_to(kind: ServerKind) -> dict[str, object]:
        async with running(Imitation(kind)) as wire, remote_engine_at(wire.url) as engine:
            await hear(engine, chat_request("hi"))
            return wire.requests[-1].json

    mlx, transformers = asyncio.run(sent_to(ServerKind.MLX_LM)), asyncio.run(sent_to(ServerKind.TRANSFORMERS))
    assert mlx["top_k"] == 20
    assert not {"top_k", "min_p"} & transformers.keys()
    assert mlx["temperature"] == transformers["temperature"] == 0.6


@pytest.mark.parametrize(
    ("kind", "n_ctx", "option"),
    [
        (ServerKind.VLLM, None, "--max-model-len"),
        (ServerKind.LLAMA_SERVER, None, "--ctx-size"),
        (ServerKind.VLLM, 5000, ""),  # --ctx chose it
        (ServerKind.OPENAI, None, ""),  # --ctx states it
        (ServerKind.OLLAMA, None, ""),  # --ctx asks for it
    ],
)
async def test_the_option_for_a_larger_context_is_that_of_whoever_sets_it(
    kind: ServerKind, n_ctx: int | None, option: str
) -> None:
    async with running(Imitation(kind)) as wire, remote_engine_at(wire.url, n_ctx=n_ctx) as engine:
        await engine.load(lambda event: None)
        assert engine.capabilities.context_option == option


PROGRESS: dict[str, tuple[Sequence[Piece], list[tuple[int, int]]]] = {
    "two comments": (
        [b": keepalive 2048/36014\n\n", b": keepalive 36014/36014\n\n"],
        [(2048, 36014), (36014, 36014)],
    ),
    "cut anywhere": ([b": keep", b"alive 20", b"48/36014\n", b"\n"], [(2048, 36014)]),
    "no space": ([b":keepalive 1/2\n\n"], [(1, 2)]),
    "within an event": ([b"data: {}\n: keepalive 1/2\n\n"], [(1, 2)]),
    "other comments": (
        [b": ping\n\n", b": keepalive\n\n", b": keepalive x/2\n\n", b": keepalive 1/0\n\n"],
        [],
    ),
    "absurd numbers": ([b": keepalive 99999999999999999999/1\n\n", b": keepalive 9/3\n\n"], [(3, 3)]),
}


@pytest.mark.parametrize(("pieces", "expected"), PROGRESS.values(), ids=PROGRESS)
async def test_a_comment_tells_how_far_the_prompt_is_read(
    pieces: Sequence[Piece], expected: list[tuple[int, int]]
) -> None:
    reply = Reply([*pieces, *HELLO])
    async with running(chat_server(BARE, lambda _: reply)) as wire, remote_engine_at(wire.url) as engine:
        events = [event async for event in events_of(engine.generate, chat_request("hi"))]
    assert [(e.done, e.total) for e in events if isinstance(e, PrefillProgressed)] == expected


async def test_a_server_that_reads_on_after_a_stop_is_said_to() -> None:
    gate = asyncio.Event()

    def answer(body: dict[str, object]) -> Reply:
        return Reply([b": keepalive 2048/36014\n\n", gate])

    models = json_reply({"data": [{"id": MODEL}]}, headers={"Server": "BaseHTTP/0.6 Python/3.12.3"})
    heard = Heard()
    async with running(chat_server(models, answer)) as wire, remote_engine_at(wire.url) as engine:
        events = events_of(engine.generate, chat_request("hi"))
        async for happened in events:
            heard.take(happened)
            if isinstance(happened, PrefillProgressed):
                events.cancel()
        await wire.left.wait()
    assert heard.notices == ["remote.reads_on"]
    assert heard.end is not None
    assert heard.end.stop_reason is StopReason.CANCELLED


REFUSED_BUDGET = (
    "thinking_token_budget is set but reasoning_config is not configured. Please set --reasoning-parser "
    "and/or --reasoning-config to use thinking_token_budget."
)
REFUSING = {
    "a refusal": json_reply({"error": {"message": REFUSED_BUDGET, "code": 400}}, 400),
    "a failure": json_reply({"error": {"message": REFUSED_BUDGET, "code": 500}}, 500),
    "an error within a 200": Reply([event({"error": {"message": REFUSED_BUDGET}}), DONE]),
    "an unknown field": json_reply({"detail": "Unexpected fields: {'thinking_token_budget'}"}, 422),
}


@pytest.mark.parametrize("refusal", REFUSING.values(), ids=REFUSING)
async def test_a_budget_that_vllm_refuses_is_forgone_and_told(refusal: Reply) -> None:
    imitation = Imitation(ServerKind.VLLM)
    budgets: list[object] = []

    def answer(request: Request) -> Reply:
        if request.path != "/v1/chat/completions":
            return imitation(request)
        budgets.append(request.json.get("thinking_token_budget"))
        return imitation(request) if budgets[-1] is None else refusal

    async with running(answer) as wire, remote_engine_at(wire.url) as engine:
        assert engine.model is None
        first = await hear(engine, chat_request("hi", thinking_budget=10))
        second = await hear(engine, chat_request("hi", thinking_budget=10))
        assert not engine.capabilities.thinking_budget
        assert "budget" in [feature.value for feature in engine.missing_features]
    assert budgets == [10, None, None]
    assert (first.answer, second.answer) == (ANSWERED, ANSWERED)
    assert (first.notices, second.notices) == (["remote.budget_refused"], [])


async def test_another_refusal_is_no_refusal_of_the_budget() -> None:
    imitation = Imitation(ServerKind.VLLM)
    refusal = json_reply({"error": {"message": "temperature must be non-negative", "code": 400}}, 400)
    async with (
        running(lambda r: refusal if r.path.endswith("completions") else imitation(r)) as wire,
        remote_engine_at(wire.url) as engine,
    ):
        heard = await hear(engine, chat_request("hi", thinking_budget=10))
    assert heard.failure is not None
    assert heard.failure.code == ErrorCode.SERVER_REFUSED


@pytest.mark.parametrize(
    ("kind", "notices"),
    [(ServerKind.VLLM, ["remote.budget_ignored"]), (ServerKind.LLAMA_SERVER, ["remote.budget_ignored"])],
)
async def test_a_budget_of_which_no_notice_is_taken_is_told(kind: ServerKind, notices: list[str]) -> None:
    """llama-server without --jinja and older vLLM know the field and think on."""
    imitation = Imitation(kind)
    thinking = [event(chunk(content=text)) for text in ["<think>", *["hm "] * 200, "</think>"]]
    reply = Reply([*thinking, *HELLO])
    async with (
        running(lambda r: reply if r.path.endswith("/chat/completions") else imitation(r)) as wire,
        remote_engine_at(wire.url) as engine,
    ):
        ignored = await hear(engine, chat_request("hi", thinking_budget=20))
        kept = await hear(engine, chat_request("hi", thinking_budget=180))
    assert (ignored.notices, kept.notices) == (notices, [])


async def test_mlx_lm_without_a_cache_says_nothing_of_its_models_and_a_sentence_says_why() -> None:
    empty = Reply([], content_type="application/json", headers={"Server": "BaseHTTP/0.6 Python/3.12.3"})
    async with running(lambda _: empty) as wire, remote_engine_at(wire.url) as engine:
        (failed,) = [event async for event in events_of(engine.load)]
    assert isinstance(failed, EngineFailed)
    assert failed.code == ErrorCode.SERVER_LISTING_EMPTY
