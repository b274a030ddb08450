"""The one-liners of the cookbook: each does what it says, in the order of the document."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.conftest import REPOSITORY, WAIT_LIMIT_S
from tests.e2e.conftest import Program


def lines_of(name: str) -> list[str]:
    text = (REPOSITORY / "docs" / name).read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines()]


LINES = lines_of("cookbook.md")
FRUIT = {
    "type": "object",
    "properties": {"letter": {"enum": ["r", "s"]}, "count": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["letter", "count"],
}
CONVERSATION = {"title": "A", "mapping": {"a": {"parent": None, "message": {
    "author": {"role": "user"}, "content": {"content_type": "text", "parts": ["Hello"]}}}}}  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")


class QuietHandler(SimpleHTTPRequestHandler):
    """A handler that logs nothing."""

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def web_pages(folder: Path) -> Iterator[str]:
    """Serve a folder on loopback; yield the address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder)) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def kitchen(tmp_path: Path, program: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the files that the one-liners name, a home, and the page `$PAGE`."""
    (program.home / "config").mkdir(parents=True)
    (program.home / "config" / "config.toml").write_text('private_hosts = ["127.0.0.1"]\n', "utf-8")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    folder = tmp_path / "kitchen"
    (folder / "src" / "deep").mkdir(parents=True)
    (folder / "chats").mkdir()
    (folder / "elsewhere").mkdir()
    files = {
        "notes.md": "# Notes\n\nThe strawberry has three r's.\n",
        "report.html": "<h1>Report</h1><p>Two r's.</p>",
        "src/main.py": "print('Hello')\n",
        "src/deep/sums.py": "def add(a, b):\n    return a - b\n",
        "words.txt": "strawberry\n草莓\n",
        "fruit.json": json.dumps(FRUIT),
        "conversations.json": json.dumps([CONVERSATION]),
    }
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    command = folder / "bin" / "qwen3-chat"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m qwen3_chat "$@"\n', "utf-8")
    command.chmod(0o755)
    with web_pages(folder) as address:
        monkeypatch.setenv("PAGE", f"{address}/report.html")
        yield folder


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


def test_the_chinese_cookbook_has_the_same_lines() -> None:
    assert lines_of("zh/cookbook.md") == LINES


@pytest.mark.full
def test_every_one_liner_of_the_cookbook_works(kitchen: Path, program: Program) -> None:
    assert len(LINES) >= 60
    for line in LINES:
        check(line, kitchen, program)
