"""A sample of the bad MCP servers."""

from __future__ import annotations

import sys

import pytest

from attacks.mcp_servers import attack
from attacks.report import Options


@pytest.mark.full
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and processes")
def test_bad_servers_cost_a_sentence_each_and_leave_no_process() -> None:
    failures = attack(Options(seed=2, count=12)).failures
    timed = ("the end took", "a key took")  # no test depends on speed
    assert [failure for failure in failures if not failure.startswith(timed)] == []
