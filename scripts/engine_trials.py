"""One turn with a model file in the real engine, and its costs: time, memory, pauses of the event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import psutil

from attacks.report import Report
from qwen3_chat.chat import ChatMessage, Role, ThinkingMode
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.errors import EngineError
from qwen3_chat.models.catalog.sampling_presets import DEMO_SAMPLING
from qwen3_chat.request import ChatRequest, LoadSettings

MAX_SECONDS = 5.0
MAX_EXTRA_BYTES = 500 * 10**6
MAX_PAUSE_S = 0.2
_MAX_SENTENCE_CHARACTERS = 1200
_BEAT_S, _MEASURE_S = 0.01, 0.02
_END_S = 2.0


@dataclass(slots=True)
class Costs:
    """The worst of many trials, as figures."""

    usual_bytes: int
    with_times: bool
    trials: list[Trial] = field(default_factory=list)

    def add(self, name: str, trial: Trial, report: Report) -> None:
        """Add a trial, and note its faults."""
        self.trials.append(trial)
        for fault in trial.faults(self.usual_bytes, self.with_times):
            report.failures.append(f"{name}: {fault}")

    def figures(self) -> dict[str, str]:
        """Return the figures by name."""
        told = sum(bool(trial.sentence) for trial in self.trials)
        longest_s = max((trial.seconds for trial in self.trials if trial.sentence), default=0.0)
        extra_bytes = max(trial.peak_bytes for trial in self.trials) - self.usual_bytes
        return {
            "ended in a sentence": f"{told} of {len(self.trials)}",
            "longest until a sentence": f"{longest_s:.1f} s",
            "most memory above a good file": f"{max(0, extra_bytes) / 1e6:.0f} MB",
            "longest pause of the event loop": f"{max(t.longest_pause_s for t in self.trials) * 1000:.0f} ms",
            "processes left": str(sum(trial.survivors for trial in self.trials)),
        }


@dataclass(frozen=True, slots=True)
class Trial:
    """What a turn came to: the sentence of its error, empty after a reply."""

    sentence: str
    seconds: float
    peak_bytes: int
    longest_pause_s: float
    survivors: int
    unforeseen: str = ""

    def faults(self, usual_bytes: int, with_times: bool) -> Iterable[str]:
        """Yield what must not happen; `usual_bytes` is the peak of the same turn with a good file.

        Times count only `with_times`: they depend on what else the machine does.
        """
        if self.unforeseen:
            yield f"raised {self.unforeseen}"
        if with_times and self.sentence and self.seconds > MAX_SECONDS:  # a reply takes what it takes
            yield f"took {self.seconds:.1f} s"
        if self.peak_bytes - usual_bytes > MAX_EXTRA_BYTES:
            yield f"took {(self.peak_bytes - usual_bytes) / 1e6:.0f} MB more than a good file"
        if with_times and self.longest_pause_s > MAX_PAUSE_S:
            yield f"stopped the event loop for {self.longest_pause_s * 1000:.0f} ms"
        if self.survivors:
            yield f"left {self.survivors} processes"
        if "\n" in self.sentence or len(self.sentence) > _MAX_SENTENCE_CHARACTERS:
            yield f"is told in {self.sentence.count(chr(10)) + 1} lines, {len(self.sentence)} characters"


async def try_file(path: Path, log_path: Path) -> Trial:
    """Load a file, count a prompt, generate a few tokens, end the process."""
    engine = LocalEngine(LoadSettings(str(path)), log_path)
    question = ChatMessage(Role.USER, "Hi")
    mode = ThinkingMode.NO_THINK
    request = ChatRequest((question,), mode, DEMO_SAMPLING[mode], seed=1, max_tokens=4)
    watch = _Watch(engine)
    watching = asyncio.create_task(watch.run())
    started_s = time.monotonic()
    sentence = unforeseen = ""
    try:
        await engine.load(lambda event: None)
        await engine.count_tokens(request)
        await engine.generate(request, lambda event: None)
    except EngineError as error:
        sentence = str(error)
    except Exception as error:  # what the attack looks for
        unforeseen = repr(error)
    seconds = time.monotonic() - started_s
    await engine.close()
    watching.cancel()
    with suppress(asyncio.CancelledError):
        await watching
    _, alive = await asyncio.to_thread(psutil.wait_procs, list(watch.processes), _END_S)
    return Trial(sentence, seconds, watch.peak_bytes, watch.longest_pause_s, len(alive), unforeseen)


class _Watch:
    """The heartbeat of the event loop, and in a thread the memory of the engine's processes."""

    def __init__(self, engine: LocalEngine) -> None:
        self._engine = engine
        self._is_done = Event()
        self.processes: set[psutil.Process] = set()
        self.peak_bytes = 0
        self.longest_pause_s = 0.0

    async def run(self) -> None:
        """Watch until this is cancelled."""
        measuring = Thread(target=self._measure_until_done, daemon=True)
        measuring.start()
        try:
            while True:
                due_s = time.monotonic() + _BEAT_S
                await asyncio.sleep(_BEAT_S)
                self.longest_pause_s = max(self.longest_pause_s, time.monotonic() - due_s)
        finally:
            self._is_done.set()

    def _measure_until_done(self) -> None:
        while not self._is_done.wait(_MEASURE_S):
            with suppress(psutil.Error):
                if (pid := self._engine.pid) is not None:
                    self._measure(pid)

    def _measure(self, pid: int) -> None:
        worker = psutil.Process(pid)
        running = [worker, *worker.children()]
        self.processes.update(running)
        self.peak_bytes = max(self.peak_bytes, sum(process.memory_info().rss for process in running))
