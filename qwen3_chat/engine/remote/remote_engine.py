"""The `Engine` protocol over a server's HTTP interface."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress

from qwen3_chat.chat import StopReason, Timings, Usage
from qwen3_chat.engine.remote.http_errors import displayable_message
from qwen3_chat.engine.remote.http_transport import HttpTransport
from qwen3_chat.engine.remote.remote_model import RemoteModel
from qwen3_chat.engine.remote.reply_reader import ReplyFacts, ReplyReader
from qwen3_chat.engine.remote.request_bodies import chat_body
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES, MissingFeature
from qwen3_chat.engine.remote.server_probe import RemoteSettings, probe_model
from qwen3_chat.engine.remote.stream_decoding import BodyDecoder
from qwen3_chat.engine.remote.token_counting import count_tokens, estimate_tokens
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import Cancelled, EngineError
from qwen3_chat.events import EngineEvent, EngineFailed, Notice, TurnFinished
from qwen3_chat.request import Capabilities, ChatRequest, LoadedModel, TokenCounts
from qwen3_chat.servers import ServerKind

EventSink = Callable[[EngineEvent], None]
"""A function that takes each event at once."""


class RemoteEngine:
    """The engine of one model on one server; `load` only asks the server about the model."""

    def __init__(self, settings: RemoteSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._transport = HttpTransport(settings.endpoint, settings.access, settings.timeouts)
        self._served: RemoteModel | None = None
        self._probing = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reply: ReplyReader | None = None
        self._emit: EventSink | None = None
        self._sent_notices: set[str] = set()
        self.last_reply = ReplyFacts()

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the server; before `load`, those of every server."""
        if self._served is None:
            return SERVER_FEATURES[self._settings.kind or ServerKind.OPENAI].capabilities
        return SERVER_FEATURES[self._served.kind].capabilities

    @property
    def model(self) -> LoadedModel | None:
        """The model in use; None before `load` is done."""
        return (
            None
            if self._served is None
            else self._served.to_loaded_model(self._settings.endpoint, self._settings.name)
        )

    @property
    def missing_features(self) -> tuple[MissingFeature, ...]:
        """The features that the server lacks, as far as is known."""
        kind = self._served.kind if self._served else self._settings.kind or ServerKind.OPENAI
        return SERVER_FEATURES[kind].missing_features

    async def load(self) -> AsyncGenerator[EngineEvent, None]:
        """Probe the server and yield notices; end with `EngineFailed` after an error or `cancel`."""
        cancelled = EngineFailed.from_error(Cancelled(ErrorCode.LOAD_CANCELLED))
        async with aclosing(self._relay(self._probe, cancelled)) as events:
            async for event in events:
                yield event

    def reset(self) -> None:
        """Discard the probe's result, so that `load` asks again."""
        self._served = None

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request, exactly where the server tokenises.

        Raises:
            EngineError: the server can't be reached or the request can't be encoded.
        """
        return await count_tokens(request, await self._ensure_probed(), self._transport)

    async def generate(self, request: ChatRequest) -> AsyncGenerator[EngineEvent, None]:
        """Generate a reply on the server; the last event is `TurnFinished` or `EngineFailed`.

        Closing the generator early cancels the reply.

        Raises:
            EngineError: another reply is being generated.
        """
        if self._emit is not None:
            raise EngineError(ErrorCode.ENGINE_BUSY)
        self._emit = _discard_event
        try:
            cancelled = TurnFinished(StopReason.CANCELLED, request.mode, Usage(), Timings(), request.seed)
            async with aclosing(self._relay(lambda emit: self._generate(request, emit), cancelled)) as events:
                async for event in events:
                    yield event
        finally:
            self._reply = self._emit = None

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Return None, because only the server can change its context."""
        return None

    async def enlarge(self, n_ctx: int) -> AsyncGenerator[EngineEvent, None]:
        """Yield a notice that the context of a server can't be changed from here."""
        yield Notice("engine.not_enlarged", {"n_ctx": n_ctx})

    async def end_thinking(self) -> None:
        """Make the running reply stop thinking and answer now, if the server can do that."""
        reply, emit = self._reply, self._emit
        if reply is None or emit is None:
            return
        served = await self._ensure_probed()
        if not self.capabilities.ends_thinking:  # also during the answer: events may lag behind
            emit(Notice("remote.thinks_on", {"server": served.server}))
            return
        if not reply.in_reasoning:
            return
        url = f"{self._settings.endpoint.api}/chat/completions/control"
        body = {"id": reply.reply_id, "model": served.model_id, "action": "reasoning_end"}
        with suppress(EngineError):  # if the server is down, the reply itself will report it
            await self._transport.request_json("POST", url, body)

    async def cancel(self) -> None:
        """Stop the running reply or load; the connection closes, by which the server stops too."""
        for task in self._tasks:
            task.cancel()

    def leave_chat(self) -> None:
        """Do nothing: the server manages its own cache."""

    async def close(self) -> None:
        """Stop the running reply or load and close all connections."""
        tasks = tuple(self._tasks)
        await self.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.close()

    async def _relay(
        self, work: Callable[[EventSink], Coroutine[None, None, None]], cancelled: EngineEvent
    ) -> AsyncGenerator[EngineEvent, None]:
        """Yield the events that a task emits until it ends; if closed early, cancel the task.

        `cancelled` is the last event if the task was cancelled before it could emit one.
        """
        queue: asyncio.Queue[EngineEvent | None] = asyncio.Queue()
        task = asyncio.create_task(work(queue.put_nowait), name="remote engine")
        task.add_done_callback(lambda _: queue.put_nowait(None))
        self._tasks.add(task)
        try:
            while (event := await queue.get()) is not None:
                yield event
            if task.cancelled():
                yield cancelled
            else:
                task.result()
        finally:
            self._tasks.discard(task)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _ensure_probed(self) -> RemoteModel:
        """Return the served model, after probing the server if it is not known yet.

        Raises:
            EngineError: the server can't be reached or does not serve the model.
        """
        async with self._probing:
            if self._served is None:
                settings = self._settings
                self._served = await probe_model(
                    self._transport, settings.model, settings.kind, settings.n_ctx
                )
            return self._served

    async def _probe(self, emit: EventSink) -> None:
        try:
            served = await self._ensure_probed()
        except EngineError as error:
            emit(EngineFailed.from_error(error))
            return
        endpoint = self._settings.endpoint
        access = self._settings.access
        if access.sends_secrets and not (endpoint.is_encrypted or endpoint.is_loopback):
            self._notify_once(emit, "remote.key_unencrypted", host=endpoint.host)
        if endpoint.is_encrypted and not access.verifies_certificate:
            self._notify_once(emit, "remote.unverified", host=endpoint.host)
        if not served.n_ctx_is_known:
            self._notify_once(emit, "remote.context_assumed", server=served.server, n_ctx=served.n_ctx)

    async def _generate(self, request: ChatRequest, emit: EventSink) -> None:
        """Send the request and emit each event, and a last one however the reply ends."""
        try:
            served = await self._ensure_probed()
            body = chat_body(request, served)
        except EngineError as error:
            emit(EngineFailed.from_error(error))
            return
        if request.thinking_budget is not None and not SERVER_FEATURES[served.kind].budget_field:
            self._notify_once(emit, "remote.no_budget", server=served.server)
        reply = self._reply = ReplyReader(
            request.mode, self._clock, bool(request.tools), served.opens_thinking
        )
        self._emit = emit
        if request.prefix is not None:
            _emit_all(emit, reply.begin(request.prefix))
        stopped: StopReason | None = None
        failure: EngineError | None = None
        decoder = BodyDecoder()
        try:
            await self._read(served, body, reply, decoder, emit)
        except asyncio.CancelledError:
            stopped = StopReason.CANCELLED
        except EngineError as error:
            failure = error
        for value in decoder.flush():
            _emit_all(emit, reply.feed(value))
        _emit_all(emit, reply.flush())
        self.last_reply = reply.facts
        if decoder.n_damaged:
            emit(Notice("remote.damaged", {"count": decoder.n_damaged}))
        failure = failure or (None if stopped else self._reply_error(reply, decoder, served))
        estimate = estimate_tokens(request).total
        emit(
            EngineFailed.from_error(failure)
            if failure
            else reply.finish_event(request.seed, estimate, served.n_ctx, stopped)
        )

    async def _read(
        self,
        served: RemoteModel,
        body: dict[str, object],
        reply: ReplyReader,
        decoder: BodyDecoder,
        emit: EventSink,
    ) -> None:
        endpoint = self._settings.endpoint
        is_ollama = served.kind is ServerKind.OLLAMA
        url = f"{endpoint.root}/api/chat" if is_ollama else f"{endpoint.api}/chat/completions"
        stream = self._transport.stream(url, body, reply)
        async with aclosing(stream) as pieces:
            async for piece in pieces:
                if isinstance(piece, Notice):
                    emit(piece)
                    continue
                for value in decoder.feed(piece):
                    _emit_all(emit, reply.feed(value))
                if reply.is_done or reply.error is not None:
                    return

    def _reply_error(
        self, reply: ReplyReader, decoder: BodyDecoder, served: RemoteModel
    ) -> EngineError | None:
        """Return the error of a reply whose stream has ended, or None if it is complete."""
        host = self._settings.endpoint.host
        if reply.error is not None:
            return EngineError(
                ErrorCode.SERVER_REPLY_FAILED,
                host=host,
                reason=displayable_message(reply.error, self._settings.access),
            )
        if reply.is_finished:
            return None
        if reply.has_text:
            return EngineError(ErrorCode.SERVER_DISCONNECTED, host=host)
        if decoder.unrecognised_start.lstrip().startswith("<"):
            return EngineError(ErrorCode.SERVER_SENT_WEB_PAGE, host=host)
        if not served.n_ctx_is_known:  # the likeliest reason for servers that report so little
            return EngineError(ErrorCode.SERVER_REPLY_MISSING_UNKNOWN_CONTEXT, host=host)
        return EngineError(ErrorCode.SERVER_REPLY_MISSING, host=host)

    def _notify_once(self, emit: EventSink, key: str, **values: str | int) -> None:
        if key not in self._sent_notices:
            self._sent_notices.add(key)
            emit(Notice(key, dict(values)))


def _discard_event(event: EngineEvent) -> None:
    """Discard an event that comes before the reply has begun."""


def _emit_all(emit: EventSink, events: list[EngineEvent]) -> None:
    for event in events:
        emit(event)
