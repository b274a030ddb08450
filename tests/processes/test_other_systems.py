"""The ways of Windows and macOS, as far as they can be tried on any system."""

from __future__ import annotations

import errno
import os
import select
import sys
from pathlib import Path

import pytest

from qwen3_chat import parent_death
from qwen3_chat.child_process import split_command
from qwen3_chat.documents import new_file
from qwen3_chat.engine.worker_process import _error_from_exit
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.models.hub.sources import Source, hubs_from
from qwen3_chat.tools import allowed_folders
from qwen3_chat.tools.allowed_folders import AllowedFolders
from qwen3_chat.tools.tool import ToolError
from qwen3_chat.ui.external_editor import _program


@pytest.mark.parametrize(
    ("line", "system", "words"),
    [
        (
            r'"C:\Program Files\npp\notepad++.exe" -x "a b"',
            "win32",
            [r"C:\Program Files\npp\notepad++.exe", "-x", "a b"],
        ),
        (r"C:\tools\ed.exe it's #1", "win32", [r"C:\tools\ed.exe", "it's", "#1"]),
        (r"'/my tools/ed' -x a\ b", "linux", ["/my tools/ed", "-x", "a b"]),
        (r"'/my tools/ed' -x a\ b", "darwin", ["/my tools/ed", "-x", "a b"]),
        ("", "win32", []),
    ],
)
def test_a_command_is_divided_as_the_systems_shell_does(line: str, system: str, words: list[str]) -> None:
    assert split_command(line, system) == words


def test_an_open_quotation_mark_is_refused_on_each_system() -> None:
    for system in ("win32", "linux"):
        with pytest.raises(ValueError, match="quotation"):
            split_command('"C:\\tools', system)


def test_an_editor_is_started_by_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "code"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert _program("code") == str(script)
    assert _program("/nowhere/ed") == "/nowhere/ed"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (0xC000001D, ErrorCode.CPU_UNSUPPORTED),
        (0xC0000005, ErrorCode.ENGINE_ENDED_BY_SIGNAL),
        (0xC0000409, ErrorCode.ENGINE_ENDED_BY_SIGNAL),
        (-4, ErrorCode.CPU_UNSUPPORTED),
        (1, ErrorCode.ENGINE_EXITED),
    ],
)
def test_the_end_of_the_engine_is_told_by_its_cause_on_windows_too(status: int, code: ErrorCode) -> None:
    assert _error_from_exit(status, "").code is code


def test_a_folder_is_listed_where_no_folder_can_be_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_open = os.open

    def windows_open(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real_open(path, flags, mode)

    monkeypatch.setattr(allowed_folders, "_HAS_DIR_FD", False)
    monkeypatch.setattr(os, "open", windows_open)
    inner, private = tmp_path / "inner", tmp_path / "private"
    inner.mkdir()
    private.mkdir()
    (inner / "a.txt").write_text("text")
    folders = AllowedFolders([tmp_path], [private])
    with folders.open(str(inner), folder=True):
        pass
    with folders.open(str(inner / "a.txt")) as descriptor:
        assert os.read(descriptor, 10) == b"text"
    for path in (private, tmp_path / "missing", inner / "a.txt"):
        with pytest.raises(ToolError), folders.open(str(path), folder=True):
            pass


@pytest.mark.parametrize("number", [errno.EPERM, errno.EINVAL])
def test_a_disk_without_links_gets_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(number, "no links")  # 22 is what Python makes of Windows' ERROR_INVALID_FUNCTION

    monkeypatch.setattr(os, "link", no_links)
    assert new_file.write_new_file(tmp_path / "chat.md", "text", "chat.md").read_text() == "text"


def test_windows_name_of_chinas_time_leads_to_modelscope() -> None:
    hubs = hubs_from({"TZ": "China Standard Time"})
    assert hubs[0].source is Source.MODELSCOPE


def test_a_system_without_kqueue_lets_a_child_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "cygwin")
    monkeypatch.setenv(parent_death.PARENT_VARIABLE, "1")
    assert not hasattr(select, "kqueue")
    parent_death.die_with_parent()
