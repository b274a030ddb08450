"""Fixtures that every test may use."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

import qwen3_vocabulary as qwen3_vocabulary_file

# The same examples in every run: what passes here passes elsewhere.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

# A shell that runs the tests in the background makes them deaf to SIGINT, and what they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Programs that the tests start speak English wherever they run; a test of another locale sets it itself.
os.environ["LC_ALL"] = "C.UTF-8"
os.environ.pop("LANGUAGE", None)

REPOSITORY = Path(__file__).parent.parent

WAIT_LIMIT_S = 300
"""How long a test waits in vain for what must come: a third of a core needs far less."""


@pytest.fixture(scope="session")
def qwen3_vocabulary() -> Path:
    """A GGUF file with Qwen3's own tokens and chat template, which `scripts/test` makes."""
    if not qwen3_vocabulary_file.VOCABULARY.is_file():
        pytest.skip("needs Qwen3's vocabulary, which python3 scripts/test fetches")
    return qwen3_vocabulary_file.VOCABULARY


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in a line what was skipped, and why."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    if reasons:
        parts = [f"{reason} ({count})" for reason, count in reasons.most_common()]
        terminalreporter.write_line(f"skipped: {'; '.join(parts)}")


@pytest.fixture(scope="session")
def demo_gguf() -> Path:
    """The demo model that ships with the package."""
    return REPOSITORY / "qwen3_chat" / "demo" / "demo-Q8_0.gguf"
