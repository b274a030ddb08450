"""The text of a file: plain text, a PDF, a web page as Markdown."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import BinaryIO

from qwen3_chat.documents.attachments import Attachment
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.texts.formatting import format_size
from qwen3_chat.texts.terminal_safe import label_of_name

MAX_TEXT_BYTES = 4 * 1024**2
"""The limit for text files: about a million tokens, far more than any context holds."""
MAX_DOCUMENT_BYTES = 64 * 1024**2
"""The limit for PDFs and web pages, whose text is only a small part of them."""
STDIN_NAME = "stdin"
"""The name by which sentences call what is piped in."""
HTML_SUFFIXES = frozenset({".html", ".htm", ".xhtml"})

_IMAGES = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM", b"II*\0", b"MM\0*", b"\0\0\1\0")
_PDF = b"%PDF-"
_HEAD_BYTES = 32
_LINE_WITH_TEXT = re.compile(r"\n(?=[^\n])")
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")


def read_attachment(file: Path) -> Attachment:
    """Read a text file, the text of a PDF, a web page as Markdown.

    Raises:
        UsageError: it can't be read, is too large, or contains no text.
    """
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            raise UsageError(ErrorCode.FILE_IS_FOLDER, file=file)
        with file.open("rb") as stream:
            return read_open_file(stream, file)
    except (OSError, ValueError) as error:  # a name with a NUL is a ValueError
        raise UsageError(ErrorCode.FILE_UNREADABLE, file=file, reason=_reason(error)) from error


def read_open_file(stream: BinaryIO, file: Path) -> Attachment:
    """Read a file that is open already, as `read_attachment` reads it.

    Raises:
        UsageError: it can't be read, is too large, or contains no text.
    """
    try:
        text = read_document(stream, file, is_page=file.suffix.lower() in HTML_SUFFIXES)
    except (OSError, ValueError) as error:
        raise UsageError(ErrorCode.FILE_UNREADABLE, file=file, reason=_reason(error)) from error
    if not text.strip():
        raise UsageError(ErrorCode.FILE_EMPTY, file=file)
    return Attachment(label_of_name(file.name), text)


def read_piped_text(stream: BinaryIO) -> str:
    """Read what is piped into a command: as a file is read, but it may be empty.

    Raises:
        UsageError: it can't be read, is too large, or is no text.
    """
    try:
        return read_document(stream, STDIN_NAME, is_page=False)
    except (OSError, ValueError) as error:
        raise UsageError(ErrorCode.FILE_UNREADABLE, file=STDIN_NAME, reason=_reason(error)) from error


def read_document(stream: BinaryIO, file: Path | str, *, is_page: bool) -> str:
    """Read the text of an open file, which may be empty; `file` is what sentences call it.

    Raises:
        UsageError: it is too large, or no text.
        OSError: it can't be read.
    """
    head = stream.read(_HEAD_BYTES) or b""
    is_pdf = head.startswith(_PDF)
    limit = MAX_DOCUMENT_BYTES if is_pdf or is_page else MAX_TEXT_BYTES
    if _is_image(head):
        raise UsageError(ErrorCode.FILE_IS_PICTURE, file=file)
    content = head + (stream.read(limit) or b"")
    if len(content) > limit:  # judged by what was read: a pipe or a device has no size
        raise UsageError(ErrorCode.FILE_TOO_LARGE, file=file, limit=format_size(limit))
    if is_pdf:
        return extract_pdf_text(file, content)
    text = decode_text(content)
    if text is None:
        raise UsageError(ErrorCode.FILE_NOT_TEXT, file=file)
    if is_page:
        text = convert_html_to_markdown(text)
        if len(text) > MAX_TEXT_BYTES:
            raise UsageError(ErrorCode.FILE_TOO_LARGE, file=file, limit=format_size(MAX_TEXT_BYTES))
    return text


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)


def extract_pdf_text(file: Path | str, content: bytes) -> str:
    """Return the text of a PDF, its pages under their numbers.

    Raises:
        UsageError: it is locked, damaged, takes too much work, or contains pictures only.
    """
    from qwen3_chat.documents.pdf_worker import MAX_PDF_CHARACTERS, PdfFailure, read_pdf

    pdf = read_pdf(content)
    match pdf.failure:
        case PdfFailure.LOCKED:
            raise UsageError(ErrorCode.FILE_LOCKED, file=file)
        case PdfFailure.DAMAGED:
            raise UsageError(ErrorCode.FILE_DAMAGED, file=file, reason=pdf.reason)
        case PdfFailure.TOO_LARGE:
            limit = format_size(MAX_PDF_CHARACTERS)
            raise UsageError(ErrorCode.FILE_TOO_LARGE, file=file, limit=limit)
        case PdfFailure.TOO_MUCH_WORK:
            raise UsageError(ErrorCode.FILE_TOO_MUCH_WORK, file=file)
        case None:
            pass
    if not any(pdf.pages):
        raise UsageError(ErrorCode.FILE_WITHOUT_TEXT, file=file)
    pages = enumerate(pdf.pages, start=1)
    return "\n\n".join(f"[{number}]\n{page}" for number, page in pages if page) + "\n"


def convert_html_to_markdown(text: str) -> str:
    """Return a web page as Markdown, without scripts, styles and images."""
    from bs4 import BeautifulSoup, Tag
    from markdownify import MarkdownConverter

    from qwen3_chat.documents.html_cleanup import clean_html

    class PageConverter(MarkdownConverter):
        """A converter that takes the number of an item from the item, and does not count those before it."""

        def convert_li(self, el: Tag, text: str, parent_tags: set[str]) -> str:
            if el.parent is None or el.parent.name != "ol" or not text.strip():
                item: str = super().convert_li(el, text, parent_tags)  # type: ignore[misc]
                return item
            bullet = f"{el.get('value', '1')}. "
            return bullet + _LINE_WITH_TEXT.sub("\n" + " " * len(bullet), text.strip()) + "\n"

    page = BeautifulSoup(clean_html(text), "html.parser")
    markdown: str = PageConverter(heading_style="ATX").convert_soup(page)
    return _BLANK_LINES.sub("\n\n", markdown).strip() + "\n"


def decode_text(content: bytes) -> str | None:
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
    """Return True if nearly all that is not ASCII is common Chinese: any bytes mean something in GB 18030."""
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
