"""Keys, clicks, pastes and resizes at every moment of opening and closing each screen; the app goes on."""

from __future__ import annotations

import asyncio
import random
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from textual import events

from attacks.actions import StreamingEngine, press
from attacks.report import Options, Report
from tests.harness import Harness, open_app
from tests.models.picker.picker_fixture import PickerFixture, install_files

OPENERS: dict[str, tuple[str, ...]] = {
    "options": ("ctrl+l",),
    "prompts": ("ctrl+l", "ctrl+l"),
    "models": ("f7",),
    "settings": ("f12",),
    "setting being typed": ("f12", "down", "down", "down", "down", "enter"),
    "chats": ("ctrl+r",),
    "sidebar": ("ctrl+b",),
    "code blocks": ("ctrl+up", "b"),
    "help": ("f1",),
    "palette": ("ctrl+p",),
    "context choice": ("o", "enter"),
    "reading": ("pageup",),
}
"""The keys that open each screen from the chat."""

KEYS = [
    "escape",
    "escape",
    "escape",
    "enter",
    "enter",
    "tab",
    "shift+tab",
    "up",
    "down",
    "left",
    "right",
    "pageup",
    "pagedown",
    "home",
    "end",
    "space",
    "backspace",
    "delete",
    "ctrl+l",
    "ctrl+l",
    "ctrl+d",
    "ctrl+s",
    "ctrl+p",
    "ctrl+r",
    "ctrl+b",
    "ctrl+n",
    "ctrl+t",
    "ctrl+o",
    "ctrl+g",
    "ctrl+z",
    "ctrl+y",
    "ctrl+c",
    "ctrl+x",
    "ctrl+v",
    "ctrl+up",
    "ctrl+down",
    "ctrl+j",
    "alt+enter",
    "f1",
    "f2",
    "f3",
    "f4",
    "f5",
    "f5",
    "f6",
    "f7",
    "f7",
    "f8",
    "f9",
    "f10",
    "f12",
    "b",
    "c",
    "d",
    "e",
    "m",
    "n",
    "o",
    "p",
    "q",
    "r",
    "s",
    "1",
    "2",
    "9",
    "slash",
    "at",
    "x",
    "天",
]
CASES_PER_START = 40
KEYS_PER_CASE = 8
WHOLE_CASES = 200
"""The cases of each screen in a whole attack."""


class CrampedEngine(StreamingEngine):
    """An engine whose context is exceeded now and then, and which fails now and then."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(rng)
        self._tokens_per_message = 180
        self.max_n_ctx = 4000


@dataclass
class Attacker:
    """Random events for an app, with a record of the latest ones."""

    app: Harness
    rng: random.Random
    pressed: list[str]
    counts: Counter[str]

    async def open(self, keys: tuple[str, ...]) -> None:
        """Press the keys that open a screen, with few moments between them or many."""
        for key in keys:
            await self.press(key)

    async def press(self, key: str) -> None:
        """Press a key; what comes next comes at once, or up to some hundred steps of the event loop later."""
        self.pressed.append(key)
        self.counts["keys"] += 1
        await press(self.app, key, self.rng.choice([0, 0, 1, 2, 4, 8, 16, 32, 64, 150]))

    async def act(self) -> None:
        """Do one random thing."""
        app, rng = self.app.app, self.rng
        match rng.choices(["key", "click", "paste", "resize", "wait"], [50, 3, 1, 1, 2])[0]:
            case "click":
                await self._click(rng.randrange(app.size.width), rng.randrange(app.size.height))
            case "paste":
                self._note("paste", events.Paste(rng.choice(["a", "\n", "\x1b[31m", "x\n" * 50, "[b]\\"])))
            case "resize":
                width, height = rng.randrange(1, 140), rng.randrange(1, 50)
                self.pressed.append(f"{width}x{height}")
                self.counts["resizes"] += 1
                await self.app.pilot.resize_terminal(width, height)
            case "wait":
                await asyncio.sleep(0.01)
            case _:
                await self.press(rng.choice(KEYS))

    def _note(self, kind: str, event: events.Event) -> None:
        self.pressed.append(kind)
        self.counts[f"{kind}s"] += 1
        self.app.app.post_message(event)

    async def _click(self, x: int, y: int) -> None:
        self.pressed.append(f"click {x},{y}")
        self.counts["clicks"] += 1
        for kind in (events.MouseMove, events.MouseDown, events.MouseUp):
            self.app.app.post_message(
                kind(
                    None,
                    x=x,
                    y=y,
                    delta_x=0,
                    delta_y=0,
                    button=1,
                    shift=False,
                    meta=False,
                    ctrl=False,
                    screen_x=x,
                    screen_y=y,
                )
            )
            await asyncio.sleep(0)


def attack(options: Options) -> Report:
    """Open and close each screen at random; `count` cases of each."""
    report = Report()
    counts: Counter[str] = Counter()
    for name in OPENERS:
        cases = options.count or WHOLE_CASES
        rng = random.Random(f"{options.seed} {name}")
        failed = 0
        while cases > 0:
            failures = asyncio.run(_run(name, rng, min(cases, CASES_PER_START), counts))
            cases -= CASES_PER_START
            failed += len(failures)
            report.failures += failures
        report.figures[name] = f"{failed} failures"
    report.figures |= {what: f"{number:,}" for what, number in counts.items()}
    return report


async def _run(name: str, rng: random.Random, cases: int, counts: Counter[str]) -> list[str]:
    pressed: list[str] = []
    failure = ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        install_files(path, "Qwen3-0.6B-Q8_0.gguf", "other.gguf")
        picker = PickerFixture(path)
        try:
            async with open_app(
                path, CrampedEngine(rng), (100, 30), model_picker=picker.model_picker()
            ) as app:
                attacker = Attacker(app, rng, pressed, counts)
                for _ in range(cases):
                    pressed.append("|")
                    await attacker.open(OPENERS[name])
                    for _ in range(rng.randrange(KEYS_PER_CASE)):
                        await attacker.act()
                    for _ in range(3):
                        await attacker.press("escape")
                    if app.app._exception is not None or not app.app.is_running:
                        break
        except BaseException as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = " < ".join(f"{Path(at.filename).name}:{at.lineno}" for at in reversed(frames[-5:]))
            failure = f"{name}: {error!r:.200} ({where}) after {' '.join(pressed[-30:])}"
    return [failure] if failure else []
