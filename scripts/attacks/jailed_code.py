"""Code of a model that uses up its limits, while somebody types."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from pathlib import Path
from random import Random

from attacks._key_times import report_keys, time_of_key, times_while_idle
from attacks.report import Options, Report
from qwen3_chat.chat import StopReason, ToolCall
from qwen3_chat.events import AnswerDelta, EngineEvent, ToolCallRequested
from qwen3_chat.jail.jail_settings import JailSettings
from qwen3_chat.session import TurnOptions
from qwen3_chat.tools.built_in_tools import Toolbox
from qwen3_chat.tools.consent import ConsentRules
from qwen3_chat.tools.python_tool import PythonTool
from qwen3_chat.tools.tool_runner import ToolRunner
from qwen3_chat.tools.tool_settings import ToolSettings
from tests.fakes import FakeEngine, finished
from tests.harness import Harness, open_app

RUN_S = 2.0
N_ROUNDS = 3

BURNING = {
    "processor": "while True: pass",
    "threads": "import threading\ndef f():\n    while True: pass\n"
    "[threading.Thread(target=f).start() for _ in range(8)]\nf()",
    "output": "while True: print('x' * 1000)",
    "channel": "import os\nwhile True:\n    for fd in range(3, 9):\n"
    "        try: os.write(fd, b'{}\\n' * 9999)\n"
    "        except OSError: pass",
    "files": "n = 0\nwhile True:\n    open(f'f{n}', 'w').close()\n    n += 1",
    "disk": "while True:\n    with open('big', 'wb') as f:\n"
    "        try:\n            while True: f.write(bytes(2**20))\n"
    "        except OSError: pass",
    "memory": "a = []\nwhile True:\n    try: a.append(bytes(2**24))\n    except MemoryError: pass",
}


class _ShortRuns(Toolbox):
    """A toolbox with the tool `python` at a shorter limit of time."""

    def __init__(self, settings: ToolSettings) -> None:
        super().__init__(settings)
        self._python = PythonTool(settings, JailSettings("", run_s=RUN_S))


def attack(options: Options) -> Report:
    """Run each code in the app, and time the keys meanwhile."""
    return asyncio.run(_attack(options))


async def _attack(options: Options) -> Report:
    report, rng = Report(), Random(options.seed)
    names = [name for _ in range(N_ROUNDS) for name in BURNING]
    rng.shuffle(names)
    names = names[: options.count]
    codes = ["1 + 1", *(BURNING[name] for name in names)]
    scripts = [step for code in codes for step in (_calling(code), (AnswerDelta("Done.", 2), finished()))]
    keys_s = list[float]()
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "files"
        files.mkdir()
        toolbox = _ShortRuns(ToolSettings(chat_folder=lambda chat_id: files))
        turn = TurnOptions(tools=("python",))
        engine = FakeEngine(*scripts, tokens_per_message=1)
        async with open_app(Path(folder), engine, (120, 40), options=turn, toolbox=toolbox) as app:
            app.session.set_tool_runner(ToolRunner(ConsentRules(allows_all=True)))
            began_s = time.monotonic()
            await app.say("Go")
            await app.until(lambda: not app.screen.is_answering)
            first_s = time.monotonic() - began_s
            idle_s = await times_while_idle(app)
            for name in names:
                app.screen.input.text = ""
                await app.say(name)
                times = await _type(app)
                keys_s += times
                last = [stored for stored in app.session.messages if stored.meta.call][-1]
                call = last.meta.call
                ended = call is not None and call.is_error and call.elapsed_s < RUN_S * 4
                report.check(ended, f"{name}: {last.message.content[:200]}")
                for file in files.rglob("*"):
                    if file.is_file():
                        file.unlink()
        await toolbox.close()
    report.figures = {"calls": f"{len(names)} of {RUN_S:.0f} s at most"}
    report_keys(report, keys_s, idle_s, "a call")
    report.figures["first call"] = f"{first_s * 1e3:.0f} ms with its start, its turn and its answer"
    return report


async def _type(app: Harness) -> list[float]:
    """Type until the turn has ended; return how long each key took."""
    times = list[float]()
    while app.screen.is_answering:
        times.append(await time_of_key(app))
    return times


def _calling(code: str) -> tuple[EngineEvent, EngineEvent]:
    return ToolCallRequested(ToolCall("python", json.dumps({"code": code}))), finished(StopReason.TOOL_CALLS)
