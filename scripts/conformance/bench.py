"""The bench on which an engine is tested, with the results."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from conformance.features import Cell, Feature
from conformance.replies import Heard, React, hear
from event_stream import events_of
from qwen3_chat.chat import EARLY_STOPPING_TEXT, ChatMessage, Role, StopReason, ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.engine.remote import RemoteEngine
from qwen3_chat.engine.remote.reply_reader import ReplyFacts
from qwen3_chat.engine.remote.server_features import MissingFeature
from qwen3_chat.events import EngineFailed, Notice, PrefillProgressed
from qwen3_chat.record_copies import replace
from qwen3_chat.request import ChatRequest, LoadedModel
from qwen3_chat.sampling import SamplingParams
from qwen3_chat.tools.calculator import calculator_tool

SURE = SamplingParams(temperature=0.01, top_p=0.9, top_k=5)
QUESTION = "How many r's in strawberries?"
ENDLESS = "Go on and on about strawberries."
SUM = "What is 17 * 23?"
SUM_RESULT = "391"
CALCULATOR = calculator_tool().spec
MAX_TOKENS = 400


class Unfit(Exception):
    """A failure of the engine in a conversation."""


def require(holds: object, what: str) -> None:
    """Raise `Unfit` unless the condition holds."""
    if not holds:
        raise Unfit(what)


@dataclass
class Bench:
    """An engine in three roles, which a real model plays alone; tiny ones are made for one role each.

    `talker` holds the conversations, `caller` calls the calculator when a request has it, `brooder` ends
    neither its thinking nor its answer soon. `stopped` waits until the server of the brooder is idle; without
    it nobody sees whether a server stops, so that row stays empty.
    """

    talker: Engine
    caller: Engine
    brooder: Engine
    stopped: Callable[[], Awaitable[None]] | None = None
    cells: dict[Feature, Cell] = field(default_factory=dict)
    notices: set[str] = field(default_factory=set)

    @classmethod
    def from_engine(cls, engine: Engine, stopped: Callable[[], Awaitable[None]] | None = None) -> Bench:
        """Return the bench of an engine whose model plays all roles."""
        return cls(engine, engine, engine, stopped)

    @property
    def model(self) -> LoadedModel:
        """The talker's model."""
        model = self.talker.model
        require(model, "an engine that is loaded knows its model")
        assert model is not None
        return model

    def facts(self, engine: Engine) -> ReplyFacts:
        """Return the facts about the latest reply; an engine on this machine reports everything."""
        if isinstance(engine, RemoteEngine):
            return engine.last_reply
        return ReplyFacts(reports_usage=True, reports_reused_tokens=True)

    def lacks(self, feature: MissingFeature) -> bool:
        """Return True if the app says of the talker's server that it lacks a feature."""
        return isinstance(self.talker, RemoteEngine) and feature in self.talker.missing_features

    def note(self, feature: Feature, cell: Cell) -> None:
        """Record the state of a feature; a repeated conversation must not contradict it."""
        require(
            self.cells.setdefault(feature, cell) is cell, f"{feature}: now {cell}, now {self.cells[feature]}"
        )

    def note_offered(self, feature: Feature, is_offered: bool) -> None:
        """Record whether a feature is offered at all."""
        self.note(feature, Cell.WORKS if is_offered else Cell.NOT_OFFERED)

    async def load(self) -> None:
        """Load every engine, and record whether the context is reported."""
        for engine in dict.fromkeys((self.talker, self.caller, self.brooder)):
            async for event in events_of(engine.load):
                require(not isinstance(event, EngineFailed), f"{event}")
                if isinstance(event, Notice) and engine is self.talker:
                    self.notices.add(event.key)
        self.note_offered(Feature.CONTEXT, "remote.context_assumed" not in self.notices)

    async def hear(self, engine: Engine, request: ChatRequest, react: React | None = None) -> Heard:
        """Return a reply that does not fail, and record the facts that every reply shows."""
        heard = await self.try_to_hear(engine, request, react)
        require(heard.end, f"the reply failed: {heard.failure}")
        return heard

    async def try_to_hear(self, engine: Engine, request: ChatRequest, react: React | None = None) -> Heard:
        """Return a reply that may fail."""
        heard = await hear(engine, request, react)
        self.notices.update(heard.notices)
        if any(isinstance(event, PrefillProgressed) for event in heard.events):
            self.cells[Feature.PROGRESS] = Cell.WORKS
        require("�" not in heard.reasoning + heard.answer, "a character came in halves")
        return heard


@dataclass
class Talk:
    """A conversation that grows by question and reply."""

    bench: Bench
    engine: Engine
    messages: tuple[ChatMessage, ...] = ()

    def request(self, text: str, mode: ThinkingMode = ThinkingMode.THINK, **options: object) -> ChatRequest:
        """Return the request of the next question, with the tag of its mode if an app would append it."""
        tags = [message.mode_tag for message in self.messages if message.mode_tag]
        in_force = tags[-1] if tags else ThinkingMode.THINK
        is_typed = mode.tag in text
        message = ChatMessage(Role.USER, text, mode_tag=None if mode is in_force or is_typed else mode)
        values: dict[str, object] = {"sampling": SURE, "seed": 1, "max_tokens": MAX_TOKENS, **options}
        return ChatRequest(messages=(*self.messages, message), mode=mode, **values)  # type: ignore[arg-type]

    async def say(
        self,
        text: str,
        mode: ThinkingMode = ThinkingMode.THINK,
        react: React | None = None,
        **options: object,
    ) -> Heard:
        """Ask a question and add the reply to the conversation."""
        request = self.request(text, mode, **options)
        heard = await self.bench.hear(self.engine, request, react)
        self.messages = (*request.messages, reply_message(heard))
        return heard


def reply_message(heard: Heard) -> ChatMessage:
    """Return the message of a reply as it is stored."""
    ids = heard.end.token_ids if heard.end else ()
    return ChatMessage(Role.ASSISTANT, heard.answer, heard.reasoning, tuple(heard.calls), token_ids=ids)


def stopped_for(heard: Heard, *reasons: StopReason) -> bool:
    """Return whether a reply ended for one of the reasons."""
    return heard.end is not None and heard.end.stop_reason in reasons


def count_thinking_characters(heard: Heard) -> int:
    """Return the number of characters of thinking, without the text with which a budget ends it."""
    return len(heard.reasoning.replace(EARLY_STOPPING_TEXT.strip(), ""))


def continuation_request(request: ChatRequest, heard: Heard) -> ChatRequest:
    """Return the request that continues a stopped reply."""
    return replace(request, prefix=reply_message(heard), max_tokens=MAX_TOKENS)
