"""The real app on a pseudo-terminal: what that sends, what the app writes, and each way to stop it."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.pty_terminal import CHAT, READY, PtyTerminal, app_environment, pty_terminal

QUIT = b"\x11"
COLOURED_LOG = b"\x1b[31mred\x1b[0m\rnext \x1b[200~ \xff line\r"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[PtyTerminal]:
    with pty_terminal(CHAT, app_environment(tmp_path)) as terminal:
        assert terminal.until(lambda: terminal.shows(READY))
        yield terminal


def quit_and_check(terminal: PtyTerminal) -> None:
    """Quit; the terminal is as before, and nothing but the app's own sequences steered it."""
    terminal.type(QUIT)
    terminal.until(terminal.has_ended)
    assert terminal.process.returncode == 0
    assert terminal.modes_of_line() == terminal.modes_before
    assert terminal.modes_left_on() == set()
    assert terminal.raw_output() == []


@pytest.mark.parametrize(
    "sent",
    [
        b"\xc4\xe3\xba\xc3",  # GBK
        b"caf\xe9 ",
        b"\x1b[M\xff\xff\xff",
        b"\x1b[200~\xff\xfe\x1b[201~",
        b"\x1b[1114112u\x1b[55296u\x1b[97;1;99999999u\x1b[97:65;2:1u",
        b"\x1b[48;0;0;0;0t\x1b[<35;5;5M\x1b[48;99999;99999;1;1t\x1b[<35;9999;9999M",
    ],
    ids=["GBK", "Latin-1", "an old mouse report", "a paste", "impossible keys", "impossible sizes"],
)
def test_no_bytes_end_the_app(terminal: PtyTerminal, sent: bytes) -> None:
    terminal.type(sent)
    begin = len(terminal.output)
    terminal.type(b"still here")
    assert terminal.until(lambda: terminal.shows("here", begin))
    quit_and_check(terminal)


def test_a_coloured_paste_is_text_that_sends_nothing_and_steers_nothing(
    terminal: PtyTerminal, tmp_path: Path
) -> None:
    terminal.type(b"\x1b[200~" + COLOURED_LOG + b"\x1b[201~")
    assert terminal.until(lambda: terminal.shows("\ufffd[31mred\ufffd[0m"))
    quit_and_check(terminal)
    chats = subprocess.run(
        [*CHAT[:3], "chats", "--json"], env=app_environment(tmp_path), capture_output=True, check=True
    )
    assert chats.stdout == b"[]\n"


def test_the_screen_is_drawn_where_the_terminal_is_when_stderr_is_not(tmp_path: Path) -> None:
    with pty_terminal(CHAT, app_environment(tmp_path), stderr=subprocess.DEVNULL) as terminal:
        assert terminal.until(lambda: terminal.shows(READY))
        quit_and_check(terminal)


def test_a_dumb_terminal_gets_plain_lines_and_may_send_any_bytes(tmp_path: Path) -> None:
    environment = app_environment(tmp_path, TERM="dumb", PYTHONIOENCODING="utf-8:strict")
    with pty_terminal(CHAT, environment) as terminal:
        assert terminal.until(lambda: terminal.shows("You, thinking on: "))
        begin = len(terminal.output)
        terminal.type(b"Hello \xff\xc4\n")
        assert terminal.until(lambda: terminal.shows("You, thinking on: ", begin))
        terminal.type(b"\x04")
        assert terminal.until(terminal.has_ended)
        assert b"\x1b" not in terminal.output
        assert b"Traceback" not in terminal.output


def test_an_editor_that_does_not_exist_is_one_sentence_and_the_app_goes_on(tmp_path: Path) -> None:
    with pty_terminal(CHAT, app_environment(tmp_path, EDITOR="/nowhere/editor 'x")) as terminal:
        assert terminal.until(lambda: terminal.shows(READY))
        terminal.type(b"\x1be")
        assert terminal.until(lambda: terminal.shows("/nowhere/editor"))
        assert terminal.is_raw
        quit_and_check(terminal)


# stopped and continued


def test_a_stop_that_asks_leaves_the_terminal_and_coming_back_draws_the_whole_screen(
    terminal: PtyTerminal,
) -> None:
    terminal.send(signal.SIGTSTP)
    assert terminal.until(terminal.is_stopped)
    assert terminal.modes_of_line() == terminal.modes_before
    assert terminal.until(lambda: not terminal.modes_left_on())
    begin = len(terminal.output)
    terminal.send(signal.SIGCONT)
    assert terminal.until(partial(terminal.shows_since_taken, READY, begin))
    assert terminal.until(partial(terminal.shows_since_taken, "Thinking on", begin))
    assert terminal.is_raw
    quit_and_check(terminal)


def test_a_stop_that_does_not_ask_leaves_no_raw_shell_behind(terminal: PtyTerminal) -> None:
    for _ in range(3):
        terminal.send(signal.SIGSTOP)
        assert terminal.until(terminal.is_stopped)
        begin = len(terminal.output)
        terminal.send(signal.SIGCONT)
        assert terminal.until(partial(terminal.shows_since_taken, READY, begin))
    quit_and_check(terminal)


def test_suspending_without_a_shell_is_refused(terminal: PtyTerminal) -> None:
    terminal.type(b"/suspend\r")
    assert terminal.until(lambda: terminal.shows("no shell to return to"))
    quit_and_check(terminal)


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_a_shell_gets_its_terminal_when_the_app_is_suspended_and_fg_continues_it(tmp_path: Path) -> None:
    environment = app_environment(tmp_path, PS1="READY> ", HISTFILE="", PYTHON=sys.executable)
    with pty_terminal(["bash", "--norc", "--noediting", "-i"], environment) as terminal:
        assert terminal.until(lambda: terminal.shows("READY> "))
        before = terminal.modes_of_line()
        terminal.type(b'"$PYTHON" -m qwen3_chat --demo\n')
        assert terminal.until(lambda: terminal.shows(READY))
        begin = len(terminal.output)
        terminal.type(b"/suspend\r")
        assert terminal.until(lambda: terminal.shows("Stopped", begin) and terminal.shows("READY> ", begin))
        assert terminal.modes_of_line() == before
        assert terminal.modes_left_on() == set()
        begin = len(terminal.output)
        terminal.type(b"fg\n")
        assert terminal.until(lambda: terminal.shows(READY, begin) and terminal.is_raw)
        terminal.type(QUIT)
        assert terminal.until(lambda: not terminal.is_raw)
        terminal.type(b"exit $?\n")
        terminal.until(terminal.has_ended)
        assert terminal.process.returncode == 0
        assert terminal.modes_left_on() == set()


HELD_TURNS = """
import asyncio, os, runpy, sys
import qwen3_chat.ui.controllers.signal_controller as signals
from qwen3_chat.session import ChatSession
signals.LONG_TURN_S = 0.0
send = ChatSession.send

async def send_when_allowed(*args, **options):
    while not os.path.exists(os.environ["GO"]):
        await asyncio.sleep(0.02)
    return await send(*args, **options)

ChatSession.send = send_when_allowed
sys.argv = ["qwen3-chat", "--demo"]
runpy.run_module("qwen3_chat", run_name="__main__", alter_sys=True)
"""
"""The app, in which a turn waits for a file, and every turn is long."""


def test_a_queued_message_a_title_and_a_notification_reach_the_terminal(tmp_path: Path) -> None:
    environment = app_environment(tmp_path, TERM_PROGRAM="ghostty", TMUX="", GO=str(tmp_path / "go"))
    with pty_terminal((sys.executable, "-c", HELD_TURNS), environment) as terminal:
        assert terminal.until(lambda: terminal.shows(READY))
        terminal.type(b"How many r's in strawberries?\rThe same for blueberries?\r")
        terminal.type(b"\x1b[O")  # the window loses the focus
        assert terminal.until(lambda: terminal.shows("blueberries?   ↑ edits it"))
        (tmp_path / "go").touch()
        assert terminal.until(lambda: bytes(terminal.output).count(b"\x1b]9;qwen3-chat: ") == 2)
        titles = {bytes(title) for title in re.findall(rb"\x1b\]2;([^\x07]*)\x07", terminal.output)}
        assert b"qwen3-chat" in titles
        assert titles <= {f"{state}qwen3-chat".encode() for state in ("", *STATES)}
        assert set(re.findall(rb"\x1b\]9;(qwen3-chat[^\x07]*)\x07", terminal.output)) == {
            b"qwen3-chat: The answer is ready."
        }
        assert b"\x1b]9;4;3;0\x07" in terminal.output
        quit_and_check(terminal)
        assert terminal.output.rindex(b"\x1b]9;4;0;0\x07") > terminal.output.rindex(b"\x1b]9;4;3;0\x07")
        assert b"\x1b[22;2t" in terminal.output
        assert b"\x1b[23;2t" in terminal.output


STATES = [f"{state} · " for state in ("Reading", "Loading", "Thinking", "Answering")]
