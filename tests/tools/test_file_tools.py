"""Files below the folders that the user allowed, and the tricks that lead elsewhere."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qwen3_chat.tools.file_tools import MAX_FOLDER_NAMES, list_files_tool, read_file_tool
from qwen3_chat.tools.tool import Arguments, Tool, ToolError
from qwen3_chat.tools.tool_settings import ToolSettings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")

SECRET = "a secret of somebody"


class Disk:
    """A disk with an allowed folder, the app's own folder and something outside."""

    def __init__(self, top: Path) -> None:
        self.top, self.allowed, self.app, self.outside = (
            top,
            top / "notes",
            top / "notes" / "app",
            top / "out",
        )
        for folder in (self.allowed / "sub", self.app / "data", self.outside):
            folder.mkdir(parents=True)
        (self.allowed / "a.txt").write_text("one\ntwo\nthree\n")
        (self.allowed / "sub" / "b.md").write_text("# b")
        (self.app / "data" / "chats.db").write_text(SECRET)
        (self.outside / "secret.txt").write_text(SECRET)
        self.settings = ToolSettings(folders=(self.allowed,), private_paths=(self.app, self.top / "key"))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


async def call(tool: Tool, arguments: Arguments) -> str:
    """Run a tool as the runner does: arguments that don't fit the schema never reach it."""
    if problem := tool.checker.explain(arguments):
        raise ToolError(problem)
    return await tool.run(arguments)


async def read(disk: Disk, path: Path | str, **more: object) -> str:
    return await call(read_file_tool(disk.settings), {"path": str(path), **more})


async def test_files_are_read_whole_or_in_part(disk: Disk) -> None:
    assert await read(disk, disk.allowed / "a.txt") == "one\ntwo\nthree\n"
    assert await read(disk, disk.allowed / "a.txt", first_line=2, line_count=1) == "two\n"
    assert await read(disk, disk.allowed / "sub" / "b.md", first_line=1) == "# b"
    with pytest.raises(ToolError, match="only 3 lines"):
        await read(disk, disk.allowed / "a.txt", first_line=4)


async def test_a_web_page_is_read_as_markdown(disk: Disk) -> None:
    (disk.allowed / "p.html").write_text("<h1>Title</h1><script>x</script>")
    assert await read(disk, disk.allowed / "p.html") == "# Title\n"


async def test_a_folder_is_listed(disk: Disk) -> None:
    (disk.allowed / "bad\nname\x1b").write_text("")
    (disk.allowed / "link").symlink_to(disk.outside)
    lines = (await call(list_files_tool(disk.settings), {"path": str(disk.allowed)})).splitlines()
    assert lines[0].startswith("a.txt  14 bytes  20")
    assert [line for line in lines if "link" in line] == ["link (a link)"]
    assert "sub/" in lines
    assert len(lines) == 5
    for number in range(MAX_FOLDER_NAMES):
        (disk.allowed / "sub" / f"{number}").touch()
    assert (await call(list_files_tool(disk.settings), {"path": f"{disk.allowed}/sub"})).endswith("[1 more]")


def link(name: str, target: Callable[[Disk], object]) -> Callable[[Disk], object]:
    def make(disk: Disk) -> Path:
        path = disk.allowed / name
        path.symlink_to(str(target(disk)))
        return path

    return make


def hard_link(disk: Disk) -> Path:
    os.link(disk.app / "data" / "chats.db", disk.app.parent / "innocent.txt")
    disk.settings = ToolSettings(folders=(disk.allowed,), private_paths=(disk.app / "data",))
    return disk.allowed / "innocent.txt"


def pipe(disk: Disk) -> Path:
    os.mkfifo(disk.allowed / "pipe")
    return disk.allowed / "pipe"


def listening(disk: Disk) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        current = Path.cwd()
        os.chdir(disk.allowed)  # the path of a socket is short
        try:
            server.bind("s")
        finally:
            os.chdir(current)
    return disk.allowed / "s"


def root_inside_private(disk: Disk) -> Path:
    disk.settings = ToolSettings(folders=(disk.app / "data",), private_paths=(disk.app,))
    return disk.app / "data" / "chats.db"


def private_by_link(disk: Disk) -> Path:
    (disk.top / "another").symlink_to(disk.app)
    disk.settings = ToolSettings(folders=(disk.allowed,), private_paths=(disk.top / "another",))
    return disk.app / "data" / "chats.db"


def similar_name(disk: Disk) -> Path:
    (disk.top / "notes-secret").mkdir()
    (disk.top / "notes-secret" / "a.txt").write_text(SECRET)
    return disk.top / "notes-secret" / "a.txt"


TRICKS: dict[str, Callable[[Disk], object]] = {
    "a path outside": lambda disk: disk.outside / "secret.txt",
    "a path upwards": lambda disk: f"{disk.allowed}/../out/secret.txt",
    "upwards and back": lambda disk: f"{disk.allowed}/sub/../a.txt",
    "a relative path": lambda disk: "a.txt",
    "a relative path upwards": lambda disk: "../../../../../../etc/passwd",
    "a home folder": lambda disk: "~/secret.txt",
    "an address": lambda disk: f"file://{disk.allowed}/a.txt",
    "an empty path": lambda disk: "",
    "a byte of zero": lambda disk: f"{disk.allowed}/a.txt\0.png",
    "half a character": lambda disk: f"{disk.allowed}/\ud800",
    "a path that is too long": lambda disk: f"{disk.allowed}/" + "a/" * 3000,
    "a name that is too long": lambda disk: f"{disk.allowed}/" + "a" * 3000,
    "a folder with a similar name": similar_name,
    "a link to a file outside": link("l.txt", lambda disk: disk.outside / "secret.txt"),
    "a link to a file inside": link("l2.txt", lambda disk: disk.allowed / "a.txt"),
    "through a link to a folder": lambda disk: (
        Path(str(link("l3", lambda disk: disk.outside)(disk))) / "secret.txt"
    ),
    "a link to the system": link("l4", lambda disk: "/proc/self/environ"),
    "a link to itself": link("l5", lambda disk: disk.allowed / "l5"),
    "the app's store": lambda disk: disk.app / "data" / "chats.db",
    "the app's store by a hard link": hard_link,
    "the app's store from a folder within": root_inside_private,
    "the app's store under another name": private_by_link,
    "a pipe that nobody writes to": pipe,
    "a socket": listening,
    "a folder as a file": lambda disk: disk.allowed / "sub",
    "the allowed folder itself": lambda disk: disk.allowed,
    "a file as a folder": lambda disk: disk.allowed / "a.txt" / "b",
    "a file that is not there": lambda disk: disk.allowed / "none.txt",
    "a doubled slash at the front": lambda disk: f"//{disk.outside}/secret.txt",
    "the memory of the process": lambda disk: "/proc/self/mem",
}


@pytest.mark.parametrize("name", TRICKS)
async def test_no_trick_reads_what_is_not_allowed(disk: Disk, name: str) -> None:
    path = str(TRICKS[name](disk))
    with pytest.raises(ToolError) as raised:
        await read(disk, path)
    assert SECRET not in str(raised.value)
    assert len(str(raised.value)) < 1_000


@pytest.mark.parametrize("name", ["through a link to a folder", "the app's store", "a path upwards"])
async def test_no_trick_lists_what_is_not_allowed(disk: Disk, name: str) -> None:
    with pytest.raises(ToolError):
        await call(list_files_tool(disk.settings), {"path": str(Path(str(TRICKS[name](disk))).parent)})


async def test_an_allowed_folder_may_be_named_by_a_link(disk: Disk) -> None:
    (disk.top / "short").symlink_to(disk.allowed)
    disk.settings = ToolSettings(folders=(disk.top / "short",))
    assert await read(disk, disk.top / "short" / "sub" / "b.md") == "# b"
    assert await read(disk, disk.allowed / "sub" / "b.md") == "# b"


async def test_without_an_allowed_folder_nothing_is_read(disk: Disk) -> None:
    disk.settings = ToolSettings()
    with pytest.raises(ToolError, match="allowed no folder"):
        await read(disk, disk.allowed / "a.txt")


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\x89PNG\r\n\x1a\n", "picture"), (b"\x00\xff\x01", "text"), (b"x" * (4 << 20) + b"x", "MiB")],
)
async def test_pictures_binary_files_and_long_ones_are_told(disk: Disk, content: bytes, reason: str) -> None:
    (disk.allowed / "f.bin").write_bytes(content)
    with pytest.raises(ToolError, match=reason):
        await read(disk, disk.allowed / "f.bin")
