"""The driver of POSIX systems: how the terminal is taken, given back, and taken again after a stop.

The choice of a driver is documented, the drivers are not. `LinuxDriver` is the one of every POSIX system.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import termios
import webbrowser
from contextlib import nullcontext
from queue import Full
from types import FrameType
from typing import Any, TextIO

from textual.app import App
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message
from textual.messages import InBandWindowResize

from qwen3_chat.ui.textual_compat.steady_input import SteadyInput
from qwen3_chat.ui.textual_compat.terminal_parser import TerminalParser

WRITE_TIMEOUT_S = 0.5
READ_TIMEOUT_S = 0.1
BACKGROUND_POLL_S = 0.25
READ_BYTES = 64 * 1024
KEEP_TITLE, RESTORE_TITLE = "\x1b[22;2t", "\x1b[23;2t"
"""Save the title of the window, and bring it back."""


class TerminalDriver(SteadyInput, LinuxDriver):
    """A driver that survives what a terminal sends, a terminal that is gone, and each way to be stopped.

    **Writing.** A closed window must leave no process behind. Textual's writing thread ends with its first
    error; then its bounded queue fills up and every `put`, on the event loop, waits. So we check the thread
    and write into its queue with a time limit: `_writer_thread`, `_queue`. In textual#6692 the queue of an
    ended thread blocks an app in the same way, after an error during `suspend`.

    **Reading.** Textual's reading thread decodes strictly, and an error ends the app (textual#6456).

    **Stopping.** Textual leaves and takes the terminal inside signal handlers, which may interrupt a write
    that holds the queue's lock; and after a SIGSTOP it takes the terminal once more without having left it:
    two reading threads, and the raw modes are remembered as those of the shell. Here the event loop does it,
    and the terminal is left before it is taken again. While the shell has the terminal, nothing touches it.
    We know of no upstream issue.
    """

    def __init__(self, app: App[Any], **options: Any) -> None:
        super().__init__(app, **options)
        self._file = terminal_file()  # type: ignore[assignment]
        self._is_taken = False
        self._has_been_taken = False
        self._must_come_back = False
        self._reports_size = False

    # writing

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

    # reading

    def run_input_thread(self) -> None:
        """Read until the terminal is left; no byte ends the thread, the end of the terminal ends the app."""
        parser = self._new_parser()
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                data = b""
                if selector.select(READ_TIMEOUT_S):
                    try:
                        data = os.read(self.fileno, READ_BYTES)
                    except (BlockingIOError, InterruptedError):
                        continue
                    except OSError:
                        data = b""
                    if not data:
                        self._app.call_later(self._app.action_quit)
                        return
                try:
                    for event in parser.feed_bytes(data) if data else ():
                        self._pass_on(event)
                    for event in parser.tick():
                        self._pass_on(event)
                except Exception as error:  # a bug of a parser must not take the keyboard away
                    self._report(error)
                    parser = self._new_parser()

    def _new_parser(self) -> TerminalParser:
        return TerminalParser(self._get_terminal_size)

    def process_message(self, message: Message) -> None:
        """Pass a message on; a terminal that can report its size in pixels is asked to.

        The changes of its size are told by SIGWINCH in any case, so Textual need not believe such a report.
        """
        if isinstance(message, InBandWindowResize):
            if message.supported and not self._reports_size:
                self._reports_size = True
                self._enable_in_band_window_resize()
                self._enable_mouse_pixels()
            return
        super().process_message(message)

    def _disable_in_band_window_resize(self) -> None:
        if self._reports_size:
            self._reports_size = False
            self.write("\x1b[?2048l\x1b[?1016l")

    # the terminal, taken and left

    def start_application_mode(self) -> None:
        """Take the terminal, unless the shell has it; draw the whole screen if it was taken before."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        self._is_taken = self._writer_thread is not None and self._writer_thread.is_alive()
        if self._is_taken:
            self.write(KEEP_TITLE)
        if self._is_taken and self._has_been_taken:
            self._app.call_later(self._redraw)
        self._has_been_taken = self._has_been_taken or self._is_taken

    def _redraw(self) -> None:
        """Draw every row of the screen, if it is not closed yet."""
        self._app.refresh(layout=True)

    def stop_application_mode(self) -> None:
        """Leave the terminal as it was found; if the shell has it, its own modes are in force already."""
        if not self._is_taken:
            return
        self._is_taken = False
        self.write(RESTORE_TITLE)
        if not self._is_in_foreground():
            self.attrs_before = None
        super().stop_application_mode()

    def disable_input(self) -> None:
        """End the reading thread, and drop what it has not read."""
        if self._key_thread is None:
            return
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        self._disable_mouse_support()
        self.exit_event.set()
        self._key_thread.join()
        self._key_thread = None
        self.exit_event.clear()
        if self._is_in_foreground():
            try:
                termios.tcflush(self.fileno, termios.TCIFLUSH)
            except termios.error:
                return

    def _is_in_foreground(self) -> bool:
        """Return False if the shell, or another job of it, has the terminal; touching it would stop us."""
        try:
            return os.tcgetpgrp(self.fileno) in (0, os.getpgrp())
        except OSError:
            return True  # no terminal that a shell controls

    # stopped and continued

    def _sigtstp_application(self, _signal: int, _frame: FrameType | None) -> None:
        if self._is_taken and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop_here)
        elif has_a_shell():  # Ctrl+Z in a program inside; without a shell the system ignores it as well
            os.kill(os.getpid(), signal.SIGSTOP)

    def _sigcont_application(self, _signal: int, _frame: FrameType | None) -> None:
        if self._has_been_taken and self._auto_restart and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._come_back)

    def _stop_here(self) -> None:
        """Leave the terminal, then stop; SIGCONT goes on from here."""
        if self._is_taken:
            self._must_come_back = True
            self.suspend_application_mode()
        os.kill(os.getpid(), signal.SIGSTOP)

    def _come_back(self) -> None:
        """Take the terminal again as soon as the shell gives it, after whatever stop."""
        if self._is_taken:  # SIGSTOP gave no chance to leave it
            self._must_come_back = True
            self.suspend_application_mode()
        if not self._must_come_back:
            return
        if not self._is_in_foreground():
            self._loop.call_later(BACKGROUND_POLL_S, self._come_back)
            return
        self._must_come_back = False
        self.resume_application_mode()

    # browsers

    def open_url(self, url: str, new_tab: bool = True) -> None:
        """Open a page; a browser that runs in the terminal gets it until the user leaves that.

        Raises:
            webbrowser.Error: there is no browser, or it does not start.
        """
        browser = webbrowser.get()
        with self._app.suspend() if type(browser) is webbrowser.GenericBrowser else nullcontext():
            is_open = browser.open(url)
        if not is_open:
            raise webbrowser.Error(url)


def terminal_file() -> TextIO:
    """Return the stream that leads to the terminal: stderr as in Textual, or stdout if that leads elsewhere.

    A character that the terminal's encoding lacks is written as a question mark.
    """
    stderr, stdout = sys.__stderr__, sys.__stdout__
    stream = stdout if stderr is None or (not stderr.isatty() and stdout is not None) else stderr
    assert stream is not None
    return stream


def send_suspend() -> None:
    """Stop the whole job, as Ctrl+Z does in other programs: what started us may be part of it."""
    os.kill(0, signal.SIGTSTP)


def has_a_shell() -> bool:
    """Return False if nobody could continue a stopped job, because no shell started it as a job."""
    return os.getpgrp() != os.getsid(0)


__all__ = ["TerminalDriver", "has_a_shell", "send_suspend", "terminal_file"]
