"""The text of documents that are more than text."""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path

from qwen3_chat.errors import UsageError

_DROPPED = ["script", "style", "noscript", "template", "svg", "img", "picture", "iframe", "head"]
_BLANK_LINES = re.compile(r"\n[ \t]*(?:\n[ \t]*){2,}")


def pdf_text(file: Path, content: bytes) -> str:
    """Return the text of a PDF, its pages under their numbers.

    Raises:
        UsageError: it is locked, damaged, or holds pictures only.
    """
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its remarks on odd files would go onto the screen
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            raise UsageError("attach.locked", file=file)
        pages = [page.extract_text().strip() for page in reader.pages]
    except UsageError:
        raise
    # A damaged file fails in whatever place it is damaged, not only with errors of the library's own.
    except (PyPdfError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise UsageError("attach.damaged", file=file, reason=error) from error
    if not any(pages):
        raise UsageError("attach.no_text_inside", file=file)
    return "\n\n".join(f"[{number}]\n{page}" for number, page in enumerate(pages, start=1) if page) + "\n"


def html_text(text: str) -> str:
    """Return a web page as Markdown, without what only a browser needs."""
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    page = BeautifulSoup(text, "html.parser")
    for tag in page(_DROPPED):
        tag.decompose()
    markdown: str = MarkdownConverter(heading_style="ATX").convert_soup(page)
    return _BLANK_LINES.sub("\n\n", markdown).strip() + "\n"
