from __future__ import annotations

from pathlib import Path

import pytest

from qwen3_chat.ui.clipboard import MAX_TERMINAL_BYTES, Clipboard, CopyRoute

SOURCE = "def f():\n\treturn '数据'  \n\n"


class ClipboardFixture:
    """A PATH of fake programs that store their input in a file, and a fake terminal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.written: list[str] = []
        self.environ = {"PATH": f"{self.bin}:/bin:/usr/bin"}
        (self.bin / "tmux").write_text("#!/bin/sh\nexit 1\n")
        (self.bin / "tmux").chmod(0o755)

    def add(self, name: str, status: int = 0) -> Path:
        output = self.folder / f"{name}.out"
        script = self.bin / name
        script.write_text(f'#!/bin/sh\ncat > "{output}"\nexit {status}\n')
        script.chmod(0o755)
        return output

    def clipboard(self, **variables: str) -> Clipboard:
        return Clipboard(
            self.written.append, self.folder / "out" / "copied.txt", {**self.environ, **variables}
        )


@pytest.fixture
def programs(tmp_path: Path) -> ClipboardFixture:
    return ClipboardFixture(tmp_path)


@pytest.mark.parametrize(
    ("tool", "variables"),
    [
        ("pbcopy", {}),
        ("wl-copy", {"WAYLAND_DISPLAY": "wayland-0"}),
        ("xclip", {"DISPLAY": ":0"}),
        ("xsel", {"DISPLAY": ":0"}),
    ],
)
def test_the_systems_own_tool_gets_the_source_byte_for_byte(
    programs: ClipboardFixture, tool: str, variables: dict[str, str]
) -> None:
    output = programs.add(tool)
    assert programs.clipboard(**variables).copy(SOURCE) is CopyRoute.PROGRAM
    assert output.read_bytes() == SOURCE.encode()


def test_the_tool_of_macos_is_told_the_encoding_whatever_the_locale(programs: ClipboardFixture) -> None:
    programs.add("pbcopy")
    told = programs.folder / "locale"
    script = next(programs.folder.rglob("pbcopy"))
    script.write_text(f'#!/bin/sh\nprintf %s "$LC_ALL" > "{told}"\nexec cat > /dev/null\n')
    assert programs.clipboard(LC_ALL="C").copy(SOURCE) is CopyRoute.PROGRAM
    assert told.read_text() == "en_US.UTF-8"


def test_the_windows_tool_is_given_utf_16(programs: ClipboardFixture) -> None:
    output = programs.add("clip.exe")
    assert programs.clipboard(WSL_DISTRO_NAME="Debian").copy(SOURCE) is CopyRoute.PROGRAM
    assert output.read_bytes().decode("utf-16-le") == SOURCE


def test_a_tool_for_a_desktop_that_is_not_there_is_passed_over(programs: ClipboardFixture) -> None:
    programs.add("wl-copy")
    programs.add("xclip")
    assert programs.clipboard().copy(SOURCE) is CopyRoute.TERMINAL


def test_a_tool_that_fails_makes_way_for_the_next(programs: ClipboardFixture) -> None:
    programs.add("wl-copy", status=1)
    output = programs.add("xsel")
    assert programs.clipboard(WAYLAND_DISPLAY="w", DISPLAY=":0").copy(SOURCE) is CopyRoute.PROGRAM
    assert output.read_bytes() == SOURCE.encode()


def test_over_ssh_the_text_goes_to_the_terminal_where_the_user_sits(programs: ClipboardFixture) -> None:
    output = programs.add("pbcopy")
    assert programs.clipboard(SSH_CONNECTION="a b").copy(SOURCE) is CopyRoute.TERMINAL
    assert programs.written == [SOURCE]
    assert not output.exists()


def test_inside_tmux_its_buffer_is_used(programs: ClipboardFixture) -> None:
    output = programs.add("tmux")
    assert programs.clipboard(TMUX="/tmp/x,1,0", SSH_TTY="/dev/pts/1").copy(SOURCE) is CopyRoute.TMUX
    assert output.read_bytes() == SOURCE.encode()


def test_what_a_terminal_would_cut_goes_to_a_file(programs: ClipboardFixture) -> None:
    text = "长" * (MAX_TERMINAL_BYTES // 3 + 1)
    assert programs.clipboard().copy(text) is CopyRoute.FILE
    assert (programs.folder / "out" / "copied.txt").read_text(encoding="utf-8") == text
    assert programs.written == []


def test_a_lone_surrogate_is_copied_by_each_way(programs: ClipboardFixture) -> None:
    text = "name\udcff"
    assert programs.clipboard(SSH_TTY="x").copy(text) is CopyRoute.TERMINAL
    assert programs.written == ["name\N{REPLACEMENT CHARACTER}"]
    long_text = text * MAX_TERMINAL_BYTES
    assert programs.clipboard(SSH_TTY="x").copy(long_text) is CopyRoute.FILE
    output = programs.add("xsel")
    assert programs.clipboard(DISPLAY=":0").copy(text) is CopyRoute.PROGRAM
    assert output.read_text(encoding="utf-8") == "name\N{REPLACEMENT CHARACTER}"
