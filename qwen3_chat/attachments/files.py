"""Reads a file as text that a model can read."""

from __future__ import annotations

import stat
from pathlib import Path

from qwen3_chat.attachments.attachment import Attachment
from qwen3_chat.errors import UsageError
from qwen3_chat.sizes import write_size

TEXT_LIMIT_BYTES = 4 * 1024**2
"""Far more than any context holds: about a million tokens."""

DOCUMENT_LIMIT_BYTES = 64 * 1024**2
HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})

_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0")
_PDF = b"%PDF-"
_HEAD_BYTES = 32


def read_attachment(file: Path) -> Attachment:
    """Read a text file, the text of a PDF, a web page as Markdown.

    Raises:
        UsageError: it can't be read, is too large, or holds nothing that is text.
    """
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UsageError("attach.folder", file=file)
        with file.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
            is_document = head.startswith(_PDF) or file.suffix.lower() in HTML_SUFFIXES
            limit = DOCUMENT_LIMIT_BYTES if is_document else TEXT_LIMIT_BYTES
            if _is_image(head):
                raise UsageError("attach.image", file=file)
            content = head + stream.read(limit)
    except OSError as error:
        raise UsageError("cli.unreadable_file", file=file, reason=error.strerror or error) from error
    if len(content) > limit:  # told by what was read: a pipe or a device has no size
        raise UsageError("attach.too_large", file=file, limit=write_size(limit))
    return Attachment(file.name, _text(file, content))


def _text(file: Path, content: bytes) -> str:
    if content.startswith(_PDF):
        from qwen3_chat.attachments.documents import pdf_text  # here: few attach one

        return pdf_text(file, content)
    text = decoded(content)
    if text is None:
        raise UsageError("cli.no_text", file=file)
    if file.suffix.lower() in HTML_SUFFIXES:
        from qwen3_chat.attachments.documents import html_text

        text = html_text(text)
    if not text.strip():
        raise UsageError("attach.empty", file=file)
    return text


def decoded(content: bytes) -> str | None:
    """Decode UTF-8, UTF-16 with its mark, or GB 18030 where it reads as Chinese; None for anything else."""
    is_utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    for encoding in ["utf-16"] if is_utf_16 else ["utf-8-sig", "gb18030"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text or (encoding == "gb18030" and not _reads_as_chinese(text)):
            continue
        return text
    return None


def _reads_as_chinese(text: str) -> bool:
    """Tell whether what is not ASCII is nearly all common Chinese: GB 18030 gives any bytes some meaning."""
    foreign = [character for character in text if character > "\x7f"]
    known = sum(
        "\u4e00" <= c <= "\u9fff" or "\u3000" <= c <= "\u303f" or "\uff00" <= c <= "\uffef" for c in foreign
    )
    controls = sum(character < " " and character not in "\t\n\r\f" for character in text)
    return not controls and known >= 0.9 * len(foreign)


def _is_image(head: bytes) -> bool:
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    is_heif = head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heif", b"avif", b"mif1")
    return head.startswith(_IMAGES) or is_webp or is_heif
