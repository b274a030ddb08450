"""The thirty conversations with models that write at different speeds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable

import pytest

from conformance.bench import Bench
from conformance.features import Cell, Feature, read_documented_cells
from event_stream import events_of
from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.engine.remote import TimeoutPolicy
from qwen3_chat.record_copies import replace
from qwen3_chat.servers import ServerKind
from tests.remote.imitations import Imitation
from tests.remote.remote_engines import Heard, chat_request, remote_engine_at
from tests.remote.test_conformance import README, run_conversations
from tests.remote.wire_server import Handler, Piece, Reply, Request, json_reply, running

TOKEN_A_SECOND_S = 1.0
SETTLING_S = 0.002
"""The time for which the loop waits for bytes in transit before it skips to the next timer."""


class SkippingSelector(selectors.DefaultSelector):
    """A selector that skips to the next timer at once if no socket is ready."""

    def __init__(self) -> None:
        super().__init__()
        self.skipped_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the sockets that are ready; if there is none, skip the rest of the wait."""
        if timeout is None or timeout <= SETTLING_S:
            return super().select(timeout)
        ready = super().select(SETTLING_S)
        if not ready:
            self.skipped_s += timeout - SETTLING_S
        return ready


class SkippingLoop(asyncio.SelectorEventLoop):
    """An event loop without waits: a minute of its timers takes milliseconds."""

    def __init__(self) -> None:
        self._skipping = SkippingSelector()
        super().__init__(self._skipping)

    def time(self) -> float:
        """Return the time of the loop's timers, in seconds."""
        return super().time() + self._skipping.skipped_s


def at_once(reply: Reply) -> Reply:
    """Return the reply with all pieces in one, as from a model that is faster than its reader."""
    pieces: list[Piece] = []
    for piece in reply.pieces:
        match pieces, piece:
            case [*_, bytes() as before], bytes():
                pieces[-1] = before + piece
            case _:
                pieces.append(piece)
    return replace(reply, pieces=pieces)


def a_token_a_second(reply: Reply) -> Reply:
    return replace(reply, pause_s=TOKEN_A_SECOND_S)


def paced(handler: Handler, pace: Callable[[Reply], Reply]) -> Handler:
    def handle(request: Request) -> Reply:
        reply = handler(request)
        return pace(reply) if reply.content_type == "text/event-stream" else reply

    return handle


async def table(kind: ServerKind, pace: Callable[[Reply], Reply]) -> dict[Feature, Cell]:
    async with (
        running(paced(Imitation(kind), pace)) as wire,
        remote_engine_at(wire.url, kind, timeouts=TimeoutPolicy()) as engine,
    ):

        async def stopped() -> None:
            await wire.left.wait()
            wire.left.clear()

        return dict(await run_conversations(Bench.from_engine(engine, stopped)))


@pytest.mark.parametrize("pace", [at_once, a_token_a_second])
@pytest.mark.parametrize("kind", list(ServerKind))
def test_the_table_does_not_depend_on_how_fast_a_model_writes(
    kind: ServerKind, pace: Callable[[Reply], Reply]
) -> None:
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        assert runner.run(table(kind, pace)) == read_documented_cells(README)[kind]


READING_S = 440.0
ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}\n\n'
TEXT = (
    b'data: {"choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


@pytest.mark.parametrize("is_stopped", [False, True])
def test_after_a_role_the_prompt_may_be_read_for_minutes(is_stopped: bool) -> None:
    """Transformers serve sends the role at once and the text after the prompt."""

    async def run() -> Heard:
        def answer(request: Request) -> Reply:
            if not request.path.endswith("/chat/completions"):
                return json_reply({"data": [{"id": "Qwen3-0.6B", "object": "model"}]})
            return Reply([ROLE, TEXT], pause_s=READING_S)

        async with (
            running(answer) as wire,
            remote_engine_at(wire.url, ServerKind.OPENAI, timeouts=TimeoutPolicy()) as engine,
        ):
            heard = Heard()
            events = events_of(engine.generate, chat_request("A long prompt", ThinkingMode.NO_THINK))
            if is_stopped:
                asyncio.get_running_loop().call_later(1.5 * READING_S, events.cancel)
            async for event in events:
                heard.take(event)
            return heard

    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        heard = runner.run(run())
    assert heard.failure is None
    assert heard.end is not None
    assert heard.answer == ("" if is_stopped else "Hello")
    assert (heard.end.stop_reason is StopReason.CANCELLED) == is_stopped
