"""The process that reads a PDF: the file on stdin, its text as JSON on stdout.

A PDF can ask for any amount of work and memory, and nothing ends that within the process that does it.
"""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from dataclasses import dataclass
from enum import StrEnum

from qwen3_chat.parent_death import die_with_parent, parent_variables
from qwen3_chat.process_limits import set_limit

MAX_PDF_S = 30
"""The time after which a PDF is given up; a book of 1,000 pages takes a third of it."""
MAX_PDF_MEMORY_BYTES = 1536 * 1024**2
"""The limit for the memory of the process, where the system has one."""
MAX_PDF_PAGES = 10_000
MAX_PDF_CHARACTERS = 4 * 1024**2
"""The limits for what is read of it: far more than any context holds."""


class PdfFailure(StrEnum):
    """The reason why a PDF has no text."""

    LOCKED = "locked"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    TOO_MUCH_WORK = "too_much_work"


@dataclass(frozen=True, slots=True)
class PdfText:
    """The text of each page, or the failure, with the library's own words about damage."""

    pages: tuple[str, ...] = ()
    failure: PdfFailure | None = None
    reason: str = ""


def read_pdf(content: bytes) -> PdfText:
    """Read a PDF in a process that is ended at its limits."""
    import os

    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__],
            input=content,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=MAX_PDF_S,
            env={**os.environ, **parent_variables()},
            check=False,
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        return PdfText(failure=PdfFailure.TOO_MUCH_WORK)
    failure = PdfFailure(answer["failure"]) if answer["failure"] else None
    return PdfText(tuple(answer["pages"]), failure, answer["reason"])


def extract_pages(content: bytes) -> PdfText:
    """Return the text of each page, read in this process."""
    from pypdf import PdfReader

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    pages: list[str] = []
    n_characters = 0
    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            return PdfText(failure=PdfFailure.LOCKED)
        for page in reader.pages:
            pages.append(page.extract_text().strip())
            n_characters += len(pages[-1])
            if n_characters > MAX_PDF_CHARACTERS or len(pages) > MAX_PDF_PAGES:
                return PdfText(failure=PdfFailure.TOO_LARGE)
    except MemoryError:
        return PdfText(failure=PdfFailure.TOO_MUCH_WORK)
    except Exception as error:  # a damaged file fails wherever it is damaged, with any error
        return PdfText(failure=PdfFailure.DAMAGED, reason=str(error)[:200])
    return PdfText(tuple(pages))


def main() -> None:
    """Read a PDF from stdin and print its text as JSON."""
    die_with_parent()
    set_limit("RLIMIT_AS", MAX_PDF_MEMORY_BYTES)
    text = extract_pages(sys.stdin.buffer.read())
    sys.stdout.write(json.dumps({"pages": text.pages, "failure": text.failure, "reason": text.reason}))


if __name__ == "__main__":
    main()
