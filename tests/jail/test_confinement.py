"""The profile for macOS, and the proof that a process is confined."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from qwen3_chat.jail.confinement_proof import escapes, prove_confined
from qwen3_chat.jail.macos_sandbox import apply_profile, sandbox_profile

FOLDER = '/srv/chats/\u6587\u4ef6 (1)/a "b" \\c'


def test_the_profile_denies_all_but_python_and_one_folder() -> None:
    profile = sandbox_profile(["/opt/python/lib"], FOLDER)
    assert profile.startswith("(version 1)\n(deny default)\n")
    written = [line for line in profile.splitlines() if "file-write" in line]
    assert written == [
        '(allow file-read* file-write* (subpath "/srv/chats/\u6587\u4ef6 (1)/a \\"b\\" \\\\c"))',
        '(allow file-write-data (literal "/dev/null"))',
    ]
    for right in ("network", "process-fork", "process-exec", "mach", "ipc", "iokit"):
        assert right not in profile
    assert '(subpath "/opt/python/lib")' in profile
    assert '(literal "/opt/python")' in profile
    assert not re.search(r'\((allow|subpath|literal) "?/"?\)', profile.replace('(literal "/")', ""))


def test_the_parentheses_of_the_profile_match_whatever_the_paths_hold() -> None:
    profile = re.sub(r'"(?:[^"\\\\]|\\\\.)*"', "", sandbox_profile(["/a) (allow default"], FOLDER))
    assert profile.count("(") == profile.count(")")
    assert "allow default" not in profile


class Library:
    """The system's library, as far as it is called."""

    def __init__(self, status: int) -> None:
        self.status = status
        self.profiles = list[bytes]()

    def sandbox_init(self, profile: bytes, flags: Any, reason: Any) -> int:
        assert flags.value == 0
        self.profiles.append(profile)
        reason._obj.value = b"no such right"
        return self.status


def test_a_profile_that_the_system_refuses_is_an_error() -> None:
    library = Library(0)
    apply_profile("(version 1)", library)
    assert library.profiles == [b"(version 1)"]
    with pytest.raises(OSError, match="no such right"):
        apply_profile("(version 1)", Library(-1))


@pytest.mark.skipif(sys.platform == "win32", reason="needs a system with a jail")
def test_each_escape_succeeds_in_a_process_that_is_not_confined(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    for escape in escapes(str(folder)).values():
        escape()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(OSError, match="not confined"):
        prove_confined(str(folder))
