"""The files that tools have written in the folder of a chat."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from qwen3_chat.documents import chat_files
from qwen3_chat.documents.chat_files import list_chat_files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def write(path: Path, data: bytes, modified: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, (modified, modified))


def test_the_latest_files_come_first_with_those_of_folders(tmp_path: Path) -> None:
    write(tmp_path / "old.csv", b"a,b\n", 100)
    write(tmp_path / "plots" / "new.png", PNG, 300)
    write(tmp_path / "b.txt", b"b", 200)
    files = list_chat_files(tmp_path)
    assert [(file.name, file.size_bytes) for file in files] == [
        ("plots/new.png", len(PNG)),
        ("b.txt", 1),
        ("old.csv", 4),
    ]
    assert files[0].path == tmp_path / "plots" / "new.png"


@pytest.mark.parametrize(
    ("name", "data", "can_open"),
    [
        ("plot.png", PNG, True),
        ("PHOTO.JPG", b"\xff\xd8\xff\xe0", True),
        ("paper.pdf", b"%PDF-1.7", True),
        ("page.html", b"<script>", False),
        ("drawing.svg", b"<svg onload='x'>", False),
        ("run.desktop", PNG, False),
        ("run.sh", b"%PDF-1.7", False),
        ("plot.png", b"MZ\x90", False),
        ("plot.png", b"%PDF-1.7", False),
        ("plot.png", b"", False),
    ],
)
def test_only_what_is_a_picture_or_a_pdf_by_name_and_bytes_is_opened(
    tmp_path: Path, name: str, data: bytes, can_open: bool
) -> None:
    write(tmp_path / name, data, 1)
    assert [file.can_open for file in list_chat_files(tmp_path)] == [can_open]


def test_links_and_pipes_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "chat"
    write(folder / "own.txt", b"own", 1)
    write(tmp_path / "secret.png", PNG, 1)
    write(tmp_path / "outside" / "secret.txt", b"s", 1)
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "linked").symlink_to(tmp_path / "outside")
    os.mkfifo(folder / "pipe.png")
    assert [file.name for file in list_chat_files(folder)] == ["own.txt"]


def test_of_very_many_files_a_limited_number_is_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chat_files, "MAX_LISTED_FILES", 3)
    for number in range(5):
        write(tmp_path / f"{number}.txt", b"x", number)
    assert [file.name for file in list_chat_files(tmp_path)] == ["4.txt", "3.txt", "2.txt"]


def test_a_chat_without_a_folder_has_no_files(tmp_path: Path) -> None:
    assert list_chat_files(tmp_path / "none") == []
