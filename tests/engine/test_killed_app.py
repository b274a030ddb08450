"""The worker of an app that is killed: it ends at once, whatever it is doing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select

import psutil
import pytest

from tests.conftest import REPOSITORY
from tests.engine import model_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watches a process by its file descriptor")

APP = """
import asyncio, sys
sys.path.append('scripts')
from pathlib import Path
from qwen3_chat.engine.local_engine import LocalEngine
from qwen3_chat.events import AnswerDelta, LoadProgressed, PrefillProgressed
from qwen3_chat.request import LoadSettings
from tests.engine.requests import chat_request, user_message

async def in_load(engine):
    def on_event(event):
        if isinstance(event, LoadProgressed) and 0 < event.fraction < 1:
            tell(engine)
    await engine.load(on_event)

async def in_prompt(engine):
    def on_event(event):
        if isinstance(event, PrefillProgressed):
            tell(engine)
    await engine.generate(chat_request(user_message("Tell me everything. " * 800)), on_event)

async def in_answer(engine):
    def on_event(event):
        if isinstance(event, AnswerDelta):
            tell(engine)
    await engine.generate(chat_request(user_message("Hi")), on_event)

async def in_template(engine):
    await engine.load(lambda event: None)
    tell(engine)
    await engine.generate(chat_request(user_message("Hi")), lambda event: None)

def tell(engine):
    print(engine.pid, flush=True)

asyncio.run(globals()[sys.argv[1]](LocalEngine(LoadSettings(sys.argv[2]), Path(sys.argv[3]))))
"""

LARGE_FILE_BYTES = 16 << 30

# One power of two numbers takes an hour, in C, while no other thread of Python runs.
POWER = "{% set number = messages|length + 8 %}{% set never = number ** 900000000 %}"
LOOPS = (
    "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
    "{% endfor %}{% endfor %}{% endfor %}"
)

WAIT_LIMIT_S = 60
"""The time limit: a worker that still runs then never ends."""

BUSY_S = 0.05
"""The processor time of a process that has begun with the template: it had nothing else to do.

It is far below the time that a template may take, which a slow machine has used up soon.
"""


@contextmanager
def running_app(stage: str, gguf: Path, log_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """Run an app; yield it and the process id of its worker, which is in that stage of its work."""
    command = [sys.executable, "-c", APP, stage, str(gguf), str(log_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=REPOSITORY) as app:
        assert app.stdout is not None
        worker = int(app.stdout.readline())
        try:
            yield app, worker
        finally:
            app.kill()
            with suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)


def ends_with(app: subprocess.Popen[bytes], *processes: int) -> bool:
    """Kill the app; return whether its worker and what that has started end, too."""
    descriptors = [os.pidfd_open(process) for process in processes]
    app.kill()
    have_ended = [bool(select([descriptor], [], [], WAIT_LIMIT_S)[0]) for descriptor in descriptors]
    for descriptor in descriptors:
        os.close(descriptor)
    return all(have_ended)


@pytest.mark.parametrize("template", [POWER, LOOPS], ids=["one operation", "loops"])
def test_neither_worker_nor_template_outlives_an_app_whose_template_never_ends(
    demo_gguf: Path, tmp_path: Path, log_path: Path, template: str
) -> None:
    change: Callable[[bytes], bytes] = lambda data: model_files.with_text(  # noqa: E731
        data, "tokenizer.chat_template", template
    )
    gguf = model_files.make(tmp_path / "model.gguf", demo_gguf, change)
    with running_app("in_template", gguf, log_path) as (app, worker):
        (renderer,) = psutil.Process(worker).children()
        start_s = renderer.cpu_times().user
        while renderer.cpu_times().user < start_s + BUSY_S:
            assert app.poll() is None
            time.sleep(0.005)  # the renderer shall have the processor
        assert ends_with(app, worker, renderer.pid)


def test_no_worker_outlives_its_app_in_a_load(demo_gguf: Path, tmp_path: Path, log_path: Path) -> None:
    gguf = model_files.make(tmp_path / "large.gguf", demo_gguf)
    model_files.stretch(gguf, min(LARGE_FILE_BYTES, psutil.virtual_memory().available // 2))
    with running_app("in_load", gguf, log_path) as (app, worker):
        assert ends_with(app, worker)


@pytest.mark.parametrize("stage", ["in_prompt", "in_answer"])
def test_no_worker_outlives_its_app_in_a_reply(tireless_gguf: Path, log_path: Path, stage: str) -> None:
    with running_app(stage, tireless_gguf, log_path) as (app, worker):
        assert ends_with(app, worker)
