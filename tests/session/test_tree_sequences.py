"""Sequences of edits of a tree of messages; after each step, session and store are compared."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from event_stream import events_of
from qwen3_chat.chat import StopReason, ThinkingMode
from qwen3_chat.engine import Engine
from qwen3_chat.events import AnswerDelta, EngineFailed
from qwen3_chat.session import ChatSession
from qwen3_chat.session.chat_tree import ChatTree
from qwen3_chat.store import ChatStore
from qwen3_chat.store.records import Deletion
from tests.fakes import FakeEngine, Step, finished

# Steps: `ask TEXT`, `stop TEXT` (the reply is stopped), `go-on`, `again PLACE`, `other PLACE` (in the other
# mode), `edit PLACE TEXT`, `step PLACE BY` (another version), `delete PLACE`, `undo`, `fail PLACE` (again,
# but the engine dies), `refuse PLACE` (again, but the model can't be loaded), `resume` (as after a start).
# Replies are r1, r2 … in the order in which they were asked for. The result is the branch, each message with
# the version that is shown of how many.
SEQUENCES = [
    ("", ""),
    ("ask a", "a r1"),
    ("ask a; ask b", "a r1 b r2"),
    ("ask a; resume; ask b", "a r1 b r2"),
    # answering again
    ("ask a; again 1", "a r2:2/2"),
    ("ask a; again 0", "a r2:2/2"),
    ("ask a; again 1; again 1", "a r3:3/3"),
    ("ask a; ask b; again 1", "a r3:2/2"),
    ("ask a; ask b; again 3", "a r1 b r3:2/2"),
    ("ask a; again 1; step 1 -1", "a r1:1/2"),
    ("ask a; again 1; step 1 -1; ask b", "a r1:1/2 b r3"),
    ("ask a; ask b; again 1; step 1 -1", "a r1:1/2 b r2"),
    ("ask a; ask b; again 1; ask c; step 1 -1; step 1 1", "a r3:2/2 c r4"),
    ("ask a; again 1; step 1 -1; resume", "a r1:1/2"),
    # editing
    ("ask a; edit 0 b", "b:2/2 r2"),
    ("ask a; edit 0 b; edit 0 c", "c:3/3 r3"),
    ("ask a; edit 0 b; step 0 -1", "a:1/2 r1"),
    ("ask a; ask b; edit 0 c; step 0 -1", "a:1/2 r1 b r2"),
    ("ask a; ask b; edit 2 c", "a r1 c:2/2 r3"),
    ("ask a; ask b; edit 2 c; step 2 -1; ask d", "a r1 b:1/2 r2 d r4"),
    ("ask a; edit 0 b; again 1; step 1 -1; step 0 -1; step 0 1", "b:2/2 r3:2/2"),
    ("ask a; ask b; edit 0 c; resume; ask d", "c:2/2 r3 d r4"),
    ("ask a; edit 0 a", "a r2:2/2"),
    # the other mode
    ("ask a; other 1", "a r2:2/2"),
    ("ask a; other 1; step 1 -1", "a r1:1/2"),
    ("ask a; other 1; step 1 -1; other 1", "a r3:3/3"),
    ("ask a; other 1; again 1", "a r3:3/3"),
    ("ask a; other 1; edit 0 b; step 0 -1", "a:1/2 r2:2/2"),
    ("ask a; ask b; other 1; ask c", "a r3:2/2 c r4"),
    ("ask a; other 1; ask b; step 1 -1; step 1 1", "a r2:2/2 b r3"),
    ("ask a /think; ask b; other 3", "a_/think r1 b r3:2/2"),
    # deleting and undo
    ("ask a; delete 1", "a"),
    ("ask a; delete 1; again 0", "a r2"),
    ("ask a; delete 1; undo", "a r1"),
    ("ask a; delete 0", ""),
    ("ask a; delete 0; undo", "a r1"),
    ("ask a; delete 0; ask b", "b r2"),
    ("ask a; delete 0; ask b; undo", "a:1/2 r1"),
    ("ask a; ask b; delete 1", "a"),
    ("ask a; ask b; delete 1; undo", "a r1 b r2"),
    ("ask a; ask b; delete 2; delete 0; undo; undo", "a r1 b r2"),
    ("ask a; again 1; delete 1", "a r1"),
    ("ask a; again 1; again 1; step 1 -1; delete 1", "a r1:1/2"),
    ("ask a; again 1; step 1 -1; delete 1", "a r2"),
    ("ask a; again 1; delete 1; undo", "a r2:2/2"),
    ("ask a; again 1; delete 1; delete 1; undo; undo", "a r2:2/2"),
    ("ask a; edit 0 b; delete 0", "a r1"),
    ("ask a; other 1; delete 1", "a r1"),
    ("ask a; other 1; delete 1; undo", "a r2:2/2"),
    ("ask a; other 1; delete 0; undo", "a r2:2/2"),
    ("ask a; other 1; edit 0 b; step 0 -1; delete 0", "b r3"),
    ("ask a; ask b; delete 3; ask c", "a r1 b c r3"),
    ("ask a; delete 1; resume; undo", "a r1"),
    # stopping and continuing
    ("stop a", "a r1"),
    ("stop a; go-on", "a r1+"),
    ("stop a; resume; go-on", "a r1+"),
    ("stop a; again 1; step 1 -1; go-on", "a r1+:1/2"),
    ("stop a; go-on; again 1", "a r3:2/2"),
    ("stop a; ask b; delete 2; go-on", "a r1+"),
    # failures leave the branch, or a question to be answered
    ("ask a; refuse 1", "a r1"),
    ("ask a; ask b; refuse 1; ask c", "a r1 b r2 c r3"),
    ("ask a; fail 1", "a r2:2/2"),
    ("ask a; fail 1; step 1 -1", "a r1:1/2"),
]


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ChatStore]:
    store = await ChatStore.open(tmp_path / "chats.db")
    yield store
    await store.close()


class NumberingEngine(FakeEngine):
    """An engine that numbers its replies, whatever the question."""

    def __init__(self) -> None:
        super().__init__()
        self.replies = 0

    def next(self, *, stopped: bool = False) -> None:
        """Prepare a reply."""
        self.replies += 1
        reason = StopReason.CANCELLED if stopped else StopReason.END_OF_TURN
        self.plays([AnswerDelta(f"r{self.replies}"), finished(reason)])

    def plays(self, script: list[Step]) -> None:
        """Prepare a script."""
        self._scripts = [script]


class Actor:
    """An actor that takes the steps of a sequence."""

    def __init__(self, store: ChatStore) -> None:
        self.store, self.engine = store, NumberingEngine()
        self.deletions: list[Deletion] = []
        self.begin()

    def begin(self) -> None:
        engine: Engine = self.engine
        self.session = ChatSession(engine, self.store, draw_seed=lambda: 1, clock=lambda: 0.0)
        self.tree = ChatTree(self.session, self.store)

    async def take(self, step: str) -> None:
        verb, *rest = step.split(" ", 1)
        index, _, text = (rest or [""])[0].partition(" ")
        ids = [stored.id for stored in self.session.messages]
        match verb:
            case "ask" | "stop":
                self.engine.next(stopped=verb == "stop")
                await drained(events_of(self.session.send, rest[0]))
            case "go-on":
                last = self.session.messages[-1].message.content
                self.engine.replies += 1
                self.engine.plays([AnswerDelta(f"{last}+"), finished()])
                await drained(events_of(self.session.continue_reply))
            case "again":
                self.engine.next()
                await drained(events_of(self.tree.regenerate_at, ids[int(index)]))
            case "other":
                self.engine.next()
                modes = [m.meta.mode for m in self.session.messages[int(index) :] if m.meta.mode]
                other = (modes or [ThinkingMode.THINK])[0].other
                await drained(events_of(self.tree.regenerate_at, ids[int(index)], mode=other))
            case "fail":
                self.engine.replies += 1
                script: list[Step] = [
                    AnswerDelta(f"r{self.engine.replies}"),
                    EngineFailed("engine.killed"),
                ]
                self.engine.plays(script)
                await drained(events_of(self.tree.regenerate_at, ids[int(index)]))
            case "refuse":
                self.engine._loading = [EngineFailed("engine.killed")]
                await drained(events_of(self.tree.regenerate_at, ids[int(index)]))
                self.engine._loading = ()
            case "edit":
                self.engine.next()
                await drained(events_of(self.tree.edit_question, ids[int(index)], text))
            case "step":
                other_id = (await self.tree.versions()).for_message(ids[int(index)]).id_at_step(int(text))
                assert other_id is not None
                await self.session.show_version(other_id)
            case "delete":
                self.deletions.append(await self.tree.delete(ids[int(index)]))
            case "undo":
                await self.tree.restore(self.deletions.pop())
            case "resume":
                number = self.session.chat.id if self.session.chat else 0
                self.begin()
                await self.session.resume(number)
            case _:
                raise ValueError(step)

    async def agrees(self) -> bool:
        if self.session.chat is None:
            return self.session.messages == ()
        chat = await self.store.chat(self.session.chat.id)
        last = self.session.messages[-1].id if self.session.messages else None
        branch = await self.store.branch(chat.id)
        return (
            chat.head_id == last
            and branch == self.session.messages
            and chat.mode_override == self.session.mode_override
        )

    async def shown(self) -> str:
        versions = await self.tree.versions()
        parts = []
        for stored in self.session.messages:
            of = versions.for_message(stored.id)
            count = f":{of.shown_index + 1}/{of.count}" if of.count else ""
            parts.append(stored.message.content.replace(" ", "_") + count)
        return " ".join(parts)


async def drained(events: object) -> None:
    assert isinstance(events, AsyncIterator)
    async for _ in events:
        pass


@pytest.mark.parametrize(("steps", "expected"), SEQUENCES, ids=[steps or "nothing" for steps, _ in SEQUENCES])
async def test_after_each_step_the_session_is_what_the_store_holds(
    store: ChatStore, steps: str, expected: str
) -> None:
    actor = Actor(store)
    for step in filter(None, steps.split("; ")):
        await actor.take(step)
        assert await actor.agrees(), step
    assert await actor.shown() == expected


def test_there_are_enough_sequences() -> None:
    assert len(SEQUENCES) >= 40
