"""The terminal driver, which ends with its terminal: a closed window leaves no process behind."""

from __future__ import annotations

import sys
from queue import Full

from textual.driver import Driver

WRITE_TIMEOUT_S = 0.5


def driver_class() -> type[Driver] | None:
    """Return the driver for this system; None for Textual's own choice."""
    if sys.platform == "win32":
        return None
    from textual.drivers.linux_driver import LinuxDriver

    class LastingDriver(LinuxDriver):
        """A driver that drops what it can no longer write; Textual's own waits forever.

        Textual's writing thread ends with its first error; then its queue fills up and every `put` waits.
        """

        def write(self, data: str) -> None:
            """Pass the data to the writing thread as long as it runs."""
            writer = self._writer_thread
            while writer is not None and writer.is_alive():
                try:
                    writer._queue.put(data, timeout=WRITE_TIMEOUT_S)
                except Full:
                    continue
                return

        def close(self) -> None:
            """End the writing thread if it still runs."""
            writer = self._writer_thread
            if writer is not None and writer.is_alive():
                super().close()

    return LastingDriver
