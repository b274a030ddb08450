"""The entry point of the worker process, `python -m qwen3_chat.engine.worker LOG_FILE`: commands in,
messages out.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import BinaryIO

from qwen3_chat.engine import wire
from qwen3_chat.engine.worker.client_channel import Inbox, Job, Outbox
from qwen3_chat.engine.worker.worker_log import WorkerLog
from qwen3_chat.errors import EngineError

_STDIN, _STDOUT = 0, 1
ENVIRONMENT = {
    # OpenMP's threads spin while they wait; where another program uses a core, that is 100 times slower.
    # A short while of it spares most of the waits a sleep: two threads gain a half. Where they wait for
    # another program, they slow down enough for the thread guard to see it.
    "OMP_WAIT_POLICY": "passive",
    "GOMP_SPINCOUNT": "1000",
    # ggml would start a debugger on itself before it aborts.
    "GGML_NO_BACKTRACE": "1",
}
"""What llama.cpp and OpenMP read when they are loaded."""


def main(log_path: Path) -> None:
    """Work until the client closes stdin."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C in the terminal is the interface's business
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
    os._exit(0)  # the system gives everything back at once, and no destructor of a GPU's driver can hang


def _take_streams() -> tuple[BinaryIO, BinaryIO]:
    """Keep stdin and stdout for the protocol, where nothing else in this process can reach them."""
    source, target = os.fdopen(os.dup(_STDIN), "rb"), os.fdopen(os.dup(_STDOUT), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, _STDIN)
    os.close(nothing)
    return source, target


def _work(inbox: Inbox, outbox: Outbox, log: WorkerLog) -> None:
    # Only now: llama.cpp and OpenMP read the environment and may print when they are loaded.
    import llama_cpp

    from qwen3_chat.engine.worker import llama_bindings
    from qwen3_chat.engine.worker.command_loop import CommandLoop
    from qwen3_chat.engine.worker.llama_log import LlamaLog

    llama_bindings.check_bindings()
    llama_log = LlamaLog(log)
    llama_log.install()

    def say_last_words(message: str) -> None:
        log.write(f"E {message}")
        outbox.send_abort_reason(llama_log.first_error() or message)

    kept_alive = llama_bindings.set_abort_listener(say_last_words)
    llama_cpp.llama_backend_init()
    outbox.send(wire.Ready({"python": sys.version.split()[0], "llama_cpp": llama_cpp.__version__}))
    CommandLoop(inbox, outbox, log, llama_log).run()
    del kept_alive


def _refuse_all(inbox: Inbox, outbox: Outbox, error: Exception) -> None:
    """Answer whatever comes in with the reason why nothing works."""
    failure = (
        error if isinstance(error, EngineError) else EngineError("engine.llama_cpp_broken", reason=error)
    )
    while (task := inbox.take()) is not None:
        call_id = task.command.call_id if isinstance(task, Job) else task.call_id
        outbox.send(wire.CommandFailed.from_error(call_id, failure))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
