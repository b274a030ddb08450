"""A blind comparison in a terminal, on the demo model in both modes, with crashes on the way."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Program
from tests.e2e.terminal import Terminal, opened

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux"),
]

SIZES_AND_LANGUAGES = [
    ((120, 36), "en", "Which answer is best?", "thinking", "may be chance"),
    ((60, 18), "zh", "哪个回答最好？", "思考", "可能只是偶然"),
]


def kill(terminal: Terminal) -> None:
    """Kill the app as a power cut does."""
    processes = psutil.Process(terminal.process_id()).children(recursive=True)
    for process in processes:
        process.kill()
    psutil.wait_procs(processes)


def votes(program: Program) -> list[tuple[str | None, int | None]]:
    with closing(sqlite3.connect(f"file:{program.home}/data/chats.db?mode=ro", uri=True)) as store:
        return store.execute("SELECT verdict, winner FROM comparisons").fetchall()


@pytest.mark.parametrize(("size", "language", "asks", "mode", "chance"), SIZES_AND_LANGUAGES)
def test_a_comparison_and_its_vote_outlive_the_app(
    program: Program,
    tmp_path: Path,
    size: tuple[int, int],
    language: str,
    asks: str,
    mode: str,
    chance: str,
) -> None:
    arguments = ("--demo", "--lang", language)
    with opened(program, tmp_path, *arguments, size=size) as terminal:
        terminal.wait_for("0/4096")
        terminal.type("What is the capital of France?")
        terminal.press("Enter")
        terminal.wait_for_reply_to("What is the capital of France?")
        terminal.press("M-v")
        terminal.wait_for(f"✓ Qwen3-chat demo · {mode}")
        terminal.press("Down", "Space", "Enter")
        screen = terminal.wait_for(asks, "Paris")
        assert "demo ·" not in screen
        kill(terminal)
    assert votes(program) == [(None, None)]
    with opened(program, tmp_path, *arguments, "--chat", "last", size=size) as terminal:
        terminal.wait_for("/4096", "Paris")
        terminal.press("M-v")
        terminal.wait_for(asks)
        terminal.press("1")
        terminal.wait_for("1 : 0", chance)
        kill(terminal)
    assert votes(program) == [("best", 0)]
    with opened(program, tmp_path, *arguments, "--chat", "last", size=size) as terminal:
        terminal.wait_for("/4096", "Paris")
        terminal.press("M-v")
        terminal.wait_for("1 : 0")
