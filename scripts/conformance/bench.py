"""An engine under examination, with what is found out about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from conformance.features import Cell, Feature
from conformance.replies import Heard, React, hear
from qwen3_chat.chat import ChatMessage, Role, SamplingParams, StopReason, ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.engine.remote import RemoteEngine
from qwen3_chat.engine.remote.reply_reader import ReplyFacts
from qwen3_chat.engine.remote.request_bodies import BUDGET_MESSAGE
from qwen3_chat.events import EngineFailed, Notice, PrefillProgressed
from qwen3_chat.request import ChatRequest, LoadedModel, ToolSpec

SURE = SamplingParams(temperature=0.01, top_p=0.9, top_k=5)
QUESTION = "How many r's in strawberries?"
ENDLESS = "Go on and on about strawberries."
WEATHER = ToolSpec(
    '{"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": '
    '{"city": {"type": "string"}}}}}'
)
MOST_TOKENS = 400


class Unfit(Exception):
    """The engine did what no engine may do."""


def require(holds: object, what: str) -> None:
    """Raise `Unfit` unless something holds."""
    if not holds:
        raise Unfit(what)


@dataclass
class Bench:
    """An engine in three roles, which a real model plays alone; tiny ones are made for one role each.

    `talker` holds the conversations, `caller` calls tools when they are on offer, `brooder` neither ends its
    thinking nor its answer soon. `stopped` waits until the server of the brooder works no more.
    """

    talker: Engine
    caller: Engine
    brooder: Engine
    stopped: Callable[[], Awaitable[None]] | None = None
    cells: dict[Feature, Cell] = field(default_factory=dict)
    notices: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, engine: Engine, stopped: Callable[[], Awaitable[None]] | None = None) -> Bench:
        """Examine an engine whose model plays all roles."""
        return cls(engine, engine, engine, stopped)

    @property
    def model(self) -> LoadedModel:
        """The talker's model."""
        model = self.talker.model
        require(model, "an engine that is loaded knows its model")
        assert model is not None
        return model

    def facts(self, engine: Engine) -> ReplyFacts:
        """Tell how the latest reply was told; an engine on this machine tells everything."""
        if isinstance(engine, RemoteEngine):
            return engine.last_reply
        return ReplyFacts(reports_usage=True, reports_reused_tokens=True)

    def note(self, feature: Feature, cell: Cell) -> None:
        """Note how a feature is there; the same conversation, held again, may not find it otherwise."""
        require(
            self.cells.setdefault(feature, cell) is cell, f"{feature}: now {cell}, now {self.cells[feature]}"
        )

    def note_offered(self, feature: Feature, is_offered: bool) -> None:
        """Note whether a feature is there at all."""
        self.note(feature, Cell.WORKS if is_offered else Cell.NOT_OFFERED)

    async def load(self) -> None:
        """Load every engine, and see whether the context is told."""
        for engine in dict.fromkeys((self.talker, self.caller, self.brooder)):
            async for event in engine.load():
                require(not isinstance(event, EngineFailed), f"{event}")
                if isinstance(event, Notice) and engine is self.talker:
                    self.notices.add(event.key)
        self.note_offered(Feature.CONTEXT, "remote.context_assumed" not in self.notices)

    async def hear(self, engine: Engine, request: ChatRequest, react: React | None = None) -> Heard:
        """Take a reply that does not fail, and note what every reply tells."""
        heard = await self.try_to_hear(engine, request, react)
        require(heard.end, f"the reply failed: {heard.failure}")
        return heard

    async def try_to_hear(self, engine: Engine, request: ChatRequest, react: React | None = None) -> Heard:
        """Take a reply that may fail."""
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
        """Write the next question down, with the tag of its mode where an app would append it."""
        tags = [message.mode_tag for message in self.messages if message.mode_tag]
        in_force = tags[-1] if tags else ThinkingMode.THINK
        is_typed = mode.tag in text
        message = ChatMessage(Role.USER, text, mode_tag=None if mode is in_force or is_typed else mode)
        values: dict[str, object] = {"sampling": SURE, "seed": 1, "max_tokens": MOST_TOKENS, **options}
        return ChatRequest(messages=(*self.messages, message), mode=mode, **values)  # type: ignore[arg-type]

    async def say(
        self,
        text: str,
        mode: ThinkingMode = ThinkingMode.THINK,
        react: React | None = None,
        **options: object,
    ) -> Heard:
        """Ask and take the reply into the conversation."""
        request = self.request(text, mode, **options)
        heard = await self.bench.hear(self.engine, request, react)
        self.messages = (*request.messages, replied(heard))
        return heard


def replied(heard: Heard) -> ChatMessage:
    """Make the message of a reply, as it is stored."""
    ids = heard.end.token_ids if heard.end else ()
    return ChatMessage(Role.ASSISTANT, heard.answer, heard.reasoning, tuple(heard.calls), token_ids=ids)


def stopped_for(heard: Heard, *reasons: StopReason) -> bool:
    """Tell whether a reply ended for one of some reasons."""
    return heard.end is not None and heard.end.stop_reason in reasons


def n_thought(heard: Heard) -> int:
    """Count the characters of thinking without the words by which a budget ends it."""
    return len(heard.reasoning.replace(BUDGET_MESSAGE.strip(), ""))


def going_on(request: ChatRequest, heard: Heard) -> ChatRequest:
    """Write the request that goes on with a stopped reply."""
    return replace(request, prefix=replied(heard), max_tokens=MOST_TOKENS)
