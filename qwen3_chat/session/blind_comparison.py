"""The blind comparison: several models answer one question, their answers become versions of its answer."""

from __future__ import annotations

import asyncio
import random
from asyncio import Task
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from msgspec import Struct, field

from qwen3_chat.chat import Role
from qwen3_chat.engine import Engine
from qwen3_chat.errors import Qwen3ChatError
from qwen3_chat.events import EngineFailed
from qwen3_chat.request import LOCAL_ENGINE_NAME, LoadedModel
from qwen3_chat.session.chat_session import ChatSession
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.session.engine_choice import EngineChoice, EngineFactory, LocalModel, decode_choice
from qwen3_chat.session.turn_events import ContextExceeded, ReplyNotStored, ReplyStarted, SessionEvent
from qwen3_chat.session.uninterrupted import finish_even_if_cancelled
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import Comparison, Entrant, StoredMessage, VoteOutcome
from qwen3_chat.texts import t

MIN_ENTRANTS, MAX_ENTRANTS = 2, 4


class ComparisonProgress(Struct, frozen=True):
    """The progress of a comparison: the number of answers that are there, and of all; the latest event."""

    done: int
    total: int
    event: SessionEvent | None = None


ComparisonSink = Callable[[ComparisonProgress], None]
"""A function that takes each step of a comparison at once; it never waits."""


class _Group(Struct):
    """The entrants that one load serves, by their positions; `choice` is None where it can't be read."""

    choice: EngineChoice | None
    positions: list[int] = field(default_factory=list)


class BlindComparison:
    """The comparisons in a session's chat.

    The answers are stored as they come, and in an order that tells nothing, so a comparison that was stopped
    or cut off goes on with the answers that it lacks. Until the vote, the chat stays at the branch that it
    showed.
    """

    def __init__(self, session: ChatSession, store: ChatStore, make_engine: EngineFactory) -> None:
        self._session = session
        self._store = store
        self._make_engine = make_engine
        self.failures: dict[int, str] = {}
        """Why an entrant of the last run has no answer, by its position."""

    def question(self, message_id: int | None) -> StoredMessage | None:
        """Return the question that a message is or answers; the latest one for None."""
        messages = self._session.messages
        ids = [stored.id for stored in messages]
        end = ids.index(message_id) + 1 if message_id in ids else len(ids)
        return next((stored for stored in reversed(messages[:end]) if stored.message.role is Role.USER), None)

    async def begin(self, question_id: int, entrants: Sequence[Entrant]) -> Comparison:
        """Store a comparison of these models, in an order drawn by chance."""
        chat_id = self._session.chat_id
        assert chat_id is not None
        drawn = random.SystemRandom().sample(list(entrants), len(entrants))
        return await self._store.begin_comparison(chat_id, question_id, drawn)

    async def run(self, comparison: Comparison, on_progress: ComparisonSink) -> Comparison:
        """Have the answers written that are missing, each model loaded once; return the comparison.

        The session's own engine may be without its model afterwards: one local model is loaded at a time.
        Where fewer than two answers came, the comparison ends without a vote.
        """
        self.failures = {}
        await self._leave_answers(comparison)
        own = self._session.engine
        loaded = own.model
        for group in _groups(comparison, loaded):
            if group.choice is None or not _is_loaded(group.choice, loaded):
                await self._answer_with_another_engine(comparison, group, own, on_progress)
            else:
                await self._answer(comparison, group.positions, own, on_progress)
        comparison = await self._store.comparison(comparison.id)
        if sum(answer.is_whole for answer in comparison.answers) < MIN_ENTRANTS:
            return await self._store.end_comparison(comparison.id, VoteOutcome.NO_VOTE)
        return comparison

    async def vote(
        self, comparison: Comparison, verdict: VoteOutcome, winner: int | None = None
    ) -> Comparison:
        """Store the vote, and show the best answer in the chat."""
        await self._leave_answers(comparison)
        ended = await self._store.end_comparison(comparison.id, verdict, winner)
        shown = ended.winner
        if shown is None and self._lacks_answer(ended):
            shown = next((index for index, answer in enumerate(ended.answers) if answer.is_whole), None)
        message = None if shown is None else ended.answers[shown].message
        if message is not None and self._session.chat_id == message.chat_id:
            await self._session.show_version(message.id)
        return ended

    async def _leave_answers(self, comparison: Comparison) -> None:
        """Go back to what the chat showed before, where a crash left it at one of the answers."""
        ids = {answer.message.id for answer in comparison.answers if answer.message is not None}
        chat_id, head_id = self._session.chat_id, comparison.head_id
        if chat_id is None or head_id is None or not ids & {m.id for m in self._session.messages}:
            return
        await self._store.set_head(chat_id, head_id)
        self._session.show_branch(await self._store.branch(chat_id, head_id))

    def _lacks_answer(self, comparison: Comparison) -> bool:
        """Return True if the chat ends with the question."""
        return [stored.id for stored in self._session.messages][-1:] == [comparison.question_id]

    async def _answer_with_another_engine(
        self, comparison: Comparison, group: _Group, own: Engine, on_progress: ComparisonSink
    ) -> None:
        try:
            if group.choice is None:
                raise ValueError
            engine = self._make_engine(group.choice)
        except (Qwen3ChatError, ValueError) as error:
            sentence = str(error) or t("ui.compare.unknown_model")
            self.failures |= dict.fromkeys(group.positions, sentence)
            return
        if isinstance(group.choice, LocalModel):
            await own.close()  # its memory is needed
        try:
            await self._answer(comparison, group.positions, engine, on_progress)
        finally:
            await finish_even_if_cancelled(engine.close())

    async def _answer(
        self, comparison: Comparison, positions: Sequence[int], engine: Engine, on_progress: ComparisonSink
    ) -> None:
        for position in positions:
            done = sum(answer.is_whole for answer in (await self._store.comparison(comparison.id)).answers)
            total = len(comparison.answers)
            on_progress(ComparisonProgress(done, total))
            on_event = partial(_report, on_progress, done, total)
            await self._one_answer(comparison, position, engine, on_event)

    async def _one_answer(
        self,
        comparison: Comparison,
        position: int,
        engine: Engine,
        on_event: Callable[[SessionEvent], None],
    ) -> None:
        """Have one entrant answer the question; the chat is at the branch that it showed afterwards."""
        session, before = self._session.beside(engine), self._session.messages
        notes: list[Task[None]] = []

        def on_turn_event(event: SessionEvent) -> None:
            match event:
                case ReplyStarted(message=message):  # at once: whatever cuts it off, its name stays hidden
                    note = self._store.set_compared_answer(comparison.id, position, message.id)
                    notes.append(asyncio.ensure_future(note))
                case EngineFailed() | ContextExceeded() | ReplyNotStored():
                    self.failures[position] = event.text
            on_event(event)

        async def restore() -> None:
            await asyncio.gather(*notes, return_exceptions=True)
            assert session.chat is not None
            await self._store.set_head(session.chat.id, before[-1].id)

        assert comparison.question_id is not None
        mode = comparison.answers[position].entrant.mode
        try:
            await ChatTree(session, self._store).regenerate_at(comparison.question_id, on_turn_event, mode)
        finally:
            await finish_even_if_cancelled(restore())


def _report(on_progress: ComparisonSink, done: int, total: int, event: SessionEvent) -> None:
    on_progress(ComparisonProgress(done, total, event))


def _groups(comparison: Comparison, loaded: LoadedModel | None) -> list[_Group]:
    """Return the entrants without a whole answer by what they load, the loaded model first."""
    groups: dict[str, _Group] = {}
    for position, answer in enumerate(comparison.answers):
        if answer.is_whole:
            continue
        text = answer.entrant.choice
        if text not in groups:
            groups[text] = _Group(_choice(text))
        groups[text].positions.append(position)
    return sorted(groups.values(), key=lambda group: not _is_loaded(group.choice, loaded))


def _choice(text: str) -> EngineChoice | None:
    try:
        return decode_choice(text)
    except ValueError:
        return None


def _is_loaded(choice: EngineChoice | None, loaded: LoadedModel | None) -> bool:
    """Return True if a local model is the one that is loaded."""
    if loaded is None or loaded.engine != LOCAL_ENGINE_NAME or not isinstance(choice, LocalModel):
        return False
    return choice.path.expanduser().absolute() == Path(loaded.path).expanduser().absolute()
