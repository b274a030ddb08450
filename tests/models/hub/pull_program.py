"""`qwen3-chat pull` as a process of its own, which can reach only the loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY as CHECKOUT
from tests.conftest import WAIT_LIMIT_S
from tests.models.hub.fake_hub import FakeHub

UNREACHABLE_ENDPOINT = "http://127.0.0.1:9"


@dataclass(frozen=True)
class PullProgram:
    """The real program with a home folder of its own."""

    home: Path
    hugging_face: FakeHub | None = None
    modelscope: FakeHub | None = None

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "XDG_"))}
        return {
            **kept,
            "HOME": str(self.home),
            "QWEN3_CHAT_HOME": str(self.home / "app"),
            "HF_ENDPOINT": self.hugging_face.endpoint if self.hugging_face else UNREACHABLE_ENDPOINT,
            "MODELSCOPE_ENDPOINT": self.modelscope.endpoint if self.modelscope else UNREACHABLE_ENDPOINT,
            "NO_PROXY": "127.0.0.1,localhost",
            "LC_ALL": "en_US.UTF-8",
            "PYTHONPATH": str(CHECKOUT),
        }

    @property
    def models(self) -> Path:
        return self.home / "app" / "models"

    def start(self, *arguments: str, limit_kib: int | None = None) -> subprocess.Popen[str]:
        """Start the command; `limit_kib` limits the size of files, as on a full disk."""
        command = [sys.executable, "-m", "qwen3_chat", *arguments]
        if limit_kib is not None:
            command = ["bash", "-c", f'ulimit -f {limit_kib}; exec "$@"', "bash", *command]
        self.home.mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            command,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, limit_kib: int | None = None) -> Outcome:
        """Run the command to its end."""
        return wait_for_end(self.start(*arguments, limit_kib=limit_kib))


@dataclass(frozen=True)
class Outcome:
    """The outcome of a command."""

    status: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines of the output."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def wait_for_end(process: subprocess.Popen[str]) -> Outcome:
    """Wait until the command ends."""
    stdout, stderr = process.communicate(timeout=WAIT_LIMIT_S)
    return Outcome(process.returncode, stdout, stderr)
