"""Random use of the widget against an oracle that lays out everything."""

from __future__ import annotations

import random
from functools import lru_cache

import pytest
from textual.pilot import Pilot

from benchmarks.sample_chat import answer, chat
from qwen3_chat.transcript import MessageEntry
from qwen3_chat.transcript.message_view import REASONING, MessageView
from qwen3_chat.transcript.transcript_layout import Anchor
from qwen3_chat.ui.widgets.transcript import Transcript
from tests.transcript.host import Host, shown

MOVES = {"pageup": -1, "pagedown": 1, "up": 0, "down": 0, "home": 0, "end": 0}
OPERATIONS = [
    *("pageup",) * 4,
    *("pagedown",) * 2,
    *("up", "down", "home", "end", "resize", "height", "fold", "fold all", "jump", "theme"),
    *("stream",) * 3,
]

ODD_ENTRIES = [
    MessageEntry("assistant"),
    MessageEntry("notice", "Two messages were not sent."),
    MessageEntry("user", "\t短\n\n"),
]


@lru_cache(maxsize=1000)
def rows_of(entry: MessageEntry, is_open: bool, width: int) -> list[str]:
    view = MessageView(entry, "copy")
    view.open_override = is_open
    view.layout(width)
    assert view.rows is not None
    return ["".join(run[0] for run in row.runs).rstrip() for row in view.rows] + [""]


def everything(transcript: Transcript) -> list[str]:
    rows: list[str] = []
    for view in transcript.transcript_layout.message_views:
        texts = (view.answer, view.reasoning, view.header, view.reasoning_header, view.note)
        rows += rows_of(
            MessageEntry(view.entry.role, *texts), view.is_open, transcript.transcript_layout.width
        )
    return rows


def positions(rows: list[str], full: list[str]) -> list[int]:
    """Return the rows of the whole chat at which the screen may be."""
    if len(full) < len(rows):
        return [0] if rows == full + [""] * (len(rows) - len(full)) else []
    return [at for at in range(len(full) - len(rows) + 1) if full[at : at + len(rows)] == rows]


class Use:
    """One run: a chat in random order, then random operations, each checked."""

    def __init__(self, seed: int, host: Host, pilot: Pilot[None]) -> None:
        self.random = random.Random(seed)
        entries = chat(6)
        self.random.shuffle(entries)
        if seed % 3 == 0:
            entries += ODD_ENTRIES
        host.transcript.show(entries[: seed % 11 + 2])
        self.seed = seed
        self.host, self.pilot, self.transcript = host, pilot, host.transcript
        self.source: str | None = None

    async def step(self) -> None:
        transcript = self.transcript
        operation = self.random.choice(OPERATIONS)
        full, before = everything(transcript), shown(transcript)
        here = positions(before, full)
        assert here, f"the screen before {operation} is no part of the whole"
        followed, anchor = transcript.following, transcript._anchor
        await self.apply(operation)
        full, after = everything(transcript), shown(transcript)
        there = positions(after, full)
        assert there, f"the screen after {operation} is no part of the whole"
        last = max(0, len(full) - transcript.screen_rows)
        match operation:
            case "pageup" | "pagedown" | "up" | "down":
                by = MOVES[operation] * transcript.screen_rows or (1 if operation == "down" else -1)
                assert any(min(max(0, at + by), last) in there for at in here)
            case "home":
                assert 0 in there
            case "end":
                assert last in there
            case "resize" | "fold all" | "theme" if not followed:
                self.stayed(anchor)
            case "stream" if not followed:
                assert before[0] == after[0] or transcript._top >= transcript.max_scroll_y
            case "stream" | "resize" | "height" if followed:
                assert last in there

    def stayed(self, anchor: Anchor) -> None:
        """Check that the top row shows the same text, or the header of the folded pane around it."""
        now, transcript = self.transcript._anchor, self.transcript
        if transcript._top >= transcript.max_scroll_y:
            return
        assert now.message_index == anchor.message_index
        assert now.logical_row in (anchor.logical_row, REASONING)

    async def apply(self, operation: str) -> None:
        transcript, choose = self.transcript, self.random.choice
        width = self.host.size.width
        match operation:
            case "resize":
                await self.pilot.resize_terminal(choose([40, 60, 80, 100, 137]), choose([15, 24, 40]))
            case "height":
                await self.pilot.resize_terminal(width, choose([12, 25, 40]))
            case "fold":
                transcript.toggle_thinking()
            case "fold all":
                transcript.toggle_all_thinking()
            case "jump":
                transcript.scroll_to(y=self.random.randrange(max(1, transcript.max_scroll_y + 1)))
            case "theme":
                self.host.theme = choose(["nord", "textual-dark", "textual-light"])
                await self.pilot.pause()
            case "stream":
                self.stream()
            case "up" | "down" | "home" | "end":
                await transcript.run_action(f"scroll_{operation}")
            case "pageup" | "pagedown":
                await transcript.run_action(operation.replace("page", "page_"))

    def stream(self) -> None:
        transcript = self.transcript
        if self.source is None:
            self.source = answer(self.seed)
            transcript.begin(MessageEntry("assistant", header="Qwen3", reasoning_header="Thinking…"))
        part, self.source = self.source[: (cut := self.random.choice([5, 40, 200]))], self.source[cut:]
        if len(self.source) > 1500:
            transcript.write_reasoning(part)
            transcript.set_reasoning_header(f"Thinking… {len(self.source)}")
        else:
            transcript.write_answer(part)
        transcript.flush(now=True)
        if not self.source:
            view = transcript.transcript_layout.message_views[-1]
            header = "Thought 3 s"
            transcript.finish(
                MessageEntry("assistant", view.answer, view.reasoning, "Qwen3", header, "stopped")
            )
            self.source = None


async def use(seeds: range, steps: int) -> None:
    host = Host()
    async with host.run_test(size=(100, 30)) as pilot:
        for seed in seeds:
            run = Use(seed, host, pilot)
            for _ in range(steps):
                await run.step()


@pytest.mark.parametrize("first", range(0, 60, 10))
async def test_the_screen_is_always_a_slice_of_the_whole_chat(first: int) -> None:
    await use(range(first, first + 10), steps=15)


@pytest.mark.full
@pytest.mark.parametrize("first", range(100, 350, 100))
async def test_the_screen_is_a_slice_of_the_whole_chat_through_long_use(first: int) -> None:
    await use(range(first, first + 50), steps=60)
