from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject

from qwen3_chat.documents.attachments import Attachment, fence_attachment, join_attachments, split_attachments
from qwen3_chat.documents.file_text import read_attachment
from qwen3_chat.errors import UsageError

NAMES = st.text("abc.文件 -", min_size=1).filter(lambda name: bool(name.strip()))
TEXTS = st.text("ab`\n:\r\t 字", max_size=40).filter(lambda text: bool(text.strip()))


def pdf(*texts: str, password: str = "") -> bytes:
    """Make a PDF with a page for each text."""
    writer = PdfWriter()
    for text in texts:
        page = writer.add_blank_page(200, 200)
        font = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Font"),
                NameObject("/Subtype"): NameObject("/Type1"),
                NameObject("/BaseFont"): NameObject("/Helvetica"),
            }
        )
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        stream = DecodedStreamObject()
        stream.set_data(f"BT /F1 12 Tf 10 100 Td ({text}) Tj ET".encode() if text else b"")
        page[NameObject("/Contents")] = stream
    if password:
        writer.encrypt(password)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("a.txt", b"one\r\ntwo", "one\r\ntwo"),
        ("a.txt", "\ufeff带标记".encode(), "带标记"),
        ("a.txt", "UTF-16 也行".encode("utf-16"), "UTF-16 也行"),
        ("笔记.txt", "国标编码的笔记，也能读。\n".encode("gb18030"), "国标编码的笔记，也能读。\n"),
        ("a.md", b"# Title\n\n```py\nx = 1\n```\n", "# Title\n\n```py\nx = 1\n```\n"),
        ("a.pdf", pdf("Page one", "", "Page three"), "[1]\nPage one\n\n[3]\nPage three\n"),
        (
            "a.html",
            b"<html><head><title>T</title><style>p {}</style></head><body><h1>Head</h1><script>x()</script>"
            b"<p>Some <b>bold</b> words.</p><ul><li>one</li></ul><img src=x alt=y></body></html>",
            "# Head\n\nSome **bold** words.\n\n* one\n",
        ),
    ],
)
def test_a_file_becomes_text(tmp_path: Path, name: str, content: bytes, text: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert read_attachment(file) == Attachment(name, text)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n...", "is a picture; Qwen3 reads text only."),
        ("a.txt", b"\xff\xd8\xff\xe0 a photo under a wrong name", "is a picture"),
        ("a.webp", b"RIFF\0\0\0\0WEBPVP8 ", "is a picture"),
        ("a.bin", b"\x7fELF\0\1\2", "is not a text file"),
        ("a.txt", bytes(range(128, 256)), "is not a text file"),
        ("a.txt", b" \n", "There is no text in"),
        ("a.html", b"<script>x()</script>", "There is no text in"),
        ("a.pdf", pdf(""), "holds pictures of pages"),
        ("a.pdf", pdf("secret", password="x"), "is locked with a password."),
        ("a.pdf", pdf("x")[:200], "is damaged and can't be read"),
        ("a.pdf", b"%PDF-1.7 nothing more", "is damaged and can't be read"),
        ("a.txt", b"x" * (4 * 1024**2 + 1), "is larger than 4 MiB"),
    ],
)
def test_what_is_no_text_is_refused_with_a_sentence(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UsageError) as refusal:
        read_attachment(file)
    assert sentence in str(refusal.value)
    assert str(file) in str(refusal.value)


def test_a_folder_and_a_file_that_is_not_there_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        read_attachment(tmp_path)
    with pytest.raises(UsageError, match="can't be read"):
        read_attachment(tmp_path / "nowhere.txt")


@given(NAMES, TEXTS)
def test_a_fence_holds_the_text_byte_for_byte(name: str, text: str) -> None:
    whole = fence_attachment(Attachment(name, text))
    fence = whole.rpartition("\n")[2]
    assert whole.startswith(f"{name}:\n{fence}\n{text}")
    assert set(fence) == {"`"}
    assert all(line.strip() != fence for line in text.split("\n"))


@given(TEXTS, st.lists(st.builds(Attachment, NAMES, TEXTS), max_size=3))
def test_what_was_joined_is_taken_apart_and_joined_again(typed: str, attachments: list[Attachment]) -> None:
    content = join_attachments(typed, attachments)
    rest, found = split_attachments(content)
    assert join_attachments(rest, found) == content


@given(st.text("a:`\n", max_size=60))
def test_any_message_stays_itself_when_taken_apart(content: str) -> None:
    assert join_attachments(*split_attachments(content)) in (content, "")


def test_attachments_are_found_again() -> None:
    attachments = (Attachment("a.txt", "one\n"), Attachment("b.md", "```\ncode\n```\n"))
    assert split_attachments(join_attachments("Look at\n\nthese", attachments)) == (
        "Look at\n\nthese",
        attachments,
    )
    assert split_attachments(join_attachments("", attachments)) == ("", attachments)
    assert split_attachments("a.py:\n```\nx\n```\n\nWhat is this?")[1] == ()


class Slices(str):
    """A text that counts the characters that are copied out of it."""

    n_copied = 0

    def __getitem__(self, key: Any) -> str:
        part = super().__getitem__(key)
        Slices.n_copied += len(part)
        return part

    def removesuffix(self, suffix: str) -> str:
        return Slices(super().removesuffix(suffix))


def test_many_attachments_are_taken_apart_without_copying_the_rest_for_each() -> None:
    attachments = [Attachment(f"f{n}", "x\n") for n in range(1000)]
    content = join_attachments("Look", attachments)
    Slices.n_copied = 0
    assert split_attachments(Slices(content)) == ("Look", tuple(attachments))
    assert Slices.n_copied < 5 * len(content)


def test_a_text_of_blank_lines_gets_its_fence_at_once() -> None:
    text = "\n" * 200_000 + "x"
    assert fence_attachment(Attachment("a", text)) == f"a:\n```\n{text}\n```"
