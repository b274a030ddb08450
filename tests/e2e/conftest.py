"""The real program on the demo model, from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, WAIT_LIMIT_S
from tests.engine.conftest import demo_vocab, tireless_gguf

__all__ = ["demo_vocab", "tireless_gguf"]


@dataclass(frozen=True)
class Program:
    """`qwen3-chat` with a home of its own."""

    home: Path
    language: str = "en_US.UTF-8"

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "QWEN3_CHAT_HOME": str(self.home),
            "LC_ALL": self.language,
            "PYTHONPATH": str(REPOSITORY),
            "COLUMNS": "80",
        }

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "qwen3_chat"]

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run to the end."""
        return subprocess.run(
            [*self.command, *arguments],
            input=stdin,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=WAIT_LIMIT_S,
            check=False,
        )


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program in English."""
    return Program(tmp_path / "home")


@pytest.fixture
def program_zh(tmp_path: Path) -> Program:
    """The program in Chinese."""
    return Program(tmp_path / "home", language="zh_CN.UTF-8")
