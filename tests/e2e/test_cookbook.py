"""The one-liners of the cookbook: each does what it says, in the order of the document."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, WAIT_LIMIT_S
from tests.e2e.conftest import Program

COOKBOOK = (REPOSITORY / "docs" / "cookbook.md").read_text("utf-8")
LINES = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", COOKBOOK, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
FRUIT = {
    "type": "object",
    "properties": {"letter": {"enum": ["r", "s"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["letter", "count"],
}
CONVERSATION = {"title": "A", "mapping": {"a": {"parent": None, "message": {
    "author": {"role": "user"}, "content": {"content_type": "text", "parts": ["Hello"]}}}}}  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


@pytest.fixture
def kitchen(tmp_path: Path, program: Program) -> Path:
    """A folder with the files that the one-liners name, and a home."""
    (program.home / "config").mkdir(parents=True)
    folder = tmp_path / "kitchen"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "chats").mkdir()
    (folder / "elsewhere").mkdir()
    files = {
        "notes.md": "# Notes\n\nThe strawberry has three r's.\n",
        "report.html": "<h1>Report</h1><p>Two r's.</p>",
        "src/main.py": "print('Hello')\n",
        "src/deep/sums.py": "def add(a, b):\n    return a - b\n",
        "fruit.json": json.dumps(FRUIT),
        "conversations.json": json.dumps([CONVERSATION]),
    }
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    command = folder / "bin" / "qwen3-chat"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m qwen3_chat "$@"\n', "utf-8")
    command.chmod(0o755)
    return folder


def cook(line: str, folder: Path, program: Program) -> subprocess.CompletedProcess[str]:
    environment = program.environment
    environment["PATH"] = f"{folder / 'bin'}:{environment['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", line],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_LIMIT_S,
        check=False,
    )


def check(line: str, folder: Path, program: Program) -> None:
    done = cook(line, folder, program)
    # git ends with 1 where files differ, head ends before what it reads
    is_fine = done.returncode == 0 or line.startswith("git diff") or "| head" in line
    assert is_fine, f"{line}\n{done.stderr}"
    assert "Traceback" not in done.stderr, line
    has_output = bool(done.stdout.strip()) or ">" in line or " -o " in line
    assert has_output, f"{line}\n{done.stderr}"
    for name in re.findall(r"(?:> | -o )([\w./-]+)$", line):
        assert (folder / name).exists(), line
    if "--schema" in line:
        text = (folder / "fruit-of-notes.json").read_text("utf-8") if ">" in line else done.stdout
        assert set(json.loads(text)) == {"letter", "count"}


@pytest.mark.full
def test_every_one_liner_of_the_cookbook_works(kitchen: Path, program: Program) -> None:
    assert len(LINES) > 40
    for line in LINES:
        check(line, kitchen, program)
