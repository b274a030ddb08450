"""What a server and the app do when something goes wrong: a wrong key, a wrong model, death and return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager

from conformance.bench import Unfit, require
from conformance.replies import Heard, hear
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.remote import RemoteEngine
from qwen3_chat.engine.remote.server_access import ApiKey, ServerAccess
from qwen3_chat.engine.remote.server_probe import RemoteSettings
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.events import AnswerDelta, EngineEvent, EngineFailed
from qwen3_chat.request import ChatRequest
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.servers import Endpoint
from real_servers.recipes import KEY
from real_servers.running import RunningServer
from tests.engine.model_files import LONG_N_CTX

QUESTION = "How many r's in strawberries?"
WRONG_MODEL = "no-such-model"
_SURE = SamplingParams(temperature=0.01, top_p=0.9, top_k=5)
_KEPT_DELTAS = 3


@asynccontextmanager
async def engine_at(
    url: str, model: str | None = None, key: str = KEY, n_ctx: int | None = None
) -> AsyncIterator[RemoteEngine]:
    """Open the app's engine at a server, as a user's command line would."""
    access = ServerAccess(ApiKey(key))
    engine = RemoteEngine(RemoteSettings(Endpoint.parse(url), model, None, access, n_ctx))
    try:
        yield engine
    finally:
        await engine.close()


async def a_wrong_key_is_refused(server: RunningServer, brooder: RunningServer) -> str:
    """Try a wrong key; a server that wants none answers all the same."""
    async with engine_at(server.url, key="wrong") as engine:
        failures = await _load(engine)
        if not server.recipe.wants_key:
            require(not failures, "a server without keys takes any")
            return "wants no key"
        _require_code(failures, ErrorCode.SERVER_KEY_REFUSED)
    return "refused"


async def a_wrong_model_is_named(server: RunningServer, brooder: RunningServer) -> str:
    """Ask for a model that the server has not."""
    async with engine_at(server.url, WRONG_MODEL) as engine:
        failures = await _load(engine)
        _require_code(failures, ErrorCode.SERVER_MODEL_NOT_FOUND)
        require("known" in failures[0].values, "the sentence lists those that it has")
    return "named, with those that it has"


async def a_server_dies_in_mid_answer(server: RunningServer, brooder: RunningServer) -> str:
    """Kill a server within an endless answer, ask it again, start it again, and go on with the chat."""
    n_ctx = LONG_N_CTX if brooder.recipe.n_ctx_to_tell else None
    async with engine_at(brooder.url, n_ctx=n_ctx) as engine:
        require(not await _load(engine), "the server is loaded")
        n_deltas = 0

        async def react(heard: Heard, event: EngineEvent) -> bool:
            nonlocal n_deltas
            n_deltas += isinstance(event, AnswerDelta)
            if n_deltas == _KEPT_DELTAS:
                brooder.kill()
            return False

        heard = await hear(engine, _request("Tell me a story."), react)
        require(n_deltas >= _KEPT_DELTAS, f"an answer came before the server died, not {heard.failure}")
        require(heard.answer, "what arrived is kept")
        _require_code([heard.failure] if heard.failure else [], ErrorCode.SERVER_DISCONNECTED)
        down = await hear(engine, _request(QUESTION))
        _require_code([down.failure] if down.failure else [], ErrorCode.SERVER_NOT_LISTENING)
        await brooder.start()
        again = await hear(engine, _request("Tell me a story.", max_tokens=20))
        require(again.answer, f"after its return the server answers, not {again.failure}")
    return f"{len(heard.answer)} characters kept, then down, then answered again"


async def _load(engine: RemoteEngine) -> list[EngineFailed]:
    return [event async for event in events_of(engine.load) if isinstance(event, EngineFailed)]


def _request(text: str, max_tokens: int | None = None) -> ChatRequest:
    mode = ThinkingMode.NO_THINK
    message = ChatMessage(Role.USER, text, mode_tag=mode)
    return ChatRequest(messages=(message,), sampling=_SURE, seed=1, mode=mode, max_tokens=max_tokens)


def _require_code(failures: Iterable[EngineFailed], code: ErrorCode) -> None:
    found = [failure.code for failure in failures]
    if found != [code]:
        raise Unfit(f"{code} was expected, not {', '.join(map(str, found)) or 'a reply'}")


Trial = Callable[[RunningServer, RunningServer], Awaitable[str]]
TRIALS: dict[str, Trial] = {
    "wrong key": a_wrong_key_is_refused,
    "wrong model": a_wrong_model_is_named,
    "killed in mid-answer, restarted": a_server_dies_in_mid_answer,
}
"""The trials by the names that the table has for them, each returns what was seen."""
