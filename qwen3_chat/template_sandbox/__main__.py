"""The entry point of the process: `python -m qwen3_chat.template_sandbox`, requests on stdin.

What runs here is a program from a file that anybody may have made. So this process has nothing to lose: it
maps no model and knows no key, may neither write files nor start programs, and has little memory and time.
The worker kills it when a template takes too long; the limits of the system hold even without the worker.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from qwen3_chat.parent_death import die_with_parent
from qwen3_chat.process_limits import set_limit
from qwen3_chat.template_sandbox.jinja_sandbox import JinjaSandbox

if sys.platform != "win32":
    import resource

EXTRA_MEMORY_BYTES = 300 << 20
"""The memory that a template may take, its prompt included, beyond that of an idle process."""

PROCESSOR_S = 10
"""The processor time of one request, should nobody end it before."""

OUT_OF_MEMORY = b'{"failure": "too_large", "reason": ""}'


def main() -> None:
    """Answer requests until stdin is closed or memory runs out."""
    die_with_parent()
    limit_process()
    sandbox = JinjaSandbox()
    is_done = False
    while not is_done and (line := sys.stdin.buffer.readline()):
        renew_processor_time()
        try:
            answer = sandbox.answer(line)
        except MemoryError:
            answer, is_done = OUT_OF_MEMORY, True
        sys.stdout.buffer.write(answer + b"\n")
        sys.stdout.buffer.flush()
    os._exit(0)  # nothing of what a template has left is tidied up


def limit_process() -> None:
    """Give up what a template does not need; Windows has no such limits, and some systems lack a few."""
    for name in ("RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_NPROC"):
        set_limit(name, 0)
    if (size_bytes := _address_space_bytes()) is not None:
        set_limit("RLIMIT_AS", size_bytes + EXTRA_MEMORY_BYTES)


def renew_processor_time() -> None:
    """Allow the processor time of one request."""
    if sys.platform != "win32":
        usage = resource.getrusage(resource.RUSAGE_SELF)
        _, hard_s = resource.getrlimit(resource.RLIMIT_CPU)
        limit_s = int(usage.ru_utime + usage.ru_stime) + PROCESSOR_S
        with suppress(ValueError):  # the system allows less
            resource.setrlimit(resource.RLIMIT_CPU, (limit_s, hard_s))


def _address_space_bytes() -> int | None:
    """Return the size of this process's address space; None where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except (OSError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
