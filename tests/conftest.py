"""Fixtures that every test may use."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples in every run: what passes here passes elsewhere.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")

# A shell that runs the tests in the background makes them deaf to SIGINT, and what they start as well.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real tokenizer and template, kept outside the repository; without them a test is skipped."""
    folder = REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("needs the real Qwen3 vocabulary in ../shared/data")
    return folder


@pytest.fixture(scope="session")
def demo_gguf() -> Path:
    """The demo model that ships with the package."""
    return REPOSITORY / "qwen3_chat" / "demo" / "demo-Q8_0.gguf"
