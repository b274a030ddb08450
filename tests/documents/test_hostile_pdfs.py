from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from qwen3_chat.documents import pdf_worker
from qwen3_chat.documents.file_text import read_attachment
from qwen3_chat.documents.pdf_worker import PdfFailure, extract_pages, read_pdf
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from tests.documents.test_attachments import pdf


def pdf_of(*objects: bytes) -> bytes:
    """Return a PDF of these objects, of which the first is the catalogue."""
    parts = [b"%PDF-1.4\n"]
    offsets = []
    for number, body in enumerate(objects, start=1):
        offsets.append(sum(map(len, parts)))
        parts.append(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    at = sum(map(len, parts))
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    n_objects = len(objects) + 1
    parts.append(b"xref\n0 %d\n0000000000 65535 f \n%s" % (n_objects, table))
    parts.append(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF" % (n_objects, at))
    return b"".join(parts)


CATALOGUE = b"<< /Type /Catalog /Pages 2 0 R >>"


def page_with(stream: bytes) -> bytes:
    packed = zlib.compress(stream)
    content = b"<< /Length %d /Filter /FlateDecode >>\nstream\n%s\nendstream" % (len(packed), packed)
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R >>"
    return pdf_of(CATALOGUE, b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page, content)


HOSTILE = {
    "pages that contain themselves": pdf_of(CATALOGUE, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>"),
    "a stream that unpacks to 300 MB": page_with(b" " * 300_000_000),
    "arrays in arrays": pdf_of(b"[" * 100_000),
    "a table that points to itself": b"%PDF-1.4\nxref\n0 0\ntrailer << /Prev 9 >>\nstartxref\n9\n%%EOF",
    "a number of 5,000 digits": pdf_of(b"<< /Pages " + b"9" * 5000 + b" 0 R >>"),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_pdf_is_one_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.pdf"
    file.write_bytes(content)
    with pytest.raises(UsageError) as refusal:
        read_attachment(file)
    assert len(str(refusal.value)) < len(str(file)) + 400


def test_a_pdf_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(pdf_worker, "MAX_PDF_S", 0)
    assert read_pdf(pdf("Hello")).failure is PdfFailure.TOO_MUCH_WORK
    file = tmp_path / "a.pdf"
    file.write_bytes(pdf("Hello"))
    with pytest.raises(UsageError) as refusal:
        read_attachment(file)
    assert refusal.value.code is ErrorCode.FILE_TOO_MUCH_WORK


def test_pages_and_text_have_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_worker, "MAX_PDF_CHARACTERS", 3)
    assert extract_pages(pdf("Hello")).failure is PdfFailure.TOO_LARGE
