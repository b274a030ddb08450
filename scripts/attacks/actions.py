"""Random actions while answers stream: nothing fails, nothing is lost, screen and store agree."""

from __future__ import annotations

import asyncio
import random
import tempfile
from pathlib import Path
from typing import Any
from unittest.mock import patch

from textual import events

from attacks.report import Options, Report
from qwen3_chat.chat import StopReason
from qwen3_chat.events import AnswerDelta, EventSink, PrefillProgressed, ReasoningDelta, TurnFinished
from qwen3_chat.request import ChatRequest
from qwen3_chat.ui.message_entries import entry_from_message
from qwen3_chat.ui.screens.chat_screen import ChatScreen
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, open_app

WORDS = [
    "pears ",
    "天气 ",
    "**bold** ",
    "`code` ",
    "\n\n- item\n",
    "\n\n```py\nx = 1\n```\n\n",
    "é🙂 ",
    "\n\n# h\n",
]

# Each with its weight: keys, or what is typed.
ACTIONS: list[tuple[int, tuple[str, ...]]] = [
    (10, ("p", "e", "a", "r", "enter")),
    (4, ("天", "气", "enter")),
    (2, ("h", "i", "ctrl+j", "x", "enter")),
    (2, ("d", "r", "a", "f", "t")),
    (2, ("/", "n", "o", "_", "t", "h", "i", "n", "k", "enter")),
    (6, ("escape",)),
    (6, ("ctrl+up",)),
    (2, ("ctrl+down",)),
    (3, ("ctrl+up", "e")),
    (2, ("ctrl+up", "ctrl+up", "enter", "x", "enter")),
    (3, ("ctrl+up", "r")),
    (3, ("ctrl+up", "m")),
    (2, ("ctrl+up", "c")),
    (2, ("ctrl+up", "q")),
    (2, ("ctrl+up", "b", "1")),
    (3, ("ctrl+up", "d")),
    (2, ("ctrl+up", "ctrl+up", "ctrl+up", "delete")),
    (3, ("left",)),
    (3, ("right",)),
    (4, ("f2",)),
    (4, ("f3",)),
    (5, ("f5",)),
    (3, ("f6",)),
    (3, ("ctrl+t",)),
    (2, ("ctrl+g",)),
    (2, ("ctrl+o",)),
    (2, ("f8",)),
    (4, ("ctrl+z",)),
    (3, ("ctrl+n",)),
    (3, ("ctrl+r", "enter")),
    (2, ("ctrl+r", "p", "e", "a", "r", "enter")),
    (1, ("ctrl+r", "ctrl+d", "ctrl+z", "escape")),
    (1, ("ctrl+r", "ctrl+d", "escape")),
    (1, ("ctrl+r", "f2", "n", "a", "m", "e", "enter", "escape")),
    (2, ("ctrl+b",)),
    (1, ("ctrl+b", "天", "气", "enter")),
    (1, ("n",)),
    (2, ("pageup",)),
    (2, ("pagedown",)),
    (1, ("ctrl+home",)),
    (1, ("ctrl+end",)),
    (1, ("up",)),
    (1, ("down",)),
    (1, ("f1", "escape")),
    (1, ("f9",)),
    (1, ("ctrl+s",)),
    (1, ("f4", "ctrl+v")),
    (1, ("tab",)),
]


NAMES = {"/": "slash", "_": "underscore"}


class StreamingEngine(FakeEngine):
    """An engine that pushes a few dozen pieces of text at the pace of the event loop, unless cancelled."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng

    async def generate(self, request: ChatRequest, on_event: EventSink) -> TurnFinished:
        """Push prefill, thinking and answer; a continued reply is repeated from its beginning."""
        self.requests.append(request)
        rng = self._rng
        on_event(PrefillProgressed(1, 10, 0))
        before = request.prefix
        if before is not None and before.reasoning:
            on_event(ReasoningDelta(before.reasoning, 1))
        if before is not None and before.content:
            on_event(AnswerDelta(before.content, 1))
        thoughts = 0 if before is not None and before.content else rng.randrange(10)
        for count in range(thoughts + rng.randrange(1, 40)):
            try:
                for _ in range(rng.randrange(12)):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                on_event(finished(StopReason.CANCELLED))
                raise
            text = rng.choice(WORDS)
            on_event(ReasoningDelta(text, count) if count < thoughts else AnswerDelta(text, count))
        end = finished(rng.choice([StopReason.END_OF_TURN, StopReason.END_OF_TURN, StopReason.MAX_TOKENS]))
        on_event(end)
        return end


def attack(options: Options) -> Report:
    """Act 2,000 times, or as often as the options say."""
    count = options.count or 2000
    report = Report({"random actions": f"{count:,}"})
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(act_at_random(Path(folder), options.seed, count, report))
    return report


async def act_at_random(folder: Path, seed: int, count: int, report: Report) -> None:
    """Act while answers stream; note each error that the app shows, and whether screen and store agree."""
    rng = random.Random(seed)
    weights, actions = zip(*ACTIONS, strict=True)
    async with open_app(folder, StreamingEngine(rng), (100, 30)) as app:
        keys: tuple[str, ...] = ()
        notify = app.app.notify

        def remember(message: str, **options: Any) -> None:
            report.check(options.get("severity") != "error", f"after {' '.join(keys)}: {message}")
            notify(message, **options)

        with patch.object(app.app, "notify", remember), patch.object(app.app, "open_url"):
            for number in range(count):
                (keys,) = rng.choices(actions, weights)
                for key in keys:
                    await press(app, key, rng.randrange(1, 60))
                if number % 25 == 0:
                    await app.pilot.resize_terminal(rng.randrange(40, 140), rng.randrange(12, 50))
                if report.failures:
                    return
            await settled(app)
        report.failures.extend(await disagreements(app))


async def press(app: Harness, key: str, moments: int) -> None:
    """Press a key and yield to the event loop a few times; the pilot would wait for the end of the stream."""
    character = key if len(key) == 1 else None
    app.app.post_message(events.Key(NAMES.get(key, key), character))
    for _ in range(moments):
        await asyncio.sleep(0)


async def settled(app: Harness) -> None:
    """Return to the chat and wait until nothing runs."""
    for _ in range(5):
        await app.pilot.press("escape")
    await app.until(lambda: isinstance(app.app.screen, ChatScreen) and not app.screen.is_answering)
    await app.until(lambda: all(worker.is_finished for worker in app.screen.workers))


async def disagreements(app: Harness) -> list[str]:
    """List what differs between screen and session, and between session and store."""
    session = app.session
    shown = {
        turn.entry.key: turn
        for turn in app.screen.transcript.transcript_layout.message_views
        if turn.entry.key
    }
    found = list[str]()

    def compare(what: str, one: object, other: object) -> None:
        if one != other:
            found.append(f"{what}: {one!r:.300} and {other!r:.300}")

    compare("messages on screen and in the session", list(shown), [stored.id for stored in session.messages])
    for stored in session.messages:
        entry, turn = entry_from_message(stored, app.store), shown.get(stored.id)
        texts = turn and (turn.answer, turn.reasoning, turn.note)
        compare("a message on screen and in the session", texts, (entry.answer, entry.reasoning, entry.note))
    if session.chat is None:
        compare("messages without a chat", session.messages, ())
        return found
    chat = await app.store.chat(session.chat.id)
    compare("the head", chat.head_id, session.messages[-1].id if session.messages else None)
    compare("the branch in store and session", await app.store.branch(chat.id), session.messages)
    compare(
        "options in store and session",
        (chat.mode_override, chat.system, chat.title),
        (session.mode_override, session.system, session.chat.title),
    )
    return found
