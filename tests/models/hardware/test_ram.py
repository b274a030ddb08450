from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from qwen3_chat.models.hardware.ram import read_ram
from qwen3_chat.texts.formatting import GIB, MIB

TOTAL_BYTES = psutil.virtual_memory().total


def groups(root: Path, own: str, files: dict[str, object]) -> Path:
    """Write a system whose process is in the cgroups that `own` describes."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    for name, content in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return root


def test_without_groups_the_system_says_what_is_there(tmp_path: Path) -> None:
    ram = read_ram(tmp_path)
    assert (ram.total_bytes, ram.limit_bytes) == (TOTAL_BYTES, None)
    assert 0 < ram.available_bytes <= TOTAL_BYTES


def test_a_container_has_what_its_limit_leaves(tmp_path: Path) -> None:
    root = groups(
        tmp_path,
        "0::/\n",
        {
            "memory.max": 600 * MIB,
            "memory.current": 400 * MIB,
            "memory.stat": f"anon 1\ninactive_file {100 * MIB}",
        },
    )
    ram = read_ram(root)
    assert (ram.limit_bytes, ram.available_bytes) == (600 * MIB, 300 * MIB)


def test_the_tightest_of_nested_groups_counts(tmp_path: Path) -> None:
    stat = "inactive_file 0"
    root = groups(
        tmp_path,
        "0::/outer/inner\n",
        {
            "outer/memory.max": 200 * MIB,
            "outer/memory.current": 50 * MIB,
            "outer/memory.stat": stat,
            "outer/inner/memory.max": "max",
            "outer/inner/memory.current": 50 * MIB,
            "outer/inner/memory.stat": stat,
        },
    )
    assert read_ram(root).available_bytes == 150 * MIB


def test_the_first_version_of_groups_is_read_too(tmp_path: Path) -> None:
    root = groups(
        tmp_path,
        "5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n",
        {
            "memory/box/memory.limit_in_bytes": 300 * MIB,
            "memory/box/memory.usage_in_bytes": 120 * MIB,
            "memory/box/memory.stat": f"total_inactive_file {20 * MIB}",
        },
    )
    assert read_ram(root).available_bytes == 200 * MIB


@pytest.mark.parametrize("limit", ["max", 9_223_372_036_854_771_712, "rubbish", TOTAL_BYTES + GIB])
def test_what_limits_nothing_is_no_limit(tmp_path: Path, limit: object) -> None:
    root = groups(
        tmp_path,
        "0::/\n",
        {"memory.max": limit, "memory.current": 0, "memory.stat": "inactive_file 0"},
    )
    assert read_ram(root).limit_bytes is None


@pytest.mark.parametrize("own", ["", "no colons", "0::", "0::/gone", "4:memory:/../.."])
def test_odd_groups_do_no_harm(tmp_path: Path, own: str) -> None:
    assert read_ram(groups(tmp_path, own, {})).available_bytes > 0
