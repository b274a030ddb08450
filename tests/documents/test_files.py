"""Names of files, and writing them."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qwen3_chat.documents.export_file_name import default_file_name
from qwen3_chat.documents.export_options import ExportFormat
from qwen3_chat.documents.new_file import write_new_file
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import ExportError
from tests.documents.conversation import chat_of

REPOSITORY = Path(__file__).parent.parent.parent
posix = pytest.mark.skipif(os.name != "posix", reason="needs POSIX permissions")

NAMES = [
    ("How many r's in strawberries?", "How many r's in strawberries.md"),
    ("草莓里有几个 r？", "草莓里有几个 r？.md"),
    ("", "chat-4.md"),
    ("...", "chat-4.md"),
    ("???", "chat-4.md"),
    ("a/b\\c:d*e", "a b c d e.md"),
    ("../../etc/passwd", "etc passwd.md"),
    (".bashrc", "bashrc.md"),
    ("-rf ~", "rf ~.md"),
    ("~root", "root.md"),
    ("ends with a dot.", "ends with a dot.md"),
    ("con", "_con.md"),
    ("Con.txt", "_Con.txt.md"),
    ("COM1", "_COM1.md"),
    ("console", "console.md"),
    ("nul ", "_nul.md"),
    ("two\nlines\tand\x1b[0m", "two lines and [0m.md"),
    ("\u202egnp.exe", "gnp.exe.md"),
    ("a\udcffb", "a b.md"),
    ("cafe\u0301", "café.md"),
    ("x" * 300, "x" * 196 + ".md"),
    ("天" * 100, "天" * 65 + ".md"),
]


@pytest.mark.parametrize(("title", "name"), NAMES)
def test_a_file_is_named_after_its_chat(title: str, name: str) -> None:
    assert default_file_name(chat_of(title), ExportFormat.MARKDOWN) == name


def test_a_long_name_is_not_cut_within_what_is_seen_as_one_character() -> None:
    family = "👨‍👩‍👧‍👦"
    name = default_file_name(chat_of(family * 20), ExportFormat.TEXT)
    assert name == family * 7 + ".txt"


@given(st.text(st.characters(codec=None), max_size=300), st.sampled_from(ExportFormat))
def test_every_name_is_valid_everywhere(title: str, format: ExportFormat) -> None:
    name = default_file_name(chat_of(title), format)
    assert len(name.encode()) <= 200
    assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f]', name)
    assert not name.startswith((".", " ", "-"))
    assert name.endswith(f".{format.value}")
    stem = name.removesuffix(f".{format.value}")
    assert stem
    assert not stem.endswith((".", " "))
    assert stem.partition(".")[0].rstrip().lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    assert unicodedata.is_normalized("NFC", name)


def test_a_transcript_is_written_as_it_is(tmp_path: Path) -> None:
    path = write_new_file(tmp_path / "out.md", "天气\n\ttab\r\n", "unused.md")
    assert path == tmp_path / "out.md"
    assert path.read_bytes() == "天气\n\ttab\r\n".encode()
    assert [file.name for file in tmp_path.iterdir()] == ["out.md"]


def test_a_folder_takes_the_chats_own_name(tmp_path: Path) -> None:
    assert write_new_file(tmp_path, "a", "草莓.md") == tmp_path / "草莓.md"


def test_no_file_is_ever_overwritten(tmp_path: Path) -> None:
    paths = [write_new_file(tmp_path, str(number), "草莓.tar.md") for number in range(3)]
    assert [path.name for path in paths] == ["草莓.tar.md", "草莓.tar (2).md", "草莓.tar (3).md"]
    assert [path.read_text() for path in paths] == ["0", "1", "2"]


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out.md").symlink_to(tmp_path / "elsewhere")
    assert write_new_file(tmp_path / "out.md", "a", "x.md").name == "out (2).md"
    assert not (tmp_path / "elsewhere").exists()


def test_exports_at_the_same_moment_each_get_a_file(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda number: write_new_file(tmp_path, str(number), "a.md"), range(40)))
    assert len(set(paths)) == 40
    assert [path.read_text() for path in paths] == [str(number) for number in range(40)]
    assert len(list(tmp_path.iterdir())) == 40


def test_a_file_system_without_links_is_written_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    names = [write_new_file(tmp_path, "a", "out.md").name for _ in range(2)]
    assert names == ["out.md", "out (2).md"]
    assert len(list(tmp_path.iterdir())) == 2


@posix
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_only_the_owner_may_read_a_transcript(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        path = write_new_file(tmp_path, "a", "out.md")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_missing_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        write_new_file(tmp_path / "none" / "out.md", "a", "x.md")
    assert str(caught.value) == f"There is no folder {tmp_path / 'none'}; the export was not written."


def test_a_file_in_the_folders_place_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ExportError) as caught:
        write_new_file(tmp_path / "file" / "out.md", "a", "x.md")
    assert caught.value.code == ErrorCode.EXPORT_FOLDER_MISSING


def test_a_name_that_is_too_long_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        write_new_file(tmp_path / ("x" * 300), "a", "x.md")
    assert caught.value.code == ErrorCode.EXPORT_FAILED
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_in_a_sentence_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        with open("/dev/full", "wb", buffering=0) as device:
            device.write(b"x")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ExportError) as caught:
        write_new_file(tmp_path, "a", "out.md")
    assert caught.value.code == ErrorCode.EXPORT_DISK_FULL
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def read_only_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)
    shutil.rmtree(folder)


@posix
def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(read_only_folder: Path) -> None:
    script = (
        "import os, secrets, sys, pathlib\n"  # what it loads later, too: Python may be private to root
        "from qwen3_chat.errors import ExportError\n"
        "from qwen3_chat.documents.new_file import write_new_file\n"
        "from qwen3_chat.texts import Language, set_language\n"
        "set_language(Language.EN)\n"  # loaded now: the checkout may be private to root
        "if os.geteuid() == 0:\n"  # to root every folder is writable
        "    os.seteuid(65534)\n"
        "try:\n"
        "    write_new_file(pathlib.Path(sys.argv[1]), 'a', 'out.md')\n"
        "except ExportError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-B", "-c", script, read_only_folder],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    expected = f"{read_only_folder} can't be written to; choose another folder for the export.\n"
    assert (run.stdout, run.stderr) == (expected, "")
