"""Bytes of every kind typed at the real app on a pseudo-terminal."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from attacks.report import Options, Report
from tests.pty_terminal import CHAT, COLUMNS, READY, ROWS, PtyTerminal, app_environment, pty_terminal

N_SCRIPTS = 1_000
SCRIPTS_PER_START = 50
MIN_SCRIPT_BYTES = 2_048
LIMIT_S = 60
"""How long the app may take to answer before it counts as frozen, on a machine with other work."""

SETTINGS = '[keys]\nquit = "ctrl+f12"\n'
QUIT = b"\x1b[24;5~"
"""A key that no script types."""

N_ESCAPES = 5
"""More than enough to leave every dialog, one of which stops the key that quits."""

FORGED = (
    b"\x1b[31;47;5m",
    b"\x1b]52;c;T1dORUQ=",
    b"\x1b]0;owned",
    b"\x1b]8;;http://owned",
    "\u202eowned".encode(),
)
"""What scripts paste and the app never writes."""

WORDS = (
    "hello",
    "天气怎么样",
    "héllo",
    "👨‍👩‍👧",
    "مرحبا",
    "e\u0301",
    "/no_think",
    "@",
    "/",
    "```py\nx = 1\n```",
    "**b**",
)


def write_script(rng: Random) -> bytes:
    """Return at least 2 KB of what a terminal may send, and of what none would."""
    script = bytearray()
    while len(script) < MIN_SCRIPT_BYTES:
        script += rng.choice(KINDS)(rng)
    return bytes(script)


def _words(rng: Random) -> bytes:
    return " ".join(rng.choices(WORDS, k=rng.randrange(1, 9))).encode() + rng.choice(
        (b"", b"\r", b"\x1b\r", b"\n")
    )


def _broken_words(rng: Random) -> bytes:
    encoded = "你好，世界 café".encode(rng.choice(("gbk", "utf-16", "utf-8", "gb18030")), "replace")
    return encoded[rng.randrange(len(encoded)) :][: rng.randrange(1, 20)]


def _random_bytes(rng: Random) -> bytes:
    return rng.randbytes(rng.randrange(1, 64))


def _controls(rng: Random) -> bytes:
    return bytes(rng.randrange(0x20) for _ in range(rng.randrange(1, 6)))


def _number(rng: Random) -> bytes:
    return str(
        rng.choice((0, 1, rng.randrange(300), -rng.randrange(99), 10 ** rng.randrange(1, 60)))
    ).encode()


def _control_sequence(rng: Random) -> bytes:
    numbers = rng.choice((b";", b":")).join(_number(rng) for _ in range(rng.randrange(6)))
    ends = b"@ABCDEFGHIJKLMPRSTXZ`abcdfghijlmnopqrstuvwxyz{|}~$^ "
    return b"\x1b[" + rng.choice((b"", b"?", b">", b"<", b"=")) + numbers + bytes([rng.choice(ends)])


def _string(rng: Random) -> bytes:
    begin = rng.choice((b"\x1b]", b"\x1bP", b"\x1b_", b"\x1b^", b"\x1bX", b"\x90", b"\xc2\x9d"))
    text = rng.choice((b"11;rgb:0000/0000/0000", b"52;c;T1dORUQ=", b"1$r0m", rng.randbytes(20), b"x" * 5_000))
    return begin + text + rng.choice((b"\x07", b"\x1b\\", b"\x9c", b"", b"\x18"))


def _kitty_key(rng: Random) -> bytes:
    code = rng.choice(
        (rng.randrange(0x110000), 0xD800, 0x110000, 57_344 + rng.randrange(200), 10 ** rng.randrange(30))
    )
    parts = [str(code), str(rng.randrange(300)), str(rng.randrange(0x120000))][: rng.randrange(1, 4)]
    return f"\x1b[{rng.choice((';', ':')).join(parts)}{rng.choice('u~ABCDHFPQRS')}".encode()


def _mouse(rng: Random) -> bytes:
    button, x, y = (
        rng.choice((0, 1, 2, 32, 35, 64, 65, 255, 10**9)),
        rng.randrange(-5, 300),
        rng.randrange(-5, 99),
    )
    forms = (
        f"\x1b[<{button};{x};{y}{rng.choice('Mm')}".encode(),
        f"\x1b[{button};{x};{y}M".encode(),
        b"\x1b[M" + rng.randbytes(3),
        b"\x1b[M" + rng.randbytes(rng.randrange(3)),
        b"\x1b[<" + rng.randbytes(3) + b"M",
    )
    return rng.choice(forms)


def _report(rng: Random) -> bytes:
    reports = (b"\x1b[I", b"\x1b[O", b"\x1b[?2026;2$y", b"\x1b[?2048;1$y", b"\x1b[?62;4c", b"\x1b[5;9R")
    sizes = b"\x1b[48;" + b";".join(_number(rng) for _ in range(4)) + b"t"
    return rng.choice((*reports, sizes))


def _paste(rng: Random) -> bytes:
    text = b"".join(
        rng.choice((rng.choice(FORGED), _words(rng), _random_bytes(rng), b"\x1b[31;47;5mlog\r"))
        for _ in range(4)
    )
    text *= rng.choice((1, 1, 1, 40))
    forms = (
        b"\x1b[200~" + text + b"\x1b[201~",
        b"\x1b[200~" + text + b"\x1b[201",
        b"\x1b[200~\x1b[200~" + text + b"\x1b[201~\x1b[201~",
        b"\x1b[200~" + text,
        b"\x1b[201~",
    )
    return rng.choice(forms)


KINDS: tuple[Callable[[Random], bytes], ...] = (
    _words,
    _broken_words,
    _random_bytes,
    _controls,
    _control_sequence,
    _string,
    _kitty_key,
    _mouse,
    _report,
    _paste,
)


def attack(options: Options) -> Report:
    """Type the scripts, up to fifty per start; the app stays, answers, and leaves the terminal as it was."""
    count = N_SCRIPTS if options.count is None else options.count
    report = Report()
    n_typed = n_bytes = n_output = n_starts = 0
    slowest_s = 0.0
    while n_typed < count:
        n_starts += 1
        with TemporaryDirectory(prefix="terminal-bytes-") as folder:
            home = Path(folder)
            (home / "config").mkdir()
            (home / "config" / "config.toml").write_text(SETTINGS)
            with pty_terminal(CHAT, app_environment(home)) as terminal:
                if not terminal.until(lambda terminal=terminal: terminal.shows(READY), LIMIT_S):  # type: ignore[misc]
                    report.failures.append(f"start {n_starts}: the app did not open")
                    break
                for _ in range(min(SCRIPTS_PER_START, count - n_typed)):
                    n_typed += 1
                    rng = Random(f"{options.seed}/{n_typed}")  # so that each can be typed alone
                    script = write_script(rng)
                    n_bytes += len(script)
                    answer_s = _type(terminal, script, rng)
                    slowest_s = max(slowest_s, answer_s)
                    if answer_s >= LIMIT_S or terminal.process.poll() is not None:
                        state = terminal.process.poll()
                        report.failures.append(
                            f"script {n_typed}: exit status {state}, silent for {answer_s:.0f} s"
                        )
                        break
                _check_end(terminal, home, report, f"after script {n_typed}")
                n_output += len(terminal.output)
    report.figures = {
        "scripts": f"{n_typed:,} in {n_starts} starts, {n_bytes:,} bytes",
        "output": f"{n_output:,} bytes, checked for everything but the app's own sequences",
        "slowest redraw": f"{slowest_s * 1_000:.0f} ms after a script",
        "gave way": f"{len(report.failures)}",
    }
    return report


def _type(terminal: PtyTerminal, script: bytes, rng: Random) -> float:
    """Type a script in pieces of any size; return the seconds until the app draws for another size."""
    while script:
        length = rng.choice((1, 7, 100, 4_096))
        terminal.type(script[:length])
        script = script[length:]
    begin = len(terminal.output)
    terminal.read(0)
    started_s = time.monotonic()
    terminal.resize(COLUMNS - rng.randrange(1, 9), ROWS - rng.randrange(1, 5))
    terminal.until(lambda: len(terminal.output) > begin + COLUMNS, LIMIT_S)
    return time.monotonic() - started_s


def _check_end(terminal: PtyTerminal, home: Path, report: Report, where: str) -> None:
    """Quit as a person would: Escape, a moment without a key, the key; then look at the terminal."""
    terminal.until(lambda: not terminal.unread_bytes(), 5 * LIMIT_S)
    for key in (*[b"\x1b"] * N_ESCAPES, QUIT):
        terminal.until(lambda: False, 1.2)
        terminal.type(key)
    report.check(terminal.until(terminal.has_ended, LIMIT_S), f"{where}: the app does not quit")
    if terminal.process.poll() is None:
        return
    report.check(terminal.process.returncode == 0, f"{where}: exit status {terminal.process.returncode}")
    report.check(terminal.modes_of_line() == terminal.modes_before, f"{where}: the line is not restored")
    report.check(not terminal.modes_left_on(), f"{where}: modes left on: {terminal.modes_left_on()}")
    for raw in terminal.raw_output()[:5]:
        report.failures.append(f"{where}: raw output {raw}")
    for forged in FORGED:
        report.check(forged not in terminal.output, f"{where}: {forged!r} reached the terminal")
    log = home / "logs" / "interface.log"
    if log.is_file() and "Error" in (text := log.read_text("utf-8", "replace")):
        errors = {line.partition(" E ")[2] for line in text.splitlines() if " E " in line}
        report.failures.append(f"{where}: the log of the interface has {', '.join(sorted(errors))}")
