"""The entry point of the process: `python -m qwen3_chat.mcp.server_process`, commands on stdin."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import warnings

from qwen3_chat.parent_death import die_with_parent


def main() -> None:
    """Carry out commands until stdin is closed; then end all servers."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    protocol = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)  # whatever prints must not be read as a message
    os.close(null)
    logging.disable(logging.CRITICAL)  # the SDK logs what servers send, with tracebacks
    warnings.simplefilter("ignore")
    from qwen3_chat.mcp.server_process.server_loop import ServerLoop  # it takes half a second

    asyncio.run(ServerLoop(sys.stdin.buffer.fileno(), protocol).run())
    os._exit(0)  # no thread and no destructor may hold up the end


if __name__ == "__main__":
    main()
