"""The `Engine` protocol over a server's HTTP interface."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from qwen3_chat.chat import StopReason
from qwen3_chat.context_plan import whole_answer_tokens
from qwen3_chat.engine.remote.http_errors import displayable_message
from qwen3_chat.engine.remote.http_transport import HttpTransport
from qwen3_chat.engine.remote.incoming_reply import IncomingReply
from qwen3_chat.engine.remote.remote_model import RemoteModel
from qwen3_chat.engine.remote.reply_reader import ReplyFacts, ReplyReader
from qwen3_chat.engine.remote.request_bodies import chat_body
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES, MissingFeature
from qwen3_chat.engine.remote.server_probe import RemoteSettings, probe_model
from qwen3_chat.engine.remote.stream_decoding import ReplyTooLargeError
from qwen3_chat.engine.remote.token_counting import count_tokens, estimate_tokens
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.events import EngineEvent, EventSink, Notice, TurnFinished
from qwen3_chat.record_copies import replace
from qwen3_chat.request import Capabilities, ChatRequest, LoadedModel, TokenCounts
from qwen3_chat.servers import ServerKind

_EARLY_STOPPING_TOKENS: Final = 40
"""The tokens by which a server ends the thinking, with some to spare."""
_IGNORED_BUDGET_RATIO: Final = 1.5
"""The ratio to its limit, with those tokens on top, from which the thinking was not limited at all."""
_MLX_FINGERPRINT: Final = re.compile(r"(?P<version>\d+\.\d+\.\w+)-\d+\.\d+\.\w+-.+")
"""The name that mlx-lm gives itself in its replies: its version and that of mlx, the system, the device."""


def _ignore(event: EngineEvent) -> None:
    """Take an event that nobody is told."""


class RemoteEngine:
    """The engine of one model on one server; `load` only asks the server about the model."""

    def __init__(self, settings: RemoteSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._transport = HttpTransport(settings.endpoint, settings.access, settings.timeouts)
        self._served: RemoteModel | None = None
        self._probing = asyncio.Lock()
        self._reply: ReplyReader | None = None
        self._on_event: EventSink | None = None
        """The handler of the running reply's events; None while there is none."""
        self._sent_notices: set[str] = set()
        self.last_reply = ReplyFacts()

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the server; before `load`, those of every server."""
        if self._served is None:
            return SERVER_FEATURES[self._settings.kind or ServerKind.OPENAI].capabilities
        return self._served.capabilities

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
        if self._served is None:
            return SERVER_FEATURES[self._settings.kind or ServerKind.OPENAI].missing_features
        return self._served.missing_features

    async def load(self, on_event: EventSink) -> None:
        """Probe the server and push notices of what the user should know about it.

        Raises:
            EngineError: the server can't be reached or does not serve the model.
        """
        served = await self._ensure_probed(on_event)
        endpoint = self._settings.endpoint
        access = self._settings.access
        if access.sends_secrets and not (endpoint.is_encrypted or endpoint.is_loopback):
            self._notify_once(on_event, "remote.key_unencrypted", host=endpoint.host)
        if endpoint.is_encrypted and not access.verifies_certificate:
            self._notify_once(on_event, "remote.unverified", host=endpoint.host)
        if not served.n_ctx_is_known:
            self._notify_once(on_event, "remote.context_assumed", server=served.server, n_ctx=served.n_ctx)

    def reset(self) -> None:
        """Discard the probe's result, so that `load` asks again."""
        self._served = None

    async def count_tokens(self, request: ChatRequest) -> TokenCounts:
        """Count the tokens of a request, exactly where the server tokenises.

        Raises:
            EngineError: the server can't be reached or the request can't be encoded.
        """
        return await count_tokens(request, await self._ensure_probed(), self._transport)

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Generate a reply on the server; return the last event.

        Cancelling the caller closes the connection, by which the server stops too.

        Raises:
            EngineError: the server failed, or another reply is being generated.
        """
        if self._on_event is not None:
            raise EngineError(ErrorCode.ENGINE_BUSY)
        self._on_event = on_event
        try:
            return await self._generate(request, on_event)
        finally:
            self._reply = self._on_event = None

    async def larger_n_ctx(self, tokens: int) -> int | None:
        """Return None, because only the server can change its context."""
        return None

    async def enlarge(self, n_ctx: int, on_event: EventSink) -> None:
        """Push a notice that the context of a server can't be changed from here."""
        on_event(Notice("engine.not_enlarged", {"n_ctx": n_ctx}))

    async def end_thinking(self) -> None:
        """Make the running reply stop thinking and answer now, if the server can do that."""
        reply, on_event = self._reply, self._on_event
        if reply is None or on_event is None:
            return
        served = await self._ensure_probed()
        if not self.capabilities.ends_thinking:  # also during the answer: events may lag behind
            on_event(Notice("remote.thinks_on", {"server": served.server}))
            return
        if not reply.in_reasoning:
            return
        url = f"{self._settings.endpoint.api}/chat/completions/control"
        body = {"id": reply.reply_id, "model": served.model_id, "action": "reasoning_end"}
        with suppress(EngineError):  # if the server is down, the reply itself will report it
            await self._transport.request_json("POST", url, body)

    def leave_chat(self) -> None:
        """Do nothing: the server manages its own cache."""

    async def close(self) -> None:
        """Close all connections, that of a running reply too."""
        await self._transport.close()

    async def _ensure_probed(self, on_event: EventSink = _ignore) -> RemoteModel:
        """Return the served model, after probing the server if it is not known yet.

        Raises:
            EngineError: the server can't be reached or does not serve the model.
        """
        async with self._probing:
            if self._served is None:
                settings = self._settings
                self._served = await probe_model(
                    self._transport, settings.model, settings.kind, settings.n_ctx, on_event
                )
            return self._served

    async def _generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        served = await self._ensure_probed(on_event)
        sent = _limit_reply(_leave_room_for_json(request, served), served)
        body = chat_body(sent, served)
        if request.thinking_budget is not None and served.budget_field is None:
            self._notify_once(on_event, "remote.no_budget", server=served.server)
        reply = self._reply = ReplyReader(
            request.mode, self._clock, bool(request.tools), served.opens_thinking
        )
        if request.prefix is not None:
            _push_all(reply.begin(request.prefix), on_event)
        cancellation: asyncio.CancelledError | None = None
        failure: EngineError | None = None
        incoming = IncomingReply(reply, on_event)
        try:
            await self._transport.stream(self._chat_url(served), body, incoming, incoming.feed, on_event)
        except asyncio.CancelledError as error:
            cancellation = error
        except EngineError as error:
            failure = error
        except ReplyTooLargeError as error:
            failure = self._transport.too_large_error(error.limit)
        else:
            failure = self._flush(incoming)
        refusal = str(failure or reply.error or "")
        if served.budget_field and served.budget_field in body and served.budget_field in refusal:
            self._forgo_budget(request, served, on_event)
            return await self._generate(request, on_event)
        _push_all(reply.flush(), on_event)
        self.last_reply = reply.facts
        served = self._learn_from(reply, served)
        self._notify_of_server(request, reply, served, on_event, was_stopped=cancellation is not None)
        if incoming.decoder.n_damaged:
            on_event(Notice("remote.damaged", {"count": incoming.decoder.n_damaged}))
        if failure := failure or (None if cancellation else self._reply_error(incoming, served)):
            raise failure
        estimate = estimate_tokens(request).total
        stop_reason = StopReason.CANCELLED if cancellation else None
        # where the limit of the reply is all the room there is, reaching it means that the context is full
        n_ctx = served.n_ctx if sent.max_tokens == request.max_tokens else 0
        finished = reply.finish_event(request.seed, estimate, n_ctx, stop_reason)
        on_event(finished)
        if cancellation:
            raise cancellation
        return finished

    def _forgo_budget(self, request: ChatRequest, served: RemoteModel, on_event: EventSink) -> None:
        """Note that this server refuses a limit for the thinking, and tell a user who set one."""
        self._served = replace(served, refuses_budget=True)
        if request.thinking_budget is not None:
            option = SERVER_FEATURES[served.kind].budget_option
            self._notify_once(on_event, "remote.budget_refused", server=served.server, option=option)
            self._sent_notices.add("remote.no_budget")  # which says less

    def _learn_from(self, reply: ReplyReader, served: RemoteModel) -> RemoteModel:
        """Return the model, on mlx-lm if the reply tells so: its list of models does not, behind a proxy."""
        is_settled = self._settings.kind is not None or served.kind not in (
            ServerKind.OPENAI,
            ServerKind.MLX_LM,
        )
        if is_settled or not (match := _MLX_FINGERPRINT.fullmatch(reply.fingerprint)):
            return served
        self._served = replace(served, kind=ServerKind.MLX_LM, version=match["version"])
        return self._served

    def _notify_of_server(
        self,
        request: ChatRequest,
        reply: ReplyReader,
        served: RemoteModel,
        on_event: EventSink,
        *,
        was_stopped: bool,
    ) -> None:
        """Push notices of what a reply showed about its server."""
        features = SERVER_FEATURES[served.kind]
        if reply.facts.calls_from_tags and features.call_parser:
            option = features.call_parser
            self._notify_once(on_event, "remote.calls_in_text", server=served.server, option=option)
        if (budget := request.thinking_budget) is not None and served.budget_field and features.budget_option:
            limit = budget * _IGNORED_BUDGET_RATIO + _EARLY_STOPPING_TOKENS
            if reply.n_reasoning_pieces > limit:
                option = features.budget_option
                self._notify_once(on_event, "remote.budget_ignored", server=served.server, option=option)
        if was_stopped and features.reads_on and not reply.has_text:
            on_event(Notice("remote.reads_on", {"server": served.server}))

    def _flush(self, incoming: IncomingReply) -> EngineError | None:
        """Push the events of what was held back at the end; return the error if that is too large."""
        try:
            incoming.flush()
        except ReplyTooLargeError as error:
            return self._transport.too_large_error(error.limit)
        return None

    def _chat_url(self, served: RemoteModel) -> str:
        endpoint = self._settings.endpoint
        is_ollama = served.kind is ServerKind.OLLAMA
        return f"{endpoint.root}/api/chat" if is_ollama else f"{endpoint.api}/chat/completions"

    def _reply_error(self, incoming: IncomingReply, served: RemoteModel) -> EngineError | None:
        """Return the error of a reply whose stream has ended, or None if it is complete."""
        host, reply = self._settings.endpoint.host, incoming.reply
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
        if incoming.decoder.unrecognised_start.lstrip().startswith("<"):
            return EngineError(ErrorCode.SERVER_SENT_WEB_PAGE, host=host)
        if not served.n_ctx_is_known:  # the likeliest reason for servers that report so little
            return EngineError(ErrorCode.SERVER_REPLY_MISSING_UNKNOWN_CONTEXT, host=host)
        return EngineError(ErrorCode.SERVER_REPLY_MISSING, host=host)

    def _notify_once(self, on_event: EventSink, key: str, **values: str | int) -> None:
        if key not in self._sent_notices:
            self._sent_notices.add(key)
            on_event(Notice(key, dict(values)))


def _push_all(events: list[EngineEvent], on_event: EventSink) -> None:
    for event in events:
        on_event(event)


def _limit_reply(request: ChatRequest, served: RemoteModel) -> ChatRequest:
    """Return the request with all the room as limit, for a server that ends a reply early without one."""
    if request.max_tokens is not None or not SERVER_FEATURES[served.kind].ends_replies_early:
        return request
    return replace(request, max_tokens=max(1, served.n_ctx - estimate_tokens(request).total))


def _leave_room_for_json(request: ChatRequest, served: RemoteModel) -> ChatRequest:
    """Return the request; before an answer of a schema it may think only so far that the answer is whole."""
    if not request.answer_schema:
        return request
    room = max(0, served.n_ctx - estimate_tokens(request).total)
    if request.max_tokens is not None:
        room = min(room, request.max_tokens)
    budget = max(0, room - whole_answer_tokens(room) - _EARLY_STOPPING_TOKENS)
    if request.thinking_budget is not None:
        budget = min(budget, request.thinking_budget)
    return replace(request, thinking_budget=budget)
