"""A sample of the code that uses up its limits."""

from __future__ import annotations

import sys

import pytest

from attacks.jailed_code import attack
from attacks.report import Options
from qwen3_chat.jail.jail_settings import jail_problem


@pytest.mark.full
@pytest.mark.skipif(
    sys.platform != "linux" or jail_problem() is not None,
    reason="needs a Linux kernel with Landlock on x86-64",
)
def test_code_that_uses_up_its_limits_ends_at_them() -> None:
    failures = attack(Options(seed=1, count=7)).failures
    assert [failure for failure in failures if "p99" not in failure] == []  # no test depends on speed
