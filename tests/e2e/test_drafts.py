from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Program
from tests.e2e.terminal import opened

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")


def interface_of(program: Program) -> psutil.Process:
    """Find the process of the terminal application by its home."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            words = process.cmdline()
            if words[1:] == ["-m", "qwen3_chat", "--demo"]:
                home = process.environ().get("QWEN3_CHAT_HOME")
                if home == str(program.home):
                    return process
    raise AssertionError("the application does not run")


def test_what_was_typed_is_there_after_the_app_was_killed(program: Program, tmp_path: Path) -> None:
    draft = program.home / "data" / "draft.json"
    with opened(program, tmp_path, "--demo") as terminal:
        terminal.wait_for("Welcome")
        terminal.type("Half a quest 半个问题")
        terminal.until(lambda _: draft.exists() and "半个问题" in json.loads(draft.read_bytes())["text"])
        interface_of(program).kill()
        terminal.wait_for("left with 137")
    with opened(program, tmp_path, "--demo") as terminal:
        terminal.wait_for("Welcome", "Half a quest 半个问题")
        terminal.type("ion")
        terminal.wait_for("Half a quest 半个问题ion")
        terminal.press("C-q")
        terminal.wait_for("left with 0")
    with opened(program, tmp_path, "--demo") as terminal:
        terminal.wait_for("Half a quest 半个问题ion")
