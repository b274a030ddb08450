"""Stand-ins for the faster library, which do what a faulty one might; the worker takes them in its place."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path

import pytest

from qwen3_chat.engine import library_choice, library_router
from qwen3_chat.engine.native_libraries import LIBRARY_VARIABLE
from qwen3_chat.engine.worker_process import WorkerProcess

_MODULE = "qwen3_chat.engine.worker.ik_library"
_HOOK = """
import importlib.abc, importlib.util, sys

class StandIn(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        return importlib.util.spec_from_file_location(name, {file!r}) if name == {module!r} else None

sys.meta_path.insert(0, StandIn())
"""
_LIBRARY = """
import os, signal
from qwen3_chat.engine.worker import llama_cpp_library as usual

class IkLibrary(usual.LlamaCppLibrary):
    name = "ik_llama.cpp"
    build = "stand-in"

"""


class Fault(Enum):
    """What a stand-in does."""

    NONE = ""
    ILLEGAL_INSTRUCTION = "os.kill(os.getpid(), signal.SIGILL)"
    NOT_LOADABLE = "raise OSError('a library is missing')"
    ABORT_IN_REPLY = """
decode, n_calls = usual.LlamaCppContext.decode, 0
def decode_and_die(self, batch):
    global n_calls
    n_calls += 1
    if n_calls > 12:
        os.abort()
    return decode(self, batch)
usual.LlamaCppContext.decode = decode_and_die
"""
    ABORT_IN_IDLE_TIME = """
copy = usual.LlamaCppContext.copy
def copy_or_die(self, source, target, end=-1):
    if target == 1:  # the sequence of the next prompt
        os.abort()
    copy(self, source, target, end)
usual.LlamaCppContext.copy = copy_or_die
"""
    WRONG_TOKENS = """
sample = usual._Sampler.sample
usual._Sampler.sample = lambda self, context, index: sample(self, context, index) ^ 1
"""


def use_stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, fault: Fault) -> None:
    """Have workers take a stand-in, and this process believe that the library is installed."""
    file = folder / "stand_in.py"
    file.write_text(_LIBRARY + fault.value)
    (folder / "sitecustomize.py").write_text(_HOOK.format(file=str(file), module=_MODULE))
    monkeypatch.syspath_prepend(folder)
    for module in (library_choice, library_router):
        monkeypatch.setattr(module, "has_fast_library", lambda: True)


def count_workers(monkeypatch: pytest.MonkeyPatch) -> list[str | None]:
    """Return a list that gets the library of each worker that is started from now on."""
    started: list[str | None] = []
    start = WorkerProcess.start

    async def count(
        python: str, log_path: Path, environment: Mapping[str, str] | None = None
    ) -> WorkerProcess:
        started.append((environment or {}).get(LIBRARY_VARIABLE))
        return await start(python, log_path, environment)

    monkeypatch.setattr(WorkerProcess, "start", count)
    return started
