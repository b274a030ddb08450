"""Latency of the transcript beside one `Markdown` per message, and beside an app with one `Input`."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import RenderableType
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.drivers.headless_driver import HeadlessDriver
from textual.events import Key
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, Markdown

from benchmarks.sample_chat import chat
from qwen3_chat.transcript import Entry
from qwen3_chat.ui.widgets.transcript import Transcript
from qwen3_chat.ui.widgets.transcript_selection import TranscriptScreen

SIZE = (120, 40)
QUIET_S = 0.25
"""A screen that sent nothing for so long is complete."""
KEYS = 200
KEYS_LIMIT_S = 20.0


class SilentDriver(HeadlessDriver):
    """Makes Textual render to the last byte, and drops the bytes."""

    @property
    def is_headless(self) -> bool:
        """Say no: a headless app skips rendering to escape sequences."""
        return False

    def write(self, data: str) -> None:
        """Drop a frame."""


class MeasuredApp(App[None]):
    """Notes when each frame was handed to the driver."""

    CSS = "Input { dock: bottom; }"

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__(driver_class=SilentDriver)
        self.entries = entries
        self.frame_at_s = 0.0
        self.frame = asyncio.Event()

    def compose(self) -> ComposeResult:
        """Make the place of the chat, if there is one, and the input line."""
        yield from self.chat_widgets()
        box = Input()
        box.cursor_blink = False
        yield box

    def chat_widgets(self) -> Sequence[Widget]:
        """Make what will hold the chat."""
        return ()

    async def open_chat(self) -> None:
        """Fill it."""

    def on_mount(self) -> None:
        """Let keys go to the input line."""
        self.query_one(Input).focus()

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        super()._display(screen, renderable)
        if renderable is not None:
            self.frame_at_s = time.perf_counter()
            self.frame.set()


class BareApp(MeasuredApp):
    """Nothing but an input line."""


class TranscriptApp(MeasuredApp):
    """All messages in one widget."""

    def get_default_screen(self) -> Screen[None]:
        """Use the screen that the chat uses."""
        return TranscriptScreen()

    def chat_widgets(self) -> Sequence[Widget]:
        """Make an empty transcript."""
        return (Transcript(),)

    async def open_chat(self) -> None:
        """Hand all entries over."""
        self.query_one(Transcript).show(self.entries)


class MarkdownApp(MeasuredApp):
    """One `Markdown` widget per message."""

    def chat_widgets(self) -> Sequence[Widget]:
        """Make an empty scroll view."""
        return (VerticalScroll(),)

    async def open_chat(self) -> None:
        """Mount all messages and go to the end."""
        view = self.query_one(VerticalScroll)
        await view.mount_all([Markdown(entry.answer) for entry in self.entries])
        view.scroll_end(animate=False)


@dataclass(frozen=True, slots=True)
class Latencies:
    """What one app took."""

    name: str
    widgets: int
    open_s: float
    keys_s: tuple[float, ...]

    @property
    def key_median_s(self) -> float:
        """Half of the keys were faster."""
        return statistics.median(self.keys_s)

    @property
    def key_p99_s(self) -> float:
        """One key in a hundred was slower."""
        return sorted(self.keys_s)[min(len(self.keys_s) - 1, int(len(self.keys_s) * 0.99))]


async def measure(name: str, make: Callable[[], MeasuredApp]) -> Latencies:
    """Open the chat in a running app, then press keys."""
    app = make()
    async with app.run_test(headless=False, size=SIZE):
        await quiet(app)
        begun_s = time.perf_counter()
        await app.open_chat()
        await quiet(app)
        open_s = max(0.0, app.frame_at_s - begun_s)
        keys_s: list[float] = []
        limit_s = time.perf_counter() + KEYS_LIMIT_S
        for number in range(KEYS):
            keys_s.append(await key(app, "abcdefgh "[number % 9]))
            if time.perf_counter() > limit_s:
                break
        return Latencies(name, len(app.screen.query("*")), open_s, tuple(keys_s))


async def key(app: MeasuredApp, character: str) -> float:
    """Press a key; return the time until its frame."""
    app.frame.clear()
    begun_s = time.perf_counter()
    app.post_message(Key("space" if character == " " else character, character))
    await app.frame.wait()
    elapsed_s = app.frame_at_s - begun_s
    await asyncio.sleep(0.02)
    return elapsed_s


async def quiet(app: MeasuredApp) -> None:
    """Wait until no frame comes any more."""
    while True:
        app.frame.clear()
        try:
            await asyncio.wait_for(app.frame.wait(), QUIET_S)
        except TimeoutError:
            return


def table(results: Sequence[Latencies]) -> str:
    """Write one line per app."""
    lines = [f"{'':34}{'widgets':>9}{'open ms':>11}{'key median ms':>15}{'key p99 ms':>12}"]
    for result in results:
        opened = f"{result.open_s * 1e3:.1f}" if result.open_s else "-"
        lines.append(
            f"{result.name:34}{result.widgets:>9}{opened:>11}"
            f"{result.key_median_s * 1e3:>15.1f}{result.key_p99_s * 1e3:>12.1f}"
        )
    return "\n".join(lines)


def ratios(ours: Latencies, markdown: Latencies, bare: Latencies) -> str:
    """Write how the transcript compares."""
    return "\n".join(
        [
            f"opens {markdown.open_s / ours.open_s:,.0f} times as fast as one Markdown widget per message",
            f"shows a key {markdown.key_median_s / ours.key_median_s:.1f} times as fast (median), "
            f"{markdown.key_p99_s / ours.key_p99_s:.1f} times (p99)",
            f"shows a key in {ours.key_median_s / bare.key_median_s:.2f} times the time of a bare input line "
            f"(median), {ours.key_p99_s / bare.key_p99_s:.2f} times (p99)",
        ]
    )


def main(argv: Sequence[str]) -> int:
    """Measure all three in this run."""
    parser = argparse.ArgumentParser(prog="bench ui", description=__doc__)
    parser.add_argument("--messages", type=int, default=200, help="messages of about 50 rows (default: 200)")
    entries = [entry for entry in chat(max(1, parser.parse_args(argv).messages)) if entry.role == "assistant"]
    bare = asyncio.run(measure("bare app with one Input", lambda: BareApp(entries)))
    ours = asyncio.run(measure("transcript, one widget", lambda: TranscriptApp(entries)))
    markdown = asyncio.run(measure("one Markdown widget per message", lambda: MarkdownApp(entries)))
    print(f"{len(entries)} messages, terminal {SIZE[0]}x{SIZE[1]}, {len(ours.keys_s)} keys")
    print(table([ours, markdown, bare]))
    print(f"The transcript {ratios(ours, markdown, bare)}".replace("\n", ",\n  "))
    return 0
