"""A terminal driver that ends with its terminal: a closed window leaves no process behind."""

from __future__ import annotations

import sys
from queue import Full

from textual.driver import Driver

WRITE_TIMEOUT_S = 0.5


def driver_class() -> type[Driver] | None:
    """Choose the driver for this system; None leaves it to Textual."""
    if sys.platform == "win32":
        return None
    from textual.drivers.linux_driver import LinuxDriver

    class LastingDriver(LinuxDriver):
        """Drops what it can no longer write, where the stock driver waits forever.

        Its writing thread ends with the first error; then the queue to it fills up and every `put` waits.
        """

        def write(self, data: str) -> None:
            """Hand over to the writing thread as long as there is one."""
            writer = self._writer_thread
            while writer is not None and writer.is_alive():
                try:
                    writer._queue.put(data, timeout=WRITE_TIMEOUT_S)
                except Full:
                    continue
                return

        def close(self) -> None:
            """End the writing thread, if it has not ended by itself."""
            writer = self._writer_thread
            if writer is not None and writer.is_alive():
                super().close()

    return LastingDriver
