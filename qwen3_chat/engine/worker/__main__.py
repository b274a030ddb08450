"""The entry point of the worker process: `python -m qwen3_chat.engine.worker LOG_FILE`.

Commands come in on stdin, messages go out on stdout. Until the environment of llama.cpp is set, nothing
that this module imports may import llama_cpp.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from qwen3_chat.engine import wire
from qwen3_chat.engine.llama_build import BUILD_VARIABLE, CHOSEN_BUILD_VARIABLE, runtime_libraries
from qwen3_chat.engine.native_libraries import (
    IK_NAME,
    LIBRARY_VARIABLE,
    default_library,
    library_environment,
)
from qwen3_chat.engine.worker.client_channel import Inbox, Outbox
from qwen3_chat.engine.worker.template_process import TemplateProcess
from qwen3_chat.engine.worker.worker_log import WorkerLog
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import EngineError
from qwen3_chat.parent_death import die_with_parent

if TYPE_CHECKING:
    from qwen3_chat.engine.worker.native_library import NativeLibrary

_STDIN, _STDOUT = 0, 1
ENVIRONMENT = {
    # OpenMP's threads spin while they wait; where another program uses a core, that is 100 times slower.
    # Spinning for a short while avoids most of the sleeps: two threads get faster by half. Where they wait
    # for another program, they slow down enough for the thread guard to notice it.
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "1000",
    # ggml would start a debugger on itself before it aborts.
    "GGML_NO_BACKTRACE": "1",
}
"""The environment variables that llama.cpp and OpenMP read when they are loaded."""


def main(log_path: Path) -> None:
    """Carry out commands until the client closes stdin."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the interface handles Ctrl+C in the terminal
    source, target = _take_streams()
    log = WorkerLog(log_path)
    log.redirect_output()
    inbox, outbox = Inbox(source), Outbox(target)
    inbox.start()
    os.environ.update(ENVIRONMENT)
    try:
        _work(inbox, outbox, log)
    except (ImportError, OSError, RuntimeError, EngineError) as error:
        log.write_failure(error)
        _refuse_all(inbox, outbox, error)
    os._exit(0)  # the system frees everything at once, and no destructor of a GPU's driver can hang


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Move stdin and stdout to descriptors that only the protocol uses; return both streams."""
    source, target = os.fdopen(os.dup(_STDIN), "rb"), os.fdopen(os.dup(_STDOUT), "wb")
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, _STDIN)
    os.close(null)
    return source, target


def _work(inbox: Inbox, outbox: Outbox, log: WorkerLog) -> None:
    # Not before the environment is set: llama.cpp and OpenMP read it, and may print, when they are loaded.
    renderer = TemplateProcess()
    renderer.start()  # in this thread, which lives as long as the process; it takes as long as llama.cpp
    library = open_library(log)
    from qwen3_chat.engine.worker.command_loop import CommandLoop
    from qwen3_chat.engine.worker.llama_log import LlamaLog

    llama_log = LlamaLog(log)

    def send_abort_reason(message: str) -> None:
        log.write(f"E {message}")
        outbox.send_abort_reason(llama_log.first_error() or message)

    library.start(llama_log.receive, send_abort_reason)
    outbox.send(wire.Ready({"python": sys.version.split()[0], "llama_cpp": library.version}))
    CommandLoop(inbox, outbox, log, library, llama_log, renderer).run()


def open_library(log: WorkerLog) -> NativeLibrary:
    """Return the library of this process.

    Raises:
        ImportError: it can't be loaded; so do `OSError` and `RuntimeError`.
    """
    name = os.environ.get(LIBRARY_VARIABLE) or default_library()
    if name == IK_NAME:
        os.environ.update(library_environment(name, None))
        from qwen3_chat.engine.worker.ik_library import IkLibrary

        return IkLibrary()
    import_llama_cpp(log)
    from qwen3_chat.engine.worker.llama_cpp_library import LlamaCppLibrary

    return LlamaCppLibrary()


def import_llama_cpp(log: WorkerLog) -> None:
    """Import llama_cpp, from the folder of the build that is tried, or in use, if there is one.

    A build in use that can't be loaded any more, because a driver has gone, gives way to the installed one.

    Raises:
        ImportError: llama.cpp can't be loaded; so do `OSError` and `RuntimeError`.
    """
    if BUILD_VARIABLE in os.environ:
        _import_from(os.environ[BUILD_VARIABLE])
        return
    chosen = os.environ.get(CHOSEN_BUILD_VARIABLE, "")
    try:
        _import_from(chosen)
    except (ImportError, OSError, RuntimeError) as error:
        if not chosen:
            raise
        log.write(f"E {chosen} can't be loaded, so the installed llama.cpp is used: {error}")
        sys.path.remove(chosen)
        for name in [name for name in sys.modules if name.partition(".")[0] == "llama_cpp"]:
            del sys.modules[name]
        _import_from("")


def _import_from(folder: str) -> None:
    if folder:
        sys.path.insert(0, folder)
        for library in runtime_libraries(Path(folder)):
            ctypes.CDLL(str(library), mode=ctypes.RTLD_GLOBAL)  # found by its name from then on
    import llama_cpp  # noqa: F401 - loads the libraries


def _refuse_all(inbox: Inbox, outbox: Outbox, error: Exception) -> None:
    """Answer every command with the reason why the worker can't run."""
    failure = (
        error if isinstance(error, EngineError) else EngineError(ErrorCode.LLAMA_CPP_BROKEN, reason=error)
    )
    while (job := inbox.take()) is not None:
        outbox.send(wire.CommandFailed.from_error(job.command.call_id, failure))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
