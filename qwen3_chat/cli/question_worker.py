"""Questions that are asked one by one, each in a chat of its own that is not kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from qwen3_chat.chat import StopReason, ThinkingMode, Usage
from qwen3_chat.cli.answer_schema import AnswerSchema, ask_until_it_fits
from qwen3_chat.cli.composition import open_runtime
from qwen3_chat.cli.shared_options import ModelChoice
from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.engine.remote.server_features import SERVER_FEATURES
from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.events import EngineFailed
from qwen3_chat.record_copies import replace
from qwen3_chat.servers import ServerKind
from qwen3_chat.session import ChatSession, ContextExceeded, ReplyStored, SessionEvent, TurnOptions
from qwen3_chat.texts.formatting import stop_advice
from qwen3_chat.texts.terminal_safe import storable, terminal_safe

SERVER_SLOTS: Final = 8
"""The questions that a server gets at once; this machine answers one after another."""


@dataclass(frozen=True, slots=True)
class QuestionOutcome:
    """The answer to a question; `error` is a sentence where there is no whole one."""

    answer: str = ""
    reasoning: str = ""
    stop_reason: StopReason = StopReason.ERROR
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    error: str | None = None


class QuestionWorker:
    """A session that answers one question after the other."""

    def __init__(self, session: ChatSession) -> None:
        self.session = session
        self._outcome = QuestionOutcome()

    async def ask(
        self,
        text: str,
        system: str,
        mode: ThinkingMode | None,
        options: TurnOptions,
        schema: AnswerSchema | None = None,
    ) -> QuestionOutcome:
        """Answer a question; whatever goes wrong is a sentence in the outcome."""
        self._outcome = QuestionOutcome()
        started_s = time.monotonic()
        try:
            await self._ask(text, system, mode, options, schema)
        except Qwen3ChatError as error:
            self._fail(str(error))
        return replace(self._outcome, seconds=time.monotonic() - started_s)

    async def _ask(
        self,
        text: str,
        system: str,
        mode: ThinkingMode | None,
        options: TurnOptions,
        schema: AnswerSchema | None,
    ) -> None:
        session = self.session
        if schema is not None:
            text = schema.ask_for_json(text)
        session.start_new()
        session.set_options(options)  # an earlier question may have changed them for its schema
        if system:
            await session.set_system(storable(system))
        if mode is not None:
            await session.set_mode_override(mode)
        if await session.prepare(self._show):
            await session.send(text, self._show)
            if schema is not None:
                await ask_until_it_fits(session, schema, self._show)
        if schema is not None and self._outcome.error is None:
            schema.check(self._outcome.answer)

    def _show(self, event: SessionEvent) -> None:
        match event:
            case ReplyStored(message=stored):
                self._outcome = QuestionOutcome(
                    stored.message.content,
                    stored.message.reasoning,
                    stored.stop_reason or StopReason.END_OF_TURN,
                    stored.meta.usage or Usage(),
                )
                if not stored.message.content.strip():
                    self._fail(stop_advice(stored.message, stored.stop_reason, "cli.way_out."))
            case EngineFailed():
                self._fail(str(event.to_error()))
            case ContextExceeded():
                self._fail(event.text)
            case _:
                pass

    def _fail(self, sentence: str) -> None:
        self._outcome = replace(self._outcome, error=terminal_safe(sentence))


@asynccontextmanager
async def open_workers(
    choice: ModelChoice, system: str | None, options: TurnOptions, n_questions: int
) -> AsyncIterator[list[QuestionWorker]]:
    """Open the sessions that a number of questions can be put to at once, in stores that end with them.

    Raises:
        Qwen3ChatError: the model can't be loaded, or the server not be reached.
    """
    settings = read_settings(find_paths().settings_file).settings
    settings = replace(settings, snapshots_gib=0, calibrate=False)
    with tempfile.TemporaryDirectory(prefix="qwen3-chat-") as data:
        paths = replace(find_paths(), data=Path(data))
        async with AsyncExitStack() as stack:
            workers, n_workers = list[QuestionWorker](), 1
            while len(workers) < n_workers:
                runtime = await stack.enter_async_context(
                    open_runtime(choice, settings, paths, None, system, options)
                )
                workers.append(QuestionWorker(runtime.session))
                if len(workers) == 1:
                    n_workers = min(await _count_slots(runtime.session, choice), n_questions)
            yield workers


async def _count_slots(session: ChatSession, choice: ModelChoice) -> int:
    """Load the model; return how many questions it can be asked at once.

    Raises:
        Qwen3ChatError: it can't be loaded, or the server not be reached.
    """
    failures = list[Qwen3ChatError]()

    def on_event(event: SessionEvent) -> None:
        if isinstance(event, EngineFailed):
            failures.append(event.to_error())

    if not await session.prepare(on_event):
        raise failures[-1]
    one_by_one = SERVER_FEATURES[ServerKind.LLAMA_CPP_PYTHON].label  # a question ends the one before
    model = session.engine.model
    is_local = choice.endpoint is None or (model is not None and model.engine.startswith(one_by_one))
    return 1 if is_local else SERVER_SLOTS
