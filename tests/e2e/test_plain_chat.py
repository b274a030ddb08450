from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import WAIT_LIMIT_S
from tests.e2e.conftest import Program
from tests.e2e.terminal import opened

LINES = "strawberries里有几个字母r？\n/chats\n/export\n/quit\n"


def test_the_whole_chat_works_through_plain_lines(program_zh: Program) -> None:
    done = subprocess.run(
        [*program_zh.command, "--demo"],
        input=LINES,
        env={**program_zh.environment, "ACCESSIBLE": "1"},
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for part in ("思考：\n", "回答：\n", "1: strawberries里有几个字母r？\n"):
        assert part in done.stdout
    assert len([*(program_zh.home / "exports").iterdir()]) == 1


@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_ctrl_c_stops_the_reply_and_leaves_where_there_is_none(
    program: Program, tmp_path: Path, tireless_gguf: Path
) -> None:
    model = ("--gguf", str(tireless_gguf))
    with opened(program, tmp_path, *model, variables={"ACCESSIBLE": "1"}) as terminal:
        terminal.wait_for("You, thinking on:")
        terminal.type("Tell me a long story.")
        terminal.press("Enter")
        terminal.wait_for("Thinking:")
        terminal.press("C-c")
        terminal.until(lambda screen: screen.count("You, thinking on:") == 2)
        terminal.press("C-c")
        terminal.wait_for("left with 0")
