"""Stops at random moments: SIGTSTP and SIGSTOP, then SIGCONT, at the real app on a pseudo-terminal."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from attacks.report import Options, Report
from tests.pty_terminal import CHAT, READY, PtyTerminal, app_environment, pty_terminal

N_STARTS = 57
LIMIT_S = 60
STATUS = "Thinking on"
QUIT = b"\x11"
N_PRESSES = 3


def attack(options: Options) -> Report:
    """Start, stop and continue the app up to three times, quit: the terminal is as before, every time."""
    count = N_STARTS if options.count is None else options.count
    rng = Random(options.seed)
    report = Report()
    n_stops = 0
    for number in range(1, count + 1):
        where = f"start {number}"
        with (
            TemporaryDirectory(prefix="stops-") as folder,
            pty_terminal(CHAT, app_environment(Path(folder))) as terminal,
        ):
            moment = rng.choice(("while it starts", "idle", "while it answers"))
            if moment != "while it starts":
                terminal.until(partial(terminal.shows, STATUS), LIMIT_S)
            if moment == "while it answers":
                terminal.type(b"How many r's in strawberries?\r")
            terminal.until(lambda: False, rng.random() * 2)
            where = f"{where}, {moment}"
            begin = 0
            for _ in range(rng.randrange(1, 4)):
                n_stops += 1
                begin = _stop_and_continue(terminal, rng, report, where)
            shown = terminal.until(partial(terminal.shows_since_taken, STATUS, begin), LIMIT_S)
            report.check(shown, f"{where}: the screen is not drawn again")
            report.check(terminal.is_raw, f"{where}: keys do not reach the app one by one")
            if moment == "while it starts":
                terminal.until(partial(terminal.shows, READY), LIMIT_S)
            report.check(_quit(terminal), f"{where}: quitting hangs")
            if terminal.process.poll() is None:
                continue
            report.check(
                terminal.process.returncode == 0, f"{where}: exit status {terminal.process.returncode}"
            )
            report.check(
                terminal.modes_of_line() == terminal.modes_before, f"{where}: the line is not restored"
            )
            report.check(not terminal.modes_left_on(), f"{where}: modes left on: {terminal.modes_left_on()}")
            report.check(not terminal.raw_output(), f"{where}: raw output {terminal.raw_output()[:1]}")
    report.figures = {
        "starts": f"{count}, {n_stops} stops while it starts, waits or answers",
        "gave way": f"{len(report.failures)}",
    }
    return report


def _stop_and_continue(terminal: PtyTerminal, rng: Random, report: Report, where: str) -> int:
    """Stop the app and continue it; return how much of its output was read before it was continued.

    SIGTSTP reaches an app that has not begun yet as the system's own, which spares the leader of a session.
    Such an app is not stopped, and it takes the terminal once, before or after it is continued.
    """
    terminal.send(rng.choice((signal.SIGTSTP, signal.SIGSTOP)))
    begin = len(terminal.output) if terminal.until(terminal.is_stopped, 5) else 0
    report.check(terminal.process.poll() is None, f"{where}: the app ended when it was stopped")
    terminal.send(signal.SIGCONT)
    terminal.until(lambda: False, rng.random())
    return begin


def _quit(terminal: PtyTerminal) -> bool:
    """Press the key that quits, again if the first came while the app left the terminal and took it back."""
    for _ in range(N_PRESSES):
        terminal.type(QUIT)
        if terminal.until(terminal.has_ended, LIMIT_S / N_PRESSES):
            return True
    return False
