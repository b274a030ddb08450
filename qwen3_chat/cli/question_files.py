"""The text of a question: what was typed, the files and web pages that are named, what is piped in."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from qwen3_chat.config import find_paths, read_settings
from qwen3_chat.documents.attachments import Attachment, is_web_address, join_attachments
from qwen3_chat.documents.file_selection import MAX_QUESTION_FILES, read_files
from qwen3_chat.error_codes import ErrorCode
from qwen3_chat.errors import UsageError
from qwen3_chat.texts import t


def assemble_prompt(prompt: str, piped: str, names: Sequence[str], folder: Path = Path()) -> str:
    """Join the prompt, each file under its name in a fence, and the piped text.

    A name is a path relative to the folder, a pattern, or an address, read as by the tool `fetch`.

    Raises:
        UsageError: a file can't be read, or is no text.
    """
    attachments, n_left_out = list[Attachment](), 0
    for name in names:
        if is_web_address(name):
            attachments.append(_read_page(name))
        else:
            files, count = read_files([folder / name])
            attachments += files
            n_left_out += count
        if len(attachments) > MAX_QUESTION_FILES:
            raise UsageError(ErrorCode.FILES_TOO_MANY, file=name, limit=MAX_QUESTION_FILES)
    if n_left_out:
        print(t("cli.files_left_out", count=n_left_out), file=sys.stderr)
    text = join_attachments(prompt, attachments)
    if not piped:
        return text
    return "\n\n".join(part for part in (text.rstrip("\n"), piped.rstrip("\n")) if part.strip())


def _read_page(url: str) -> Attachment:
    from qwen3_chat.tools.fetch_tool import read_page  # here: few questions name pages

    return asyncio.run(read_page(url, read_settings(find_paths().settings_file).settings.private_hosts))
