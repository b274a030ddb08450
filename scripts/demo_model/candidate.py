"""Lets a model reply to the exam's questions through the app's own engine."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from demo_model.exam_questions import Question
from demo_model.render import Message
from event_stream import events_of
from qwen3_chat.chat import ChatMessage, Role, StopReason, ThinkingMode, ToolCall
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, EngineFailed, ReasoningDelta, ToolCallRequested, TurnFinished
from qwen3_chat.models.catalog.sampling_presets import QWEN3_SAMPLING, sampling_for
from qwen3_chat.request import ChatRequest, ToolSpec
from qwen3_chat.sampling import SamplingParams

MAX_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said, and whether it ended by itself."""

    thinking: str
    answer: str
    calls: tuple[ToolCall, ...]
    has_ended: bool

    def called(self) -> list[tuple[str, object]] | None:
        """Return the calls with their arguments read; None where they are no JSON objects."""
        try:
            return [(call.name, json.loads(call.arguments)) for call in self.calls]
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A loaded model with the way it is sampled."""

    engine: LocalEngine
    preset: str

    def sampling(self, mode: ThinkingMode) -> SamplingParams:
        """Return the parameters that the preset's name stands for."""
        match self.preset:
            case "greedy":
                return SamplingParams(temperature=0.0, top_p=1.0, top_k=1)
            case "qwen3":
                return QWEN3_SAMPLING[mode]
            case _:
                return sampling_for(mode, is_demo=True)

    async def reply(
        self,
        messages: Iterable[ChatMessage],
        mode: ThinkingMode,
        seed: int,
        *,
        tools: Sequence[Message] = (),
        budget: int | None = None,
        max_tokens: int = MAX_TOKENS,
        prefix: ChatMessage | None = None,
    ) -> tuple[Reply, ChatMessage]:
        """Generate one reply with the soft switch only; return it also as the engine tells it."""
        request = ChatRequest(
            messages=tuple(messages),
            mode=mode,
            sampling=self.sampling(mode),
            seed=seed,
            tools=tuple(ToolSpec(json.dumps(tool, ensure_ascii=False)) for tool in tools),
            max_tokens=max_tokens,
            thinking_budget=budget,
            hard_switch=False,
            prefix=prefix,
        )
        thinking, answer, calls, has_ended = "", "", [], False
        ids: tuple[int, ...] = ()
        async for event in events_of(self.engine.generate, request):
            match event:
                case ReasoningDelta(text):
                    thinking += text
                case AnswerDelta(text):
                    answer += text
                case ToolCallRequested():
                    calls.append(event.call)
                case TurnFinished():
                    has_ended = event.stop_reason in (StopReason.END_OF_TURN, StopReason.TOOL_CALLS)
                    ids = event.token_ids
                case EngineFailed(key):
                    raise RuntimeError(key)
        message = ChatMessage(Role.ASSISTANT, answer, thinking, tuple(calls), token_ids=ids)
        return Reply(thinking.strip(), answer.strip(), tuple(calls), has_ended), message


def user(text: str) -> ChatMessage:
    """Write a user's message."""
    return ChatMessage(Role.USER, text)


def assistant(text: str) -> ChatMessage:
    """Write a reply that was given."""
    return ChatMessage(Role.ASSISTANT, text)


def _as_chat(message: Message) -> ChatMessage:
    calls = message.get("tool_calls", [])
    assert isinstance(calls, list)
    return ChatMessage(
        Role(str(message["role"])),
        str(message["content"]),
        str(message.get("reasoning_content", "")),
        tuple(ToolCall(call["function"]["name"], call["function"]["arguments"]) for call in calls),
    )


def messages_of(question: Question, mode: ThinkingMode) -> list[ChatMessage]:
    """Turn a question into messages; /no_think is tagged to the latest, whose calls have no thinking."""
    messages = [_as_chat(message) for message in question.messages]
    if mode is ThinkingMode.NO_THINK:
        latest = max(index for index, message in enumerate(messages) if message.role is Role.USER)
        messages[latest] = user(f"{messages[latest].content} {mode.tag}")
        for index in range(latest + 1, len(messages)):
            if messages[index].role is Role.ASSISTANT:
                messages[index] = ChatMessage(
                    Role.ASSISTANT, messages[index].content, "", messages[index].tool_calls
                )
    return messages
