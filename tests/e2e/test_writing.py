from __future__ import annotations

import shutil
import stat
from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.conftest import Program
from tests.e2e.terminal import Terminal, opened

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


def cursor(terminal: Terminal) -> tuple[int, int]:
    """Ask tmux where the terminal's cursor is."""
    place = terminal._run("display-message", "-p", "#{cursor_x} #{cursor_y}")
    x, y = place.split()
    return int(x), int(y)


def test_the_cursor_stays_where_an_input_method_needs_it_while_an_answer_streams(
    program: Program, tireless_gguf: Path, tmp_path: Path
) -> None:
    with opened(program, tmp_path, "--gguf", str(tireless_gguf)) as terminal:
        terminal.wait_for("context 0/")
        terminal.type("Go")
        terminal.press("Enter")
        terminal.wait_for("Esc Stop")
        terminal.type("你好")
        terminal.wait_for("│ 你好")
        row = next(place for place, line in enumerate(terminal.screen().splitlines()) if "│ 你好" in line)
        screens, places = set[str](), Counter[tuple[int, int]]()
        while len(screens) < 3 or places.total() < 20:  # the answer moves
            screens.add(terminal.screen())
            places[cursor(terminal)] += 1
        [(place, _)] = places.most_common(1)  # a reading may fall into the midst of a drawing
        assert place == (6, row)
        terminal.press("Escape", "C-q")
        terminal.wait_for("left with 0")


def test_the_message_is_written_in_the_users_editor(
    program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "%s, edited\\nsecond line\\n" "$(cat "$1")" > "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("VISUAL", str(editor))
    with opened(program, tmp_path, "--demo") as terminal:
        terminal.wait_for("context 0/")
        terminal.type("begun")
        terminal.wait_for("│ begun")
        terminal.press("M-e")
        terminal.wait_for("│ begun, edited", "│ second line")
        terminal.press("C-q")
        terminal.wait_for("left with 0")
